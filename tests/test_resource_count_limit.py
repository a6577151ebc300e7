"""The rule resource_count_limit: what it counts and decides, through moto's AWS Config."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, PaginationError

from tests.conftest import Json, Wire, edit, load, read_event

RULE = "resource_count_limit"
INSTANCE = "AWS::EC2::Instance"


def with_parameters(**parameters: Any) -> Json:
    """Return a sample event with other rule parameters; ... removes one."""
    return edit(read_event(RULE, "within_limit"), "ruleParameters", parameters)


def record_instances(aws: Wire, number: int) -> None:
    for each in range(number):
        aws.items.append({"resourceType": INSTANCE, "resourceId": f"i-{each}"})


@pytest.mark.parametrize(
    ("buckets", "compliance_type", "found"),
    [
        (0, "COMPLIANT", "0 (is the type recorded?)"),
        (2, "COMPLIANT", "2"),
        (3, "NON_COMPLIANT", "at least 3"),
    ],
)
def test_account_is_evaluated_by_its_count(
    buckets: int, compliance_type: str, found: str, aws: Wire
) -> None:
    for number in range(buckets):
        boto3.client("s3").create_bucket(Bucket=f"bucket-{number}")
    event = with_parameters(applicableResourceType="AWS::S3::Bucket", maxCount="2")
    assert load(RULE).lambda_handler(event, None) == [
        {
            "ComplianceResourceType": "AWS::::Account",
            "ComplianceResourceId": "123456789012",
            "ComplianceType": compliance_type,
            "Annotation": f"Resources of type AWS::S3::Bucket found: {found}; at most 2 allowed.",
            "OrderingTimestamp": "2026-11-06T09:15:28.107Z",
        }
    ]


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
    fleet: int, max_count: int, found: str, lists: int, aws: Wire
) -> None:
    record_instances(aws, fleet)
    (evaluation,) = load(RULE).lambda_handler(with_parameters(maxCount=max_count), None)
    assert f"found: {found}; at most {max_count} allowed" in evaluation["Annotation"]
    assert aws.operations == ["ListDiscoveredResources"] * lists + ["PutEvaluations"]
    assert aws.calls[0].parameters == {"resourceType": INSTANCE, "limit": 100}


def test_short_and_empty_pages_are_followed(aws: Wire) -> None:
    sizes = [0, 3, 0, 0, 40, 1]
    pages: list[Json] = [{"resourceIdentifiers": [{}] * size, "nextToken": "x"} for size in sizes]
    for number, page in enumerate(pages):
        page["nextToken"] = str(number)
    del pages[-1]["nextToken"]
    aws.answers["ListDiscoveredResources"] = [*pages]
    (evaluation,) = load(RULE).lambda_handler(with_parameters(maxCount="44"), None)
    assert "found: 44;" in evaluation["Annotation"]


def test_count_goes_on_from_a_token_and_a_count(aws: Wire) -> None:
    record_instances(aws, 250)
    client = boto3.client("config")
    assert load(RULE).count_resource_types(INSTANCE, "200", 7, client, 1000) == 57


@pytest.mark.parametrize(
    ("max_count", "allowed"),
    [("5", 5), (5, 5), (" 5\t", 5), ("0", 0), (0, 0), ("007", 7), (..., 0)],
    ids=["text", "number", "blanks", "zero as text", "zero", "leading zeros", "absent"],
)
def test_max_count_is_a_whole_number(max_count: Any, allowed: int) -> None:
    parameters = {"applicableResourceType": f" {INSTANCE} "}
    if max_count is not ...:
        parameters["maxCount"] = max_count
    checked = {"applicableResourceType": INSTANCE, "maxCount": allowed}
    assert load(RULE).evaluate_parameters(parameters) == checked


@pytest.mark.parametrize(
    "max_count",
    ["ten", "1.5", "-1", "", " ", "5.0", "+5", "1_000", "٣", "1e3", 1.5, 5.0, -1, True, None, [5]],
    ids=repr,
)
def test_any_other_max_count_is_an_error(max_count: Any) -> None:
    parameters = {"applicableResourceType": INSTANCE, "maxCount": max_count}
    with pytest.raises(ValueError, match="maxCount") as caught:
        load(RULE).evaluate_parameters(parameters)
    assert str(caught.value) == f"maxCount must be a whole number of 0 or more, not {max_count!r}."


@pytest.mark.parametrize("resource_type", [None, "", "  ", 5, [INSTANCE]], ids=repr)
def test_missing_resource_type_is_an_error(resource_type: Any) -> None:
    with pytest.raises(ValueError, match="applicableResourceType") as caught:
        load(RULE).evaluate_parameters({"applicableResourceType": resource_type})
    message = f"applicableResourceType must be a resource type, not {resource_type!r}."
    assert str(caught.value) == message


@pytest.mark.parametrize("parameters", [{"applicableResourceType": ...}, {"maxCount": "ten"}])
def test_bad_parameter_is_an_error_before_any_call(parameters: Json, aws: Wire) -> None:
    with pytest.raises(ValueError, match="must be"):
        load(RULE).lambda_handler(with_parameters(**parameters), None)
    assert aws.calls == []


@pytest.mark.parametrize(
    ("second_answer", "error"),
    [
        ("ExpiredTokenException: The security token is expired", "ExpiredTokenException"),
        ({"resourceIdentifiers": [], "nextToken": "1"}, "same next token"),
    ],
    ids=["the credentials expire", "the next token repeats"],
)
def test_fault_in_the_middle_of_a_count_is_an_error(
    second_answer: Any, error: str, aws: Wire
) -> None:
    first = {"resourceIdentifiers": [{}] * 100, "nextToken": "1"}
    aws.answers["ListDiscoveredResources"] = [first, second_answer]
    with pytest.raises((ClientError, PaginationError), match=error):
        load(RULE).lambda_handler(with_parameters(maxCount="300"), None)
    assert aws.evaluations == []
