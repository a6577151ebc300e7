"""What the rules would report about the record."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import boto3
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from tqdm import tqdm

from scripts.events import DEFAULT_REGION, find_partition
from scripts.invocation import Outcome
from scripts.local_aws import ACCOUNTS, LocalAws, run_rule, start_local_aws
from scripts.preview.items import format_time, parse_time
from scripts.preview.record import Record, name_first, show
from scripts.template import ConfigRule, JsonObject

RECORDER = {"config:DescribeConfigurationRecorders", "config:DescribeConfigurationRecorderStatus"}
# What a rule may call: of a part of an account, a list would be a wrong answer.
REPORT = {"config:PutEvaluations", "config:GetComplianceDetailsByConfigRule"}
ACCOUNT = REPORT | RECORDER | {"config:ListDiscoveredResources"}
TYPES_SHOWN = 8


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


class Preview(NamedTuple):
    """What a rule would report."""

    rows: list[Row]
    note: str = ""  # why there is nothing, or what was assumed
    is_previewed: bool = True


class ExportedAws(LocalAws):
    """AWS Config as exported: it lists what the record holds, and refuses what no export tells."""

    def __init__(self, permitted: set[str], record: Record) -> None:
        """Permit these calls; `account_region` is set for each event."""
        super().__init__()
        self.permitted = permitted
        self.record = record
        self.account_region = "", ""
        self.listed_types = set[str]()
        self.find_ids = lru_cache(maxsize=1)(record.list_ids)  # one list, many pages

    def list_ids(self, resource_type: str) -> list[str]:
        """Return the ids of the account's resources of a type in the Region."""
        self.listed_types.add(resource_type)
        return self.find_ids(*self.account_region, resource_type)

    def record_call(self, request: Any, call: str) -> Any:
        """Note a call; RuntimeError if an export cannot answer it."""
        super().record_call(request, call)
        if call not in self.permitted:
            raise RuntimeError(f"A preview has no answer to {call}.")

    def make_session(self, region: str) -> boto3.Session:
        """Return a session in which PutEvaluations takes little time: a preview is that call.

        Everything is validated and written as ever. But times need not be recognized, the user
        agent is not composed for each call, and the answer is there before the request is signed.
        """
        session = super().make_session(region)
        # boto3 has no other way to the session below it.
        session._session.set_default_client_config(Config(user_agent="preview"))
        put = "config-service.PutEvaluations"
        session.events.register(f"provide-client-params.{put}", read_times)
        session.events.register(f"before-call.{put}", self.answer_put_evaluations)
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


def read_times(params: JsonObject, **_more: Any) -> JsonObject:
    """Return the parameters of PutEvaluations with datetimes for times as events have them.

    They are copies, for the rule may go on with its own. What is wrong is left to the SDK.
    """
    evaluations = params.get("Evaluations")
    if not isinstance(evaluations, list):
        return params
    return params | {"Evaluations": [read_time(each) for each in evaluations]}


def read_time(evaluation: Any) -> Any:
    """Return an evaluation with a datetime; without a time as events have it, as it is."""
    text = evaluation.get("OrderingTimestamp") if isinstance(evaluation, dict) else None
    time = parse_time(text) if isinstance(text, str) else None
    is_known = time is not None and format_time(time) == text
    return evaluation | {"OrderingTimestamp": time} if is_known else evaluation


