"""Print what the rules would say of recorded configuration that AWS Config exported."""

import signal

# An interrupt ends the process at once and without a traceback, during the imports too.
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import csv
import gzip
import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from botocore.utils import parse_timestamp
from tqdm import tqdm

from scripts.local_aws import CAPTURED, LocalAws, Outcome, invoke, parse_json, start_local_aws
from scripts.run_events import Printer, choose_rules, count
from scripts.stack import ConfigRule, Json, parse_parameters, read_rule

FORMS = (
    "a configuration snapshot, a history file, or what `aws configservice` prints for "
    "get-resource-config-history or select-resource-config"
)
EVENT_NAMES = {
    "accountId": "awsAccountId",
    "arn": "ARN",
    "configurationItemMD5Hash": "configurationStateMd5Hash",
    "version": "configurationItemVersion",
}
IDENTITY = ("resourceType", "resourceId", "awsAccountId", "awsRegion")
EVENT_TIME = re.compile(r"[0-9T:-]{19}\.[0-9]{3}Z")  # these can be compared as they are
NEEDED = (*IDENTITY, "configurationItemStatus", CAPTURED)
COLUMNS = ["rule", "account", "Region", "resource type", "resource id"]
COLUMNS += ["compliance type", "annotation", "time"]
Row = dict[str, str]
Job = tuple[str, str, str, Json, list[Json]]  # account, Region, resource, notification, record
# What a rule may call: of a part of an account, a list or a count would be a wrong answer.
REPORT = {"config:PutEvaluations"}
RECORDER = {"config:DescribeConfigurationRecorders", "config:DescribeConfigurationRecorderStatus"}
ACCOUNT = REPORT | RECORDER | {"config:ListDiscoveredResources"}


@dataclass
class Export:
    """One file: its configuration items, in the form that events have."""

    path: Path
    items: list[Json]
    is_snapshot: bool


def read_export(path: Path) -> Export:
    """Return the items of a file, whichever form it has, gzipped or not."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError) as ex:
            raise ValueError(f"{path} is not a whole gzip file.") from ex
    content = parse_json(data, path)
    if content.get("nextToken") or content.get("NextToken"):
        raise ValueError(f"{path} has a nextToken: it holds one page of several.")
    if "configurationItems" in content:
        items = content["configurationItems"]
    else:
        results = content.get("Results", "")
        items = [parse_json(text, path) for text in results] if is_list_of(str, results) else None
    if not is_list_of(dict, items):
        raise ValueError(f"{path} must be {FORMS}.")
    items = [check_item(to_event_form(item), path, NEEDED) for item in items]
    return Export(path, items, "configSnapshotId" in content)


def is_list_of(kind: type, value: object) -> bool:
    """Return whether the value is a list of that kind alone."""
    return isinstance(value, list) and all(isinstance(each, kind) for each in value)


def to_event_form(item: Json) -> Json:
    """Return the item with the names that events have, its configuration an object."""
    item = {EVENT_NAMES.get(name, name): value for name, value in item.items()}
    if isinstance(item.get("configuration"), str):
        item["configuration"] = json.loads(item["configuration"] or "null")
    for name in (CAPTURED, "resourceCreationTime"):
        if item.get(name) and not EVENT_TIME.fullmatch(str(item[name])):
            item[name] = format_time(parse_timestamp(item[name]))
    if isinstance(item.get("tags"), list):  # select-resource-config
        item["tags"] = {tag["key"]: tag["value"] for tag in item["tags"]}
    for relationship in item.get("relationships") or []:
        if "relationshipName" in relationship:
            relationship["name"] = relationship["relationshipName"]
    return item


def format_time(time: datetime) -> str:
    """Return the time as events have it: 2016-10-06T16:46:16.261Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_item(item: Json, path: Path, names: tuple[str, ...]) -> Json:
    """Return the item; ValueError if it lacks a field without which the answer would be wrong."""
    if missing := [name for name in names if item.get(name) in (None, "")]:
        raise ValueError(
            f"{path}: item {item.get('resourceId')} has no {' and no '.join(missing)}."
        )
    return item


def find_newest(exports: list[Export], resource_types: list[str]) -> list[Json]:
    """Return the newest item of each resource of these types; of any type, if there are none."""
    newest: dict[tuple[str, ...], Json] = {}
    for export in exports:
        for item in export.items:
            if resource_types and item["resourceType"] not in resource_types:
                continue
            if item["configurationItemStatus"] in ("OK", "ResourceDiscovered"):
                check_item(item, export.path, ("configuration",))
            key = tuple(item[name] for name in IDENTITY)
            if key not in newest or newest[key][CAPTURED] < item[CAPTURED]:
                newest[key] = item
    return list(newest.values())


def make_event(rule: ConfigRule, account: str, region: str, content: Json) -> Json:
    """Return the event that AWS Config would send to the rule's function."""
    return {
        "version": "1.0",
        "invokingEvent": json.dumps({**content, "recordVersion": "1.0"}),
        "ruleParameters": json.dumps(rule.parameters),
        "resultToken": "TESTMODE",
        "eventLeftScope": False,
        "executionRoleArn": f"arn:aws:iam::{account}:role/preview",
        "configRuleArn": f"arn:aws:config:{region}:{account}:config-rule/config-rule-preview",
        "configRuleName": rule.name,
        "configRuleId": "config-rule-preview",
        "accountId": account,
        "evaluationMode": "DETECTIVE",
    }


