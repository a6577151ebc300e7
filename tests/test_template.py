"""template.yaml: what is deployed for every rule, as SAM translates it."""

import json
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count

from scripts.events import list_sample_events
from scripts.organization import translate
from scripts.template import JsonObject, accepts, get_name, load_template, read_rule
from tests.helpers import FakeAws, every_rule, load, read_event

TEMPLATE = load_template()
TRANSLATED = translate()
IN = "In template.yaml"


def get_properties(rule: str, suffix: str) -> JsonObject:
    """Return the properties of one of the rule's resources, as CloudFormation gets them."""
    name = f"{get_name(rule)}{suffix}"
    assert name in TRANSLATED["Resources"], f"{IN} add {name}: each rule needs one."
    properties: JsonObject = TRANSLATED["Resources"][name]["Properties"]
    return properties


# The rules and their functions


TOPIC = ["arn", {"Ref": "AWS::Partition"}, "sns", {"Ref": "AWS::Region"}, {"Ref": "AlarmTopic"}]
ALARM = {
    "Namespace": "AWS/Lambda",
    "MetricName": "AsyncEventsDropped",
    "Statistic": "Sum",
    "Period": 300,
    "EvaluationPeriods": 1,
    "Threshold": 0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "AlarmActions": [{"Fn::Join": [":", TOPIC]}],
}


@every_rule
def test_lost_event_is_kept_with_its_error_and_alarms(rule: str) -> None:
    name = get_name(rule)
    invoked = get_properties(rule, "FunctionEventInvokeConfig")
    queue = {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}}
    assert invoked.get("DestinationConfig") == queue, f"{IN} {name}Function needs FailureQueue."
    assert "MaximumRetryAttempts" not in invoked, f"{IN} let {name}Function be retried twice."
    alarm = get_properties(rule, "Alarm")
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}]
    expected = ALARM | {"Dimensions": dimensions}
    wrong = [each for each, value in expected.items() if alarm.get(each) != value]
    assert not wrong, f"{IN} correct {wrong} of {name}Alarm, as in the other rules."
    described = alarm["AlarmDescription"]["Fn::Sub"]
    own_name = f"${{RuleNamePrefix}}{rule.replace('_', '-')} "
    for part in (
        own_name,
        "three times",
        "six hours",
        'docs/operations.md, section "An alarm rang"',
    ):
        assert part in described, f"{IN} AlarmDescription of {name}Alarm must have {part!r}."
    assert TRANSLATED["Resources"][f"{name}Alarm"].get("Condition") == "HasTopic", (
        f"{IN} {name}Alarm needs Condition: HasTopic, or it costs and tells nobody."
    )


@every_rule
def test_function_has_a_log_and_time_for_three_calls(rule: str) -> None:
    function, name = get_properties(rule, "Function"), f"{get_name(rule)}Function"
    group = function.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref", "")
    logs = TRANSLATED["Resources"].get(group, {}).get("Properties")
    assert logs == {"RetentionInDays": {"Ref": "LogRetentionDays"}}, (
        f"{IN} {name} must log to LogGroup, which has a retention and no fixed name."
    )
    level = function["LoggingConfig"].get("ApplicationLogLevel")
    assert level == "INFO", f"{IN} let {name} log at INFO: DEBUG may show what is secret."
    assert function.get("Timeout", 3) >= 120, f"{IN} give {name} a Timeout of 120 or more."


