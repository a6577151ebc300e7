"""The shared functions for events, items and reports, called directly in every rule with them."""

from __future__ import annotations

import ast
import copy
import json
import logging
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
    ReadTimeoutError,
)

from scripts.stack import ROOT
from tests.conftest import ABSENT, RULES, Json, Wire, edit, for_rules_with, load, read_sample

NOTIFIED = "2026-11-05T09:15:27.482Z"
every_rule = pytest.mark.parametrize("rule", RULES)


# The copies


def read_shared_functions(rule: str) -> dict[str, str]:
    """Return the text of the functions above the marker, by name."""
    source, marker, _ = (ROOT / rule / "app.py").read_text().partition("\n# --- Above: ")
    assert marker, f"{rule}/app.py has no line that begins with '# --- Above: '."
    functions = [each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)]
    return {each.name: str(ast.get_source_segment(source, each)) for each in functions}


@every_rule
def test_shared_function_is_the_same_text_in_every_rule(rule: str) -> None:
    own = read_shared_functions(rule)
    for other in RULES:
        for name, text in read_shared_functions(other).items():
            assert own.get(name, text) == text, f"{name} differs in {rule} and {other}."


# Reading the event


@for_rules_with("parse_event")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resultToken", ABSENT, "resultToken must be a non-empty string."),
        ("resultToken", "", "resultToken must be a non-empty string."),
        ("resultToken", {"secret": "s3cr3t"}, "resultToken must be a non-empty string."),
        ("invokingEvent", ABSENT, "invokingEvent must be the text of a JSON object, not None."),
        ("invokingEvent", "{", "invokingEvent must be the text of a JSON object, not '{'."),
        ("invokingEvent", "[]", "invokingEvent must be the text of a JSON object, not '[]'."),
        ("invokingEvent", {}, "invokingEvent must be the text of a JSON object, not {}."),
        ("ruleParameters", "", "ruleParameters must be the text of a JSON object, not ''."),
        ("ruleParameters", None, "ruleParameters must be the text of a JSON object, not None."),
    ],
)
def test_invalid_field_is_named_and_shown(rule: str, field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        load(rule).parse_event(read_sample(rule, **{field: value}))
    assert str(caught.value) == message


@for_rules_with("parse_event")
def test_absent_rule_parameters_are_none(rule: str) -> None:
    assert load(rule).parse_event(read_sample(rule, ruleParameters=ABSENT))[1] == {}


@for_rules_with("parse_event")
@pytest.mark.parametrize("event", [None, {}, [{"resultToken": "a-real-token"}], "text"])
def test_event_that_is_no_object_is_an_error_and_is_not_shown(rule: str, event: Any) -> None:
    with pytest.raises(ValueError, match=r"^event must be a non-empty object\.$"):
        load(rule).parse_event(event)


@for_rules_with("check_defined")
@pytest.mark.parametrize("reference", [None, "", 5, ["x"], {"a": 1}], ids=repr)
def test_reference_that_is_not_defined_is_named_and_shown(rule: str, reference: Any) -> None:
    with pytest.raises(ValueError, match="name") as caught:
        load(rule).check_defined(reference, "name")
    assert str(caught.value) == f"name must be a non-empty string, not {reference!r}."


@for_rules_with("bad_input")
def test_long_value_is_cut_in_the_error(rule: str) -> None:
    assert len(str(load(rule).bad_input("name", "short", "x" * 10_000))) < 200


class Noticing(dict[str, Any]):
    """An event that knows which of its fields were read."""

    def __init__(self, event: Json) -> None:
        super().__init__(event)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def list_paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of the fields in nested objects, three deep."""
    if not isinstance(value, dict) or len(path) == 3:
        return []
    paths = [(*path, name) for name in value]
    return paths + [each for name in value for each in list_paths(value[name], (*path, name))]


@every_rule
def test_any_field_of_any_kind_is_reported_or_is_an_error_that_names_or_shows_it(
    rule: str, aws: Wire
) -> None:
    aws.prepare_rule(rule)
    module, sample = load(rule), read_sample(rule)
    noticing = Noticing(sample)
    module.lambda_handler(noticing, None)
    texts = ("invokingEvent", "ruleParameters")
    opened = sample | {name: json.loads(sample.get(name, "{}")) for name in texts}
    paths = [path for path in list_paths(opened) if path[0] in noticing.read]
    for junk in (ABSENT, None, "", "x", 7, True, [], ["x"], {}, {"x": "y"}):
        for name, *inner in paths:
            aws.requests.clear()
            event = {key: value for key, value in sample.items() if key != name}
            if inner:
                event = edit(sample, name, {".".join(inner): junk})
            elif junk is not ABSENT:
                event[name] = junk
            field = f"{name} {inner} = {junk!r}"
            try:
                module.lambda_handler(event, None)
            except ValueError as ex:
                named = re.match(r"(\w+) must be ", str(ex))
                assert named or repr(junk) in str(ex), f"{field}: {ex}"
                assert not named or named[1] in json.dumps(sample), f"{field}: {ex}"
                assert "PutEvaluations" not in aws.operations
            except ParamValidationError:  # the SDK refuses it before it calls
                assert "PutEvaluations" not in aws.operations
            else:
                assert aws.operations[-1] == "PutEvaluations", field


# Change-triggered rules


@for_rules_with("is_oversized_changed_notification")
def test_oversized_notification_is_told_from_another(rule: str) -> None:
    is_oversized = load(rule).is_oversized_changed_notification
    assert is_oversized("OversizedConfigurationItemChangeNotification") is True
    assert is_oversized("ConfigurationItemChangeNotification") is False


def make_notification(name: str, **changes: Any) -> Json:
    """Return an invoking event that holds a minimal item or summary under this name."""
    item = {
        "resourceType": "A::B::C",
        "resourceId": "c-1",
        "configurationItemCaptureTime": NOTIFIED,
    }
    item = {key: value for key, value in (item | changes).items() if value is not ABSENT}
    oversized = "Oversized" if name == "configurationItemSummary" else ""
    return {"messageType": f"{oversized}ConfigurationItemChangeNotification", name: item}


@for_rules_with("get_configuration_item")
def test_notified_item_is_returned_as_it_is(rule: str) -> None:
    notification = make_notification("configurationItem", tags={"a": "b"})
    item = load(rule).get_configuration_item(notification, None)
    assert item is notification["configurationItem"]


@for_rules_with("get_configuration_item")
@pytest.mark.parametrize("name", ["configurationItem", "configurationItemSummary"])
@pytest.mark.parametrize("item", [ABSENT, None, [], "text"])
def test_notification_without_its_item_is_an_error(rule: str, name: str, item: Any) -> None:
    notification = make_notification(name)
    notification[name] = None if item is ABSENT else item
    with pytest.raises(ValueError, match=f"^{name} must be a non-empty object, not "):
        load(rule).get_configuration_item(notification, None)


@for_rules_with("get_configuration_item")
@pytest.mark.parametrize("name", ["configurationItem", "configurationItemSummary"])
@pytest.mark.parametrize("field", ["resourceType", "resourceId", "configurationItemCaptureTime"])
def test_item_without_what_every_rule_needs_is_an_error(rule: str, name: str, field: str) -> None:
    notification = make_notification(name, **{field: ABSENT})
    with pytest.raises(ValueError, match=rf"^{field} must be a non-empty string, not None\.$"):
        load(rule).get_configuration_item(notification, None)


@for_rules_with("get_configuration_item")
@pytest.mark.parametrize("message_type", [None, "ScheduledNotification"])
def test_message_that_is_no_change_notification_is_named(rule: str, message_type: Any) -> None:
    with pytest.raises(ValueError, match="messageType") as caught:
        load(rule).get_configuration_item({"messageType": message_type}, None)
    expected = "[Oversized]ConfigurationItemChangeNotification"
    assert str(caught.value) == f"messageType must be {expected}, not {message_type!r}."


def record(aws: Wire, seconds: float) -> None:
    """Record an item as captured that many seconds after NOTIFIED."""
    time = datetime.fromisoformat(NOTIFIED).timestamp() + seconds
    item = {"resourceType": "A::B::C", "resourceId": "c-1", "tags": {"seconds": str(seconds)}}
    aws.items.append({**item, "configurationItemCaptureTime": time})


def get_configuration(rule: str, time: str = NOTIFIED) -> Json:
    client = boto3.client("config")
    item: Json = load(rule).get_configuration("A::B::C", "c-1", time, client)
    return item


@pytest.mark.sdk
@for_rules_with("get_configuration")
@pytest.mark.parametrize("fraction", ["482", "000", "999"])
def test_notified_configuration_is_found_and_not_the_one_before(
    rule: str, fraction: str, aws: Wire
) -> None:
    offset = int(fraction) / 1000 - 0.482
    for seconds in (-3600, -1.2, -0.001, 0, 3600):
        record(aws, offset + seconds)
    time = NOTIFIED.replace("482", fraction)
    assert get_configuration(rule, time)["configurationItemCaptureTime"] == time


@pytest.mark.sdk
@for_rules_with("get_configuration")
def test_oversized_notification_is_read_from_the_history(rule: str, aws: Wire) -> None:
    record(aws, 0)
    notification = make_notification("configurationItemSummary")
    item = load(rule).get_configuration_item(notification, boto3.client("config"))
    assert item["tags"] == {"seconds": "0"}


@for_rules_with("get_configuration")
def test_newer_configuration_is_evaluated_under_its_own_time(rule: str, aws: Wire) -> None:
    record(aws, 0.6)
    time = get_configuration(rule)["configurationItemCaptureTime"]
    assert time == "2026-11-05T09:15:28.082Z"


@pytest.mark.sdk
@for_rules_with("get_configuration")
@pytest.mark.parametrize("seconds", [-0.001, -0.4, -1])
def test_older_configuration_is_never_evaluated(rule: str, seconds: float, aws: Wire) -> None:
    record(aws, seconds)
    with pytest.raises(RuntimeError) as caught:
        get_configuration(rule)
    assert str(caught.value) == (
        f"AWS Config has not caught up: no configuration of c-1 at {NOTIFIED} or later."
    )


@for_rules_with("get_configuration")
def test_empty_pages_are_followed(rule: str, aws: Wire) -> None:
    record(aws, 0)
    aws.answers["GetResourceConfigHistory"] = [
        {"configurationItems": [], "nextToken": str(page)} for page in range(9)
    ]
    get_configuration(rule)
    assert aws.operations == ["GetResourceConfigHistory"] * 10


@pytest.mark.sdk
@for_rules_with("get_configuration")
def test_history_is_asked_for_seconds_and_not_for_years(rule: str, aws: Wire) -> None:
    record(aws, 0)
    get_configuration(rule)
    (call,) = aws.requests
    second = int(datetime.fromisoformat(NOTIFIED).timestamp())
    assert call.parameters["earlierTime"] == second - 1
    assert call.parameters["laterTime"] == second + 2


@pytest.mark.sdk
@for_rules_with("get_configuration")
def test_unknown_resource_is_awss_own_error(rule: str, aws: Wire) -> None:
    with pytest.raises(ClientError, match="ResourceNotDiscoveredException"):
        get_configuration(rule)


@for_rules_with("convert_api_configuration")
def test_api_item_gets_the_form_of_events(rule: str) -> None:
    time = datetime(2016, 10, 6, 18, 46, 16, 261000, timezone(timedelta(hours=2)))
    item = {
        "version": "1.3",
        "accountId": "123456789012",
        "arn": "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "configurationItemMD5Hash": "8f1e",
        "configurationItemCaptureTime": time,
        "resourceCreationTime": datetime(2016, 10, 6, 16, 46, 16, tzinfo=UTC),
        "configuration": '{"instanceType": "t3.micro"}',
        "relationships": [{"resourceId": "eni-1", "relationshipName": "Is attached to"}, {}],
        "supplementaryConfiguration": {"a": '{"b": [1]}'},
    }
    before = copy.deepcopy(item)
    assert load(rule).convert_api_configuration(item) == {
        **item,
        "awsAccountId": "123456789012",
        "ARN": "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "configurationStateMd5Hash": "8f1e",
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2016-10-06T16:46:16.261Z",
        "resourceCreationTime": "2016-10-06T16:46:16.000Z",
        "configuration": {"instanceType": "t3.micro"},
        "relationships": [
            {"resourceId": "eni-1", "relationshipName": "Is attached to", "name": "Is attached to"},
            {},
        ],
    }
    assert item == before, "the argument is not changed"


@for_rules_with("convert_api_configuration")
@pytest.mark.parametrize("fields", [{}, {"configuration": ""}, {"configuration": "null"}])
def test_absent_fields_stay_absent(rule: str, fields: Json) -> None:
    expected = fields | ({"configuration": None} if "null" in fields.values() else {})
    assert load(rule).convert_api_configuration(fields) == expected


@for_rules_with("is_applicable")
@pytest.mark.parametrize(
    ("status", "event", "applicable"),
    [
        ("OK", {"eventLeftScope": False}, True),
        ("ResourceDiscovered", {}, True),
        ("OK", {"eventLeftScope": True}, False),
        ("ResourceDeleted", {}, False),
        ("ResourceNotRecorded", {}, False),
        ("ResourceDeletedNotRecorded", {}, False),
        ("ResourceUnheardOf", {}, False),
    ],
)
def test_resource_is_applicable_by_status_and_scope(
    rule: str, status: str, event: Json, applicable: bool
) -> None:
    module, item = load(rule), {"configurationItemStatus": status}
    assert module.is_applicable(item, event) is applicable


@for_rules_with("build_not_applicable_annotation")
@pytest.mark.parametrize(
    ("left_scope", "reason"),
    [
        (False, "the resource's status is ResourceDeleted."),
        (True, "the resource is no longer in the rule's scope."),
    ],
)
def test_annotation_says_why_a_resource_is_not_evaluated(
    rule: str, left_scope: bool, reason: str
) -> None:
    item, event = {"configurationItemStatus": "ResourceDeleted"}, {"eventLeftScope": left_scope}
    annotation = load(rule).build_not_applicable_annotation(item, event)
    assert annotation == f"Not evaluated: {reason}"


# Periodic rules


@for_rules_with("is_scheduled_notification")
def test_scheduled_notification_is_told_from_another(rule: str) -> None:
    assert load(rule).is_scheduled_notification("ScheduledNotification") is True
    assert load(rule).is_scheduled_notification("ConfigurationSnapshotDeliveryCompleted") is False


@for_rules_with("build_evaluation")
def test_evaluation_is_of_the_account_at_the_notifications_time(rule: str) -> None:
    event = {"invokingEvent": json.dumps({"notificationCreationTime": NOTIFIED})}
    expected = {
        "ComplianceResourceType": "AWS::::Account",
        "ComplianceResourceId": "123456789012",
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": NOTIFIED,
    }
    build = load(rule).build_evaluation
    assert build("123456789012", "COMPLIANT", event) == expected
    expected |= {"ComplianceResourceType": "AWS::IAM::User", "Annotation": "Why."}
    assert build("123456789012", "COMPLIANT", event, "AWS::IAM::User", "Why.") == expected


@for_rules_with("build_evaluation")
@pytest.mark.parametrize("time", [None, "", 5])
def test_notification_without_its_time_is_an_error(rule: str, time: Any) -> None:
    event = {"invokingEvent": json.dumps({"notificationCreationTime": time})}
    with pytest.raises(ValueError, match="notificationCreationTime must be a non-empty"):
        load(rule).build_evaluation("i-1", "COMPLIANT", event)


# Reporting


def make_evaluations(number: int, annotation: str = "Why.") -> list[Json]:
    return [
        {
            "ComplianceResourceType": "AWS::IAM::User",
            "ComplianceResourceId": f"user-{each}",
            "ComplianceType": "COMPLIANT",
            "Annotation": annotation,
            "OrderingTimestamp": NOTIFIED,
        }
        for each in range(number)
    ]


def report(rule: str, evaluations: list[Json], **event: str) -> Any:
    event = {"resultToken": "a-real-token", **event}
    return load(rule).report_evaluations(evaluations, event, boto3.client("config"))


@pytest.mark.sdk
@for_rules_with("report_evaluations")
def test_evaluations_are_sent_and_returned_as_sent(rule: str, aws: Wire) -> None:
    evaluations = make_evaluations(2)
    answer = report(rule, evaluations)
    (call,) = aws.requests
    time = int(datetime.fromisoformat(NOTIFIED).timestamp())
    sent = [
        {**each, "OrderingTimestamp": int(each["OrderingTimestamp"])} for each in aws.evaluations
    ]
    assert sent == [{**each, "OrderingTimestamp": time} for each in evaluations]
    assert call.parameters["ResultToken"] == "a-real-token"
    assert call.parameters["TestMode"] is False
    assert json.loads(json.dumps(answer)) == evaluations


@for_rules_with("report_evaluations")
def test_result_token_testmode_is_a_dry_run(rule: str, aws: Wire) -> None:
    report(rule, make_evaluations(1), resultToken="TESTMODE")
    assert aws.requests[-1].parameters["TestMode"] is True


@for_rules_with("report_evaluations")
@pytest.mark.parametrize(
    ("number", "sizes"), [(0, [0]), (100, [100]), (101, [100, 1]), (300, [100, 100, 100])]
)
def test_evaluations_are_sent_in_calls_of_100(
    rule: str, number: int, sizes: list[int], aws: Wire
) -> None:
    report(rule, make_evaluations(number))
    assert [len(call.parameters["Evaluations"]) for call in aws.requests] == sizes
    ids = [each["ComplianceResourceId"] for each in aws.evaluations]
    assert ids == [f"user-{each}" for each in range(number)]


@pytest.mark.sdk
@for_rules_with("report_evaluations")
def test_rejected_evaluations_are_named_after_all_were_sent(rule: str, aws: Wire) -> None:
    rejected = [{"ComplianceResourceId": f"user-{each}"} for each in range(90)]
    aws.answers["PutEvaluations"] = [{"FailedEvaluations": rejected}, {"FailedEvaluations": []}]
    with pytest.raises(RuntimeError) as caught:
        report(rule, make_evaluations(250))
    assert str(caught.value).startswith("AWS Config rejected 90 evaluations: ['user-0', 'user-1', ")
    assert len(str(caught.value)) < 250
    assert aws.operations == ["PutEvaluations"] * 3


@for_rules_with("report_evaluations")
@pytest.mark.parametrize(("length", "shown"), [(256, "x" * 256), (257, "x" * 255 + "…")])
def test_annotation_is_cut_at_256_characters(rule: str, length: int, shown: str, aws: Wire) -> None:
    (evaluation,) = report(rule, make_evaluations(1, "x" * length))
    assert evaluation["Annotation"] == aws.evaluations[0]["Annotation"] == shown


@every_rule
def test_log_has_the_evaluations_and_no_secret(
    rule: str, aws: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    aws.prepare_rule(rule)
    with caplog.at_level(logging.DEBUG):
        answer = load(rule).lambda_handler(read_sample(rule), None)
    records: list[Any] = [each for each in caplog.records if each.message == "evaluations sent"]
    assert [each for record in records for each in record.evaluations] == answer
    assert {(record.levelname, record.test_mode) for record in records} == {("INFO", False)}
    seen = "".join(f"{record.__dict__} {record.getMessage()}" for record in caplog.records)
    assert "a-real-token" not in seen
    assert "own-secret" not in seen


# What AWS does wrong


def throttle() -> str:
    return "ThrottlingException: Rate exceeded"


def drop() -> Any:
    return ConnectionClosedError(endpoint_url="https://config.us-east-1.amazonaws.com")


def time_out() -> Any:
    return ReadTimeoutError(endpoint_url="https://config.us-east-1.amazonaws.com")


@pytest.mark.sdk
@for_rules_with("get_client")
@pytest.mark.parametrize("fault", [throttle, drop, time_out])
def test_fault_that_passes_is_not_noticed(rule: str, fault: Any, aws: Wire) -> None:
    aws.answers["PutEvaluations"] = [fault(), fault()]
    module = load(rule)
    client = module.get_client("config", {})
    module.report_evaluations(make_evaluations(1), {"resultToken": "t"}, client)
    assert len(aws.evaluations) == 1


@pytest.mark.sdk
@for_rules_with("get_client")
@pytest.mark.parametrize(
    ("fault", "error", "calls"),
    [
        (throttle, ClientError, 3),
        (drop, ConnectionClosedError, 3),
        (time_out, ReadTimeoutError, 3),
        (lambda: "AccessDeniedException: no", ClientError, 1),
        (lambda: "InvalidResultTokenException: no", ClientError, 1),
        (lambda: "ExpiredTokenException: expired", ClientError, 1),
    ],
    ids=["throttled", "dropped", "timed out", "denied", "another token", "expired credentials"],
)
def test_fault_that_lasts_is_awss_own_error(
    rule: str, fault: Any, error: type[Exception], calls: int, aws: Wire
) -> None:
    aws.answers["PutEvaluations"] = [fault() for _ in range(calls)]
    module = load(rule)
    client = module.get_client("config", {})
    with pytest.raises(error):
        module.report_evaluations(make_evaluations(1), {"resultToken": "t"}, client)
    assert aws.operations == ["PutEvaluations"] * calls
    assert aws.evaluations == []
