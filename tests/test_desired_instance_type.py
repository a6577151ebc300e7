"""The rule desired_instance_type: what it decides and reports."""

import json
import re
from typing import Any

import pytest
from moto import mock_aws

from scripts.template import accepts, load_template
from tests.helpers import ABSENT, FakeAws, load, read_event, with_changes

RULE = "desired_instance_type"
INSTANCE = "AWS::EC2::Instance"


@pytest.mark.parametrize(
    ("case", "compliance_type", "annotation"),
    [
        (
            "compliant",
            "COMPLIANT",
            "Instance type t3.micro matches the desired types: t3.micro,t3.small.",
        ),
        (
            "non_compliant",
            "NON_COMPLIANT",
            "Instance type m5.2xlarge does not match the desired types: t3.*.",
        ),
        ("deleted", "NOT_APPLICABLE", "Not evaluated: the resource's status is ResourceDeleted."),
        (
            "left_scope",
            "NOT_APPLICABLE",
            "Not evaluated: the resource is no longer in the rule's scope.",
        ),
    ],
    ids=["desired", "not desired", "deleted", "out of scope"],
)
@mock_aws
def test_sample_event_is_evaluated(case: str, compliance_type: str, annotation: str) -> None:
    event = read_event(RULE, case)
    item = json.loads(event["invokingEvent"])["configurationItem"]
    assert load(RULE).lambda_handler(event, None) == [
        {
            "ComplianceResourceType": "AWS::EC2::Instance",
            "ComplianceResourceId": item["resourceId"],
            "ComplianceType": compliance_type,
            "Annotation": annotation,
            "OrderingTimestamp": item["configurationItemCaptureTime"],
        }
    ]


@mock_aws
def test_deleted_resource_needs_no_configuration_and_no_parameter() -> None:
    changes = {"configurationItem.configuration": ABSENT}
    event = with_changes(read_event(RULE, "deleted"), "invokingEvent", changes)
    del event["ruleParameters"]
    (evaluation,) = load(RULE).lambda_handler(event, None)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"


@pytest.mark.parametrize("status", [ABSENT, 5], ids=["absent", "a number"])
@mock_aws
def test_status_is_required(status: Any) -> None:
    changes = {"configurationItem.configurationItemStatus": status}
    event = with_changes(read_event(RULE, "compliant"), "invokingEvent", changes)
    with pytest.raises(ValueError, match="configurationItemStatus must be a non-empty"):
        load(RULE).lambda_handler(event, None)


# What it decides: no AWS is needed


def evaluate(instance_type: Any, **parameters: Any) -> tuple[str, str]:
    """Return compliance type and annotation of an instance."""
    module = load(RULE)
    item = {"resourceType": INSTANCE, "configuration": {"instanceType": instance_type}}
    compliance_type = module.evaluate_change_notification_compliance(item, parameters)
    return compliance_type, module.build_annotation(compliance_type, item, parameters)


@pytest.mark.parametrize(
    ("instance_type", "desired", "compliance_type"),
    [
        pytest.param("t3.micro", "t3.micro", "COMPLIANT", id="the only desired type"),
        pytest.param("t3.micro", "m5.large,t3.micro", "COMPLIANT", id="one of several"),
        pytest.param("t3.micro", " m5.large , t3.micro ,", "COMPLIANT", id="blanks are ignored"),
        pytest.param("f1.2xlarge", "inf1.2xlarge", "NON_COMPLIANT", id="part of a desired type"),
        pytest.param("inf1.2xlarge", "f1.2xlarge", "NON_COMPLIANT", id="more than a desired type"),
        pytest.param("t3.micro", "t3.*", "COMPLIANT", id="any size of a family"),
        pytest.param("t3a.micro", "t3.*", "NON_COMPLIANT", id="another family"),
        pytest.param("t3a.micro", "t3?.micro", "COMPLIANT", id="any one character"),
        pytest.param("t3.micro", "t3?.micro", "NON_COMPLIANT", id="one character, not none"),
        pytest.param("u-6tb1.metal", "u-6tb1.*", "COMPLIANT", id="a hyphen"),
        pytest.param("t3xmicro", "t3.micro", "NON_COMPLIANT", id="a dot is itself"),
    ],
)
def test_whole_instance_type_is_matched(
    instance_type: str, desired: str, compliance_type: str
) -> None:
    assert evaluate(instance_type, desiredInstanceType=desired)[0] == compliance_type


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("t3.*,m5.large,inf?.xlarge", True),
        ("", False),
        ("t3.*,", False),  # what SAM CLI leaves of "t3.*, m5.large"
        (",t3.*", False),
        ("t3.*, m5.large", False),
        ("T3.micro", False),
        ('t3.micro"}', False),
    ],
    ids=repr,
)
def test_stack_accepts_only_lists_of_instance_types(value: str, accepted: bool) -> None:
    parameter = load_template()["Parameters"]["DesiredInstanceType"]
    assert accepts(parameter, value) is accepted


