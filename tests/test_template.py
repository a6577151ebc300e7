"""The template: what it deploys, what its parameters refuse, and that the sample events fit it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.conftest import ROOT, RULES, read_event

TEMPLATE: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
NAMES = {
    "desired_instance_type": "DesiredInstanceType",
    "resource_count_limit": "ResourceCountLimit",
}
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
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
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