@contextmanager
def without_log() -> Iterator[None]:
    """Log nothing below WARNING: a preview does not show it, and formatting it takes time."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


class ExportedEvent(NamedTuple):
    """An event, and the resource that it is sent for."""

    account: str
    region: str
    resource_type: str
    resource_id: str
    event: JsonObject
    problem: str | None = None  # why the rule is not run


def build_events(rule: ConfigRule, record: Record) -> Iterator[ExportedEvent]:
    """Yield the events that AWS Config would send."""
    if rule.is_periodic:
        for account, region, seconds in record.list_snapshots():
            time = format_time(datetime.fromtimestamp(seconds, UTC))
            yield build_scheduled_event(rule, account, region, time)
        return
    for change in record.list_changes(rule.resource_types):
        account, region, resource_type, resource_id, time, item, problem = change
        # The item is JSON already: it is large, and to parse and write it again takes time.
        content = f'"configurationItemDiff": null, "configurationItem": {item}'
        message_type = "ConfigurationItemChangeNotification"
        event = build_event(rule, account, region, time, message_type, content)
        yield ExportedEvent(account, region, resource_type, resource_id, event, problem)


def build_scheduled_event(rule: ConfigRule, account: str, region: str, time: str) -> ExportedEvent:
    """Return the event of a periodic rule."""
    content = f'"awsAccountId": {json.dumps(account)}'
    event = build_event(rule, account, region, time, "ScheduledNotification", content)
    return ExportedEvent(account, region, "AWS::::Account", account, event)


def build_event(
    rule: ConfigRule, account: str, region: str, time: str, message_type: str, content: str
) -> JsonObject:
    """Return the event with this content, the JSON text of some fields."""
    region = DEFAULT_REGION if region == "global" else region
    arn = f"arn:{find_partition(region)}"
    more = {"messageType": message_type, "notificationCreationTime": time, "recordVersion": "1.0"}
    return {
        "version": "1.0",
        "invokingEvent": f"{{{content}, {json.dumps(more)[1:]}",
        "ruleParameters": json.dumps(rule.parameters),
        "resultToken": "TESTMODE",
        "eventLeftScope": False,
        "executionRoleArn": f"{arn}:iam::{account}:role/preview",
        "configRuleArn": f"{arn}:config:{region}:{account}:config-rule/config-rule-preview",
        "configRuleName": rule.config_rule_name or rule.name,
        "configRuleId": "config-rule-preview",
        "accountId": account,
        "evaluationMode": "DETECTIVE",
    }


def preview(rule: ConfigRule, record: Record) -> Preview:
    """Return what the rule would report."""
    rows: list[Row] = []
    permitted = ACCOUNT if rule.is_periodic else REPORT
    calls = set[str]()
    aws = ExportedAws(permitted, record)
    with start_local_aws(aws), without_log():
        events = build_events(rule, record)
        if rule.is_periodic and not record.list_snapshots():
            events = build_trial_event(rule, record)  # tells only what the rule calls
        for each in tqdm(events, rule.name, delay=1, disable=None, leave=False):
            if each.problem:  # it may be older than another item of the resource, or newer
                rows.append(build_error_row(rule.name, each, each.problem))
                continue
            aws.account_region = each.account, each.region
            outcome = run_rule(rule.name, each.event, aws)
            calls.update(outcome.calls)
            if unanswered := ", ".join(sorted(calls - permitted)):
                reason = f"it calls {unanswered}, which an export cannot answer"
                return Preview([], f"not previewed: {reason} (use make run).", is_previewed=False)
            rows += build_result_rows(rule.name, each, outcome)
    if rule.is_periodic:
        return explain_periodic(record, rows, aws, is_assumed=bool(calls & RECORDER))
    if rows:
        return Preview(rows, "\n".join(list_unknown_types(record, rule.resource_types)))
    scope = ", ".join(rule.resource_types) or "any type"
    return Preview([], f"no resource of its scope ({scope}); {name_types(record)}.")


def build_trial_event(rule: ConfigRule, record: Record) -> Iterator[ExportedEvent]:
    """Yield an event for the first account of the files, as if they held a snapshot of it."""
    account, region = next(iter(record.list_account_regions()), (ACCOUNTS[0], DEFAULT_REGION))
    yield build_scheduled_event(rule, account, region, format_time(datetime.now(UTC)))


def explain_periodic(
    record: Record, rows: list[Row], aws: ExportedAws, *, is_assumed: bool
) -> Preview:
    """Return the rows of a periodic rule, and what was assumed, or why there are none."""
    if not record.list_snapshots():
        reason = "needs a configuration snapshot: a part of an account would certify the whole."
        if any(export.snapshot_id for export in record.exports):
            reason = "the snapshot is empty."
        return Preview([], reason, is_previewed=False)
    assumed = "Previewed as if AWS Config recorded every type: an export does not say it."
    notes = [assumed] if is_assumed else []
    notes += list_unknown_types(record, sorted(aws.listed_types))
    notes += list_missing_snapshots(record)
    return Preview(rows, "\n".join(notes))


def list_missing_snapshots(record: Record) -> Iterator[str]:
    """Yield a sentence that names the accounts and Regions of which there is no snapshot."""
    known = {(account, region) for account, region, _time in record.list_snapshots()}
    missing = [
        f"{account} in {region}"
        for account, region in record.list_account_regions()
        if (account, region) not in known and region != "global"
    ]
    if missing:
        yield f"No snapshot of {name_first(missing, len(missing))}: it is not previewed there."


def list_unknown_types(record: Record, resource_types: list[str]) -> Iterator[str]:
    """Yield a sentence for each type that no item has, and that the SDK does not name either."""
    unknown = [each for each in resource_types if each not in record.types]
    if not unknown:
        return
    model = botocore.session.get_session().get_service_model("config")
    for each in unknown:
        if each not in model.shape_for("ResourceType").enum:
            yield f"Is {each} the right type? The SDK does not name it, and {name_types(record)}."


def name_types(record: Record) -> str:
    """Return which types the files hold, the first ones."""
    types = [f"{show(name)} ({number:,})" for name, number in record.types.items()]
    more = f" and {len(types) - TYPES_SHOWN:,} more" if len(types) > TYPES_SHOWN else ""
    return f"the files hold {', '.join(types[:TYPES_SHOWN]) or 'no resource'}{more}"


def build_result_rows(rule: str, sent: ExportedEvent, outcome: Outcome) -> Iterator[Row]:
    """Yield a row for each evaluation, and one for an error."""
    origin = rule, sent.account, sent.region
    for each in outcome.evaluations:
        time = format_time(datetime.fromtimestamp(each["OrderingTimestamp"], UTC))
        resource = each["ComplianceResourceType"], each["ComplianceResourceId"]
        annotation = each.get("Annotation", "")
        yield Row(*origin, *resource, each["ComplianceType"], annotation, time)
    if outcome.error:
        yield build_error_row(rule, sent, outcome.error, tuple(outcome.frames))


def build_error_row(
    rule: str, sent: ExportedEvent, error: str, frames: tuple[str, ...] = ()
) -> Row:
    """Return the row of a resource of which AWS Config would get no result."""
    resource = sent.resource_type, sent.resource_id
    return Row(rule, sent.account, sent.region, *resource, "ERROR", error, "", frames)
