"""The template: what it deploys, what its parameters refuse, and that the sample events fit it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore import xform_name
from samtranslator.yaml_helper import yaml_parse

from scripts.lambda_runtime import resolve
from tests.conftest import ROOT, RULES, read_event
from tests.fake_aws import check, load_model

TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
NAMES = {
    "desired_instance_type": "DesiredInstanceType",
    "resource_count_limit": "ResourceCountLimit",
}
README = (ROOT / "README.md").read_text()
EVENTS = sorted(ROOT.glob("events/*/*.json"))


def get_rule(rule: str) -> dict[str, Any]:
    properties: dict[str, Any] = RESOURCES[f"{NAMES[rule]}Rule"]["Properties"]
    return properties


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_event_fits_the_template(path: Any) -> None:
    event = json.loads(path.read_text())
    rule = get_rule(path.parent.name)
    assert event["resultToken"] == "TESTMODE"
    assert json.loads(event["ruleParameters"]).keys() == rule["InputParameters"].keys()
    message_type = json.loads(event["invokingEvent"])["messageType"]
    assert message_type in [detail["MessageType"] for detail in rule["Source"]["SourceDetails"]]


def test_sample_events_cover_each_verdict() -> None:
    cases = {f"{path.parent.name}/{path.stem}" for path in EVENTS}
    assert cases == {
        *(
            f"desired_instance_type/{case}"
            for case in ("compliant", "non_compliant", "deleted", "left_scope", "oversized")
        ),
        *(f"resource_count_limit/{case}" for case in ("within_limit", "over_limit")),
    }


def test_sample_configuration_item_is_complete() -> None:
    item = json.loads(read_event("desired_instance_type", "compliant")["invokingEvent"])
    configuration = item["configurationItem"]["configuration"]
    assert len(item["configurationItem"]) >= 16
    assert len(configuration) >= 35


def accepts(name: str, value: str) -> bool:
    parameter = TEMPLATE["Parameters"][name]
    if "AllowedValues" in parameter:
        return value in [str(each) for each in parameter["AllowedValues"]]
    if len(value) > parameter.get("MaxLength", len(value)):
        return False
    return re.fullmatch(parameter["AllowedPattern"], value) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DesiredInstanceType", "t3.micro"),
        ("DesiredInstanceType", "t3.*, m5.large , u-12tb1.metal,inf?.xlarge"),
        ("ApplicableResourceType", "AWS::EC2::Instance"),
        ("ApplicableResourceType", "AWS::ElasticLoadBalancingV2::LoadBalancer"),
        ("MaxCount", "0"),
        ("MaxCount", "100000"),
        ("MaximumExecutionFrequency", "Three_Hours"),
        ("AssumeRoleMode", "true"),
        ("ExecutionRoleName", ""),
        ("ExecutionRoleName", "team/ConfigEvaluator"),
        ("RuleScope", "Organization"),
        ("AlarmTopicArn", "arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms"),
        ("LogRetentionDays", "365"),
        ("ReservedConcurrency", "10"),
    ],
)
def test_good_parameter_value_is_accepted(name: str, value: str) -> None:
    assert accepts(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DesiredInstanceType", ""),
        ("DesiredInstanceType", " , "),
        ("DesiredInstanceType", 't3.micro"}'),
        ("DesiredInstanceType", "t3.micro," * 200),
        ("ApplicableResourceType", ""),
        ("ApplicableResourceType", "EC2 instances"),
        ("MaxCount", ""),
        ("MaxCount", "ten"),
        ("MaxCount", "1.5"),
        ("MaxCount", "-1"),
        ("MaximumExecutionFrequency", "Daily"),
        ("AssumeRoleMode", "yes"),
        ("ExecutionRoleName", "arn:aws:iam::123456789012:role/x"),
        ("ExecutionRoleName", "/x"),
        ("RuleScope", "Everything"),
        ("AlarmTopicArn", "alarms"),
        ("AlarmTopicArn", "arn:aws:sns:us-east-1:123456789012:alarms.fifo"),
        ("LogRetentionDays", "2"),
        ("ReservedConcurrency", "0"),
        ("ReservedConcurrency", "ten"),
    ],
)
def test_bad_parameter_value_is_refused(name: str, value: str) -> None:
    assert not accepts(name, value)


@pytest.mark.parametrize("name", TEMPLATE["Parameters"])
def test_parameter_is_explained_checked_and_has_a_good_default(name: str) -> None:
    parameter = TEMPLATE["Parameters"][name]
    assert parameter["Type"]
    assert parameter["Description"].endswith((".", ")."))
    assert accepts(name, str(parameter["Default"]))


@pytest.mark.parametrize("rule", RULES)
def test_rule_waits_for_a_permission_bound_to_this_account(rule: str) -> None:
    permission = RESOURCES[f"{NAMES[rule]}Permission"]["Properties"]
    assert permission["Principal"] == "config.amazonaws.com"
    assert permission["SourceAccount"]["Fn::If"] == [
        "InOrganization",
        {"Ref": "AWS::NoValue"},
        {"Ref": "AWS::AccountId"},
    ]
    assert RESOURCES[f"{NAMES[rule]}Rule"]["DependsOn"] == f"{NAMES[rule]}Permission"
    assert get_rule(rule)["Description"].startswith("Checks if")


def test_functions_last_longer_than_their_slowest_invocation(load: Any) -> None:
    timeout = TEMPLATE["Globals"]["Function"]["Timeout"]
    module = load("desired_instance_type")
    config = module.CLIENT_CONFIG
    attempts = config.retries["total_max_attempts"]
    # Standard retries wait up to 2 ** n seconds, and 5 more where the service asks for it.
    backoff = sum(2**number + 5 for number in range(attempts - 1))
    call = attempts * (config.connect_timeout + config.read_timeout) + backoff
    calls = 1 + module.MAX_HISTORY_PAGES + 1  # AssumeRole, the pages, PutEvaluations
    assert call * calls < timeout


@pytest.mark.parametrize("rule", RULES)
def test_function_has_its_own_log_role_and_alarms(rule: str) -> None:
    name = NAMES[rule]
    function = RESOURCES[f"{name}Function"]["Properties"]
    log = RESOURCES[f"{name}LogGroup"]
    assert function["LoggingConfig"]["LogGroup"] == {"Ref": f"{name}LogGroup"}
    assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}
    assert log["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert log["DeletionPolicy"] == "Delete"
    for metric, suffix in (("Errors", "Errors"), ("AsyncEventsDropped", "Dropped")):
        alarm = RESOURCES[f"{name}{suffix}Alarm"]["Properties"]
        assert alarm["MetricName"] == metric
        assert alarm["Dimensions"] == [
            {"Name": "FunctionName", "Value": {"Ref": f"{name}Function"}}
        ]
        assert rule in alarm["AlarmDescription"]


def test_failed_events_are_kept_encrypted_for_14_days() -> None:
    queue = RESOURCES["FailureQueue"]["Properties"]
    assert queue == {"MessageRetentionPeriod": 14 * 24 * 3600, "SqsManagedSseEnabled": True}
    invoke = TEMPLATE["Globals"]["Function"]["EventInvokeConfig"]
    assert invoke["MaximumRetryAttempts"] == 2
    assert invoke["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]},
    }
    watched = RESOURCES["FailureQueueAlarm"]["Properties"]["Dimensions"]
    assert watched == [
        {"Name": "QueueName", "Value": {"Fn::GetAtt": ["FailureQueue", "QueueName"]}}
    ]


ALARMS = [name for name, each in RESOURCES.items() if each["Type"] == "AWS::CloudWatch::Alarm"]


@pytest.mark.parametrize("name", ALARMS)
def test_alarm_notifies_and_is_explained(name: str) -> None:
    alarm = RESOURCES[name]["Properties"]
    topic = {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert alarm["AlarmActions"] == alarm["OKActions"] == topic
    assert len(alarm["AlarmDescription"]) > 100
    assert f"`{name}`" in README.split("## Operations")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("frequency", "hours"),
    [
        ("One_Hour", 1),
        ("Three_Hours", 3),
        ("Six_Hours", 6),
        ("Twelve_Hours", 12),
        ("TwentyFour_Hours", 24),
    ],
)
def test_rule_that_does_not_run_for_three_times_its_frequency_alarms(
    frequency: str, hours: int
) -> None:
    alarm = RESOURCES["ResourceCountLimitNotRunAlarm"]["Properties"]
    parameters = {"MaximumExecutionFrequency": frequency}
    assert resolve(alarm["Period"], TEMPLATE["Conditions"], parameters) == hours * 3600
    assert alarm["EvaluationPeriods"] == 3
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["MetricName"] == "Invocations"


def test_no_action_is_a_wildcard() -> None:
    text = (ROOT / "template.yaml").read_text() + (ROOT / "member-role.yaml").read_text()
    assert not re.search(r"\b[a-z]+:[A-Za-z]*\*", text)
    assert "ManagedPolicyArns" not in text
    assert text.count('Resource: "*"') == text.count('Resource: "*"  # AWS Config defines') == 3


@pytest.mark.parametrize(
    ("parameters", "accepted"),
    [
        ({}, True),
        ({"AssumeRoleMode": "true"}, False),
        ({"RuleScope": "Organization"}, False),
        ({"AssumeRoleMode": "true", "ExecutionRoleName": "x"}, True),
        ({"RuleScope": "Organization", "ExecutionRoleName": "x"}, True),
    ],
    ids=str,
)
def test_assumed_role_has_to_be_named(parameters: dict[str, str], accepted: bool) -> None:
    values = {name: each["Default"] for name, each in TEMPLATE["Parameters"].items()} | parameters
    (rule,) = TEMPLATE["Rules"].values()
    applies = resolve(rule["RuleCondition"], {}, values)
    holds = resolve(rule["Assertions"][0]["Assert"], {}, values)
    assert (not applies or holds) is accepted


@pytest.mark.parametrize("rule", RULES)
def test_organization_rule_is_what_the_api_takes(rule: str) -> None:
    values = {name: each["Default"] for name, each in TEMPLATE["Parameters"].items()}
    values |= {"AWS::StackName": "config-rules"}
    properties = dict(RESOURCES[f"{NAMES[rule]}OrganizationRule"]["Properties"])
    metadata = dict(properties["OrganizationCustomRuleMetadata"])
    for part in (properties, metadata):
        for name, value in part.items():
            if isinstance(value, dict) and "Fn::Sub" in value:
                text = re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], value["Fn::Sub"])
                part[name] = text
    metadata["LambdaFunctionArn"] = "arn:aws:lambda:us-east-1:123456789012:function:f"
    metadata = resolve_all(metadata, values)
    own = get_rule(rule)
    assert json.loads(metadata["InputParameters"]) == resolve_all(own["InputParameters"], values)
    messages = [detail["MessageType"] for detail in own["Source"]["SourceDetails"]]
    assert metadata["OrganizationConfigRuleTriggerTypes"] == messages
    assert metadata["Description"] == own["Description"]
    request = {**properties, "OrganizationCustomRuleMetadata": metadata}
    assert check("config", "PutOrganizationConfigRule", request) == ""


def resolve_all(part: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: resolve(value, {}, values) for name, value in part.items()}


def test_readme_lists_the_parameters_as_the_template_has_them() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (?:`(.+?)`|empty) \| (.+) \|$", README, re.MULTILINE)
    assert listed == [
        (name, str(each["Default"]), each["Description"])
        for name, each in TEMPLATE["Parameters"].items()
    ]


def test_readme_recovers_with_a_call_that_exists() -> None:
    (operation, parameter) = re.findall(r"aws configservice (\S+) --(\S+) RULE_NAME", README)[0]
    model = load_model("config").operation_model(
        "".join(word.capitalize() for word in operation.split("-"))
    )
    assert model.input_shape is not None
    assert parameter in {xform_name(name, "-") for name in model.input_shape.members}


def test_permission_cannot_name_the_rules_of_any_account() -> None:
    """Why the permission of an organization has no condition; if this fails, AWS allows one."""
    shape = load_model("lambda").operation_model("AddPermission").input_shape
    assert shape is not None
    assert "SourceOrgID" not in shape.members
    pattern = shape.members["SourceArn"].metadata["pattern"]
    assert re.fullmatch(pattern, "arn:aws:config:us-east-1:123456789012:config-rule/*")
    assert not re.fullmatch(pattern, "arn:aws:config:us-east-1:*:config-rule/*")
