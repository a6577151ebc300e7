"""AWS on this machine: what it answers, and in which Region and partition a rule runs."""

import json
import re
from typing import Any

import boto3
import pytest

from scripts.events import find_region
from scripts.local_aws import run_rule, start_local_aws
from scripts.run_events import main
from scripts.template import JsonObject
from tests.scripts.helpers import Project, make_volume

HANDLER = """
import boto3, json, os
def lambda_handler(event, context):
    client = boto3.client("config")
    {}
    evaluation = dict(ComplianceResourceType="AWS::EC2::Volume", ComplianceResourceId="vol-1",
                      ComplianceType="COMPLIANT", Annotation=str(answer), OrderingTimestamp=0)
    client.put_evaluations(Evaluations=[evaluation], ResultToken="TESTMODE", TestMode=True)
"""


def run_sizes(project: Project, answer: str, **event: Any) -> str:
    """Run a handler that reports `answer`; return its annotation or its error."""
    project.write("sizes/app.py", HANDLER.format(answer))
    with start_local_aws() as aws:
        aws.load_sample_state(project.root / "events/sizes")
        outcome = run_rule("sizes", event, aws)
        return outcome.error or str(outcome.evaluations[0]["Annotation"])


# Calls of AWS Config


@pytest.mark.parametrize(
    "call",
    [
        "select_resource_config(Expression='SELECT resourceId')",
        "describe_config_rules()",
        "get_compliance_summary_by_config_rule()",
        "get_aggregate_config_rule_compliance_summary(ConfigurationAggregatorName='all')",
    ],
)
def test_call_without_an_answer_is_an_error(call: str, project: Project) -> None:
    error = run_sizes(project, f"answer = client.{call}")
    operation = "".join(word.capitalize() for word in call.partition("(")[0].split("_"))
    assert error == (
        f'RuntimeError: AWS Config has no answer to {operation} here: give one to "config:'
        f'{operation}" in ANSWERS of the state.py beside the event (docs/new-rule.md).'
    )


def test_state_may_make_any_call_and_give_answers(project: Project) -> None:
    state = """
import boto3
boto3.client("config").describe_config_rules()
ANSWERS = {
    "config:SelectResourceConfig": {"Results": ["one"]},
    "kms:DescribeCustomKeyStores": "CustomKeyStoreNotFoundException: no",
}
"""
    project.write("events/sizes/state.py", state)
    select = "answer = client.select_resource_config(Expression='SELECT resourceId')['Results']"
    assert run_sizes(project, select) == "['one']"
    stores = "boto3.client('kms').describe_custom_key_stores()"
    assert "CustomKeyStoreNotFoundException" in run_sizes(project, stores)


def test_call_that_moto_does_not_have_names_the_fix(project: Project) -> None:
    error = run_sizes(project, "boto3.client('kms').describe_custom_key_stores(); answer = 0")
    assert error == (
        "NotImplementedError: moto has no answer to DescribeCustomKeyStores here: give one to "
        '"kms:DescribeCustomKeyStores" in ANSWERS of the state.py beside the event '
        "(docs/new-rule.md)."
    )


def test_answers_of_a_state_reach_no_other_rule(project: Project) -> None:
    project.write("events/sizes/state.py", 'ANSWERS = {"config:SelectResourceConfig": {}}')
    with start_local_aws() as aws:
        aws.load_sample_state(project.root / "events/sizes")
        assert aws.answers
        aws.load_sample_state(project.root / "events/volumes")
        assert aws.answers == {}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("describe_configuration_recorders()['ConfigurationRecorders'][0]['name']", "default"),
        ("describe_delivery_channels()['DeliveryChannels'][0]['name']", "default"),
        ("list_discovered_resources(resourceType='A::B::C')['resourceIdentifiers']", "[]"),
    ],
)
def test_call_with_a_true_answer_is_answered(call: str, answer: str, project: Project) -> None:
    assert run_sizes(project, f"answer = client.{call}") == answer


BATCH = """keys = [dict(resourceType="AWS::EC2::Volume", resourceId=each) for each in {}]
    found = client.batch_get_resource_config(resourceKeys=keys)["baseConfigurationItems"]
    answer = [(each["resourceId"], each["configuration"], sorted(each)) for each in found]"""


