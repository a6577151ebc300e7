"""Print what the rules would report of recorded configuration that AWS Config exported."""

import signal

# An interrupt, and a reader that stops (| head), end the process at once and without a traceback.
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from tqdm import tqdm

from scripts.exports import FORMS, Record, format_time
from scripts.local_aws import CAPTURED, COMPLIANCE_TYPES, LocalAws, Outcome, invoke, start_local_aws
from scripts.results import count, format_result, format_table
from scripts.run_events import choose_rules
from scripts.stack import ConfigRule, Json, parse_parameters, read_rule

LISTED = 20  # resources of a rule
FREQUENT = 5  # annotations
RECORDER = {"config:DescribeConfigurationRecorders", "config:DescribeConfigurationRecorderStatus"}
# What a rule may call: of a part of an account, a list would be a wrong answer.
REPORT = {"config:PutEvaluations", "config:GetComplianceDetailsByConfigRule"}
ACCOUNT = REPORT | RECORDER | {"config:ListDiscoveredResources"}


class Row(NamedTuple):
    """An evaluation, or an error: its compliance type is ERROR, its annotation the error."""

    rule: str
    account: str
    region: str
    resource_type: str
    resource_id: str
    compliance_type: str
    annotation: str
    time: str
    frames: tuple[str, ...] = ()  # of an error: where the rule's code raised it


# AWS Config as exported


PREVIEWED: list[LocalAws] = []  # the one that is being previewed, if any


def answer_put_evaluations(params: Json, **_more: Any) -> tuple[AWSResponse, Json] | None:
    """Answer PutEvaluations before it is signed and sent, which takes most of a preview's time."""
    if not PREVIEWED:
        return None
    (aws,) = PREVIEWED
    aws.handle(None, "config:PutEvaluations")
    if problem := aws.keep(json.loads(params["body"])):
        error = {"Code": "InvalidParameterValueException", "Message": problem}
        return AWSResponse("", 400, {}, None), {"Error": error}
    return AWSResponse("", 200, {}, None), {"FailedEvaluations": []}


# It reaches every session that is made after this import, a rule's own too.
BUILTIN_HANDLERS.append(("before-call.config-service.PutEvaluations", answer_put_evaluations))


# Evaluating


def list_events(rule: ConfigRule, record: Record) -> Iterator[tuple[tuple[str, str], str, Json]]:
    """Yield account and Region, resource, and the event that AWS Config would send."""
    if rule.is_periodic:
        for account, region, seconds in record.list_accounts():
            time = format_time(datetime.fromtimestamp(seconds, UTC))
            content: Json = {"messageType": "ScheduledNotification", "awsAccountId": account}
            yield (account, region), account, make_event(rule, account, region, time, content)
        return
    for item in record.list_changes(rule.resource_types):
        content = {"configurationItem": item, "configurationItemDiff": None}
        content["messageType"] = "ConfigurationItemChangeNotification"
        account, region, time = item["awsAccountId"], item["awsRegion"], item[CAPTURED]
        event = make_event(rule, account, region, time, content)
        yield (account, region), item["resourceId"], event