def test_annotation_lists_the_desired_types_without_blanks() -> None:
    _, annotation = evaluate("t3.micro", desiredInstanceType=" ,t3.*, m5.large, ")
    assert annotation == "Instance type t3.micro matches the desired types: t3.*,m5.large."


@pytest.mark.parametrize("desired", [None, "", ["t3.micro"], 3], ids=repr)
def test_missing_desired_type_is_an_error(desired: Any) -> None:
    message = f"desiredInstanceType must be a non-empty string, not {desired!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate("t3.micro", desiredInstanceType=desired)


@pytest.mark.parametrize(
    "desired",
    [
        " \n",
        ", ,",
        "t3.micro t3.small",
        "t3.micro;t3.small",
        "t[34].micro",
        "*,t3_micro",
        "T3.MICRO",
    ],
    ids=repr,
)
def test_entry_that_is_no_instance_type_is_an_error(desired: str) -> None:
    expected = "instance types in lower case, separated by commas"
    message = f"desiredInstanceType must be {expected}, not {desired!r}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        evaluate("t3.micro", desiredInstanceType=desired)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (None, "configuration must be a non-empty object, not null."),
        ("{}", "configuration must be a non-empty object, not a string."),
        ({"imageId": "ami-1"}, "instanceType must be a non-empty string, not None."),
    ],
    ids=["null", "a string", "no instance type"],
)
def test_configuration_without_instance_type_is_an_error(configuration: Any, message: str) -> None:
    item = {"resourceType": "AWS::EC2::Instance", "configuration": configuration}
    with pytest.raises(ValueError, match=f"^{message}$"):
        load(RULE).evaluate_change_notification_compliance(item, {"desiredInstanceType": "*"})


def test_other_resource_is_not_applicable_and_needs_no_parameter() -> None:
    module, item = load(RULE), {"resourceType": "AWS::S3::Bucket"}
    assert module.evaluate_change_notification_compliance(item, {}) == "NOT_APPLICABLE"
    annotation = "Not evaluated: AWS::S3::Bucket is not AWS::EC2::Instance."
    assert module.build_annotation("NOT_APPLICABLE", item, {}) == annotation


# What moto cannot answer: AWS Config's history, which make run's AWS has


def test_oversized_notification_is_evaluated_from_the_history(aws: FakeAws) -> None:
    aws.prepare_rule(RULE)
    aws.items[0]["configurationItemCaptureTime"] += 0.25
    assert load(RULE).lambda_handler(read_event(RULE, "oversized"), None) == [
        {
            "ComplianceResourceType": "AWS::EC2::Instance",
            "ComplianceResourceId": "i-0b16000000000005b",
            "ComplianceType": "NON_COMPLIANT",
            "Annotation": "Instance type t3.large does not match the desired types: "
            "t3.micro,t3.small.",
            "OrderingTimestamp": "2026-11-05T09:15:27.732Z",
        }
    ]
    assert aws.operations == ["GetResourceConfigHistory", "PutEvaluations"]
