"""The rule resource_count_limit: what it counts, decides and reports."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from scripts.template import JsonObject, accepts, load_template
from tests.helpers import ABSENT, FakeAws, load, read_event, with_changes

RULE = "resource_count_limit"


@pytest.fixture
def config() -> Iterator[Any]:
    """AWS Config as moto answers for it, recording every type."""
    with mock_aws():
        client = boto3.client("config")
        role_arn = "arn:aws:iam::123456789012:role/recorder"
        group = {"allSupported": True, "includeGlobalResourceTypes": True}
        recorder = {"name": "default", "roleARN": role_arn, "recordingGroup": group}
        client.put_configuration_recorder(ConfigurationRecorder=recorder)
        client.put_delivery_channel(DeliveryChannel={"name": "default", "s3BucketName": "history"})
        client.start_configuration_recorder(ConfigurationRecorderName="default")
        yield client


def count_buckets(case: str, number: int) -> Any:
    """Create buckets; return what the rule reports for a sample event that counts them."""
    for each in range(number):
        boto3.client("s3").create_bucket(Bucket=f"bucket-{each}")
    # Of EC2 instances, which the sample counts, moto's AWS Config lists none.
    changes = {"applicableResourceType": "AWS::S3::Bucket"}
    event = with_changes(read_event(RULE, case), "ruleParameters", changes)
    return load(RULE).lambda_handler(event, None)


@pytest.mark.parametrize(
    ("case", "buckets", "compliance_type", "found"),
    [
        pytest.param("within_limit", 3, "COMPLIANT", "3; at most 50", id="below the limit"),
        pytest.param("over_limit", 2, "COMPLIANT", "2; at most 2", id="at the limit"),
        pytest.param("over_limit", 3, "NON_COMPLIANT", "at least 3; at most 2", id="above it"),
    ],
)
def test_account_is_evaluated_by_its_count(
    case: str, buckets: int, compliance_type: str, found: str, config: Any
) -> None:
    assert count_buckets(case, buckets) == [
        {
            "ComplianceResourceType": "AWS::::Account",
            "ComplianceResourceId": "123456789012",
            "ComplianceType": compliance_type,
            "Annotation": f"Resources of type AWS::S3::Bucket found: {found} allowed.",
            "OrderingTimestamp": "2026-11-06T09:15:28.107Z",
        }
    ]


def test_recorder_that_is_stopped_is_an_error(config: Any) -> None:
    config.stop_configuration_recorder(ConfigurationRecorderName="default")
    with pytest.raises(RuntimeError, match=r"not recording AWS::S3::Bucket: start the recorder\.$"):
        count_buckets("within_limit", 3)


def test_missing_recorder_is_an_error(config: Any) -> None:
    config.delete_configuration_recorder(ConfigurationRecorderName="default")
    with pytest.raises(RuntimeError, match=r"not recording AWS::S3::Bucket: start the recorder\.$"):
        count_buckets("within_limit", 3)


@pytest.mark.parametrize(
    ("field", "changes", "message"),
    [
        pytest.param(
            "ruleParameters",
            {"applicableResourceType": ABSENT},
            "applicableResourceType must be a resource type, not None",
            id="no resource type",
        ),
        pytest.param(
            "ruleParameters",
            {"applicableResourceType": 5},
            "applicableResourceType must be a resource type, not 5",
            id="a resource type that is a number",
        ),
        pytest.param(
            "ruleParameters",
            {"applicableResourceType": "  "},
            "applicableResourceType must be a resource type, not '  '",
            id="a blank resource type",
        ),
        pytest.param(
            "ruleParameters",
            {"maxCount": "ten"},
            "maxCount must be a whole number of 0 or more, not 'ten'",
            id="a limit that is no number",
        ),
        pytest.param(
            "invokingEvent",
            {"messageType": "ConfigurationSnapshot"},
            "messageType must be ScheduledNotification, not 'ConfigurationSnapshot'",
            id="another message type",
        ),
    ],
)
def test_invalid_event_is_an_error_before_any_call(
    field: str, changes: JsonObject, message: str
) -> None:
    event = with_changes(read_event(RULE, "within_limit"), field, changes)
    module = load(RULE, ASSUME_ROLE_MODE="true")  # the sample's role is an error of get_client
    with pytest.raises(ValueError, match=f"^{message}"):
        module.lambda_handler(event, None)


def test_account_is_required() -> None:
    event = read_event(RULE, "within_limit") | {"accountId": ""}
    with pytest.raises(ValueError, match="^accountId must be a non-empty string, not ''"):
        load(RULE, ASSUME_ROLE_MODE="true").lambda_handler(event, None)


# What it decides: no AWS is needed


@pytest.mark.parametrize(
    ("max_count", "actual_count", "compliance_type"),
    [
        (9, 10, "NON_COMPLIANT"),
        (10, 10, "COMPLIANT"),
        ("10", "9", "COMPLIANT"),
        ("9", 10, "NON_COMPLIANT"),
    ],
)
def test_counts_are_compared_as_numbers(
    max_count: int | str, actual_count: int | str, compliance_type: str
) -> None:
    assert load(RULE).evaluate_compliance(max_count, actual_count) == compliance_type


def test_evaluation_has_the_time_of_the_notification() -> None:
    notified = "2026-11-05T09:15:27.482Z"
    event = {"invokingEvent": json.dumps({"notificationCreationTime": notified})}
    expected = {
        "ComplianceResourceType": "AWS::::Account",
        "ComplianceResourceId": "123456789012",
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": notified,
    }
    build = load(RULE).build_evaluation
    assert build("123456789012", "COMPLIANT", event) == expected
    expected |= {"ComplianceResourceType": "AWS::IAM::User", "Annotation": "Why."}
    assert build("123456789012", "COMPLIANT", event, "AWS::IAM::User", "Why.") == expected
    assert "Annotation" not in build("123456789012", "COMPLIANT", event, annotation="")
    event = {"invokingEvent": json.dumps({"notificationCreationTime": 5})}
    with pytest.raises(ValueError, match=r"^notificationCreationTime must be a non-empty string, "):
        build("123456789012", "COMPLIANT", event)


@pytest.mark.parametrize(
    ("max_count", "allowed"),
    [("5", 5), (5, 5), (" 5\t", 5), ("0", 0), (0, 0), ("007", 7), (ABSENT, 0)],
    ids=["text", "number", "blanks", "zero as text", "zero", "leading zeros", "absent"],
)
def test_max_count_is_a_whole_number(max_count: Any, allowed: int) -> None:
    parameters = {"applicableResourceType": " AWS::EC2::Instance ", "owner": "team"}
    if max_count is not ABSENT:
        parameters["maxCount"] = max_count
    checked = {"applicableResourceType": "AWS::EC2::Instance", "maxCount": allowed, "owner": "team"}
    assert load(RULE).evaluate_parameters(parameters) == checked


@pytest.mark.parametrize(
    "max_count",
    ["ten", "1.5", "-1", "", " ", "5.0", "+5", "1_000", "٣", "1e3", 1.5, 5.0, -1, True, None, [5]],
    ids=repr,
)
def test_any_other_max_count_is_an_error(max_count: Any) -> None:
    message = f"maxCount must be a whole number of 0 or more, not {max_count!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load(RULE).evaluate_parameters(
            {"applicableResourceType": "AWS::EC2::Instance", "maxCount": max_count}
        )


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("MaxCount", "0", True),
        ("MaxCount", "99999", True),
        ("MaxCount", "100000", False),
        ("MaxCount", "1.5", False),
        ("ApplicableResourceType", "AWS::S3::Bucket", True),
        ("ApplicableResourceType", "EC2 instances", False),
    ],
)
def test_stack_accepts_only_types_and_whole_numbers(name: str, value: str, accepted: bool) -> None:
    assert accepts(load_template()["Parameters"][name], value) is accepted


# What moto cannot answer: pages of a list, and recorders as AWS Config describes them

INSTANCE = "AWS::EC2::Instance"
USER = "AWS::IAM::User"
RECORDER, STATUS = "DescribeConfigurationRecorders", "DescribeConfigurationRecorderStatus"
LIST, PUT = "ListDiscoveredResources", "PutEvaluations"


def with_parameters(**parameters: Any) -> JsonObject:
    """Return a sample event with other rule parameters."""
    return with_changes(read_event(RULE, "within_limit"), "ruleParameters", parameters)


def record_instances(aws: FakeAws, number: int) -> None:
    for each in range(number):
        aws.items.append({"resourceType": INSTANCE, "resourceId": f"i-{each}"})


def test_nothing_counted_is_a_plain_zero(aws: FakeAws) -> None:
    (evaluation,) = load(RULE).lambda_handler(with_parameters(maxCount="2"), None)
    assert evaluation["ComplianceType"] == "COMPLIANT"
    found = "0; at most 2 allowed."
    assert evaluation["Annotation"] == f"Resources of type {INSTANCE} found: {found}"
    assert aws.operations == [STATUS, RECORDER, LIST, PUT]


@pytest.mark.parametrize(
    ("resource_type", "listed", "found"),
    [
        ("AWS::EC2::Vloume", 0, "0 (does AWS Config know this type?)"),
        ("AWS::EC2::Vloume", 1, "1"),
        ("AWS::EC2::Vloume", 3, "at least 3"),
        ("AWS::EC2::Volume", 0, "0"),
    ],
)
def test_only_a_zero_of_an_unknown_type_is_asked_about(
    resource_type: str, listed: int, found: str, aws: FakeAws
) -> None:
    aws.items += [{"resourceType": resource_type, "resourceId": f"v-{n}"} for n in range(listed)]
    event = with_parameters(applicableResourceType=resource_type, maxCount="2")
    (evaluation,) = load(RULE).lambda_handler(event, None)
    expected = f"Resources of type {resource_type} found: {found}; at most 2 allowed."
    assert evaluation["Annotation"] == expected


@pytest.mark.parametrize(
    ("fleet", "max_count", "found", "lists"),
    [
        pytest.param(250, 300, "250", 3, id="under the limit every page is read"),
        pytest.param(300, 300, "300", 3, id="at the limit too"),
        pytest.param(500, 50, "at least 100", 1, id="the first page is over the limit"),
        pytest.param(500, 99, "at least 100", 1, id="its last resource is over the limit"),
        pytest.param(500, 100, "at least 200", 2, id="the second page is over the limit"),
    ],
)
def test_no_more_pages_are_listed_than_needed(
    fleet: int, max_count: int, found: str, lists: int, aws: FakeAws
) -> None:
    record_instances(aws, fleet)
    (evaluation,) = load(RULE).lambda_handler(with_parameters(maxCount=max_count), None)
    assert f"found: {found}; at most {max_count} allowed" in evaluation["Annotation"]
    assert aws.operations.count(LIST) == lists


def test_short_and_empty_pages_are_followed(aws: FakeAws) -> None:
    sizes = [0, 3, 0, 0, 40, 1]
    pages: list[JsonObject] = [{"resourceIdentifiers": [{}] * size} for size in sizes]
    for number, page in enumerate(pages[:-1]):
        page["nextToken"] = str(number)
    aws.canned_answers[LIST] = [*pages]
    client = boto3.client("config")
    assert load(RULE).count_resource_types(INSTANCE, "", 0, client, 44) == 44
    tokens = [call.parameters.get("nextToken") for call in aws.requests]
    assert tokens == [None, "0", "1", "2", "3", "4"]


def test_count_goes_on_from_a_token_and_a_count(aws: FakeAws) -> None:
    record_instances(aws, 250)
    client = boto3.client("config")
    assert load(RULE).count_resource_types(INSTANCE, "200", 7, client, 1000) == 57


def test_error_in_the_middle_of_a_count_reports_nothing(aws: FakeAws) -> None:
    first = {"resourceIdentifiers": [{}] * 100, "nextToken": "1"}
    aws.canned_answers[LIST] = [first, "ExpiredTokenException: The security token is expired"]
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        load(RULE).lambda_handler(with_parameters(maxCount="300"), None)
    assert aws.evaluations == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"lastStatus": "Failure", "lastErrorCode": "AccessDenied"}, "AccessDenied"),
        ({"lastStatus": "FAILURE", "lastErrorCode": "AccessDenied"}, "AccessDenied"),
        ({"lastStatus": "failure"}, "no error code"),
    ],
    ids=["as the API writes it", "in capitals", "without a code"],
)
def test_recorder_that_fails_is_an_error(status: JsonObject, reason: str, aws: FakeAws) -> None:
    aws.canned_answers[STATUS] = [{"ConfigurationRecordersStatus": [{"recording": True, **status}]}]
    message = f"AWS Config is not recording {INSTANCE}: the recorder fails ({reason})."
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        load(RULE).lambda_handler(with_parameters(), None)
    assert LIST not in aws.operations
    assert aws.evaluations == []


@pytest.mark.parametrize("last_status", ["Pending", "SUCCESS", "NotApplicable", ABSENT])
def test_recorder_with_any_other_status_is_accepted(last_status: Any, aws: FakeAws) -> None:
    recorder = {"recording": True}
    if last_status is not ABSENT:
        recorder["lastStatus"] = last_status
    aws.canned_answers[STATUS] = [{"ConfigurationRecordersStatus": [recorder]}]
    (evaluation,) = load(RULE).lambda_handler(with_parameters(), None)
    assert evaluation["ComplianceType"] == "COMPLIANT"


ALL = {"allSupported": True}
BUCKETS = ["AWS::S3::Bucket"]
BY_EXCLUSION = {"recordingStrategy": {"useOnly": "EXCLUSION_BY_RESOURCE_TYPES"}}


def exclude(*types: str) -> JsonObject:
    return BY_EXCLUSION | {"exclusionByResourceTypes": {"resourceTypes": [*types]}}


ADD = "add the type to what the recorder records"


@pytest.mark.parametrize(
    ("resource_type", "group", "fix"),
    [
        pytest.param(INSTANCE, ALL, None, id="all types"),
        pytest.param(USER, ALL, ADD, id="all types but the global ones"),
        *(
            pytest.param(f"AWS::IAM::{name}", ALL, ADD, id=f"{name} is global too")
            for name in ("Group", "Role", "Policy")
        ),
        pytest.param("AWS::IAM::SAMLProvider", ALL, None, id="others are not"),
        pytest.param(USER, ALL | {"includeGlobalResourceTypes": True}, None, id="global ones too"),
        pytest.param(INSTANCE, {"resourceTypes": [INSTANCE]}, None, id="a listed type"),
        pytest.param(INSTANCE, {"resourceTypes": BUCKETS}, ADD, id="other types"),
        pytest.param(INSTANCE, exclude(INSTANCE), ADD, id="an excluded type"),
        pytest.param(USER, exclude(USER), ADD, id="an excluded global type"),
        pytest.param(INSTANCE, ALL | exclude(INSTANCE), ADD, id="exclusion wins"),
        pytest.param(INSTANCE, exclude(*BUCKETS), None, id="others are excluded"),
        pytest.param(USER, exclude(*BUCKETS), None, id="exclusion leaves IAM in"),
        pytest.param(USER, exclude(), None, id="nothing is excluded"),
        pytest.param(USER, BY_EXCLUSION, None, id="no list of exclusions"),
        pytest.param(INSTANCE, {}, ADD, id="neither all types nor a list"),
        pytest.param(INSTANCE, ABSENT, ADD, id="no recording group"),
    ],
)
def test_type_outside_the_recording_group_is_an_error(
    resource_type: str, group: Any, fix: str | None, aws: FakeAws
) -> None:
    recorder = {"name": "default"} | ({} if group is ABSENT else {"recordingGroup": group})
    aws.canned_answers[RECORDER] = [{"ConfigurationRecorders": [recorder]}]
    event = with_parameters(applicableResourceType=resource_type)
    if fix is None:
        (evaluation,) = load(RULE).lambda_handler(event, None)
        assert evaluation["ComplianceType"] == "COMPLIANT"
    else:
        message = f"AWS Config is not recording {resource_type}: {fix}."
        with pytest.raises(RuntimeError, match=f"^{message}$"):
            load(RULE).lambda_handler(event, None)
        assert LIST not in aws.operations
        assert aws.evaluations == []
