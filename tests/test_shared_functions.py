"""The shared functions for events, items and reports, called directly in every rule with them."""

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

from scripts.template import JsonObject
from tests.helpers import (
    ABSENT,
    FakeAws,
    every_rule,
    for_rules_with,
    load,
    read_sample,
    with_changes,
)

NOTIFIED = "2026-11-05T09:15:27.482Z"


# Reading the event


@for_rules_with("check_defined")
@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("x", object, None),
        ({"a": 1}, object, None),
        (["a"], object, None),
        ({"a": 1}, dict, None),
        (None, object, "a non-empty value, not None"),
        (0, object, "a non-empty value, not 0"),
        ("", str, "a non-empty string, not ''"),
        (5, str, "a non-empty string, not 5"),
        ("x", dict, "a non-empty object, not 'x'"),
    ],
)
def test_any_value_that_is_not_empty_is_defined_or_one_of_the_kind_asked_for(
    rule: str, value: Any, kind: type, expected: str | None
) -> None:
    check_defined = load(rule).check_defined
    if expected is None:
        assert check_defined(value, "field") is check_defined(value, "field", kind) is value
    else:
        with pytest.raises(ValueError, match=f"^field must be {expected}\\.$"):
            check_defined(value, "field", kind)


@for_rules_with("parse_event")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resultToken", ABSENT, "a non-empty string."),
        ("resultToken", "", "a non-empty string."),
        ("resultToken", {"secret": "s3cr3t"}, "a non-empty string."),
        ("invokingEvent", ABSENT, "the text of a JSON object, not None."),
        ("invokingEvent", "{", "the text of a JSON object, not '{'."),
        ("invokingEvent", "[]", "the text of a JSON object, not '[]'."),
        ("invokingEvent", {}, "the text of a JSON object, not {}."),
        ("invokingEvent", "x" * 999, f"the text of a JSON object, not '{'x' * 99}."),
        ("ruleParameters", "", "the text of a JSON object, not ''."),
        ("ruleParameters", None, "the text of a JSON object, not None."),
    ],
)
def test_invalid_field_is_named_and_shown(rule: str, field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        load(rule).parse_event(read_sample(rule, **{field: value}))
    assert str(caught.value) == f"{field} must be {message}"


@for_rules_with("parse_event")
def test_absent_rule_parameters_are_none(rule: str) -> None:
    assert load(rule).parse_event(read_sample(rule, ruleParameters=ABSENT))[1] == {}


@for_rules_with("parse_event")
@pytest.mark.parametrize("event", [None, {}, [{"resultToken": "a-real-token"}], "text"])
def test_event_that_is_no_object_is_an_error_and_is_not_shown(rule: str, event: Any) -> None:
    with pytest.raises(ValueError, match=r"^event must be a non-empty object\.$"):
        load(rule).parse_event(event)


class Noticing(dict[str, Any]):
    """An event that knows which of its fields were read."""

    def __init__(self, event: JsonObject) -> None:
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
def test_any_field_of_any_kind_is_reported_or_is_an_error_that_names_it(
    rule: str, aws: FakeAws
) -> None:
    aws.prepare_rule(rule)
    aws.rule_name = ""  # any name will do
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
                event = with_changes(sample, name, {".".join(inner): junk})
            elif junk is not ABSENT:
                event[name] = junk
            error = invoke(module, event)
            if error is None:
                sent = aws.operations[-1:] == ["PutEvaluations"]
                field = f"{'.'.join([name, *inner])} = {junk!r}"
                assert sent, f"{rule}/app.py neither reports nor raises with {field}."
                continue
            named = re.match(r"(\w+) must be ", str(error))
            is_known = isinstance(error, ValueError) and named and named[1] in json.dumps(sample)
            assert is_known or is_refused_time(error), (
                f"{rule}/app.py: {'.'.join([name, *inner])} = {junk!r} must be reported, or be an "
                f"error that names it (check_defined, field_error), and not {error!r}"
            )
            assert "PutEvaluations" not in aws.operations


def invoke(module: Any, event: JsonObject) -> Exception | None:
    """Return what the handler raises."""
    try:
        module.lambda_handler(event, None)
    except Exception as ex:  # noqa: BLE001  # the test says which ones are wrong
        return ex
    return None


def is_refused_time(error: Exception) -> bool:
    """Return whether the SDK refuses a time that nobody can read, in its own words."""
    text = r"Invalid type for parameter \S+Timestamp, value: "
    return isinstance(error, ParamValidationError) and re.search(text, str(error)) is not None


# Change-triggered rules

CHANGE = "ConfigurationItemChangeNotification"
ITEM = {"resourceType": "A::B::C", "resourceId": "c-1", "configurationItemCaptureTime": NOTIFIED}


@for_rules_with("get_configuration_item")
@pytest.mark.parametrize(
    ("message_type", "name"),
    [(CHANGE, "configurationItem"), (f"Oversized{CHANGE}", "configurationItemSummary")],
)
@pytest.mark.parametrize(
    ("item", "message"),
    [
        (None, "{} must be a non-empty object, not None."),
        ([], "{} must be a non-empty object, not []."),
        ("text", "{} must be a non-empty object, not 'text'."),
        *((ITEM | {each: None}, f"{each} must be a non-empty string, not None.") for each in ITEM),
    ],
    ids=["nothing", "a list", "text", *(f"without {each}" for each in ITEM)],
)
def test_notification_without_what_every_rule_needs_is_an_error(
    rule: str, message_type: str, name: str, item: Any, message: str
) -> None:
    with pytest.raises(ValueError, match="must be") as caught:
        load(rule).get_configuration_item({"messageType": message_type, name: item}, None)
    assert str(caught.value) == message.format(name)


@for_rules_with("get_configuration_item")
@pytest.mark.parametrize("message_type", [None, "ScheduledNotification"])
def test_message_that_is_no_change_notification_is_named(rule: str, message_type: Any) -> None:
    expected = rf"\[Oversized\]{CHANGE}, not {message_type!r}\."
    with pytest.raises(ValueError, match=f"^messageType must be {expected}$"):
        load(rule).get_configuration_item({"messageType": message_type}, None)


def record(aws: FakeAws, *times: str) -> None:
    """Record an item as captured at each of these times of the notified minute."""
    for time in times:
        captured = datetime.fromisoformat(f"2026-11-05T09:15:{time}Z").timestamp()
        aws.items.append({**ITEM, "configurationItemCaptureTime": captured})


def get_configuration(rule: str, time: str = NOTIFIED) -> JsonObject:
    client = boto3.client("config")
    item: JsonObject = load(rule).get_configuration("A::B::C", "c-1", time, client)
    return item


@pytest.mark.sdk
@for_rules_with("get_configuration")
@pytest.mark.parametrize(
    ("notified", "times", "found"),
    [
        ("27.482", ["01.482", "26.282", "27.481", "27.482", "59.482"], "27.482"),
        ("27.000", ["26.000", "26.999", "27.000"], "27.000"),
        ("27.999", ["27.998", "27.999"], "27.999"),
        ("27.482", ["27.082", "28.082"], "28.082"),
        ("27.482", ["32.482"], "32.482"),
        ("27.482", ["27.481"], None),
        ("27.482", ["27.082"], None),
        ("27.482", ["26.482"], None),
    ],
)
def test_configuration_is_the_notified_one_or_a_newer_one_and_never_an_older(
    rule: str, notified: str, times: list[str], found: str | None, aws: FakeAws
) -> None:
    record(aws, *times)
    time = f"2026-11-05T09:15:{notified}Z"
    if found:
        captured = get_configuration(rule, time)["configurationItemCaptureTime"]
        assert captured == f"2026-11-05T09:15:{found}Z"
    else:
        with pytest.raises(RuntimeError) as caught:
            get_configuration(rule, time)
        reason = f"no configuration of c-1 at {time} or later."
        assert str(caught.value) == f"AWS Config has not caught up: {reason}"


@pytest.mark.sdk
@for_rules_with("get_configuration")
def test_empty_pages_are_followed_from_a_second_before_the_notified_time(
    rule: str, aws: FakeAws
) -> None:
    record(aws, "27.482")
    aws.canned_answers["GetResourceConfigHistory"] = [
        {"configurationItems": [], "nextToken": str(page)} for page in range(9)
    ]
    get_configuration(rule)
    assert aws.operations == ["GetResourceConfigHistory"] * 10
    before = datetime.fromisoformat(NOTIFIED).timestamp() - 1
    for call in aws.requests:
        assert before - 1 < call.parameters["earlierTime"] <= before, "whole seconds, cut, or exact"
        assert call.parameters["chronologicalOrder"] == "Forward"
        assert "laterTime" not in call.parameters


@pytest.mark.sdk
@for_rules_with("get_configuration")
def test_unknown_resource_is_awss_own_error(rule: str, aws: FakeAws) -> None:
    with pytest.raises(ClientError, match="ResourceNotDiscoveredException"):
        get_configuration(rule)


@for_rules_with("convert_api_configuration")
def test_api_item_gets_the_form_of_events(rule: str) -> None:
    time = datetime(2016, 10, 6, 18, 46, 16, 261000, timezone(timedelta(hours=2)))
    relationship = {"resourceId": "eni-1", "relationshipName": "Is attached to"}
    item = {
        "version": "1.3",
        "accountId": "123456789012",
        "arn": "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "configurationItemMD5Hash": "8f1e",
        "configurationItemCaptureTime": time,
        "resourceCreationTime": datetime(2016, 10, 6, 16, 46, 16, tzinfo=UTC),
        "configuration": '{"instanceType": "t3.micro"}',
        "relationships": [relationship, {}],
        "supplementaryConfiguration": {
            "BucketVersioningConfiguration": '{"status": "Enabled"}',
            "AccessControlList": '"{\\"owner\\": null}"',
            "PolicyText": "none",
        },
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
        "relationships": [relationship | {"name": "Is attached to"}, {}],
        "supplementaryConfiguration": {
            "BucketVersioningConfiguration": {"status": "Enabled"},
            "AccessControlList": '{"owner": null}',
            "PolicyText": "none",
        },
    }
    assert item == before, "the argument is not changed"


@for_rules_with("convert_api_configuration")
@pytest.mark.parametrize(
    ("item", "converted"),
    [
        ({}, {}),
        ({"configuration": ""}, {"configuration": ""}),
        ({"configuration": "null"}, {"configuration": None}),
    ],
)
def test_absent_fields_stay_absent(rule: str, item: JsonObject, converted: JsonObject) -> None:
    assert load(rule).convert_api_configuration(item) == converted


LEFT_SCOPE = "the resource is no longer in the rule's scope."


@for_rules_with("is_applicable")
@pytest.mark.parametrize(
    ("status", "event", "reason"),
    [
        ("OK", {"eventLeftScope": False}, None),
        ("ResourceDiscovered", {}, None),
        ("OK", {"eventLeftScope": True}, LEFT_SCOPE),
        ("ResourceDeleted", {}, "the resource's status is ResourceDeleted."),
        ("ResourceDeleted", {"eventLeftScope": True}, LEFT_SCOPE),
        ("ResourceNotRecorded", {}, "the resource's status is ResourceNotRecorded."),
        ("ResourceDeletedNotRecorded", {}, "the resource's status is ResourceDeletedNotRecorded."),
        ("ResourceUnheardOf", {}, "the resource's status is ResourceUnheardOf."),
    ],
)
def test_resource_is_evaluated_by_status_and_scope_or_the_annotation_says_why_not(
    rule: str, status: str, event: JsonObject, reason: str | None
) -> None:
    module, item = load(rule), {"configurationItemStatus": status}
    assert module.is_applicable(item, event) is (reason is None)
    if reason:
        annotation = module.build_not_applicable_annotation(item, event)
        assert annotation == f"Not evaluated: {reason}"


@for_rules_with("is_applicable")
@pytest.mark.parametrize("left_scope", ["false", None, 0])
def test_scope_that_is_neither_true_nor_false_is_an_error(rule: str, left_scope: Any) -> None:
    item = {"configurationItemStatus": "OK"}
    with pytest.raises(
        ValueError, match=f"^eventLeftScope must be true or false, not {left_scope!r}"
    ):
        load(rule).is_applicable(item, {"eventLeftScope": left_scope})


# Reporting


def make_evaluations(number: int, annotation: str = "Why.") -> list[JsonObject]:
    evaluation = {"ComplianceResourceType": "AWS::IAM::User", "ComplianceType": "COMPLIANT"}
    evaluation |= {"Annotation": annotation, "OrderingTimestamp": NOTIFIED}
    return [{**evaluation, "ComplianceResourceId": f"user-{each}"} for each in range(number)]


def report(rule: str, evaluations: list[JsonObject], **event: str) -> Any:
    module, event = load(rule), {"resultToken": "a-real-token", **event}
    return module.report_evaluations(evaluations, event, module.get_client("config", {}))


@pytest.mark.sdk
@for_rules_with("report_evaluations")
@pytest.mark.parametrize("token", ["a-real-token", "testmode", "TESTMODE"])
def test_evaluations_are_sent_and_returned_as_sent_and_testmode_is_a_dry_run(
    rule: str, token: str, aws: FakeAws
) -> None:
    evaluations = make_evaluations(2)
    answer = report(rule, evaluations, resultToken=token)
    (call,) = aws.requests
    time = int(datetime.fromisoformat(NOTIFIED).timestamp())
    sent = [
        {**each, "OrderingTimestamp": int(each["OrderingTimestamp"])} for each in aws.evaluations
    ]
    assert sent == [{**each, "OrderingTimestamp": time} for each in evaluations]
    assert call.parameters["ResultToken"] == token
    assert call.parameters["TestMode"] is (token == "TESTMODE")
    assert json.loads(json.dumps(answer)) == evaluations


@for_rules_with("report_evaluations")
@pytest.mark.parametrize(("number", "sizes"), [(0, [0]), (100, [100]), (201, [100, 100, 1])])
def test_evaluations_are_sent_in_calls_of_100(
    rule: str, number: int, sizes: list[int], aws: FakeAws
) -> None:
    report(rule, make_evaluations(number))
    assert [len(call.parameters["Evaluations"]) for call in aws.requests] == sizes
    ids = [each["ComplianceResourceId"] for each in aws.evaluations]
    assert ids == [f"user-{each}" for each in range(number)]


@pytest.mark.sdk
@for_rules_with("report_evaluations")
def test_rejected_evaluations_are_named_after_all_were_sent(rule: str, aws: FakeAws) -> None:
    rejected = [{"ComplianceResourceId": f"user-{each}"} for each in range(90)]
    aws.canned_answers["PutEvaluations"] = [{"FailedEvaluations": rejected}, {}]
    with pytest.raises(RuntimeError) as caught:
        report(rule, make_evaluations(250))
    assert str(caught.value).startswith("AWS Config rejected 90 evaluations: ['user-0', 'user-1', ")
    assert len(str(caught.value)) < 250
    assert aws.operations == ["PutEvaluations"] * 3


@for_rules_with("report_evaluations")
@pytest.mark.parametrize(("length", "shown"), [(256, "x" * 256), (257, "x" * 255 + "…")])
def test_annotation_is_cut_at_256_characters(
    rule: str, length: int, shown: str, aws: FakeAws
) -> None:
    evaluations = make_evaluations(1, "x" * length)
    (evaluation,) = report(rule, evaluations)
    assert evaluation["Annotation"] == aws.evaluations[0]["Annotation"] == shown
    assert evaluations == make_evaluations(1, "x" * length), "the caller's stay as they are"
    del evaluations[0]["Annotation"]
    assert report(rule, evaluations) == evaluations, "an annotation is optional"


@every_rule
def test_log_has_the_evaluations_and_no_secret(
    rule: str, aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.prepare_rule(rule)
    with caplog.at_level(logging.DEBUG):
        answer = load(rule).lambda_handler(read_sample(rule), None)
    records: list[Any] = [each for each in caplog.records if each.message == "evaluations sent"]
    logged = [each for record in records for each in record.evaluations]
    assert logged == answer, f"{rule}/app.py: lambda_handler must return report_evaluations(...)."
    assert {(record.levelname, record.test_mode) for record in records} == {("INFO", False)}
    seen = "".join(f"{record.__dict__} {record.getMessage()}" for record in caplog.records)
    assert "a-real-token" not in seen, f"{rule}/app.py logs the result token: leave it out."
    assert "own-secret" not in seen, f"{rule}/app.py logs credentials: leave them out."


ENDPOINT = {"endpoint_url": "https://config.us-east-1.amazonaws.com"}


@pytest.mark.sdk
@for_rules_with("report_evaluations")
@pytest.mark.parametrize(
    ("fault", "calls"),
    [
        ("ThrottlingException: Rate exceeded", 3),
        (ConnectionClosedError(**ENDPOINT), 3),
        (ReadTimeoutError(**ENDPOINT), 3),
        ("AccessDeniedException: no", 1),
        ("InvalidResultTokenException: no", 1),
        ("ExpiredTokenException: expired", 1),
    ],
    ids=str,
)
def test_fault_that_lasts_is_awss_own_error_and_one_that_passes_is_not_noticed(
    rule: str, fault: Any, calls: int, aws: FakeAws
) -> None:
    aws.canned_answers["PutEvaluations"] = [fault] * calls
    with pytest.raises(ClientError if isinstance(fault, str) else type(fault)):
        report(rule, make_evaluations(1))
    assert aws.operations == ["PutEvaluations"] * calls
    aws.canned_answers["PutEvaluations"] = [fault] * (calls - 1)
    report(rule, make_evaluations(1))
    assert len(aws.evaluations) == 1
