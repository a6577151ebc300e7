"""What the rules would report of the record."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, NamedTuple

import boto3
from botocore.awsrequest import AWSResponse
from tqdm import tqdm

from scripts.invocation import Outcome
from scripts.local_aws import LocalAws, run_rule, start_local_aws
from scripts.preview.files import format_time
from scripts.preview.record import Record
from scripts.recorded_items import CAPTURED
from scripts.template import ConfigRule, JsonObject

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


class ExportedAws(LocalAws):
    """AWS Config as exported: it lists what the record holds, and refuses what no export tells."""

    def __init__(self, permitted: set[str]) -> None:
        """Permit these calls; `list_ids` is set for each event."""
        super().__init__()
        self.permitted = permitted

    def record_call(self, request: Any, call: str) -> Any:
        """Note a call; RuntimeError if an export cannot answer it."""
        super().record_call(request, call)
        if call not in self.permitted:
            raise RuntimeError(f"A preview has no answer to {call}.")

    def make_session(self, region: str) -> boto3.Session:
        """Return a session that answers PutEvaluations before it is signed, which is fast."""
        session = super().make_session(region)
        session.events.register(
            "before-call.config-service.PutEvaluations", self.answer_put_evaluations
        )
        return session

    def answer_put_evaluations(
        self, params: JsonObject, **_more: Any
    ) -> tuple[AWSResponse, JsonObject]:
        """Answer PutEvaluations as AWS Config does."""
        self.record_call(None, "config:PutEvaluations")
        if refusal := self.accept_evaluations(json.loads(params["body"])):
            error = {"Code": "InvalidParameterValueException", "Message": refusal}
            return AWSResponse("", 400, {}, None), {"Error": error}
        return AWSResponse("", 200, {}, None), {"FailedEvaluations": []}


def build_events(
    rule: ConfigRule, record: Record
) -> Iterator[tuple[tuple[str, str], str, JsonObject]]:
    """Yield account and Region, resource, and the event that AWS Config would send."""
    if rule.is_periodic:
        for account, region, seconds in record.list_accounts():
            time = format_time(datetime.fromtimestamp(seconds, UTC))
            content: JsonObject = {"messageType": "ScheduledNotification", "awsAccountId": account}
            yield (account, region), account, build_event(rule, account, region, time, content)
        return
    for item in record.list_changes(rule.resource_types):
        content = {"configurationItem": item, "configurationItemDiff": None}
        content["messageType"] = "ConfigurationItemChangeNotification"
        account, region, time = item["awsAccountId"], item["awsRegion"], item[CAPTURED]
        event = build_event(rule, account, region, time, content)
        yield (account, region), item["resourceId"], event


def build_event(
    rule: ConfigRule, account: str, region: str, time: str, content: JsonObject
) -> JsonObject:
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
    events = tqdm(build_events(rule, record), rule.name, delay=1, disable=None, leave=False)
    with start_local_aws(ExportedAws(permitted)) as aws:
        for account_region, resource, event in events:
            # One list, many pages.
            aws.list_ids = cache(partial(record.list_ids, *account_region))  # type: ignore[method-assign]
            outcome = run_rule(rule.name, event, aws)
            calls.update(outcome.calls)
            if unanswered := ", ".join(sorted(calls - permitted)):
                reason = f"it calls {unanswered}, which an export cannot answer"
                return [], f"not previewed: {reason} (use make run)"
            rows += build_result_rows(rule.name, account_region, resource, outcome)
    if rows:
        recorded = "Previewed as if AWS Config recorded every type: an export does not say it."
        return rows, recorded if calls & RECORDER else ""
    if not rule.is_periodic:
        return [], f"no resource of its scope ({', '.join(rule.resource_types) or 'any type'})"
    if any(export.is_snapshot for export in record.exports):
        return [], "the snapshot is empty"
    return [], "needs a configuration snapshot: a part of an account would certify the whole"


def build_result_rows(
    rule: str, account_region: tuple[str, str], resource: str, outcome: Outcome
) -> Iterator[Row]:
    """Yield a row for each evaluation, and one for an error."""
    for each in outcome.evaluations:
        time = format_time(datetime.fromtimestamp(each["OrderingTimestamp"], UTC))
        evaluated = each["ComplianceResourceType"], each["ComplianceResourceId"]
        yield Row(
            rule,
            *account_region,
            *evaluated,
            each["ComplianceType"],
            each.get("Annotation", ""),
            time,
        )
    if outcome.error:
        yield Row(
            rule, *account_region, "", resource, "ERROR", outcome.error, "", tuple(outcome.frames)
        )
