"""template.yaml: names, alarms, outputs and what is kept, as docs/operations.md promises them."""

import tomllib

import pytest

from scripts.template import ROOT, accepts, get_name, list_rules, load_template

TEMPLATE = load_template()
RESOURCES, PARAMETERS, OUTPUTS = (TEMPLATE[k] for k in ("Resources", "Parameters", "Outputs"))
every_rule = pytest.mark.parametrize("rule", list_rules())


@every_rule
def test_rule_has_the_same_name_in_every_account(rule: str) -> None:
    own = rule.replace("_", "-")
    properties = RESOURCES[f"{get_name(rule)}Rule"]["Properties"]
    assert properties.get("ConfigRuleName") == {"Fn::Sub": f"${{RuleNamePrefix}}{own}"}, (
        f"template.yaml: {get_name(rule)}Rule needs ConfigRuleName: !Sub ${{RuleNamePrefix}}{own}."
    )


@every_rule
def test_name_of_a_rule_has_at_most_64_characters(rule: str) -> None:
    longest = PARAMETERS["RuleNamePrefix"]["MaxLength"] + len(rule)
    assert longest <= 64, f"{rule}: some calls of AWS Config accept no longer name; shorten it."


@pytest.mark.parametrize(
    ("parameter", "value", "accepted"),
    [
        pytest.param("RuleNamePrefix", "config-rules-", True, id="prefix with a hyphen"),
        pytest.param("RuleNamePrefix", "a" * 32, True, id="longest prefix"),
        pytest.param("RuleNamePrefix", "a" * 33, False, id="prefix that is too long"),
        pytest.param("RuleNamePrefix", "", False, id="no prefix, as in the name of a managed rule"),
        pytest.param("RuleNamePrefix", "my_", False, id="wildcard of a query in the prefix"),
        pytest.param("DesiredInstanceType", "t3.*,m5.large", True, id="list of types"),
        pytest.param("DesiredInstanceType", "T3.micro", False, id="type with a capital letter"),
        pytest.param("DesiredInstanceType", "t3.*, m5.large", False, id="list with a blank"),
    ],
)
def test_parameter_is_accepted_in_its_form(parameter: str, value: str, accepted: bool) -> None:
    assert accepts(PARAMETERS[parameter], value) is accepted


@every_rule
def test_alarm_exists_only_with_a_topic(rule: str) -> None:
    alarm = RESOURCES[f"{get_name(rule)}Alarm"]
    topic = "arn:${AWS::Partition}:sns:${AWS::Region}:${AlarmTopic}"
    assert alarm.get("Condition") == "HasTopic"
    assert alarm["Properties"]["AlarmActions"] == [{"Fn::Sub": topic}]
    assert TEMPLATE["Conditions"]["HasTopic"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopic"}, ""]}]
    }


@every_rule
def test_alarm_names_rule_causes_and_document(rule: str) -> None:
    described = RESOURCES[f"{get_name(rule)}Alarm"]["Properties"]["AlarmDescription"]["Fn::Sub"]
    name = f"${{RuleNamePrefix}}{rule.replace('_', '-')} "
    for part in (name, "three times", "six hours", 'docs/operations.md, section "An alarm rang"'):
        assert part in described
    assert "\n## An alarm rang\n" in (ROOT / "docs" / "operations.md").read_text()


@every_rule
def test_outputs_name_rule_function_and_alarm(rule: str) -> None:
    name = get_name(rule)
    for kind in ("Rule", "Function", "Alarm"):
        output = OUTPUTS.get(f"{name}{kind}Name", {})
        needed = f"template.yaml: add the output {name}{kind}Name, as the other rules have."
        assert output.get("Value") == {"Ref": f"{name}{kind}"}, needed
        assert output.get("Condition") == ("HasTopic" if kind == "Alarm" else None)


def test_outputs_name_log_group_and_queue() -> None:
    assert OUTPUTS["LogGroupName"]["Value"] == {"Ref": "LogGroup"}
    assert OUTPUTS["FailureQueueUrl"]["Value"] == {"Ref": "FailureQueue"}


def test_version_of_the_stack_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert OUTPUTS["Version"]["Value"] == project["version"]


def test_logs_are_kept_for_a_year_by_default() -> None:
    assert PARAMETERS["LogRetentionDays"]["Default"] == 365


@pytest.mark.parametrize("resource", ["FailureQueue", "LogGroup"])
def test_queue_and_log_are_deleted_with_the_stack(resource: str) -> None:
    policies = [RESOURCES[resource].get(name) for name in ("DeletionPolicy", "UpdateReplacePolicy")]
    assert policies == ["Delete", "Delete"]
