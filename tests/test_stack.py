"""template.yaml and the member role: what they deploy, for every rule and in both scopes."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.validate import ParamValidator
from moto.core import set_initial_no_auth_action_count

from scripts.local_aws import read_items
from scripts.run_events import list_events
from scripts.stack import ROOT, get_name, load_template, resolve_stack
from tests.conftest import (
    RULES,
    Json,
    Wire,
    get_message_types,
    load,
    read_event,
)

TEMPLATE = load_template()
PERIODIC_RULES = [rule for rule in RULES if get_message_types(rule) == ["ScheduledNotification"]]
CHANGE_RULES = [rule for rule in RULES if rule not in PERIODIC_RULES]
MEMBER_ROLE = ROOT / "organization" / "member-role.yaml"
ORGANIZATION = {"RuleScope": "Organization", "ExecutionRoleName": "ConfigRules"}
MEMBER = {"CentralAccountId": "123456789012", "ExecutionRoleName": "ConfigRules"}
ASSUMED_ROLE = {"AssumeRoleMode": "true", "ExecutionRoleName": "team/Evaluator"}
every_rule = pytest.mark.parametrize("rule", RULES)
scopes = pytest.mark.parametrize(
    "parameters",
    [{}, ASSUMED_ROLE, ORGANIZATION],
    ids=["account", "account with a role to assume", "organization"],
)


def get_properties(rule: str, resource: str, **parameters: Any) -> Json:
    """Return the properties of one of the rule's resources."""
    name = f"{get_name(rule)}{resource}"
    resources = resolve_stack(**parameters)
    assert name in resources, f"template.yaml has no {name}: each rule has one."
    properties: Json = resources[name]["Properties"]
    return properties


def list_statements(rule: str, **parameters: str) -> list[Json]:
    """Return what the function's role may do."""
    resources = resolve_stack(**parameters)
    role = resources[f"{get_name(rule)}Role"]["Properties"]
    managed = [resources[name]["Properties"] for name in role["ManagedPolicyArns"]]
    policies = [*role["Policies"], *managed]
    return [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]


def get_own_actions(rule: str) -> set[str]:
    """Return what the function may do besides writing its log and leaving failed events."""
    granted = (statement["Action"] for statement in list_statements(rule))
    actions = {action for each in granted for action in ([each] if isinstance(each, str) else each)}
    return actions - {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}


def check_request(service: str, operation: str, request: Json) -> str:
    """Return what AWS's model of the operation says against a request, nothing if it is right."""
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation)
    return str(ParamValidator().validate(request, shape.input_shape).generate_report())


# The rules and their functions


def test_every_folder_with_an_app_is_a_rule_of_the_template() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/app.py")}
    missing = folders - set(RULES)
    assert not missing, f"template.yaml has no function whose CodeUri is {missing}."


@every_rule
def test_function_has_its_own_code_log_and_role(rule: str) -> None:
    function = get_properties(rule, "Function")
    assert function["CodeUri"].strip("/") == rule
    assert function["LoggingConfig"]["LogGroup"] == f"{get_name(rule)}LogGroup"
    assert function["Role"].endswith(f":{get_name(rule)}Role")
    assert get_properties(rule, "LogGroup")["LogGroupName"].endswith(f"/{rule}")


@every_rule
@scopes
def test_function_is_told_whose_role_to_use(rule: str, parameters: dict[str, str]) -> None:
    assert get_properties(rule, "Function", **parameters)["Environment"]["Variables"] == {
        "ASSUME_ROLE_MODE": "true" if parameters else "false",
        "EXECUTION_ROLE_NAME": parameters.get("ExecutionRoleName", ""),
    }


@every_rule
@pytest.mark.parametrize("suffix", ["Rule", "OrganizationRule"])
def test_rule_waits_for_its_permission_and_for_the_failure_queue(rule: str, suffix: str) -> None:
    name = get_name(rule)
    waits_for = TEMPLATE["Resources"][f"{name}{suffix}"]["DependsOn"]
    assert waits_for == [f"{name}Permission", f"{name}FunctionEventInvokeConfig"]
    config = get_properties(rule, "Function")["EventInvokeConfig"]
    assert config["DestinationConfig"]["OnFailure"]["Destination"].endswith(":FailureQueue")


@every_rule
def test_permission_is_for_this_account_or_for_a_whole_organization(rule: str) -> None:
    permission = get_properties(rule, "Permission")
    assert permission["Principal"] == "config.amazonaws.com"
    assert permission["SourceAccount"] == "123456789012"
    assert "SourceAccount" not in get_properties(rule, "Permission", **ORGANIZATION)