def test_batch_has_the_newest_items_of_resources_that_exist(project: Project) -> None:
    later = {"configurationItemCaptureTime": "2026-11-05T10:15:27.482Z"}
    items = [
        make_volume("vol-1", 2, **later),
        make_volume("vol-1", 1),
        make_volume("gone", 1),
        make_volume("gone", 1, configurationItemStatus="ResourceDeleted", **later),
    ]
    project.write("events/sizes/configuration_items.json", {"configurationItems": items})
    fields = ["accountId", "awsRegion", "configuration", "configurationItemCaptureTime"]
    fields += [
        "configurationItemStatus",
        "resourceId",
        "resourceType",
        "supplementaryConfiguration",
    ]
    answer = run_sizes(project, BATCH.format("('vol-1', 'gone', 'unknown')"))
    assert answer == str([("vol-1", '{"size": 2}', fields)])


def test_batch_of_more_than_100_is_refused(project: Project) -> None:
    assert "accepts at most 100 keys" in run_sizes(project, BATCH.format("map(str, range(101))"))
    assert run_sizes(project, BATCH.format("map(str, range(100))")) == "[]"


# What moto's answers lack

ROTATION = """
import boto3
key = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
boto3.client("kms").enable_key_rotation(KeyId=key)
def add_period(parsed, **_more):
    parsed["RotationPeriodInDays"] = 180
boto3.DEFAULT_SESSION.events.register("after-call.kms.GetKeyRotationStatus", add_period)
"""
PERIOD = """kms = boto3.client("kms")
    keys = kms.list_keys()["Keys"] or [kms.create_key()["KeyMetadata"]]
    answer = kms.get_key_rotation_status(KeyId=keys[0]["KeyId"]).get("RotationPeriodInDays")"""


