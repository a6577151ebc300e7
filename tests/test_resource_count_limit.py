"""The periodic rule, through its handler, with events as AWS Config sends them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from tests.conftest import edit, read_event

if TYPE_CHECKING:
    from tests.conftest import Load
    from tests.fake_aws import FakeAws

RULE = "resource_count_limit"
INSTANCE = "AWS::EC2::Instance"


def judge(load: Load, event: dict[str, Any]) -> dict[str, str]:
    """Return the one evaluation that the rule sends for the event."""
    (evaluation,) = load(RULE).lambda_handler(event, None)
    assert isinstance(evaluation, dict)
    return evaluation


def with_parameters(**parameters: Any) -> dict[str, Any]:
    """Return the sample event with parameters changed; ... removes one."""
    return edit(read_event(RULE, "within_limit"), "ruleParameters", parameters)


@mock_aws
@pytest.mark.parametrize(
    ("buckets", "verdict"), [(1, "COMPLIANT"), (2, "COMPLIANT"), (3, "NON_COMPLIANT")]
)
def test_account_is_judged_by_its_count(buckets: int, verdict: str, load: Load) -> None:
    for number in range(buckets):
        boto3.client("s3").create_bucket(Bucket=f"bucket-{number}")
    event = with_parameters(applicableResourceType="AWS::S3::Bucket", maxCount="2")
    assert judge(load, event) == {
        "ComplianceResourceType": "AWS::::Account",
        "ComplianceResourceId": "123456789012",
        "ComplianceType": verdict,
        "Annotation": f"AWS Config has discovered {buckets} of AWS::S3::Bucket in this account and "
        "Region; at most 2 allowed.",
        "OrderingTimestamp": "2026-11-06T09:15:28.107Z",
    }


@pytest.mark.parametrize(
    ("fleet", "max_count", "found", "calls"),
    [
        pytest.param(250, 300, "250", 3, id="under the limit, every page is read"),
        pytest.param(300, 300, "300", 4, id="at the limit, to the end"),
        pytest.param(100_000, 50, "at least 100", 1, id="the first page passes the limit"),
        pytest.param(100_000, 99, "at least 100", 1, id="the last of a page passes the limit"),
        pytest.param(100_000, 100, "at least 200", 2, id="the next page passes the limit"),
        pytest.param(100_000, 1234, "at least 1300", 13, id="a later page passes the limit"),
        pytest.param(80, 50, "80", 1, id="the listing ended on the page that passed the limit"),
        pytest.param(150, 120, "150", 2, id="the listing ended on the last page"),
    ],
)
def test_count_reads_no_more_pages_than_it_needs(
    fleet: int, max_count: int, found: str, calls: int, load: Load, aws: FakeAws
) -> None:
    aws.fleet = fleet
    evaluation = judge(load, with_parameters(maxCount=str(max_count)))
    assert f"discovered {found} of {INSTANCE}" in evaluation["Annotation"]
    assert f"at most {max_count} allowed" in evaluation["Annotation"]
    assert (evaluation["ComplianceType"] == "COMPLIANT") == (fleet <= max_count)
    assert aws.operations.count("ListDiscoveredResources") == calls
    assert all(call.parameters["limit"] == 100 for call in aws.calls[:-1])


def test_short_and_empty_pages_are_followed(load: Load, aws: FakeAws) -> None:
    aws.page_sizes = [0, 3, 0, 0, 40, 1]
    evaluation = judge(load, with_parameters(maxCount="43"))
    assert evaluation["ComplianceType"] == "NON_COMPLIANT"
    assert "discovered 44 of" in evaluation["Annotation"]


def test_nothing_found_says_that_the_type_may_not_be_recorded(load: Load, aws: FakeAws) -> None:
    evaluation = judge(load, with_parameters(maxCount="0"))
    assert evaluation["ComplianceType"] == "COMPLIANT"
    assert evaluation["Annotation"] == (
        "AWS Config has discovered 0 of AWS::EC2::Instance in this account and Region, or does not "
        "record this type; at most 0 allowed."
    )


@pytest.mark.parametrize(
    ("max_count", "allowed"),
    [("5", 5), (5, 5), (" 5\t", 5), ("0", 0), (0, 0), ("007", 7), (..., 0)],
    ids=["text", "number", "blanks", "none as text", "none", "leading zeros", "absent"],
)
def test_max_count_is_a_whole_number(
    max_count: Any, allowed: int, load: Load, aws: FakeAws
) -> None:
    aws.fleet = 6
    evaluation = judge(load, with_parameters(maxCount=max_count))
    assert f"at most {allowed} allowed" in evaluation["Annotation"]


@pytest.mark.parametrize(
    "max_count",
    ["ten", "1.5", "-1", "", " ", "5.0", "+5", "1_000", "٣", "1e3", 1.5, 5.0, -1, True, None, [5]],
    ids=repr,
)
def test_other_max_count_is_refused(max_count: Any, load: Load, aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="maxCount") as caught:
        judge(load, with_parameters(maxCount=max_count))
    assert str(caught.value) == (
        f"maxCount must be a whole number of 0 or more, not {max_count!r}."
    )
    assert aws.calls == []


@pytest.mark.parametrize("resource_type", [..., "", "  ", None, 5, [INSTANCE]], ids=repr)
def test_missing_resource_type_is_refused(resource_type: Any, load: Load, aws: FakeAws) -> None:
    with pytest.raises(ValueError, match="applicableResourceType must be a non-empty string"):
        judge(load, with_parameters(applicableResourceType=resource_type))
    assert aws.calls == []


def test_other_message_is_refused_in_one_exact_sentence(load: Load) -> None:
    event = edit(with_parameters(), "invokingEvent", {"messageType": "Other"})
    with pytest.raises(ValueError, match="messageType") as caught:
        judge(load, event)
    assert str(caught.value) == "messageType must be ScheduledNotification, not 'Other'."


def test_blanks_around_the_resource_type_do_not_matter(load: Load, aws: FakeAws) -> None:
    judge(load, with_parameters(applicableResourceType=f" {INSTANCE} "))
    assert aws.calls[0].parameters == {"resourceType": INSTANCE, "limit": 100}


def test_absent_parameters_are_refused(load: Load) -> None:
    event = with_parameters()
    del event["ruleParameters"]
    with pytest.raises(ValueError, match="applicableResourceType must be"):
        judge(load, event)


@pytest.mark.parametrize(
    "account", [..., None, "", "12345", 123456789012, "12345678901x"], ids=repr
)
def test_account_that_is_none_is_refused(account: Any, load: Load, aws: FakeAws) -> None:
    event = {**with_parameters(), "accountId": account}
    event = {name: value for name, value in event.items() if value is not ...}
    with pytest.raises(ValueError, match="accountId must be") as caught:
        judge(load, event)
    digits = account not in ("", ...) and isinstance(account, str)
    wanted = "the 12 digits of an account" if digits else "a non-empty string"
    assert str(caught.value) == f"accountId must be {wanted}, not {event.get('accountId')!r}."
    assert aws.calls == []


@pytest.mark.parametrize("time", [..., None, "", "today", 1478423728], ids=repr)
def test_time_that_is_none_is_refused(time: Any, load: Load, aws: FakeAws) -> None:
    event = edit(with_parameters(), "invokingEvent", {"notificationCreationTime": time})
    with pytest.raises(ValueError, match=r"^notificationCreationTime must be an ISO"):
        judge(load, event)
    assert aws.calls == []


# Functions of the guide, called as it documents them


def test_documented_calls_return_what_is_documented(load: Load, aws: FakeAws) -> None:
    module = load(RULE)
    aws.fleet = 250
    assert module.count_resource_types(INSTANCE, "", 0) == 250
    assert module.count_resource_types(INSTANCE, "2", 7) == 57
    assert module.evaluate_compliance("10", 11) == "NON_COMPLIANT"
    assert module.evaluate_compliance(10, 10) == "COMPLIANT"
    assert module.is_scheduled_notification("ScheduledNotification") is True
    assert module.evaluate_parameters({"applicableResourceType": INSTANCE, "other": "kept"}) == {
        "applicableResourceType": INSTANCE,
        "maxCount": 0,
        "other": "kept",
    }


def test_documented_evaluation_needs_no_annotation(load: Load) -> None:
    event = {"invokingEvent": json.dumps({"notificationCreationTime": "2026-11-06T09:15:28.107Z"})}
    assert load(RULE).build_evaluation("i-1", "COMPLIANT", event, resource_type=INSTANCE) == {
        "ComplianceResourceType": INSTANCE,
        "ComplianceResourceId": "i-1",
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": "2026-11-06T09:15:28.107Z",
    }
    with pytest.raises(ValueError, match=r"^invokingEvent must be JSON text, not None"):
        load(RULE).build_evaluation("i-1", "COMPLIANT", {})