@every_rule
def test_organization_rule_is_the_account_rule_for_all_accounts(rule: str) -> None:
    own = get_properties(rule, "Rule")
    parameters = {**ORGANIZATION, "ExcludedAccounts": ["111122223333"]}
    request = get_properties(rule, "OrganizationRule", **parameters)
    metadata = request["OrganizationCustomRuleMetadata"]
    assert check_request("config", "PutOrganizationConfigRule", request) == ""
    assert json.loads(metadata.get("InputParameters", "{}")) == own.get("InputParameters", {})
    assert metadata["Description"] == own["Description"]
    assert metadata["OrganizationConfigRuleTriggerTypes"] == get_message_types(rule)
    assert metadata.get("ResourceTypesScope") == own.get("Scope", {}).get("ComplianceResourceTypes")
    assert request["ExcludedAccounts"] == ["111122223333"]
    assert "ExcludedAccounts" not in get_properties(rule, "OrganizationRule", **ORGANIZATION)


# Permissions


enforced = set_initial_no_auth_action_count(0)  # runs a function while moto enforces policies


def assume_function_role(rule: str) -> boto3.Session:
    """Create the function's role in moto; return a session of it."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    iam.create_role(RoleName=rule, AssumeRolePolicyDocument="{}")
    policy = {"Version": "2012-10-17", "Statement": list_statements(rule)}
    iam.put_role_policy(RoleName=rule, PolicyName="all", PolicyDocument=json.dumps(policy))
    role_arn = f"arn:aws:iam::123456789012:role/{rule}"
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    keys = [credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    return boto3.Session(*keys, region_name="us-east-1")


@every_rule
def test_role_of_the_function_permits_what_its_samples_need_and_no_more(
    rule: str, aws: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = assume_function_role(rule)
    session.events.register_first("before-send", aws)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    aws.items += read_items(ROOT / "events" / rule)
    aws.calls.clear()
    module = load(rule)
    for path in list_events(rule):
        enforced(module.lambda_handler)(read_event(rule, path.stem), None)
    called = {call.action for call in aws.calls}
    assert get_own_actions(rule) == called, (
        "the role's actions and those that the sample events need"
    )


def test_policies_are_enforced_above(aws: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", assume_function_role("resource_count_limit"))
    event = read_event("desired_instance_type", "oversized")
    with pytest.raises(Exception, match=r"AccessDenied.*GetResourceConfigHistory"):
        enforced(load("desired_instance_type").lambda_handler)(event, None)


@every_rule
@pytest.mark.parametrize(
    ("parameters", "resource", "condition"),
    [
        (ASSUMED_ROLE, "arn:aws:iam::123456789012:role/team/Evaluator", None),
        (
            ORGANIZATION,
            "arn:aws:iam::*:role/ConfigRules",
            {"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}},
        ),
    ],
    ids=["account", "organization"],
)
def test_function_that_assumes_a_role_may_do_nothing_else(
    rule: str, parameters: dict[str, str], resource: str, condition: Any
) -> None:
    statements = {str(each["Action"]): each for each in list_statements(rule, **parameters)}
    assume = statements.pop("sts:AssumeRole")
    assert (assume["Resource"], assume.get("Condition")) == (resource, condition)
    assert set(statements) == {"['logs:CreateLogStream', 'logs:PutLogEvents']", "sqs:SendMessage"}


def test_member_role_trusts_the_functions_roles_alone() -> None:
    role = resolve_stack(MEMBER_ROLE, **MEMBER)["ExecutionRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::123456789012:root"}
    trusted = trust["Condition"]["ArnLike"]["aws:PrincipalArn"]
    for rule in RULES:
        path = get_properties(rule, "Role")["Path"]
        assert fnmatchcase(f"arn:aws:iam::123456789012:role{path}stack-{rule}-1ABC", trusted)
    assert not fnmatchcase("arn:aws:iam::123456789012:role/Administrator", trusted)
    assert not fnmatchcase("arn:aws:iam::111122223333:role/config-rules/other", trusted)


def test_member_role_permits_what_every_function_calls() -> None:
    role = resolve_stack(MEMBER_ROLE, **MEMBER)["ExecutionRole"]["Properties"]
    (statement,) = role["Policies"][0]["PolicyDocument"]["Statement"]
    needed = {action for rule in RULES for action in get_own_actions(rule)}
    missing = needed - set(statement["Action"])
    assert not missing, f"organization/member-role.yaml does not permit {missing}."


def test_no_policy_grants_a_wildcard_of_actions() -> None:
    texts = ((ROOT / "template.yaml").read_text(), MEMBER_ROLE.read_text())
    assert not re.search(r"\b[a-z0-9-]+:[A-Za-z]*\*\]?$", "\n".join(texts), re.MULTILINE)


# Alarms

ALARMS = {
    name: resource["Properties"]
    for name, resource in resolve_stack().items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


@pytest.mark.parametrize("name", ALARMS)
def test_alarm_is_what_cloudwatch_accepts_and_says_what_to_do(name: str) -> None:
    alarm = resolve_stack(AlarmTopicArn="arn:aws:sns:us-east-1:123456789012:t")[name]["Properties"]
    assert check_request("cloudwatch", "PutMetricAlarm", {"AlarmName": name, **alarm}) == ""
    assert alarm["AlarmActions"] == ["arn:aws:sns:us-east-1:123456789012:t"]
    assert "re-evaluate the rule (OPERATIONS.md)" in alarm["AlarmDescription"]
    kind = re.sub("^(" + "|".join(get_name(rule) for rule in RULES) + ")", "", name)
    assert f"`{kind}`" in (ROOT / "OPERATIONS.md").read_text()
    assert "AlarmActions" not in ALARMS[name]


@every_rule
def test_lost_event_alarms(rule: str) -> None:
    alarm = get_properties(rule, "LostAlarm")
    assert alarm["MetricName"] == "DestinationDeliveryFailures"
    assert alarm["Dimensions"] == [{"Name": "FunctionName", "Value": f"{get_name(rule)}Function"}]
    assert rule in alarm["AlarmDescription"]
    assert alarm["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize("rule", PERIODIC_RULES)
def test_periodic_rule_that_stops_alarms_but_not_before_its_first_two_days(rule: str) -> None:
    alarm = get_properties(rule, "StoppedAlarm")
    invocations, filled = alarm["Metrics"]
    metric = invocations["MetricStat"]["Metric"]
    assert metric["Dimensions"] == [{"Name": "FunctionName", "Value": f"{get_name(rule)}Function"}]
    assert filled["Expression"] == "FILL(invocations, 0)"
    seconds = alarm["EvaluationPeriods"] * invocations["MetricStat"]["Period"]
    assert seconds == 60 * alarm["WarmUpConfiguration"]["WarmUpPeriodDurationInMinutes"]
    # Otherwise the filled zeros would end the warm-up at once.
    assert alarm["WarmUpConfiguration"]["OnlyStartEvaluatingAfterWarmUpPeriodEnds"] is True
    assert f"{get_name(rule)}StoppedAlarm" not in resolve_stack(**ORGANIZATION)


# Parameters


def accepts(name: str, value: str) -> bool:
    parameter = TEMPLATE["Parameters"][name]
    if "AllowedValues" in parameter:
        return value in [str(each) for each in parameter["AllowedValues"]]
    fits = len(value) <= parameter.get("MaxLength", len(value))
    return fits and re.fullmatch(parameter["AllowedPattern"], value) is not None


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("DesiredInstanceType", ["t3.*, m5.large , inf?.xlarge"], ["", " , ", 't3.micro"}']),
        ("ApplicableResourceType", ["AWS::S3::Bucket"], ["", "EC2 instances"]),
        ("MaxCount", ["0", "100000"], ["", "ten", "1.5", "-1"]),
        ("ExcludedAccounts", ["", "111122223333"], ["1111", "all"]),
        ("ExecutionRoleName", ["", "team/Evaluator"], ["arn:aws:iam::123456789012:role/x", "/x"]),
        (
            "AlarmTopicArn",
            ["arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms"],
            ["alarms", "arn:aws:sns:us-east-1:123456789012:alarms.fifo"],
        ),
        ("ReservedConcurrency", ["", "10"], ["0", "ten"]),
    ],
)
def test_parameter_accepts_what_is_right_alone(
    name: str, accepted: list[str], refused: list[str]
) -> None:
    assert [value for value in accepted if not accepts(name, value)] == []
    assert [value for value in refused if accepts(name, value)] == []


# Sample events


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, path.stem) for rule in RULES for path in list_events(rule)]
)
def test_sample_event_fits_the_template(rule: str, case: str) -> None:
    event = read_event(rule, case)
    assert event["resultToken"] == "TESTMODE"
    parameters = get_properties(rule, "Rule").get("InputParameters", {})
    assert json.loads(event.get("ruleParameters", "{}")).keys() == parameters.keys()
    assert json.loads(event["invokingEvent"])["messageType"] in get_message_types(rule)


@every_rule
def test_sample_events_show_every_compliance_type(rule: str, aws: Wire) -> None:
    aws.items += read_items(ROOT / "events" / rule)
    events = [read_event(rule, path.stem) for path in list_events(rule)]
    found = {load(rule).lambda_handler(event, None)[0]["ComplianceType"] for event in events}
    expected = {"COMPLIANT", "NON_COMPLIANT"}
    if rule in CHANGE_RULES:
        expected.add("NOT_APPLICABLE")
        oversized = [event for event in events if "Oversized" in event["invokingEvent"]]
        assert oversized, f"events/{rule}/ has no oversized notification."
    missing = expected - found
    assert not missing, f"events/{rule}/ has no event that is {' or '.join(missing)}."
