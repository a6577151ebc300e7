"""The rule desired_instance_type: what it decides, and what its sample events give."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Json, Wire, load, read_event

RULE = "desired_instance_type"


def evaluate(instance_type: Any, **parameters: Any) -> tuple[str, str]:
    """Return compliance type and annotation of an instance."""
    module = load(RULE)
    item = {
        "resourceType": "AWS::EC2::Instance",
        "configuration": {"instanceType": instance_type},
    }
    compliance_type = module.evaluate_change_notification_compliance(item, parameters)
    return compliance_type, module.build_annotation(compliance_type, item, parameters)


@pytest.mark.parametrize(
    ("case", "compliance_type", "annotation"),
    [
        (
            "compliant",
            "COMPLIANT",
            "Instance type t3.micro matches the desired types: t3.micro, t3.small.",
        ),
        (
            "non_compliant",
            "NON_COMPLIANT",
            "Instance type m5.2xlarge does not match the desired types: t3.*.",
        ),
        (
            "deleted",
            "NOT_APPLICABLE",
            "Not evaluated: the resource's status is ResourceDeleted.",
        ),
        (
            "left_scope",
            "NOT_APPLICABLE",
            "Not evaluated: the resource is no longer in the rule's scope.",
        ),
    ],
)
def test_sample_event_is_evaluated(
    case: str, compliance_type: str, annotation: str, aws: Wire
) -> None:
    (evaluation,) = load(RULE).lambda_handler(read_event(RULE, case), None)
    assert evaluation["ComplianceType"] == compliance_type
    assert evaluation["Annotation"] == annotation
    assert aws.operations == ["PutEvaluations"]


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
        pytest.param("t3.micro", "T3.MICRO", "NON_COMPLIANT", id="case as AWS writes it"),
        pytest.param("t3.micro", "t[23].micro", "NON_COMPLIANT", id="a bracket is no wildcard"),
        pytest.param("t[23].micro", "t[23].micro", "COMPLIANT", id="a bracket is itself"),
        pytest.param("t3xmicro", "t3.micro", "NON_COMPLIANT", id="a dot is itself"),
    ],
)
def test_whole_instance_type_is_matched(
    instance_type: str, desired: str, compliance_type: str
) -> None:
    assert evaluate(instance_type, desiredInstanceType=desired)[0] == compliance_type


def test_annotation_has_no_commas_at_its_ends() -> None:
    _, annotation = evaluate("t3.micro", desiredInstanceType=" ,t3.*, m5.large, ")
    assert annotation == "Instance type t3.micro matches the desired types: t3.*, m5.large."


@pytest.mark.parametrize("desired", [..., None, "", " ", ", ,", ["t3.micro"], 3], ids=repr)
def test_missing_desired_type_is_an_error(desired: Any) -> None:
    parameters = {} if desired is ... else {"desiredInstanceType": desired}
    shown = None if desired is ... else desired
    with pytest.raises(ValueError, match="desiredInstanceType") as caught:
        evaluate("t3.micro", **parameters)
    message = f"desiredInstanceType must be a list of instance types, not {shown!r}."
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        (None, "configuration must be a non-empty object, not None."),
        ("{}", "configuration must be a non-empty object, not '{}'."),
        ({"imageId": "ami-1"}, "instanceType must be a non-empty string, not None."),
        ({"instanceType": 3}, "instanceType must be a non-empty string, not 3."),
    ],
    ids=["missing", "text", "without instance type", "with a number"],
)
def test_configuration_without_instance_type_is_an_error(configuration: Any, message: str) -> None:
    item: Json = {"resourceType": "AWS::EC2::Instance", "configuration": configuration}
    with pytest.raises(ValueError, match="must be") as caught:
        load(RULE).evaluate_change_notification_compliance(item, {"desiredInstanceType": "*"})
    assert str(caught.value) == message


def test_resource_that_is_no_instance_is_not_applicable_without_parameters() -> None:
    module, item = load(RULE), {"resourceType": "AWS::S3::Bucket"}
    assert module.evaluate_change_notification_compliance(item, {}) == "NOT_APPLICABLE"
    annotation = "Not evaluated: AWS::S3::Bucket is not AWS::EC2::Instance."
    assert module.build_annotation("NOT_APPLICABLE", item, {}) == annotation
