"""The change-triggered rule, through its handler, with events as AWS Config sends them."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.conftest import edit, read_event
from tests.fake_aws import Fault

if TYPE_CHECKING:
    from tests.conftest import Load
    from tests.fake_aws import FakeAws

RULE = "desired_instance_type"
NOTIFIED = "2026-11-05T09:15:27.482Z"


def judge(load: Load, event: dict[str, Any]) -> dict[str, str]:
    """Return the one evaluation that the rule sends for the event."""
    (evaluation,) = load(RULE).lambda_handler(event, None)
    assert isinstance(evaluation, dict)
    return evaluation


def with_item(case: str = "compliant", **changes: Any) -> dict[str, Any]:
    """Return a sample event with its configuration item changed; ... removes a field."""
    changes = {f"configurationItem.{name}": value for name, value in changes.items()}
    return edit(read_event(RULE, case), "invokingEvent", changes)


def with_desired(desired: Any, instance_type: str = "t3.micro") -> dict[str, Any]:
    event = with_item(configuration={"instanceType": instance_type})
    return edit(event, "ruleParameters", {"desiredInstanceType": desired})


@mock_aws
@pytest.mark.parametrize(
    ("case", "verdict", "annotation"),
    [
        (
            "compliant",
            "COMPLIANT",
            "Instance type t3.micro is among those wanted: t3.micro, t3.small.",
        ),
        (
            "non_compliant",
            "NON_COMPLIANT",
            "Instance type m5.2xlarge is not among those wanted: t3.*.",
        ),
        (
            "deleted",
            "NOT_APPLICABLE",
            "Not judged: AWS::EC2::Instance in scope with status ResourceDeleted; the rule judges "
            "each recorded AWS::EC2::Instance in its scope.",
        ),
        (
            "left_scope",
            "NOT_APPLICABLE",
            "Not judged: AWS::EC2::Instance out of scope with status OK; the rule judges each "
            "recorded AWS::EC2::Instance in its scope.",
        ),
    ],
)
def test_sample_event_is_reported_with_its_reason(
    case: str, verdict: str, annotation: str, load: Load
) -> None:
    event = read_event(RULE, case)
    item = json.loads(event["invokingEvent"])["configurationItem"]
    assert judge(load, event) == {
        "ComplianceResourceType": "AWS::EC2::Instance",
        "ComplianceResourceId": item["resourceId"],
        "ComplianceType": verdict,
        "Annotation": annotation,
        "OrderingTimestamp": item["configurationItemCaptureTime"],
    }


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        ("OK", "COMPLIANT"),
        ("ResourceDiscovered", "COMPLIANT"),
        ("ResourceDeleted", "NOT_APPLICABLE"),
        ("ResourceNotRecorded", "NOT_APPLICABLE"),
        ("ResourceDeletedNotRecorded", "NOT_APPLICABLE"),
    ],
)
def test_status_decides_whether_the_rule_applies(
    status: str, verdict: str, load: Load, aws: FakeAws
) -> None:
    evaluation = judge(load, with_item(configurationItemStatus=status))
    assert evaluation["ComplianceType"] == verdict


def test_other_resource_type_is_not_applicable(load: Load, aws: FakeAws) -> None:
    event = edit(with_item(resourceType="AWS::S3::Bucket"), "ruleParameters", {})
    del event["ruleParameters"]
    evaluation = judge(load, event)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"
    assert evaluation["ComplianceResourceType"] == "AWS::S3::Bucket"
    assert "AWS::S3::Bucket" in evaluation["Annotation"]


@pytest.mark.parametrize(
    ("instance_type", "desired", "verdict"),
    [
        pytest.param("t3.micro", "t3.micro", "COMPLIANT", id="the only type wanted"),
        pytest.param("t3.micro", "m5.large,t3.micro", "COMPLIANT", id="one of several"),
        pytest.param("t3.micro", " m5.large , t3.micro ,", "COMPLIANT", id="blanks do not matter"),
        pytest.param("f1.2xlarge", "inf1.2xlarge", "NON_COMPLIANT", id="a part of a wanted name"),
        pytest.param("inf1.2xlarge", "f1.2xlarge", "NON_COMPLIANT", id="a wanted name inside"),
        pytest.param("t3.micro", "t3.*", "COMPLIANT", id="any size of a family"),
        pytest.param("t3a.micro", "t3.*", "NON_COMPLIANT", id="another family"),
        pytest.param("t3a.micro", "t3?.micro", "COMPLIANT", id="any one character"),
        pytest.param("t3.micro", "t3?.micro", "NON_COMPLIANT", id="one character and not none"),
        pytest.param("t3.micro", "*", "COMPLIANT", id="anything"),
        pytest.param("t3.micro", "T3.MICRO", "NON_COMPLIANT", id="case as AWS writes it"),
        pytest.param("t3.micro", "t[23].micro", "NON_COMPLIANT", id="brackets are not special"),
        pytest.param("t[23].micro", "t[23].micro", "COMPLIANT", id="brackets are themselves"),
        pytest.param("t3xmicro", "t3.micro", "NON_COMPLIANT", id="a dot is a dot"),
        pytest.param("t3.micro", "t3 .micro", "NON_COMPLIANT", id="blanks within count"),
    ],
)
def test_whole_name_is_matched(
    instance_type: str, desired: str, verdict: str, load: Load, aws: FakeAws
) -> None:
    evaluation = judge(load, with_desired(desired, instance_type))
    assert evaluation["ComplianceType"] == verdict
    assert instance_type in evaluation["Annotation"]
    assert desired in evaluation["Annotation"]


def test_longest_id_is_reported_whole(load: Load, aws: FakeAws) -> None:
    evaluation = judge(load, with_item(resourceId="i" * 768, resourceType="A" * 256))
    assert aws.evaluations[0]["ComplianceResourceId"] == "i" * 768
    assert evaluation["ComplianceResourceType"] == "A" * 256


def test_long_annotation_is_cut(load: Load, aws: FakeAws) -> None:
    evaluation = judge(load, with_desired("m5.large," * 90))
    assert len(evaluation["Annotation"]) == 256
    assert evaluation["Annotation"].endswith("…")


@pytest.mark.parametrize("desired", ["", "  ", ", ,", None, ["t3.micro"], 3], ids=repr)
def test_missing_or_blank_desired_type_is_refused(desired: Any, load: Load, aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="desiredInstanceType must be"):
        judge(load, with_desired(desired))
    assert aws.calls == []


def test_absent_parameters_are_refused_when_an_instance_has_to_be_judged(
    load: Load, aws: FakeAws
) -> None:
    event = with_item()
    del event["ruleParameters"]
    with pytest.raises(ValueError, match="desiredInstanceType must be"):
        judge(load, event)


def test_absent_parameters_do_not_matter_for_a_deleted_instance(load: Load, aws: FakeAws) -> None:
    event = with_item("deleted")
    del event["ruleParameters"]
    assert judge(load, event)["ComplianceType"] == "NOT_APPLICABLE"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"resourceId": ...}, "resourceId must be", id="no id"),
        pytest.param({"resourceId": ""}, "resourceId must be .*, not ''", id="empty id"),
        pytest.param({"resourceId": 5}, "resourceId must be .*, not 5", id="id of the wrong kind"),
        pytest.param({"resourceId": "i" * 769}, "resourceId must be at most 768", id="long id"),
        pytest.param({"resourceId": "i-\udfff"}, "resourceId must be Unicode text", id="no text"),
        pytest.param({"resourceType": ...}, "resourceType must be", id="no type"),
        pytest.param({"resourceType": "A" * 257}, "resourceType must be at most 256", id="long"),
        pytest.param({"configurationItemStatus": ...}, "Status must be one of", id="no status"),
        pytest.param({"configurationItemStatus": "Fine"}, "not 'Fine'", id="unknown status"),
        pytest.param({"configuration": ...}, "configuration must be", id="no configuration"),
        pytest.param({"configuration": "{}"}, "configuration must be", id="configuration as text"),
        pytest.param({"configuration": {"a": 1}}, "instanceType must be", id="no instance type"),
        pytest.param(
            {"configuration": {"instanceType": 3}}, "instanceType must be", id="type as a number"
        ),
    ],
)
def test_bad_configuration_item_is_named(
    changes: dict[str, Any], message: str, load: Load, aws: FakeAws
) -> None:
    with pytest.raises(ValueError, match=message):
        judge(load, with_item(**changes))
    assert aws.calls == []


@pytest.mark.parametrize(
    "time",
    [..., None, "", 5, "yesterday", "2026-11-05", "2026-11-05T09:15:27", "2026-02-30T09:15:27Z"],
    ids=repr,
)
def test_time_that_is_none_is_refused(time: Any, load: Load, aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="configurationItemCaptureTime must be an ISO 8601 time"):
        judge(load, with_item(configurationItemCaptureTime=time))
    assert aws.calls == []


@pytest.mark.parametrize(
    "time", ["2026-11-05T09:15:27Z", "2026-11-05T09:15:27.5+01:00", "2026-11-05T09:15:27.123+0000"]
)
def test_time_is_reported_as_notified(time: str, load: Load, aws: FakeAws) -> None:
    evaluation = judge(load, with_item(configurationItemCaptureTime=time))
    assert evaluation["OrderingTimestamp"] == time
    (sent,) = aws.evaluations
    assert int(sent["OrderingTimestamp"]) == int(datetime.fromisoformat(time).timestamp())


@pytest.mark.parametrize("item", [..., None, [], {}, "text"], ids=repr)
@pytest.mark.parametrize("case", ["compliant", "oversized"])
def test_notification_without_its_item_is_refused(
    case: str, item: Any, load: Load, aws: FakeAws
) -> None:
    name = {"compliant": "configurationItem", "oversized": "configurationItemSummary"}[case]
    event = edit(read_event(RULE, case), "invokingEvent", {name: item})
    with pytest.raises(ValueError, match=f"{name} must be a non-empty object"):
        judge(load, event)


@pytest.mark.parametrize("left", ["false", 0, None, "true"], ids=repr)
def test_left_scope_of_the_wrong_kind_is_refused(left: Any, load: Load, aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="eventLeftScope") as caught:
        judge(load, {**with_item(), "eventLeftScope": left})
    assert str(caught.value) == f"eventLeftScope must be true or false, not {left!r}."


def test_absent_left_scope_counts_as_false(load: Load, aws: FakeAws) -> None:
    event = with_item()
    del event["eventLeftScope"]
    assert judge(load, event)["ComplianceType"] == "COMPLIANT"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"invokingEvent": {"messageType": "ScheduledNotification"}},
            "messageType must be ConfigurationItemChangeNotification or "
            "OversizedConfigurationItemChangeNotification, not 'ScheduledNotification'.",
        ),
        (
            {"invokingEvent": {"configurationItem.configurationItemStatus": "Fine"}},
            "configurationItemStatus must be one of OK, ResourceDiscovered, ResourceDeleted, "
            "ResourceNotRecorded, ResourceDeletedNotRecorded, not 'Fine'.",
        ),
        (
            {"invokingEvent": {"configurationItem.configurationItemCaptureTime": "then"}},
            "configurationItemCaptureTime must be an ISO 8601 time with its offset, not 'then'.",
        ),
        (
            {"invokingEvent": {"configurationItem.resourceId": "\ud800"}},
            "resourceId must be Unicode text, not '\\ud800'.",
        ),
        (
            {"invokingEvent": {"configurationItem.resourceId": "i" * 769}},
            f"resourceId must be at most 768 characters, not '{'i' * 47}...{'i' * 48}'.",
        ),
        (
            {"invokingEvent": {"configurationItem.resourceType": 7}},
            "resourceType must be a non-empty string, not 7.",
        ),
        (
            {"invokingEvent": {"configurationItem.configuration": "x"}},
            "configuration must be a non-empty object, not 'x'.",
        ),
        (
            {"invokingEvent": {"configurationItem.configuration.instanceType": 7}},
            "instanceType must be a non-empty string, not 7.",
        ),
        (
            {"ruleParameters": {"desiredInstanceType": ", "}},
            "desiredInstanceType must be a list of instance types, not ', '.",
        ),
        (
            {"ruleParameters": {"desiredInstanceType": 7}},
            "desiredInstanceType must be a non-empty string, not 7.",
        ),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_refusal_is_one_exact_sentence(
    changes: dict[str, dict[str, Any]], message: str, load: Load
) -> None:
    event = with_item()
    for field, content in changes.items():
        event = edit(event, field, content)
    with pytest.raises(ValueError, match="must be") as caught:
        judge(load, event)
    assert str(caught.value) == message


# Oversized notifications


def oversized(capture_time: str = NOTIFIED, **changes: Any) -> dict[str, Any]:
    changes = {"configurationItemCaptureTime": capture_time, **changes}
    changes = {f"configurationItemSummary.{name}": value for name, value in changes.items()}
    return edit(read_event(RULE, "oversized"), "invokingEvent", changes)


def history_item(seconds: float, instance_type: str = "t3.micro", **fields: Any) -> dict[str, Any]:
    """Return an item of the API captured that many seconds after the one notified."""
    captured = datetime.fromisoformat(NOTIFIED).timestamp() + seconds
    return {
        "version": "1.3",
        "accountId": "123456789012",
        "configurationItemCaptureTime": captured,
        "configurationItemStatus": "OK",
        "resourceType": "AWS::EC2::Instance",
        "resourceId": "i-0b16000000000005b",
        "configuration": json.dumps({"instanceType": instance_type}),
        **fields,
    }


def test_oversized_event_is_judged_from_history(load: Load, aws: FakeAws) -> None:
    aws.history = [history_item(0)]
    assert judge(load, oversized()) == {
        "ComplianceResourceType": "AWS::EC2::Instance",
        "ComplianceResourceId": "i-0b16000000000005b",
        "ComplianceType": "COMPLIANT",
        "Annotation": "Instance type t3.micro is among those wanted: t3.micro, t3.small.",
        "OrderingTimestamp": NOTIFIED,
    }
    assert aws.operations == ["GetResourceConfigHistory", "PutEvaluations"]


@pytest.mark.parametrize("fraction", ["482", "000", "999"])
def test_item_notified_is_judged_and_not_the_one_before(
    fraction: str, load: Load, aws: FakeAws
) -> None:
    time = NOTIFIED.replace("482", fraction)
    offset = (datetime.fromisoformat(time) - datetime.fromisoformat(NOTIFIED)).total_seconds()
    aws.history = [
        history_item(offset - 3600, "m5.large"),
        history_item(offset - 1.2, "m5.large"),
        history_item(offset, "t3.micro"),
        history_item(offset + 3600, "m5.large"),
    ]
    evaluation = judge(load, oversized(time))
    assert evaluation["ComplianceType"] == "COMPLIANT"
    assert evaluation["OrderingTimestamp"] == time


@pytest.mark.parametrize("rounded", [-0.482, 0.518], ids=["down", "up"])
def test_item_whose_time_the_service_rounds_is_found(
    rounded: float, load: Load, aws: FakeAws
) -> None:
    aws.history = [history_item(rounded)]
    assert judge(load, oversized())["ComplianceType"] == "COMPLIANT"


def test_newer_item_is_judged_under_its_own_time(load: Load, aws: FakeAws) -> None:
    aws.history = [history_item(0, "m5.large"), history_item(0.6, "t3.micro")]
    evaluation = judge(load, oversized())
    assert evaluation["ComplianceType"] == "COMPLIANT"
    assert evaluation["OrderingTimestamp"] == "2026-11-05T09:15:28.082Z"


@pytest.mark.parametrize(
    "history",
    [[], [history_item(-1)], [history_item(-86400)]],
    ids=["empty", "a second older", "a day older"],
)
def test_history_that_lags_is_an_error(
    history: list[dict[str, Any]], load: Load, aws: FakeAws
) -> None:
    aws.history = history
    with pytest.raises(RuntimeError) as caught:
        judge(load, oversized())
    assert str(caught.value) == (
        f"AWS Config has not caught up: no configuration of i-0b16000000000005b from {NOTIFIED} on."
    )
    assert aws.evaluations == []


def test_older_item_is_not_judged_even_if_answered(load: Load, aws: FakeAws) -> None:
    aws.answers["GetResourceConfigHistory"] = lambda _: {"configurationItems": [history_item(-60)]}
    with pytest.raises(RuntimeError, match="not caught up"):
        judge(load, oversized())


def test_empty_pages_are_followed(load: Load, aws: FakeAws) -> None:
    aws.history = [history_item(0)]
    aws.empty_history_pages = 4
    assert judge(load, oversized())["ComplianceType"] == "COMPLIANT"
    assert aws.operations.count("GetResourceConfigHistory") == 5


def test_empty_pages_are_not_followed_without_end(load: Load, aws: FakeAws) -> None:
    aws.empty_history_pages = 10**6
    with pytest.raises(RuntimeError, match="not caught up"):
        judge(load, oversized())
    assert aws.operations.count("GetResourceConfigHistory") == 5


def test_history_is_asked_for_seconds_and_not_years(load: Load, aws: FakeAws) -> None:
    aws.history = [history_item(0)]
    judge(load, oversized())
    asked = aws.calls[0].parameters
    assert asked["resourceId"] == "i-0b16000000000005b"
    assert asked["resourceType"] == "AWS::EC2::Instance"
    notified = datetime.fromisoformat(NOTIFIED).timestamp()
    assert asked["earlierTime"] == int(notified) - 1
    assert asked["laterTime"] == int(notified) + 2
    assert asked["chronologicalOrder"] == "Reverse"


def test_unknown_resource_leaves_as_aws_error(load: Load, aws: FakeAws) -> None:
    aws.faults["GetResourceConfigHistory"] = [Fault(400, "ResourceNotDiscoveredException")]
    with pytest.raises(ClientError, match="ResourceNotDiscoveredException"):
        judge(load, oversized())


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"configurationItemStatus": "ResourceDeleted"}, False),
        ({"configurationItemStatus": "ResourceNotRecorded"}, False),
        ({"configurationItemStatus": "ResourceDeletedNotRecorded"}, False),
        ({}, True),
    ],
    ids=["deleted", "not recorded", "deleted and not recorded", "left scope"],
)
def test_summary_that_settles_the_answer_needs_no_history(
    changes: dict[str, Any], left: bool, load: Load, aws: FakeAws
) -> None:
    evaluation = judge(load, {**oversized(**changes), "eventLeftScope": left})
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"
    assert evaluation["OrderingTimestamp"] == NOTIFIED
    assert aws.operations == ["PutEvaluations"]


def test_instance_deleted_meanwhile_is_not_applicable(load: Load, aws: FakeAws) -> None:
    deleted = history_item(1, configurationItemStatus="ResourceDeleted")
    del deleted["configuration"]
    aws.history = [deleted]
    assert judge(load, oversized())["ComplianceType"] == "NOT_APPLICABLE"


# Functions of the guide, called as it documents them


def test_api_item_gets_the_event_form(load: Load) -> None:
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
        "supplementaryConfiguration": {"a": '{"b": [1]}', "c": "plain text"},
        "tags": {"Name": "web"},
    }
    before = copy.deepcopy(item)
    assert load(RULE).convert_api_configuration(item) == {
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
        "supplementaryConfiguration": {"a": {"b": [1]}, "c": "plain text"},
    }
    assert item == before


def test_absent_fields_stay_absent(load: Load) -> None:
    assert load(RULE).convert_api_configuration({"resourceId": "i-1"}) == {"resourceId": "i-1"}
    assert load(RULE).convert_api_configuration({"configuration": ""}) == {"configuration": ""}


def test_documented_calls_return_what_is_documented(load: Load, aws: FakeAws) -> None:
    module = load(RULE)
    aws.history = [history_item(0)]
    invoking_event = json.loads(oversized()["invokingEvent"])
    item = module.get_configuration_item(invoking_event)
    assert item == module.get_configuration("AWS::EC2::Instance", "i-0b16000000000005b", NOTIFIED)
    assert item["configuration"] == {"instanceType": "t3.micro"}
    wanted = {"desiredInstanceType": "t3.micro"}
    assert module.evaluate_change_notification_compliance(item, wanted) == "COMPLIANT"
    assert module.is_applicable(item, {"eventLeftScope": False}) is True
    assert module.is_applicable(item, {"eventLeftScope": True}) is False
    assert module.is_oversized_changed_notification("ConfigurationItemChangeNotification") is False
    with pytest.raises(
        ValueError, match=r"^configurationItem must be a non-empty object, not None"
    ):
        module.is_applicable(None, {})
    with pytest.raises(ValueError, match=r"^configurationItemCaptureTime must be an ISO 8601 time"):
        module.get_configuration("AWS::EC2::Instance", "i-1", "then")