def make_event(rule: ConfigRule, account: str, region: str, time: str, content: Json) -> Json:
    """Return the event with this content."""
    more = {"notificationCreationTime": time, "recordVersion": "1.0"}
    return {
        "version": "1.0",
        "invokingEvent": json.dumps({**content, **more}),
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


def preview(rule: ConfigRule, record: Record) -> tuple[list[Row], str]:
    """Return what the rule would report, and a note: why it is nothing, or what was assumed."""
    rows: list[Row] = []
    calls, permitted = set[str](), ACCOUNT if rule.is_periodic else REPORT
    events = tqdm(list_events(rule, record), rule.name, delay=1, disable=None, leave=False)
    with start_local_aws(LocalAws(only=permitted)) as aws:
        PREVIEWED.append(aws)
        try:
            for place, resource, event in events:
                aws.list_exported = cache(partial(record.list_ids, *place))  # one list, many pages
                outcome = invoke(rule.name, event, aws)
                calls.update(outcome.calls)
                if unanswered := ", ".join(sorted(calls - permitted)):
                    reason = f"it calls {unanswered}, which an export cannot answer"
                    return [], f"not previewed: {reason} (use make run)"
                rows += make_rows(rule.name, place, resource, outcome)
        finally:
            PREVIEWED.clear()
    if rows:
        recorded = "Previewed as if AWS Config recorded every type: an export does not say it."
        return rows, recorded if calls & RECORDER else ""
    if not rule.is_periodic:
        return [], f"no resource of its scope ({', '.join(rule.resource_types) or 'any type'})"
    if any(export.is_snapshot for export in record.exports):
        return [], "the snapshot is empty"
    return [], "needs a configuration snapshot: a part of an account would certify the whole"


def make_rows(rule: str, place: tuple[str, str], resource: str, outcome: Outcome) -> Iterator[Row]:
    """Yield a row for each evaluation, and one for an error."""
    for each in outcome.evaluations:
        time = format_time(datetime.fromtimestamp(each["OrderingTimestamp"], UTC))
        evaluated = each["ComplianceResourceType"], each["ComplianceResourceId"]
        yield Row(
            rule, *place, *evaluated, each["ComplianceType"], each.get("Annotation", ""), time
        )
    if outcome.error:
        yield Row(rule, *place, "", resource, "ERROR", outcome.error, "", tuple(outcome.frames))


# Printing


def print_preview(rule: ConfigRule, rows: list[Row], note: str, *, show_all: bool) -> None:
    """Print a table, the most frequent annotations, the resources and a line that sums them up."""
    places: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        places[row.account, row.region][row.compliance_type] += 1
    print(f"{rule.name}\n", *format_table(places), "", sep="\n")
    kinds = COMPLIANCE_TYPES if show_all or rule.is_periodic else ("NON_COMPLIANT",)
    shown = [row for row in rows if row.compliance_type in kinds]
    frequent = Counter(row.annotation for row in shown).most_common(FREQUENT)
    if frequent and frequent[0][1] > 1:
        print(*(f"{number:>7,} x  {text}" for text, number in frequent), "", sep="\n")
    listed = shown if show_all else shown[:LISTED]
    for row in listed:
        where = (row.account, row.region) if len(places) > 1 else ()
        print(format_result(row.compliance_type, row.resource_id, *where, row.annotation))
    if len(shown) > len(listed):
        print(f"and {len(shown) - len(listed):,} more (ALL=1, or CSV=file)")
    errors: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.compliance_type == "ERROR":
            errors[row.annotation.partition(":")[0], *row.frames].append(row)
    for (_kind, *frames), same in errors.items():
        more = f"and {len(same) - 1:,} more" if len(same) > 1 else ""
        print(format_result("ERROR", same[0].resource_id, more, same[0].annotation))
        print("".join(f"    {line}\n" for line in frames), end="")
    if note:
        print(note)
    found = sum(places.values(), Counter[str]())
    number = found.total() - found["ERROR"]
    print(f"{rule.name}: {number} evaluation{'' if number == 1 else 's'}: {count(found)}")


def make_safe(cell: str) -> str:
    """Return the cell so that a spreadsheet shows it and runs no formula in it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


# The command


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, list[ConfigRule]]:
    """Return the command's arguments, and the rules with the parameters that they give."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.preview",
        description="Print what the rules would report of configuration that AWS Config exported.",
        epilog="Exit code: 0; 1 an error; 2 usage; 3 NON_COMPLIANT, with --fail.",
    )
    parser.add_argument("items", nargs="+", type=Path, help=f"files, or folders of them: {FORMS}")
    parser.add_argument("--rule", help="a rule's folder; without it, all rules")
    parser.add_argument("--parameters", default="", help="as for sam deploy: 'Key=Value Key=Value'")
    parser.add_argument("--all", action="store_true", help="list every result")
    parser.add_argument("--csv", type=Path, help="write every result to this file")
    parser.add_argument("--fail", action="store_true", help="end with 3 if one is NON_COMPLIANT")
    chosen = parser.parse_args(arguments)
    try:
        parameters = parse_parameters(chosen.parameters)
        return chosen, [read_rule(name, parameters) for name in choose_rules(chosen.rule)]
    except ValueError as ex:
        parser.error(str(ex))


def find_types(rules: list[ConfigRule]) -> set[str] | None:
    """Return the types in the scopes of the change-triggered rules; None if that is any type.

    ValueError: a scope that an export does not tell, as one by tag.
    """
    triggered = [rule for rule in rules if not rule.is_periodic]
    for rule in triggered:
        if unknown := rule.scope.keys() - {"ComplianceResourceTypes"}:
            raise ValueError(f"template.yaml: the scope of {rule.name} has {', '.join(unknown)}.")
    if not all(rule.resource_types for rule in triggered):
        return None
    return {each for rule in triggered for each in rule.resource_types}


def main(arguments: list[str] | None = None) -> int:
    """Preview the rules; return the exit code."""
    chosen, rules = parse_arguments(arguments)
    if chosen.csv:
        chosen.csv.write_text("")  # before the work begins: it may not be writable
    record = Record(chosen.items, find_types(rules))
    print("".join(f"{note}\n" for note in record.list_notes()), end="")
    rows: list[Row] = []
    for rule in rules:
        found, note = preview(rule, record)
        print("\n" if rows else "", end="")
        if found:
            print_preview(rule, found, note, show_all=chosen.all)
        else:
            print(f"{rule.name}: {note}.")
        rows += found
    if chosen.csv:
        with chosen.csv.open("w", newline="", encoding="utf-8-sig") as file:
            table = csv.writer(file)
            table.writerow(name.replace("_", " ") for name in Row._fields[:-1])
            table.writerows([make_safe(cell) for cell in row[:-1]] for row in rows)
    results = {row.compliance_type for row in rows}
    if "ERROR" in results or not results:
        return 1
    return 3 if chosen.fail and "NON_COMPLIANT" in results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as ex:
        sys.exit(f"python -m scripts.preview: {ex}")
