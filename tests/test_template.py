"""template.yaml and organization.json: what is deployed for every rule, as SAM translates it."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import boto3
import botocore.session
import pytest
from moto.core import set_initial_no_auth_action_count

from scripts.organization import translate
from scripts.run_events import list_events
from scripts.stack import ROOT, accepts, get_name, load_template, read_rule
from tests.conftest import RULES, Json, Wire, load, read_event, read_sample, run_module

TEMPLATE = load_template()
TRANSLATED = translate()
every_rule = pytest.mark.parametrize("rule", RULES)


def get_properties(rule: str, suffix: str) -> Json:
    """Return the properties of one of the rule's resources, as CloudFormation gets them."""
    name = f"{get_name(rule)}{suffix}"
    assert name in TRANSLATED["Resources"], f"template.yaml has no {name}: each rule needs one."
    properties: Json = TRANSLATED["Resources"][name]["Properties"]
    return properties


def list_statements(rule: str) -> list[Json]:
    """Return what the function's role may do besides writing its log and leaving failed events."""
    policies = get_properties(rule, "FunctionRole")["Policies"]
    statements = [each for policy in policies for each in policy["PolicyDocument"]["Statement"]]
    own = [each for each in statements if each["Action"] != "sqs:SendMessage"]
    texts = [each["Action"] for each in own if isinstance(each["Action"], str)]
    assert not texts, f"template.yaml: write Action as a list: {texts}."
    return own


# The rules and their functions


@every_rule
def test_rule_has_its_function_which_config_of_this_account_alone_may_invoke(rule: str) -> None:
    name = get_name(rule)
    function, permission, source = (
        TEMPLATE["Resources"].get(f"{name}Function", {"Properties": {}})["Properties"],
        get_properties(rule, "Permission"),
        get_properties(rule, "Rule")["Source"],
    )
    assert function.get("CodeUri", "").strip("/") == rule
    arn = {"Fn::GetAtt": [f"{name}Function", "Arn"]}
    assert source["SourceIdentifier"] == permission["FunctionName"] == arn
    assert permission["Principal"] == "config.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    waits_for = TRANSLATED["Resources"][f"{name}Rule"]["DependsOn"]
    assert {f"{name}Permission", f"{name}FunctionEventInvokeConfig"} <= set(waits_for)


@every_rule
def test_function_logs_with_a_retention_and_a_lost_event_is_kept_and_alarms(rule: str) -> None:
    group = get_properties(rule, "Function")["LoggingConfig"]["LogGroup"]["Ref"]
    retention = TRANSLATED["Resources"][group]["Properties"]["RetentionInDays"]
    assert retention == {"Ref": "LogRetentionDays"}
    destination = get_properties(rule, "FunctionEventInvokeConfig")["DestinationConfig"]
    assert destination == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}}
    alarm = get_properties(rule, "Alarm")
    function = {"Name": "FunctionName", "Value": {"Ref": f"{get_name(rule)}Function"}}
    assert (alarm["MetricName"], alarm["Dimensions"]) == ("AsyncEventsDropped", [function])
    assert rule in alarm["AlarmDescription"], "the alarm names its rule"
    assert alarm["AlarmActions"]["Fn::If"][:2] == ["HasTopic", [{"Ref": "AlarmTopicArn"}]]


# Permissions


enforced = set_initial_no_auth_action_count(0)  # runs a function while moto enforces policies


