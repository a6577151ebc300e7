"""`make run LIVE=1`: the sample events in the caller's own account, which moto's server plays."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.server import ThreadedMotoServer

from scripts.template import ROOT
from tests.helpers import RULES, run_module

pytestmark = pytest.mark.skipif(
    not {"desired_instance_type", "resource_count_limit"} <= {*RULES}, reason="a rule was removed"
)
NOT_SHOWN = (
    "Not shown: what the function's own role may do, whether AWS Config may invoke the function, "
    "and whether its events arrive."
)
ACCOUNT, REGION = "111122223333", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/auditor"


@pytest.fixture
def settings() -> Iterator[dict[str, str]]:
    """The caller's settings: credentials of another account than the samples', and its Region."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    with mock_aws():
        server.start()
        host, port = server.get_host_and_port()
        session = boto3.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")
        credentials = session["Credentials"]
        keys = {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }
        client = boto3.client("config", REGION, **{k.lower(): v for k, v in keys.items()})
        group = {"allSupported": True, "includeGlobalResourceTypes": True}
        recorder = {"name": "default", "roleARN": ROLE, "recordingGroup": group}
        client.put_configuration_recorder(ConfigurationRecorder=recorder)
        client.put_delivery_channel(DeliveryChannel={"name": "default", "s3BucketName": "history"})
        client.start_configuration_recorder(ConfigurationRecorderName="default")
        regions = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        yield keys | regions | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    server.stop()


def run_live(folder: Path, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    return run_module(folder, "scripts.live", *map(str, arguments), **settings)


CHANGES = [
    "desired_instance_type/compliant      COMPLIANT       i-0a11ce0000000001a  PutEvaluations",
    "    Instance type t3.micro matches the desired types: t3.micro,t3.small.",
    "desired_instance_type/deleted        NOT_APPLICABLE  i-0dead0000000003de  PutEvaluations",
    "    Not evaluated: the resource's status is ResourceDeleted.",
    "desired_instance_type/left_scope     NOT_APPLICABLE  i-01ef7000000000004  PutEvaluations",
    "    Not evaluated: the resource is no longer in the rule's scope.",
    "desired_instance_type/non_compliant  NON_COMPLIANT   i-0b0b000000000002b  PutEvaluations",
    "    Instance type m5.2xlarge does not match the desired types: t3.*.",
    "desired_instance_type/oversized      left out: only the sample has the resource whose history "
    "it asks for",
    "",
    "4 events: 1 compliant, 1 non-compliant, 2 not applicable, 0 errors",
    f"Shown: arn:aws:sts::{ACCOUNT}:assumed-role/auditor/me in {REGION}",
    "       AWS answers config:PutEvaluations",
    "       AWS Config has written nothing: the result token is TESTMODE",
    NOT_SHOWN,
]
ASKED = "DescribeConfigurationRecorderStatus, DescribeConfigurationRecorders"
COUNTS = [
    f"resource_count_limit/over_limit    COMPLIANT       {ACCOUNT}  {ASKED}, "
    "ListDiscoveredResources, PutEvaluations",
    "    Resources of type AWS::EC2::Instance found: 0; at most 2 allowed.",
    f"resource_count_limit/within_limit  COMPLIANT       {ACCOUNT}  {ASKED}, "
    "ListDiscoveredResources, PutEvaluations",
    "    Resources of type AWS::EC2::Instance found: 0; at most 50 allowed.",
    "",
    "2 events: 2 compliant, 0 non-compliant, 0 not applicable, 0 errors",
    f"Shown: arn:aws:sts::{ACCOUNT}:assumed-role/auditor/me in {REGION}",
    "       AWS answers config:DescribeConfigurationRecorderStatus, "
    "config:DescribeConfigurationRecorders, config:ListDiscoveredResources, "
    "config:PutEvaluations",
    "       AWS Config records what the periodic rules count",
    "       AWS Config has written nothing: the result token is TESTMODE",
    NOT_SHOWN,
]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("desired_instance_type", CHANGES), ("resource_count_limit", COUNTS)],
    ids=["change-triggered", "periodic"],
)
def test_sample_events_run_in_the_callers_account(
    rule: str, expected: list[str], project_copy: Path, settings: dict[str, str]
) -> None:
    folder = project_copy / "events" / rule
    (folder / "state.py").write_text("raise AssertionError('state.py was run')")
    (folder / "configuration_items.json").write_text("{")
    # "" is what make passes for EVENT when nobody gives it.
    done = run_live(project_copy, "", "--rule", rule, **settings)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines() == expected


