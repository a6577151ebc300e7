"""template.yaml and organization.json: what is deployed for every rule, as SAM translates it."""

import ast
import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count

from scripts import organization
from scripts.organization import translate
from scripts.run_events import list_sample_events
from scripts.template import ROOT, JsonObject, accepts, get_name, load_template, read_rule
from tests.helpers import RULES, FakeAws, every_rule, load, read_event, read_sample

TEMPLATE = load_template()
TRANSLATED = translate()
IN = "In template.yaml"
CONFIG = botocore.session.get_session().get_service_model("config")
RESOURCE_TYPES = CONFIG.shape_for("ResourceType").enum


def get_properties(rule: str, suffix: str) -> JsonObject:
    """Return the properties of one of the rule's resources, as CloudFormation gets them."""
    name = f"{get_name(rule)}{suffix}"
    assert name in TRANSLATED["Resources"], f"{IN} add {name}: each rule needs one."
    properties: JsonObject = TRANSLATED["Resources"][name]["Properties"]
    return properties


# The rules and their functions


@every_rule
def test_rule_has_its_function_which_config_of_this_account_alone_may_invoke(rule: str) -> None:
    name = get_name(rule)
    function = TEMPLATE["Resources"].get(f"{name}Function", {"Properties": {}})["Properties"]
    assert function.get("CodeUri", "").strip("/") == rule, (
        f"{IN} {name}Function needs CodeUri: {rule}/."
    )
    arn = {"Fn::GetAtt": [f"{name}Function", "Arn"]}
    source, permission = get_properties(rule, "Rule")["Source"], get_properties(rule, "Permission")
    needs = f"must be !GetAtt {name}Function.Arn in template.yaml."
    assert source.get("SourceIdentifier") == arn, f"SourceIdentifier of {name}Rule {needs}"
    assert permission.get("FunctionName") == arn, f"FunctionName of {name}Permission {needs}"
    who = permission.get("Principal"), permission.get("SourceAccount")
    assert who == ("config.amazonaws.com", {"Ref": "AWS::AccountId"}), (
        f"{IN} {name}Permission needs Principal: config.amazonaws.com and SourceAccount: "
        "!Ref AWS::AccountId, or others may invoke the function."
    )
    waits_for = TRANSLATED["Resources"][f"{name}Rule"].get("DependsOn", [])
    needed = [f"{name}Permission", f"{name}FunctionEventInvokeConfig"]
    assert set(needed) <= set(waits_for), f"{IN} {name}Rule needs DependsOn: [{', '.join(needed)}]."


@every_rule
def test_rule_is_invoked_by_every_message_of_its_trigger_and_for_its_types_alone(rule: str) -> None:
    configured, name = read_rule(rule), f"{get_name(rule)}Rule"
    if configured.is_periodic:
        wrong = set(configured.message_types) - {"ScheduledNotification"}
        assert not wrong, f"{IN} {name} is periodic: remove {wrong} from its SourceDetails."
        assert not configured.scope, f"{IN} {name} is periodic: remove its Scope."
        return
    change = "ConfigurationItemChangeNotification"
    assert set(configured.message_types) == {change, f"Oversized{change}"}, (
        f"{IN} SourceDetails of {name} must have the MessageTypes {change} and Oversized{change}, "
        "or ScheduledNotification."
    )
    assert configured.scope, f"{IN} {name} needs a Scope, or every type of resource invokes it."


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
    "AlarmActions": {"Fn::If": ["HasTopic", [{"Fn::Join": [":", TOPIC]}], {"Ref": "AWS::NoValue"}]},
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
    described = alarm.get("AlarmDescription", "")
    assert rule in described, f"{IN} {name}Alarm must name {rule} in AlarmDescription."


@every_rule
def test_function_logs_with_a_retention_and_has_time_for_three_calls(rule: str) -> None:
    function, name = get_properties(rule, "Function"), f"{get_name(rule)}Function"
    group = function.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref", "")
    logs = TRANSLATED["Resources"].get(group, {}).get("Properties")
    assert logs == {"RetentionInDays": {"Ref": "LogRetentionDays"}}, (
        f"{IN} {name} must log to LogGroup, which has a retention and no fixed name."
    )
    assert function.get("Timeout", 3) >= 120, f"{IN} give {name} a Timeout of 120 or more."


def test_failure_queue_keeps_events_for_14_days_and_encrypted() -> None:
    queue = TRANSLATED["Resources"]["FailureQueue"]["Properties"]
    assert queue == {"MessageRetentionPeriod": 14 * 86_400, "SqsManagedSseEnabled": True}


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


BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.mark.parametrize(
    ("managed", "statement", "named"),
    [
        ([], {"Action": "iam:List*"}, "'iam:List*'"),
        ([], {"Action": ["iam:ListUsers", "*"]}, "'*'"),
        ([], {"Action": ["iam:List?sers"]}, "'iam:List?sers'"),
        ([], {"NotAction": ["iam:CreateUser"]}, "write no NotAction"),
        (["arn:aws:iam::aws:policy/ReadOnlyAccess"], {"Action": []}, "policy/ReadOnlyAccess"),
    ],
)
def test_right_that_is_wider_than_its_action_is_refused(
    managed: list[str], statement: JsonObject, named: str
) -> None:
    policy = {"PolicyDocument": {"Statement": {"Effect": "Allow", **statement}}}
    role = {"ManagedPolicyArns": [BASIC, *managed], "Policies": [policy]}
    with pytest.raises(AssertionError, match=re.escape(named)):
        list_actions("a_rule", role)


enforced = set_initial_no_auth_action_count(0)  # runs a function while moto enforces policies


def assume_role(actions: list[str]) -> boto3.Session:
    """Create a role that may do this in moto; return a session of it."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    iam.create_role(RoleName="function", AssumeRolePolicyDocument="{}")
    if actions:
        # Any Resource: moto compares with "*" alone, so that a narrower one cannot be tested.
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="function", PolicyName="own", PolicyDocument=document)
    role_arn = "arn:aws:iam::123456789012:role/function"
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
    keys = [credentials[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    return boto3.Session(*keys, region_name="us-east-1")


@every_rule
def test_role_permits_what_the_samples_need_and_no_more(
    rule: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.prepare_rule(rule)
    actions = list_actions(rule, get_properties(rule, "FunctionRole"))
    if "sts:AssumeRole" in actions:
        pytest.skip(f"{rule} assumes a role of each account, and that role has the permissions")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", assume_role(actions))
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
    called = {call.action for call in aws.requests}
    unused = {action for action in set(actions) - called if is_call(action)}
    assert not unused, f"template.yaml permits {unused}, which no event in events/{rule}/ needs."


def is_call(action: str) -> bool:
    """Return whether the action has the name of a call; s3:ListAllMyBuckets has not."""
    service, _colon, operation = action.partition(":")
    session = botocore.session.get_session()
    is_service = service in session.get_available_services()
    return is_service and operation in session.get_service_model(service).operation_names


@every_rule
def test_policies_are_enforced_above(
    rule: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", assume_role([]))
    event = read_event(rule, list_sample_events(rule)[0].stem)
    with pytest.raises(Exception, match="AccessDenied"):
        enforced(load(rule).lambda_handler)(event, None)


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
    ],
)
def test_topic_and_concurrency_are_given_in_their_form_or_not_at_all(
    name: str, value: str, accepted: bool
) -> None:
    if name in TEMPLATE["Parameters"]:  # the one of change-triggered rules can go with them
        assert accepts(TEMPLATE["Parameters"][name], value) is accepted


# What a rule of one's own has to say itself


def get_descriptions(rule: str) -> list[str]:
    card = str(ast.get_docstring(ast.parse((ROOT / rule / "app.py").read_text())))
    texts = [get_properties(rule, each).get("Description", "") for each in ("Function", "Rule")]
    return [*texts, card.partition("\n")[0]]


WHERE = ["Description of the function", "Description of the rule", "first line of app.py"]


@pytest.mark.parametrize("number", [0, 1, 2], ids=WHERE)
def test_no_two_rules_share_a_description(number: int) -> None:
    rules: dict[str, list[str]] = {}
    for rule in RULES:
        rules.setdefault(get_descriptions(rule)[number], []).append(rule)
    shared = {text: names for text, names in rules.items() if len(names) > 1}
    assert not shared, f"{WHERE[number]}: say what the new rule is about, not as in {shared}."


@every_rule
def test_every_parameter_of_the_template_is_read(rule: str) -> None:
    _, _, own = (ROOT / rule / "app.py").read_text().partition("# ----- This rule")
    configured = read_rule(rule)
    names = configured.parameters.keys() | configured.optional
    unread = [name for name in sorted(names) if f'"{name}"' not in own]
    assert not unread, f"{rule}/app.py must read {unread}, or remove it from InputParameters."


@every_rule
def test_default_parameters_of_the_template_are_accepted(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    event = read_sample(rule, ruleParameters=json.dumps(read_rule(rule).parameters))
    problem = ""
    try:
        load(rule).lambda_handler(event, None)
    except ValueError as ex:
        problem = str(ex)
    fix = "or leave it out when it is empty: !If [HasX, !Ref X, !Ref AWS::NoValue]"
    assert not problem, (
        f"{IN} give {get_name(rule)}Rule a default that is accepted, {fix}. {problem}"
    )


# Sample events


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, path.stem) for rule in RULES for path in list_sample_events(rule)]
)
def test_sample_event_fits_the_template(rule: str, case: str) -> None:
    event = read_event(rule, case)
    configured, content = read_rule(rule), json.loads(event["invokingEvent"])
    path, names = f"events/{rule}/{case}.json", list(configured.parameters)
    token = event.get("resultToken")
    assert token == "TESTMODE", f"{path}: resultToken must be TESTMODE, a dry run."
    given, optional = set(json.loads(event.get("ruleParameters", "{}"))), configured.optional
    assert given | optional == {*names} | optional, (
        f"{path}: ruleParameters must have {sorted({*names} - optional)}, and may have "
        f"{sorted(optional)}: the InputParameters of template.yaml."
    )
    item = content.get("configurationItem") or content.get("configurationItemSummary")
    if item and (types := configured.resource_types):
        assert item["resourceType"] in types, f"{path}: resourceType must be one of the scope's."


@every_rule
def test_sample_events_show_every_compliance_type(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    events = [read_event(rule, path.stem) for path in list_sample_events(rule)]
    answers = [load(rule).lambda_handler(event, None) for event in events]
    assert None not in answers, (
        f"{rule}/app.py: lambda_handler must return report_evaluations(...)."
    )
    evaluations = [evaluation for answer in answers for evaluation in answer]
    expected = {"COMPLIANT", "NON_COMPLIANT"}
    if not read_rule(rule).is_periodic:
        expected.add("NOT_APPLICABLE")
        oversized = [event for event in events if "Oversized" in event["invokingEvent"]]
        assert oversized, f"events/{rule}/ has no oversized notification."
    silent = [each for each in evaluations if not each.get("Annotation")]
    assert not silent, f"{rule}/app.py reports without an annotation: say why in a sentence."
    known = {*RESOURCE_TYPES, "AWS::::Account"}
    reported = {each["ComplianceResourceType"] for each in evaluations}
    unknown = [each for each in reported if each.startswith("AWS::") and each not in known]
    assert not unknown, f"{rule}/app.py reports {unknown}, which is no resource type of AWS Config."
    missing = expected - {evaluation["ComplianceType"] for evaluation in evaluations}
    assert not missing, f"events/{rule}/ has no event that is {' or '.join(missing)}."


@every_rule
def test_error_of_any_call_is_raised_and_nothing_is_reported(rule: str, aws: FakeAws) -> None:
    aws.prepare_rule(rule)
    for path in list_sample_events(rule):
        event, module = read_event(rule, path.stem), load(rule)
        aws.requests.clear()
        module.lambda_handler(event, None)
        for operation in dict.fromkeys(aws.operations):
            aws.evaluations.clear()
            aws.canned_answers[operation] = ["AccessDenied: denied by the test"]
            try:
                module.lambda_handler(event, None)
            except ClientError as ex:
                assert "denied by the test" in str(ex)
            else:
                pytest.fail(f"{rule}/app.py swallows an error of {operation}: let it be raised.")
            assert aws.evaluations == [], f"{rule}/app.py reports after an error of {operation}."


# Every account of an organization


def test_stackset_gets_plain_cloudformation_with_the_code_inside() -> None:
    assert "Transform" not in TRANSLATED
    for rule in RULES:
        function = get_properties(rule, "Function")
        assert function["Code"] == {"ZipFile": (ROOT / rule / "app.py").read_text()}
        assert function["Handler"] == "index.lambda_handler"


def test_stackset_is_of_no_partition_and_leaves_the_parameters_open() -> None:
    resources = deepcopy(TRANSLATED["Resources"])
    for rule in RULES:
        del resources[f"{get_name(rule)}Function"]["Properties"]["Code"]
    assert "arn:aws:" not in json.dumps(resources), f"{IN} write arn:${{AWS::Partition}}: in ARNs."
    text = json.dumps(TRANSLATED)
    unused = [name for name in TEMPLATE["Parameters"] if f'{{"Ref": "{name}"}}' not in text]
    assert not unused, f"{IN} use the parameters {unused}, or remove them."


def test_written_file_is_accepted_by_the_linter_for_all_regions(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(organization, "ROOT", project_copy)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "cn-north-1")  # of no effect
    organization.main()
    printed = capsys.readouterr().out
    assert re.match(r"Wrote organization\.json: [0-9,]+ bytes\.\n", printed)
    assert json.loads((project_copy / "organization.json").read_text()) == TRANSLATED
    lint = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", lint, "--regions=ALL_REGIONS", "--", "organization.json"]
    linted = subprocess.run(command, cwd=project_copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("size", "code", "message"),
    [
        (60_000, 0, "Over 51,200 bytes: upload it to S3, and use --template-url"),
        (1_000_000, 1, "make organization: CloudFormation accepts at most 1 MB"),
    ],
)
def test_file_too_large_for_a_template_body_says_so(
    size: int,
    code: int,
    message: str,
    project_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(organization, "ROOT", project_copy)
    with (project_copy / RULES[0] / "app.py").open("a") as file:
        file.write("#" * size)
    said, ended = "", 0
    try:
        organization.main()
    except SystemExit as ex:  # Python prints the text and ends with 1
        said, ended = str(ex.code), 1
    assert ended == code
    assert message in said + capsys.readouterr().out
    assert (project_copy / "organization.json").stat().st_size > size