def test_field_that_moto_lacks_is_set_for_one_folder(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for rule in ("sizes", "volumes"):
        project.write(f"{rule}/app.py", HANDLER.format(PERIOD))
    project.write("events/sizes/state.py", ROTATION)
    assert main([]) == 0
    periods = re.findall(r"^(\w+)/.*\n    (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert set(periods) == {("sizes", "180"), ("volumes", "None")}


def test_field_that_moto_lacks_is_set_in_a_test_too(project: Project) -> None:
    project.write("events/sizes/state.py", ROTATION)
    with start_local_aws() as aws:
        answers = []
        for rule in ("sizes", "volumes"):
            aws.load_sample_state(project.root / "events" / rule)
            client = boto3.client("kms")
            key = client.list_keys()["Keys"][0]["KeyId"]
            answers.append(client.get_key_rotation_status(KeyId=key).get("RotationPeriodInDays"))
    assert answers == [180, None]


def test_field_that_moto_lacks_stays_with_other_credentials(project: Project) -> None:
    project.write("events/sizes/state.py", ROTATION)
    with start_local_aws() as aws:
        aws.load_sample_state(project.root / "events/sizes")
        request = {"RoleArn": "arn:aws:iam::111122223333:role/other", "RoleSessionName": "me"}
        role = boto3.client("sts").assume_role(**request)["Credentials"]
        aws.sign_with(role["AccessKeyId"], role["SecretAccessKey"], role["SessionToken"])
        assert boto3.client("sts").get_caller_identity()["Account"] == "111122223333"
        client = boto3.client("kms")
        key = client.create_key()["KeyMetadata"]["KeyId"]
        rotation = client.get_key_rotation_status(KeyId=key)
        assert rotation["RotationPeriodInDays"] == 180


# Regions


def make_event(rule_arn: str = "", summary: bool = False, **item: Any) -> JsonObject:
    name = "configurationItemSummary" if summary else "configurationItem"
    event = {"invokingEvent": json.dumps({name: item})}
    return event | ({"configRuleArn": rule_arn} if rule_arn else {})


RULE_ARN = "arn:{}:config:{}:123456789012:config-rule/config-rule-1"


@pytest.mark.parametrize(
    ("event", "region"),
    [
        pytest.param(
            make_event(RULE_ARN.format("aws", "eu-west-1"), awsRegion="sa-east-1"),
            "eu-west-1",
            id="the rule's Region comes first",
        ),
        pytest.param(make_event(awsRegion="sa-east-1"), "sa-east-1", id="the item's"),
        pytest.param(
            make_event(summary=True, awsRegion="sa-east-1"), "sa-east-1", id="a summary's"
        ),
        pytest.param(make_event(awsRegion="global"), "us-east-1", id="a global item"),
        pytest.param(
            make_event(awsRegion="global", ARN="arn:aws-cn:iam::123456789012:role/a"),
            "cn-north-1",
            id="a global item in China",
        ),
        pytest.param(
            make_event(RULE_ARN.format("aws-us-gov", "global")),
            "us-gov-west-1",
            id="a global rule of GovCloud",
        ),
        pytest.param(make_event(awsRegion=None), "us-east-1", id="no Region"),
        pytest.param({}, "us-east-1", id="no item"),
        pytest.param({"invokingEvent": "{"}, "us-east-1", id="no JSON"),
        pytest.param({"invokingEvent": "[]"}, "us-east-1", id="no object"),
        pytest.param({"invokingEvent": '{"configurationItem": 5}'}, "us-east-1", id="a number"),
        pytest.param({"configRuleArn": 5}, "us-east-1", id="no ARN"),
    ],
)
def test_region_is_the_rules_or_the_items(event: JsonObject, region: str) -> None:
    assert find_region(event) == region


SEEN = """
    role = client.describe_configuration_recorders()["ConfigurationRecorders"][0]["roleARN"]
    caller = boto3.client("sts").get_caller_identity()["Arn"]
    answer = (os.environ["AWS_REGION"], os.environ["AWS_DEFAULT_REGION"],
              boto3.Session().region_name, client.meta.region_name,
              role.split(":")[1], caller.split(":")[1])"""


@pytest.mark.parametrize(
    ("partition", "region"),
    [
        pytest.param("aws", "eu-west-1", id="Ireland"),
        pytest.param("aws-cn", "cn-north-1", id="China"),
        pytest.param("aws-us-gov", "us-gov-west-1", id="GovCloud"),
        pytest.param("aws", "xx-new-1", id="a Region newer than moto"),
    ],
)
def test_rule_runs_in_the_region_and_partition_of_its_event(
    partition: str, region: str, project: Project
) -> None:
    event = {"configRuleArn": RULE_ARN.format(partition, region)}
    seen = region, region, region, region, partition, partition
    assert run_sizes(project, SEEN, **event) == str(seen)


def test_state_runs_in_the_region_of_each_event(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = "boto3.client('sns').create_topic(Name=os.environ['AWS_REGION'])"
    project.write("events/sizes/state.py", f"import boto3, os\n{topic}")
    answer = "answer = [each['TopicArn'] for each in boto3.client('sns').list_topics()['Topics']]"
    project.write("sizes/app.py", HANDLER.format(answer))
    paths = []
    for region in ("eu-west-1", "cn-north-1"):
        event = {"invokingEvent": {"configurationItem": make_volume("vol-1", 1, awsRegion=region)}}
        paths.append(str(project.write(f"events/sizes/{region}.json", event)))
    main(paths)
    assert re.findall(r"^    (.*)$", capsys.readouterr().out, re.MULTILINE) == [
        "['arn:aws:sns:eu-west-1:123456789012:eu-west-1']",
        "['arn:aws-cn:sns:cn-north-1:123456789012:cn-north-1']",
    ]


def test_module_of_one_region_never_serves_another(project: Project) -> None:
    counter = "REGION.append(os.environ['AWS_REGION']); answer = REGION"
    project.write("sizes/app.py", "REGION = []" + HANDLER.format(counter))
    with start_local_aws() as aws:
        seen = []
        for region in ("eu-west-1", "sa-east-1", "eu-west-1"):
            outcome = run_rule("sizes", {"configRuleArn": RULE_ARN.format("aws", region)}, aws)
            seen.append(outcome.evaluations[0]["Annotation"])
    assert seen == ["['eu-west-1']", "['sa-east-1']", "['eu-west-1', 'eu-west-1']"]


def test_new_state_loads_the_rule_again(project: Project) -> None:
    project.write("sizes/app.py", "CALLS = []" + HANDLER.format("CALLS.append(1); answer = CALLS"))
    with start_local_aws() as aws:
        seen = []
        for _ in range(2):
            aws.load_sample_state(project.root / "events/sizes")
            seen.append(run_rule("sizes", {}, aws).evaluations[0]["Annotation"])
    assert seen == ["[1]", "[1]"]