def test_alarms_are_made_only_with_a_topic() -> None:
    has_topic = {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopic"}, ""]}]}
    assert TRANSLATED["Conditions"]["HasTopic"] == has_topic


def test_failure_queue_keeps_events_for_14_days_and_encrypted() -> None:
    queue = TRANSLATED["Resources"]["FailureQueue"]["Properties"]
    assert queue == {"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": True}


@pytest.mark.parametrize("name", ["FailureQueue", "LogGroup"])
def test_queue_and_log_are_deleted_with_the_stack(name: str) -> None:
    resource = TRANSLATED["Resources"][name]
    assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Delete", "Delete")


def test_logs_are_kept_for_a_year_by_default() -> None:
    assert TEMPLATE["Parameters"]["LogRetentionDays"]["Default"] == 365


@every_rule
def test_rule_has_the_same_name_in_every_account(rule: str) -> None:
    own_name, resource = rule.replace("_", "-"), f"{get_name(rule)}Rule"
    configured = get_properties(rule, "Rule").get("ConfigRuleName")
    assert configured == {"Fn::Sub": f"${{RuleNamePrefix}}{own_name}"}, (
        f"{IN} {resource} needs ConfigRuleName: !Sub ${{RuleNamePrefix}}{own_name}."
    )
    longest = TEMPLATE["Parameters"]["RuleNamePrefix"]["MaxLength"] + len(own_name)
    assert longest <= 64, f"{rule}: some calls of AWS Config accept no longer name; shorten it."


@every_rule
def test_outputs_name_rule_function_and_alarm(rule: str) -> None:
    for kind in ("Rule", "Function", "Alarm"):
        name = f"{get_name(rule)}{kind}"
        output = TEMPLATE["Outputs"].get(f"{name}Name", {})
        needed = f"{IN} add the output {name}Name, as the other rules have."
        assert output.get("Value") == {"Ref": name}, needed
        assert output.get("Condition") == ("HasTopic" if kind == "Alarm" else None), needed


def test_outputs_name_log_group_and_queue() -> None:
    outputs = TEMPLATE["Outputs"]
    assert outputs["LogGroupName"]["Value"] == {"Ref": "LogGroup"}
    assert outputs["FailureQueueUrl"]["Value"] == {"Ref": "FailureQueue"}


@every_rule
def test_concurrency_of_a_change_triggered_rule_can_be_reserved(rule: str) -> None:
    reserved = get_properties(rule, "Function").get("ReservedConcurrentExecutions")
    if read_rule(rule).is_periodic:
        assert reserved is None, f"{IN} {get_name(rule)}Function runs alone: reserve nothing."
    else:
        given = ["HasReservedConcurrency", {"Ref": "ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
        function = f"{get_name(rule)}Function"
        assert reserved == {"Fn::If": given}, f"{IN} {function} needs ReservedConcurrentExecutions."


# Permissions


def as_list(value: Any) -> list[Any]:
    """Return the list, or one of the value alone: policies are written in both ways."""
    return value if isinstance(value, list) else [value]


def list_actions(rule: str, role: JsonObject) -> list[str]:
    """Return what a function may do besides writing its log and leaving failed events.

    AssertionError: the role may do more than its statements name.
    """
    own = f"{rule}: in Policies of template.yaml"
    basic = "service-role/AWSLambdaBasicExecutionRole"
    managed = [arn for arn in map(str, role["ManagedPolicyArns"]) if basic not in arn]
    assert not managed, f"{own} name each action instead of the managed policy {managed}."
    documents = [policy["PolicyDocument"] for policy in role.get("Policies", [])]
    statements = [each for document in documents for each in as_list(document["Statement"])]
    assert not [each for each in statements if "NotAction" in each], f"{own} write no NotAction."
    allowed = [each for each in statements if each["Effect"] == "Allow"]
    actions = [action for each in allowed for action in as_list(each["Action"])]
    wide = [action for action in actions if "*" in action or "?" in action]
    assert not wide, f"{own} name each action instead of {wide}."
    return [action for action in actions if action != "sqs:SendMessage"]


enforced = set_initial_no_auth_action_count(0)  # runs a function while moto enforces policies


def assume_role(name: str, actions: list[str], aws: FakeAws) -> None:
    """Create a role that may do this in moto, and let new clients have its credentials."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
    if actions:
        # Any Resource: moto compares with "*" alone, so that a narrower one cannot be tested.
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document)
    role_arn = f"arn:aws:iam::123456789012:role/{name}"
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    aws.sign_with(*(credentials[name] for name in names))


@every_rule
def test_function_that_assumes_roles_may_do_so(rule: str) -> None:
    variables = get_properties(rule, "Function").get("Environment", {}).get("Variables", {})
    is_on = str(variables.get("ASSUME_ROLE_MODE")).lower() == "true"
    may_assume = "sts:AssumeRole" in list_actions(rule, get_properties(rule, "FunctionRole"))
    assert is_on == may_assume, (
        f"{IN} {get_name(rule)}Function needs both ASSUME_ROLE_MODE and sts:AssumeRole, or neither."
    )


@every_rule
def test_role_permits_what_the_samples_need_and_no_more(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    actions = list_actions(rule, get_properties(rule, "FunctionRole"))
    if "sts:AssumeRole" in actions:
        pytest.skip(f"{rule} assumes a role of each account, and that role has the permissions")
    assume_role("nothing", [], aws)
    first = read_event(rule, list_sample_events(rule)[0].stem)
    with pytest.raises(ClientError, match="AccessDenied"):  # moto enforces policies
        enforced(load(rule).lambda_handler)(first, None)
    assume_role("function", actions, aws)
    aws.requests.clear()
    module = load(rule)
    for path in list_sample_events(rule):
        denied = ""
        try:
            enforced(module.lambda_handler)(read_event(rule, path.stem), None)
        except ClientError:
            denied = aws.requests[-1].action
        function = f"{get_name(rule)}Function"
        assert not denied, f"{IN} add {denied} to Policies of {function}: {path.name} needs it."
    own = f"Policies of {get_name(rule)}Function"
    called = {call.action for call in aws.requests}
    # moto does not enforce policies where a state.py answers in its place.
    missing = sorted((called & aws.answers.keys()) - set(actions))
    assert not missing, f"{IN} add {', '.join(missing)} to {own}: its events need it."
    unused = sorted(action for action in set(actions) - called if is_call(action))
    assert not unused, f"{IN} remove {', '.join(unused)} from {own}: no event of it needs it."


def is_call(action: str) -> bool:
    """Return whether the action has the name of a call; s3:ListAllMyBuckets has not."""
    service, _colon, operation = action.partition(":")
    session = botocore.session.get_session()
    is_service = service in session.get_available_services()
    return is_service and operation in session.get_service_model(service).operation_names


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("AlarmTopic", "", True),
        ("AlarmTopic", "123456789012:alarms", True),
        ("AlarmTopic", "123456789012:alarms.fifo", False),
        ("AlarmTopic", "arn:aws:sns:us-east-1:123456789012:alarms", False),
        ("ReservedConcurrency", "", True),
        ("ReservedConcurrency", "1", True),
        ("ReservedConcurrency", "0", False),
        ("RuleNamePrefix", "config-rules-", True),
        ("RuleNamePrefix", "a" * 32, True),
        ("RuleNamePrefix", "a" * 33, False),
        ("RuleNamePrefix", "", False),
        ("RuleNamePrefix", "my_", False),
    ],
)
def test_parameter_has_its_form(name: str, value: str, accepted: bool) -> None:
    if name in TEMPLATE["Parameters"]:  # the one of change-triggered rules can go with them
        assert accepts(TEMPLATE["Parameters"][name], value) is accepted
