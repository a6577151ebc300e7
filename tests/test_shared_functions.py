"""The shared functions for events, items and reports, called directly in every rule with them."""

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
)

from scripts.template import JsonObject
from tests.helpers import (
    ABSENT,
    FakeAws,
    for_rules_with,
    load,
    read_sample,
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
    ids=[
        "a string",
        "an object",
        "a list",
        "an object where one is asked for",
        "null",
        "zero",
        "an empty string",
        "a number where a string is asked for",
        "a string where an object is asked for",
    ],
)
def test_value_that_is_not_empty_is_defined(
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
        ("invokingEvent", ABSENT, "a string that holds a JSON object."),
        ("invokingEvent", "{", "a string that holds a JSON object."),
        ("invokingEvent", "[]", "a string that holds a JSON object."),
        ("invokingEvent", {}, "a string that holds a JSON object."),
        ("invokingEvent", "x" * 999, "a string that holds a JSON object."),
        ("ruleParameters", "x" * 98, f"a string that holds a JSON object, not '{'x' * 98}'."),
        ("ruleParameters", "x" * 99, f"a string that holds a JSON object, not '{'x' * 98}…."),
        ("ruleParameters", "", "a string that holds a JSON object, not ''."),
        ("ruleParameters", None, "a string that holds a JSON object, not None."),
    ],
    ids=str,
)
def test_invalid_field_is_named_and_shown_unless_it_is_secret(
    rule: str, field: str, value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        load(rule).parse_event(read_sample(rule, **{field: value}))
    assert str(caught.value) == f"{field} must be {message}"


@for_rules_with("parse_event")
def test_absent_rule_parameters_are_none(rule: str) -> None:
    assert load(rule).parse_event(read_sample(rule, ruleParameters=ABSENT))[1] == {}


@for_rules_with("parse_event")
@pytest.mark.parametrize(
    "event",
    [None, {}, [{"resultToken": "a-real-token"}], "text"],
    ids=["null", "an empty object", "a list", "a string"],
)
def test_event_that_is_no_object_is_not_shown(rule: str, event: Any) -> None:
    with pytest.raises(ValueError, match=r"^event must be a non-empty object\.$"):
        load(rule).parse_event(event)


@for_rules_with("field_error")
@pytest.mark.parametrize("name", ["configurationItem", "configurationItemSummary", "configuration"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        ({}, "an empty object"),
        ({"password": "s3cr3t"}, "an object"),
        (["s3cr3t"], "a list"),
        ("s3cr3t", "a string"),
        (True, "a truth value"),
        (17, "a number"),
        (1.7, "a number"),
    ],
)
def test_of_an_item_only_its_kind_is_named(rule: str, name: str, value: Any, kind: str) -> None:
    error = load(rule).field_error(name, "right", value)
    assert str(error) == f"{name} must be right, not {kind}."


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
        (None, "{} must be a non-empty object, not null."),
        ([], "{} must be a non-empty object, not a list."),
        ("text", "{} must be a non-empty object, not a string."),
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
    expected = rf"{CHANGE} or Oversized{CHANGE}, not {message_type!r}\."
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
    ids=[
        "the notified one among others",
        "the notified one at a whole second",
        "the notified one at a second's end",
        "a newer one instead of an older",
        "a newer one",
        "a millisecond older",
        "less than a second older",
        "a second older",
    ],
)
def test_configuration_is_never_older_than_the_notified_one(
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
def test_history_is_read_from_a_second_before(rule: str, aws: FakeAws) -> None:
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
def test_unknown_resource_is_an_error_of_aws(rule: str, aws: FakeAws) -> None:
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
    ids=["every field", "an empty configuration", "a configuration that is null"],
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
    ids=[
        "it is there",
        "it was discovered",
        "it left the scope",
        "it is deleted",
        "it is deleted and left the scope",
        "it is not recorded",
        "it is deleted and not recorded",
        "a status that is new",
    ],
)
def test_status_and_scope_decide_if_it_is_evaluated(
    rule: str, status: str, event: JsonObject, reason: str | None
) -> None:
    module, item = load(rule), {"configurationItemStatus": status}
    assert module.is_applicable(item, event) is (reason is None)
    if reason:
        annotation = module.build_not_applicable_annotation(item, event)
        assert annotation == f"Not evaluated: {reason}"


@for_rules_with("is_applicable")
@pytest.mark.parametrize("left_scope", ["false", None, 0])
def test_left_scope_must_be_true_or_false(rule: str, left_scope: Any) -> None:
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
def test_evaluations_are_returned_as_they_were_sent(rule: str, token: str, aws: FakeAws) -> None:
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
@pytest.mark.parametrize(
    ("number", "sizes"), [(0, [0]), (100, [100]), (201, [100, 100, 1])], ids=["none", "100", "201"]
)
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
    message = str(caught.value)
    assert message.startswith("AWS Config rejected 90 evaluations: user-0, user-1, ")
    assert message.endswith(", user-22, us….")
    assert len(message) == len("AWS Config rejected 90 evaluations: .") + 200
    assert aws.operations == ["PutEvaluations"] * 3


@for_rules_with("report_evaluations")
@pytest.mark.parametrize(
    ("length", "shown"), [(256, "x" * 256), (257, "x" * 255 + "…")], ids=["256", "257"]
)
def test_annotation_is_cut_at_256_characters(
    rule: str, length: int, shown: str, aws: FakeAws
) -> None:
    evaluations = make_evaluations(1, "x" * length)
    (evaluation,) = report(rule, evaluations)
    assert evaluation["Annotation"] == aws.evaluations[0]["Annotation"] == shown
    assert evaluations == make_evaluations(1, "x" * length), "the caller's stay as they are"
    del evaluations[0]["Annotation"]
    assert report(rule, evaluations) == evaluations, "an annotation is optional"


ENDPOINT = {"endpoint_url": "https://config.us-east-1.amazonaws.com"}
PASSING = [
    "ThrottlingException: Rate exceeded",
    ConnectionClosedError(**ENDPOINT),
    ReadTimeoutError(**ENDPOINT),
]
LASTING = [
    "AccessDeniedException: no",
    "InvalidResultTokenException: no",
    "ExpiredTokenException: expired",
]


@pytest.mark.sdk
@for_rules_with("report_evaluations")
@pytest.mark.parametrize(
    ("fault", "calls"),
    [*((fault, 3) for fault in PASSING), *((fault, 1) for fault in LASTING)],
    ids=str,
)
def test_fault_that_lasts_is_raised(rule: str, fault: Any, calls: int, aws: FakeAws) -> None:
    aws.canned_answers["PutEvaluations"] = [fault] * calls
    with pytest.raises(ClientError if isinstance(fault, str) else type(fault)):
        report(rule, make_evaluations(1))
    assert aws.operations == ["PutEvaluations"] * calls


@pytest.mark.sdk
@for_rules_with("report_evaluations")
@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_fault_that_passes_is_not_noticed(rule: str, fault: Any, aws: FakeAws) -> None:
    aws.canned_answers["PutEvaluations"] = [fault] * 2
    report(rule, make_evaluations(1))
    assert len(aws.evaluations) == 1
