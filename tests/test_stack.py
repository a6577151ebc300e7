"""The stack proven without AWS: translated, created in moto, its roles and rules put to use."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.exceptions import ClientError
from cfnlint.api import ManualArgs, lint
from moto.iam.models import get_account_id_from

from scripts.lambda_runtime import find_emulator, load_function, resolve, start_function
from scripts.local_aws import REGION, launch, start_local_aws, start_session
from scripts.run_events import find_instance, load_cases
from tests.conftest import ROOT, RULES, read_event
from tests.stack import create_stack, deploy, translate
from tests.test_template import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import boto3

    from scripts.local_aws import LocalAws
    from tests.stack import Stack

linux = pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator is a Linux binary")
SCOPES = {
    "account": {},
    "account, assumed role": {"AssumeRoleMode": "true", "ExecutionRoleName": "team/Evaluator"},
    "organization": {"RuleScope": "Organization", "ExecutionRoleName": "Evaluator"},
    "organization, assumed role": {
        "RuleScope": "Organization",
        "AssumeRoleMode": "true",
        "ExecutionRoleName": "Evaluator",
    },
}
BASICS = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}
OWN = {
    "desired_instance_type": {"config:PutEvaluations", "config:GetResourceConfigHistory"},
    "resource_count_limit": {"config:PutEvaluations", "config:ListDiscoveredResources"},
}


@pytest.fixture
def moto() -> Iterator[LocalAws]:
    with start_local_aws() as aws:
        yield aws
        set_open_calls(aws, float("inf"))
        requests.post(f"{aws.endpoint}/moto-api/reset", timeout=10)


def set_open_calls(aws: LocalAws, number: float) -> None:
    """Let moto answer that many calls before it enforces IAM policies."""
    requests.post(f"{aws.endpoint}/moto-api/reset-auth", data=str(number), timeout=10)


@contextmanager
def enforce_policies(aws: LocalAws) -> Iterator[None]:
    set_open_calls(aws, 0)
    try:
        yield
    finally:
        set_open_calls(aws, float("inf"))


def assume(aws: LocalAws, session: boto3.Session, role_arn: str) -> dict[str, str]:
    """Return credentials of the role as the environment variables of a function."""
    sts: Any = session.client("sts", endpoint_url=aws.endpoint)
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


@pytest.mark.parametrize("text", ["template", "member-role"])
def test_template_lints_clean(text: str) -> None:
    template = (
        json.dumps(translate(), default=str)
        if text == "template"
        else (ROOT / "member-role.yaml").read_text()
    )
    assert lint(template, config=ManualArgs(regions=[REGION])) == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scope", SCOPES)
def test_stack_of_each_scope_configures_and_permits_the_functions(
    scope: str, rule: str, moto: LocalAws
) -> None:
    stack = create_stack(moto, **SCOPES[scope])
    function = stack.get_function(NAMES[rule])
    own = scope == "account"
    assert function["Environment"]["Variables"] == {
        "ASSUME_ROLE_MODE": "false" if own else "true",
        "EXECUTION_ROLE_NAME": SCOPES[scope].get("ExecutionRoleName", ""),
    }
    expected = OWN[rule] if own else {"sts:AssumeRole"}
    assert stack.get_actions(NAMES[rule]) == expected | BASICS
    policy = stack.client("lambda").get_policy(FunctionName=function["FunctionName"])["Policy"]
    (statement,) = json.loads(policy)["Statement"]
    assert statement["Principal"] == {"Service": "config.amazonaws.com"}
    in_account = scope.startswith("account")
    assert ("123456789012" in json.dumps(statement.get("Condition", ""))) is in_account


@pytest.mark.parametrize(
    ("scope", "resource", "condition"),
    [
        ("account, assumed role", "arn:aws:iam::123456789012:role/team/Evaluator", None),
        (
            "organization",
            "arn:aws:iam::*:role/Evaluator",
            {"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
        ),
    ],
)
def test_only_the_named_role_can_be_assumed(
    scope: str, resource: str, condition: Any, moto: LocalAws
) -> None:
    stack = create_stack(moto, **SCOPES[scope])
    for name in NAMES.values():
        (statement,) = (
            each for each in stack.get_statements(name) if each["Action"] == "sts:AssumeRole"
        )
        assert statement["Resource"] == resource
        assert statement.get("Condition") == condition


@pytest.mark.parametrize("rule", RULES)
def test_config_rule_is_accepted(rule: str, moto: LocalAws) -> None:
    stack = create_stack(moto)
    template = stack.template
    defaults = {name: each["Default"] for name, each in template["Parameters"].items()}

    def fill(value: Any) -> Any:
        if isinstance(value, dict) and "Fn::GetAtt" in value:
            return stack.get_function(NAMES[rule])["FunctionArn"]
        value = resolve(value, template["Conditions"], defaults)
        if isinstance(value, dict):
            return {name: fill(each) for name, each in value.items()}
        return [fill(each) for each in value] if isinstance(value, list) else value

    properties = fill(template["Resources"][f"{NAMES[rule]}Rule"]["Properties"])
    properties["InputParameters"] = json.dumps(properties["InputParameters"])
    config = stack.client("config")
    config.put_config_rule(ConfigRule={"ConfigRuleName": rule, **properties})
    (found,) = config.describe_config_rules(ConfigRuleNames=[rule])["ConfigRules"]
    assert found["Source"] == properties["Source"]

    properties["Source"]["SourceIdentifier"] += "-other"
    with pytest.raises(ClientError, match="cannot be invoked"):
        config.put_config_rule(ConfigRule={"ConfigRuleName": "other", **properties})


@linux
@pytest.mark.parametrize("rule", RULES)
def test_role_of_the_function_suffices_and_grants_no_more(rule: str, moto: LocalAws) -> None:
    stack = create_stack(moto)
    cases = load_cases(sorted(ROOT.glob(f"events/{rule}/*.json")), None)
    for instance_id, instance_type in filter(None, (find_instance(case.event) for case in cases)):
        launch(moto.endpoint, instance_id, instance_type)
    credentials = assume(moto, stack.session, stack.outputs[f"{NAMES[rule]}RoleArn"])
    with (
        enforce_policies(moto),
        start_function(
            load_function(rule), moto.endpoint, emulator=find_emulator(), **credentials
        ) as runtime,
    ):
        moto.forget_calls()
        answers = [runtime.invoke(case.event) for case in cases]
        called = {f"config:{operation}" for operation in moto.get_calls()}
    assert all(isinstance(answer, list) for answer in answers), answers
    assert called == OWN[rule]
    assert stack.get_actions(NAMES[rule]) - BASICS == called


@linux
def test_policies_are_enforced_by_the_tests_above(moto: LocalAws) -> None:
    stack = create_stack(moto)
    credentials = assume(moto, stack.session, stack.outputs["ResourceCountLimitRoleArn"])
    function = load_function("desired_instance_type")
    event = read_event("desired_instance_type", "oversized")
    with (
        enforce_policies(moto),
        start_function(function, moto.endpoint, emulator=find_emulator(), **credentials) as runtime,
    ):
        answer = runtime.invoke(event)
    assert answer["errorType"] == "ClientError"
    assert "AccessDenied" in answer["errorMessage"]
    assert "config:GetResourceConfigHistory" in answer["errorMessage"]


# An organization: the central account is 123456789012.

MEMBERS = {"111122223333": 1, "444455556666": 3}


def of_account(event: dict[str, Any], account: str) -> dict[str, Any]:
    """Return the event as the member account's AWS Config sends it."""
    text = json.dumps(event).replace("123456789012", account)
    moved: dict[str, Any] = json.loads(text)
    return moved