def list_changes(rule: ConfigRule, exports: list[Export]) -> Iterator[Job]:
    """Yield the newest item of each resource in the rule's scope."""
    for item in find_newest(exports, rule.resource_types):
        content = {
            "configurationItemDiff": None,
            "configurationItem": item,
            "notificationCreationTime": item[CAPTURED],
            "messageType": "ConfigurationItemChangeNotification",
        }
        yield item["awsAccountId"], item["awsRegion"], item["resourceId"], content, []


def list_places(exports: list[Export]) -> set[tuple[str, str]]:
    """Return the accounts and Regions of the items; IAM's, for example, are in all: global."""
    places = {(item["awsAccountId"], item["awsRegion"]) for each in exports for item in each.items}
    return {place for place in places if place[1] != "global"} or places


def list_accounts(exports: list[Export]) -> Iterator[Job]:
    """Yield each account and Region of the snapshots, with its items and the global ones."""
    places: dict[tuple[str, str], list[Json]] = {}
    for export in exports:
        for account, region in list_places([export]):
            if (account, region) in places:
                raise ValueError(f"{export.path} is a second snapshot of {account} in {region}.")
            places[account, region] = [
                item
                for item in export.items
                if item["awsAccountId"] == account and item["awsRegion"] in (region, "global")
            ]
    for (account, region), items in sorted(places.items(), key=lambda place: place[0]):
        content = {
            "awsAccountId": account,
            "notificationCreationTime": max(item[CAPTURED] for item in items),
            "messageType": "ScheduledNotification",
        }
        yield account, region, account, content, items


def preview(rule: ConfigRule, exports: list[Export]) -> tuple[list[Row], str]:
    """Return a row for each evaluation and each error, and the line that sums them up."""
    snapshots = [export for export in exports if export.is_snapshot]
    if rule.is_periodic:
        only, jobs = ACCOUNT, list(list_accounts(snapshots))
        nothing = "needs a configuration snapshot: a part of an account would certify the whole"
        nothing = "the snapshot is empty" if snapshots else nothing
    else:
        only, jobs = REPORT, list(list_changes(rule, exports))
        nothing = f"no resource of its scope ({', '.join(rule.resource_types) or 'any type'})"
    if not jobs:
        return [], f"{rule.name}: {nothing}."
    rows: list[Row] = []
    asked_recorder = False
    with start_local_aws(LocalAws(only=only)) as aws:
        for account, region, resource, content, aws.items in tqdm(
            jobs, desc=rule.name, delay=1, disable=None, leave=False
        ):
            outcome = invoke(rule.name, make_event(rule, account, region, content), aws)
            asked_recorder = asked_recorder or not RECORDER.isdisjoint(outcome.calls)
            rows += make_rows([rule.name, account, region], resource, outcome)
    if asked_recorder:
        told = "previewed as if AWS Config recorded every type: an export does not say it"
        print(f"{rule.name}: {told}.")
    found = Counter(row["compliance type"] for row in rows)
    number = found.total() - found["ERROR"]
    return rows, f"{rule.name}: {number} evaluation{'' if number == 1 else 's'}: {count(found)}"


def make_rows(place: list[str], resource: str, outcome: Outcome) -> Iterator[Row]:
    """Yield a row for each evaluation, and one for an error."""
    for each in outcome.evaluations:
        time = format_time(datetime.fromtimestamp(each["OrderingTimestamp"], UTC))
        evaluated = [each["ComplianceResourceType"], each["ComplianceResourceId"]]
        result = [each["ComplianceType"], each.get("Annotation", ""), time]
        yield dict(zip(COLUMNS, place + evaluated + result, strict=True))
    if outcome.error:
        yield dict(zip(COLUMNS, [*place, "", resource, "ERROR", outcome.error, ""], strict=True))


def main() -> int:
    """Preview the rules that the environment asks for; return the exit code."""
    paths = [Path(name) for name in shlex.split(os.environ.get("ITEMS", ""))]
    if not paths:
        raise ValueError(f"ITEMS must name a file: {FORMS}.")
    parameters = parse_parameters(os.environ.get("PARAMETERS", ""))
    rules = [read_rule(name, parameters) for name in choose_rules(os.environ.get("RULE"))]
    for rule in rules:
        if unknown := rule.scope.keys() - {"ComplianceResourceTypes"}:
            raise ValueError(f"template.yaml: the scope of {rule.name} has {', '.join(unknown)}.")
    exports = [read_export(path) for path in paths]
    for export in exports:
        for name in ("tags", "relationships"):
            if export.items and not any(name in item for item in export.items):
                print(f"{export.path} has no {name}: a rule that reads them finds none.")
    printer, lines, several = Printer([""]), [], len(list_places(exports)) > 1
    rows: list[Row] = []
    for rule in rules:
        found, line = preview(rule, exports)
        lines.append(line)
        rows += found
        for row in found:
            if row["compliance type"] in ("NON_COMPLIANT", "ERROR") or os.environ.get("ALL"):
                where = f"{row['account']} {row['Region']}" if several else ""
                printer.print_result("", row["compliance type"], row["resource id"], where)
                printer.print_text(row["annotation"])
    print("\n".join(lines))
    if path := os.environ.get("CSV"):
        with Path(path).open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *(row.values() for row in rows)])
    return 1 if any(row["compliance type"] == "ERROR" for row in rows) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as ex:
        sys.exit(f"make preview: {ex}")