def assume_role(statements: list[Json]) -> boto3.Session:
    """Create a role with these statements in moto; return a session of it."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    iam.create_role(RoleName="function", AssumeRolePolicyDocument="{}")
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName="function", PolicyName="own", PolicyDocument=document)
    role_arn = "arn:aws:iam::123456789012:role/function"
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    keys = [credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    return boto3.Session(*keys, region_name="us-east-1")


@every_rule
def test_role_permits_what_the_samples_need_and_no_more(
    rule: str, aws: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.prepare_rule(rule)
    statements = list_statements(rule)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", assume_role(statements))
    aws.requests.clear()
    module = load(rule)
    for path in list_events(rule):
        enforced(module.lambda_handler)(read_event(rule, path.stem), None)
    granted = {action for each in statements for action in each["Action"]}
    unused = {each for each in granted - {call.action for call in aws.requests} if is_call(each)}
    assert not unused, f"template.yaml permits {unused}, which no event in events/{rule}/ needs."


def is_call(action: str) -> bool:
    """Return whether the action has the name of a call; s3:ListAllMyBuckets has not."""
    service, _colon, operation = action.partition(":")
    session = botocore.session.get_session()
    is_service = service in session.get_available_services()
    return is_service and operation in session.get_service_model(service).operation_names


@every_rule
def test_policies_are_enforced_above(rule: str, aws: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", assume_role([]))
    event = read_event(rule, list_events(rule)[0].stem)
    with pytest.raises(Exception, match="AccessDenied"):
        enforced(load(rule).lambda_handler)(event, None)


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("", True),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms", True),
        ("arn:aws:sns:us-east-1:123456789012:alarms.fifo", False),
        ("alarms", False),
    ],
)
def test_topic_is_the_arn_of_a_standard_topic_or_nothing(value: str, accepted: bool) -> None:
    assert accepts(TEMPLATE["Parameters"]["AlarmTopicArn"], value) is accepted


def test_no_policy_grants_a_wildcard_of_actions() -> None:
    text = (ROOT / "template.yaml").read_text()
    assert not re.search(r"\b[a-z0-9-]+:[A-Za-z]*\*\]?$", text, re.MULTILINE)


# What a rule of one's own has to say itself


def get_descriptions(rule: str) -> list[str]:
    card = str(ast.get_docstring(ast.parse((ROOT / rule / "app.py").read_text())))
    texts = [get_properties(rule, suffix)["Description"] for suffix in ("Function", "Rule")]
    return [*texts, card.partition("\n")[0]]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["function", "rule", "card in app.py"])
def test_no_two_rules_share_a_description(number: int) -> None:
    rules: dict[str, list[str]] = {}
    for rule in RULES:
        rules.setdefault(get_descriptions(rule)[number], []).append(rule)
    shared = {text: names for text, names in rules.items() if len(names) > 1}
    assert not shared, "Say what the new rule is about."


@every_rule
def test_every_parameter_of_the_template_is_read(rule: str) -> None:
    _, _, own = (ROOT / rule / "app.py").read_text().partition("# --- Above: ")
    unread = [name for name in read_rule(rule).parameters if f'"{name}"' not in own]
    assert unread == [], f"{rule}/app.py reads none of these InputParameters below its marker line."


@every_rule
def test_default_parameters_of_the_template_are_accepted(rule: str, aws: Wire) -> None:
    aws.prepare_rule(rule)
    event = read_sample(rule, ruleParameters=json.dumps(read_rule(rule).parameters))
    load(rule).lambda_handler(event, None)


# Sample events


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, path.stem) for rule in RULES for path in list_events(rule)]
)
def test_sample_event_fits_the_template(rule: str, case: str) -> None:
    event = read_event(rule, case)
    assert event["resultToken"] == "TESTMODE"
    configured, content = read_rule(rule), json.loads(event["invokingEvent"])
    assert json.loads(event.get("ruleParameters", "{}")).keys() == configured.parameters.keys()
    assert content["messageType"] in configured.message_types
    item = content.get("configurationItem") or content.get("configurationItemSummary")
    if item and configured.resource_types:
        assert item["resourceType"] in configured.resource_types, "the scope in template.yaml"


@every_rule
def test_sample_events_show_every_compliance_type(rule: str, aws: Wire) -> None:
    aws.prepare_rule(rule)
    events = [read_event(rule, path.stem) for path in list_events(rule)]
    evaluations = [each for event in events for each in load(rule).lambda_handler(event, None)]
    expected = {"COMPLIANT", "NON_COMPLIANT"}
    if not read_rule(rule).is_periodic:
        expected.add("NOT_APPLICABLE")
        oversized = [event for event in events if "Oversized" in event["invokingEvent"]]
        assert oversized, f"events/{rule}/ has no oversized notification."
    missing = expected - {evaluation["ComplianceType"] for evaluation in evaluations}
    assert not missing, f"events/{rule}/ has no event that is {' or '.join(missing)}."


# Every account of an organization


def test_stackset_gets_plain_cloudformation_with_the_code_inside() -> None:
    assert "Transform" not in TRANSLATED
    for rule in RULES:
        function = get_properties(rule, "Function")
        assert function["Code"] == {"ZipFile": (ROOT / rule / "app.py").read_text()}
        assert function["Handler"] == "index.lambda_handler"


def test_stackset_is_of_no_partition_and_leaves_the_parameters_open() -> None:
    text = json.dumps(TRANSLATED)
    assert "arn:aws:" not in text
    for name in TEMPLATE["Parameters"]:
        assert f'{{"Ref": "{name}"}}' in text


def test_written_file_is_accepted_by_the_linter_for_all_regions(copy: Path) -> None:
    region = {"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "cn-north-1"}  # of no effect
    written = run_module(copy, "scripts.organization", **region).stdout
    assert re.match(r"Wrote organization\.json: [0-9,]+ bytes\.\n", written)
    assert json.loads((copy / "organization.json").read_text()) == TRANSLATED
    lint = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", lint, "--regions=ALL_REGIONS", "--", "organization.json"]
    linted = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("size", "code", "message"),
    [
        (60_000, 0, "Over 51,200 bytes: upload it to S3, and use --template-url"),
        (1_000_000, 1, "make organization: CloudFormation accepts at most 1 MB"),
    ],
)
def test_file_too_large_for_a_template_body_says_so(
    size: int, code: int, message: str, copy: Path
) -> None:
    with (copy / RULES[0] / "app.py").open("a") as file:
        file.write("#" * size)
    done = run_module(copy, "scripts.organization")
    assert done.returncode == code
    assert message in done.stdout + done.stderr
    assert (copy / "organization.json").stat().st_size > size