@linux
@pytest.mark.parametrize("rule", RULES)
def test_organization_is_judged_account_by_account(rule: str, moto: LocalAws) -> None:
    stack = create_stack(moto, RuleScope="Organization", ExecutionRoleName="Evaluator")
    launch(moto.endpoint, "i-central", "m5.large")
    for account, instances in MEMBERS.items():
        set_up_member(moto, stack, account, instances)
    variables = stack.get_function(NAMES[rule])["Environment"]["Variables"]
    credentials = assume(moto, stack.session, stack.outputs[f"{NAMES[rule]}RoleArn"])
    case = {"desired_instance_type": "oversized", "resource_count_limit": "over_limit"}[rule]
    with (
        enforce_policies(moto),
        start_function(
            load_function(rule),
            moto.endpoint,
            emulator=find_emulator(),
            **variables,
            **credentials,
        ) as runtime,
    ):
        for account, instances in [*MEMBERS.items(), *MEMBERS.items()]:
            moto.forget_calls()
            answer = runtime.invoke(of_account(read_event(rule, case), account))
            assert isinstance(answer, list), answer
            check_member(rule, account, instances, answer[0], moto.get_requests())


def set_up_member(aws: LocalAws, stack: Stack, account: str, instances: int) -> None:
    """Deploy member-role.yaml in the member account and launch its instances there."""
    access = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
    session = start_session(assume(aws, stack.session, access))
    roles = ",".join(stack.outputs[f"{name}RoleArn"] for name in NAMES.values())
    deploy(
        session,
        aws,
        (ROOT / "member-role.yaml").read_text(),
        "config-rules-member",
        FunctionRoleArns=roles,
        ExecutionRoleName="Evaluator",
    )
    iam: Any = session.client("iam", endpoint_url=aws.endpoint)
    trust = iam.get_role(RoleName="Evaluator")["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"AWS": roles.split(",")}
    for number in range(instances):
        # The first of each account has the id that the oversized event names.
        name = f"i-0b16000000000005{'bcdef'[number]}"
        launch(aws.endpoint, name, f"m{instances}.large", session)


def check_member(
    rule: str,
    account: str,
    instances: int,
    evaluation: dict[str, str],
    requests_made: list[dict[str, Any]],
) -> None:
    """Check that the evaluation is of the account's own resources, sent with its credentials."""
    for request in requests_made:
        key = request["headers"]["Authorization"].split("Credential=")[1].split("/")[0]
        expected = "123456789012" if request["operation"] == "AssumeRole" else account
        assert get_account_id_from(key) == expected, request["operation"]
    assert requests_made[-1]["operation"] == "PutEvaluations"
    if rule == "resource_count_limit":
        assert evaluation["ComplianceResourceId"] == account
        assert f"discovered {instances} of" in evaluation["Annotation"]
        assert evaluation["ComplianceType"] == ("NON_COMPLIANT" if instances > 2 else "COMPLIANT")
    else:
        assert f"m{instances}.large is not among" in evaluation["Annotation"]
