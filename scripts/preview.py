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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from botocore.awsrequest import AWSResponse
from botocore.handlers import BUILTIN_HANDLERS
from tqdm import tqdm

from scripts.exports import FORMS, Record, format_time
from scripts.local_aws import CAPTURED, LocalAws, Outcome, find_problem, invoke, start_local_aws
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


@dataclass
class Preview:
    """What a rule would report, or the reason why nothing was evaluated."""

    rule: ConfigRule
    rows: list[Row] = field(default_factory=list)
    errors: dict[tuple[str, ...], list[Row]] = field(default_factory=lambda: defaultdict(list))
    calls: set[str] = field(default_factory=set)
    reason: str = ""


# AWS Config as exported


PREVIEWED: list[LocalAws] = []  # the one that is being previewed, if any


def answer_put_evaluations(params: Json, **_more: Any) -> tuple[AWSResponse, Json] | None:
    """Answer PutEvaluations before it is signed and sent, which takes most of a preview's time."""
    if not PREVIEWED:
        return None
    (aws,) = PREVIEWED
    aws.handle(None, "config:PutEvaluations")
    evaluations = json.loads(params["body"])["Evaluations"]
    if problem := find_problem(evaluations):
        error = {"Code": "InvalidParameterValueException", "Message": problem}
        return AWSResponse("", 400, {}, None), {"Error": error}
    aws.evaluations += evaluations
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
        content = {"messageType": "ConfigurationItemChangeNotification", "configurationItem": item}
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


def preview(rule: ConfigRule, record: Record) -> Preview:
    """Return what the rule would report of the record."""
    made, permitted = Preview(rule), ACCOUNT if rule.is_periodic else REPORT
    events = tqdm(list_events(rule, record), rule.name, delay=1, disable=None, leave=False)
    with start_local_aws(LocalAws(only=permitted)) as aws:
        PREVIEWED.append(aws)
        try:
            for place, resource, event in events:
                aws.list_exported = partial(record.list_ids, *place)
                outcome = invoke(rule.name, event, aws)
                made.calls.update(outcome.calls)
                if unanswered := ", ".join(sorted(made.calls - permitted)):
                    reason = f"it calls {unanswered}, which an export cannot answer"
                    return Preview(rule, reason=f"not previewed: {reason} (use make run)")
                add_rows(made, place, resource, outcome)
        finally:
            PREVIEWED.clear()
    if rule.is_periodic:
        made.reason = "needs a configuration snapshot: a part of an account would certify the whole"
        if any(export.is_snapshot for export in record.exports):
            made.reason = "the snapshot is empty"
    else:
        made.reason = f"no resource of its scope ({', '.join(rule.resource_types) or 'any type'})"
    return made


def add_rows(made: Preview, place: tuple[str, str], resource: str, outcome: Outcome) -> None:
    """Add what came of one event."""
    for each in outcome.evaluations:
        time = format_time(datetime.fromtimestamp(each["OrderingTimestamp"], UTC))
        evaluated = each["ComplianceResourceType"], each["ComplianceResourceId"]
        result = each["ComplianceType"], each.get("Annotation", ""), time
        made.rows.append(Row(made.rule.name, *place, *evaluated, *result))
    if outcome.error:
        row = Row(made.rule.name, *place, "", resource, "ERROR", outcome.error, "")
        made.rows.append(row)
        made.errors[outcome.error.partition(":")[0], *outcome.frames].append(row)


# Printing


def print_preview(made: Preview, *, show_all: bool) -> None:
    """Print a table, the most frequent annotations, the resources and a line that sums them up."""
    name = made.rule.name
    if not made.rows:
        print(f"{name}: {made.reason}.")
        return
    places: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in made.rows:
        places[row.account, row.region][row.compliance_type] += 1
    print(f"{name}\n", *format_table(places), "", sep="\n")
    kinds = {"COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE"}
    if not show_all and not made.rule.is_periodic:
        kinds = {"NON_COMPLIANT"}
    shown = [row for row in made.rows if row.compliance_type in kinds]
    frequent = Counter(row.annotation for row in shown).most_common(FREQUENT)
    if frequent and frequent[0][1] > 1:
        print(*(f"{number:>7,} x  {text}" for text, number in frequent), "", sep="\n")
    listed = shown if show_all else shown[:LISTED]
    for row in listed:
        where = (row.account, row.region) if len(places) > 1 else ()
        print(format_result(row.compliance_type, row.resource_id, *where, row.annotation))
    if len(shown) > len(listed):
        print(f"and {len(shown) - len(listed):,} more (ALL=1, or CSV=file)")
    for (_kind, *frames), rows in made.errors.items():
        more = f"and {len(rows) - 1:,} more" if len(rows) > 1 else ""
        print(format_result("ERROR", rows[0].resource_id, more, rows[0].annotation))
        print("".join(f"    {line}\n" for line in frames), end="")
    if made.calls & RECORDER:
        print("Previewed as if AWS Config recorded every type: an export does not say it.")
    found = sum(places.values(), Counter[str]())
    number = found.total() - found["ERROR"]
    print(f"{name}: {number} evaluation{'' if number == 1 else 's'}: {count(found)}")


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
        chosen.csv.touch()  # before the work begins: it may not be writable
    record = Record(chosen.items, find_types(rules))
    print("".join(f"{note}\n" for note in record.list_notes()), end="")
    rows: list[Row] = []
    for rule in rules:
        made = preview(rule, record)
        print("\n" if rows else "", end="")
        print_preview(made, show_all=chosen.all)
        rows += made.rows
    if chosen.csv:
        with chosen.csv.open("w", newline="", encoding="utf-8-sig") as file:
            header = [name.replace("_", " ") for name in Row._fields]
            csv.writer(file).writerows(
                [header, *([make_safe(cell) for cell in row] for row in rows)]
            )
    results = {row.compliance_type for row in rows}
    if "ERROR" in results or not results:
        return 1
    return 3 if chosen.fail and "NON_COMPLIANT" in results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as ex:
        sys.exit(f"python -m scripts.preview: {ex}")