def test_run_of_nothing_is_no_success(project_copy: Path, settings: dict[str, str]) -> None:
    for path in (project_copy / "events/desired_instance_type").glob("*.json"):
        if path.name != "oversized.json":
            path.unlink()
    done = run_live(project_copy, "--rule=desired_instance_type", **settings)
    assert "left out: only the sample has" in done.stdout
    assert done.returncode == 1


def test_recorder_that_is_off_is_an_error_and_not_shown(
    project_copy: Path, settings: dict[str, str]
) -> None:
    elsewhere = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "sa-east-1")
    done = run_live(project_copy, "--rule=resource_count_limit", **settings | elsewhere)
    assert done.returncode == 1
    assert "not recording AWS::EC2::Instance: start the recorder." in done.stdout
    assert "2 events: 0 compliant, 0 non-compliant, 0 not applicable, 2 errors" in done.stdout
    assert "AWS answers config:DescribeConfigurationRecorderStatus\n" in done.stdout
    assert "records what" not in done.stdout


EVENT_SEEN = """
import boto3, json
def lambda_handler(event, context):
    content = json.loads(event["invokingEvent"])
    item = content["configurationItem"]
    seen = [event["accountId"], event["configRuleArn"], item["awsAccountId"], item["awsRegion"],
            item["ARN"], content["notificationCreationTime"][:2], boto3.Session().region_name]
    evaluation = dict(ComplianceResourceType="AWS::EC2::Instance", ComplianceResourceId="i-1",
                      ComplianceType="COMPLIANT", Annotation=" ".join(seen), OrderingTimestamp=0)
    token = event["resultToken"]
    boto3.client("config").put_evaluations(
        Evaluations=[evaluation], ResultToken=token, TestMode=True)
"""


def test_event_has_the_callers_account_region_and_time(
    project_copy: Path, settings: dict[str, str]
) -> None:
    (project_copy / "desired_instance_type/app.py").write_text(EVENT_SEEN)
    path = project_copy / "events/desired_instance_type/compliant.json"
    event = json.loads(path.read_text())
    content = json.loads(event["invokingEvent"])
    item = content["configurationItem"]
    path.write_text(path.read_text().replace("2026", "1926"))  # the time is not the file's
    done = run_live(project_copy, path, **settings)
    (seen,) = re.findall(r"^    (.*)$", done.stdout, re.MULTILINE)[:1]
    old = f"us-east-1:{item['awsAccountId']}"
    assert seen.split() == [
        ACCOUNT,
        event["configRuleArn"].replace(old, f"{REGION}:{ACCOUNT}"),
        ACCOUNT,
        REGION,
        item["ARN"].replace(old, f"{REGION}:{ACCOUNT}"),
        "20",
        REGION,
    ]


@pytest.mark.parametrize("token", ["a-real-token", None])
def test_event_with_another_token_is_refused_before_any_call(
    token: str | None, project_copy: Path
) -> None:
    path = project_copy / "events/desired_instance_type/deleted.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resultToken": token}))
    done = run_live(project_copy, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"python -m scripts.live: {path}: resultToken must be TESTMODE, a dry run, with LIVE=1.\n"
    )


def test_oversized_event_of_the_callers_own_is_run(
    project_copy: Path, settings: dict[str, str]
) -> None:
    path = project_copy / "events/desired_instance_type/oversized.json"
    done = run_live(project_copy, path, **settings)
    assert "GetResourceConfigHistory" in done.stdout
    assert "AWS answers no call\n" in done.stdout


@pytest.mark.parametrize(
    ("missing", "changes", "message"),
    [
        ("AWS_DEFAULT_REGION", {}, "LIVE=1 needs a Region: set AWS_DEFAULT_REGION, or one in a"),
        ("", {"AWS_REGION": "us-west-2"}, "AWS_REGION and AWS_DEFAULT_REGION differ: SAM CLI"),
        ("AWS_ACCESS_KEY_ID", {}, "LIVE=1 needs credentials (set AWS_PROFILE): Unable to locate"),
        ("", {"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found."),
        ("", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Could not connect to the endpoint URL"),
    ],
    ids=["no Region", "two Regions", "no credentials", "an unknown profile", "no connection"],
)
def test_what_the_caller_lacks_is_one_sentence(
    missing: str, changes: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    given = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    given |= {"AWS_DEFAULT_REGION": REGION}
    given |= changes | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}
    given.pop(missing, None)
    if missing == "AWS_ACCESS_KEY_ID":
        del given["AWS_SECRET_ACCESS_KEY"]
    done = run_live(ROOT, **given)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_nothing_of_the_local_aws_is_imported() -> None:
    code = (
        "import sys, scripts.live; print([name for name in sys.modules if 'moto' in name "
        "or name.endswith('local_aws')])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed == "[]\n"
