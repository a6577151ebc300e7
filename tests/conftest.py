"""A clean environment, the rules as Lambda loads them, and AWS: moto at the end of a wire."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import MockRawResponse
from moto.iam.models import get_account_id_from

from scripts import local_aws, make_rule, run_events, template
from scripts.local_aws import LocalAws, load_rule, start_local_aws
from scripts.run_events import list_sample_events, load_event
from scripts.template import ROOT, list_rules, read_rule

local_aws.clean_environment()
os.environ["TZ"] = "America/New_York"  # Lambda runs in UTC; nothing may depend on it
time.tzset()

JsonObject = dict[str, Any]
try:
    RULES = list_rules()
except (AttributeError, KeyError, TypeError, yaml.YAMLError):
    RULES = []  # find_problem says why
ABSENT = object()  # as a field's value: the field is not there


def check_project() -> None:
    """Raise an error that says what would fail most of the tests."""
    folders = {path.parent.name for path in ROOT.glob("*/app.py")}
    rules = list_rules()
    for rule in sorted(set(rules) - folders):
        fix = "write it, or remove the rule's section"
        raise ValueError(
            f"template.yaml: CodeUri names {rule}/, but there is no {rule}/app.py: {fix}."
        )
    for folder in sorted(folders - set(rules)):
        raise ValueError(f"template.yaml has no function with CodeUri: {folder}/: add one.")
    for rule in rules:
        check_rule(rule)
    loaded = template.load_template()
    for name, output in loaded.get("Outputs", {}).items():
        value = output["Value"]
        if isinstance(value, dict) and value.get("Ref") not in {*loaded["Resources"], None}:
            raise ValueError(f"template.yaml: the output {name} is of no resource: remove it.")


def check_rule(rule: str) -> None:
    """Raise an error that says what would fail most of the rule's tests."""
    code = (ROOT / rule / "app.py").read_text()
    compile(code, f"{rule}/app.py", "exec")
    if "\ndef lambda_handler(event" not in code:
        raise ValueError(f"{rule}/app.py has no lambda_handler(event, context): write it.")
    if not (ROOT / "tests" / f"test_{rule}.py").exists():
        raise ValueError(f"There is no tests/test_{rule}.py: write the rule's own tests.")
    types = read_rule(rule).message_types
    with start_local_aws() as aws:
        aws.load_sample_state(ROOT / "events" / rule)
    paths = list_sample_events(rule)
    if not paths:
        raise ValueError(f"There is no event in events/{rule}/: write one for each result.")
    for path in paths:
        content = json.loads(load_event(path).get("invokingEvent", "{}"))
        if content.get("messageType") not in types:
            named = path.relative_to(ROOT)
            raise ValueError(f"{named}: messageType must be one of {types}, as in template.yaml.")


def find_problem() -> str:
    """Return what would fail most of the tests, in a sentence; empty if there is nothing."""
    try:
        check_project()
    except SyntaxError as ex:
        return f"{ex.filename}, line {ex.lineno}: {ex.msg}"
    except yaml.YAMLError as ex:
        return f"template.yaml cannot be read: {' '.join(str(ex).split())}"
    except (AttributeError, KeyError, TypeError) as ex:
        return f"template.yaml lacks what each rule needs: {ex!r}"
    except ValueError as ex:
        return f"{ex}"
    return ""


def pytest_sessionstart() -> None:
    if problem := find_problem():
        pytest.exit(problem, returncode=1)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    versions = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("boto3", "botocore")
    )
    terminalreporter.write_line(f"Tested with {versions}.")


SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
needs_sam = pytest.mark.skipif(
    not SAM_PYTHON.exists(),
    reason="needs SAM CLI in .venv-sam, which make test installs",
)


# The rules


def load(rule: str, **environment: str) -> Any:
    """Return the rule's module, loaded with this environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return load_rule(rule)


def for_rules_with(function: str) -> pytest.MarkDecorator:
    """Run the test for every rule of the template that has the function."""
    return pytest.mark.parametrize(
        "rule",
        [rule for rule in RULES if f"\ndef {function}(" in (ROOT / rule / "app.py").read_text()],
    )


# Events


def read_event(rule: str, case: str) -> JsonObject:
    """Return a sample event of the repository."""
    return load_event(ROOT / "events" / rule / f"{case}.json")


def read_sample(rule: str, **fields: Any) -> JsonObject:
    """Return the rule's first sample event that is evaluated from what it holds."""
    for path in list_sample_events(rule):
        event = read_event(rule, path.stem)
        content = json.loads(event["invokingEvent"])
        status = content.get("configurationItem", {}).get("configurationItemStatus")
        if status == "OK" or content["messageType"] == "ScheduledNotification":
            event |= {"resultToken": "a-real-token", **fields}
            return {name: value for name, value in event.items() if value is not ABSENT}
    raise AssertionError(f"events/{rule}/ has no event of a resource with status OK.")


def edit(event: JsonObject, name: str, changes: JsonObject) -> JsonObject:
    """Return the event with its JSON text `name` changed at these dotted paths."""
    content = json.loads(event.get(name, "{}"))
    for path, value in changes.items():
        *parents, last = path.split(".")
        holder = content
        for parent in parents:
            holder = holder[parent]
        if value is ABSENT:
            del holder[last]
        else:
            holder[last] = value
    return {**event, name: json.dumps(content)}


# AWS


@dataclass
class Call:
    """One request: its action (config:PutEvaluations) and the account that signed it."""

    action: str
    parameters: JsonObject
    account_id: str

    @property
    def operation(self) -> str:
        return self.action.split(":")[1]


@dataclass
class FakeAws(LocalAws):
    """Between every client and moto: notes each request, and may answer in AWS's place."""

    requests: list[Call] = field(default_factory=list)
    # By operation, for its next requests: an exception, an error "Code: message", or a response,
    # an object for a service that answers JSON, a text for one that answers XML.
    answers: dict[str, list[Exception | str | JsonObject]] = field(default_factory=dict)

    def record_call(self, request: Any, call: str) -> AWSResponse | None:
        super().record_call(request, call)
        operation = call.partition(":")[2]
        body = request.body or ""
        body = body if isinstance(body, str) else body.decode()
        is_json = body.startswith("{")
        parameters = json.loads(body) if is_json else dict(parse_qsl(body))
        signed = re.search("Credential=(.+?)/", str(request.headers["Authorization"]))
        assert signed, "every request is signed"
        self.requests.append(Call(call, parameters, get_account_id_from(signed[1])))
        if not self.answers.get(operation):
            return None
        answer = self.answers[operation].pop(0)
        if isinstance(answer, Exception):
            raise answer
        headers, status, text = HTTPHeaders(), 200, json.dumps(answer)
        if isinstance(answer, str) and answer.startswith("<"):
            text = answer
        elif isinstance(answer, str):
            code, _colon, message = answer.partition(": ")
            headers["x-amzn-errortype"] = code
            xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            text = json.dumps({"__type": code, "message": message})
            status, text = 400, text if is_json else f"{xml}</ErrorResponse>"
        return AWSResponse(request.url, status, headers, MockRawResponse(text))

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def prepare_rule(self, rule: str) -> None:
        """Record and create what the rule's sample events need."""
        self.load_sample_state(ROOT / "events" / rule)
        self.requests.clear()
        self.rule_name = read_sample(rule).get("configRuleName", "")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository, without what is installed and built."""
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    for name in ("docs", "events", "scripts", "tests", *RULES):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    return tmp_path


def run_module(
    folder: Path, module: str, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a module in a copy of the repository, with more variables in the environment."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """moto with an empty AWS Config; retries wait for nothing."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    with start_local_aws(FakeAws()) as wire:
        yield wire


# A project of two small rules: sizes, triggered by changes, and volumes, periodic

PROJECT_TEMPLATE = """
Parameters:
  Limit: { Default: "3", AllowedPattern: "[0-9]+", ConstraintDescription: Give a number. }
  Frequency: { Default: One_Hour, AllowedValues: [One_Hour, Six_Hours] }
  Owner: { Default: "" }
Conditions:
  HasOwner: !Not [!Equals [!Ref Owner, ""]]
Resources:
  # ----- sizes -----
  SizesFunction:
    Properties: { CodeUri: sizes/, Description: Sizes., Policies: [] }
  SizesRule:
    Properties:
      Description: Sizes.
      InputParameters:
        { limit: !Ref Limit, unit: GiB, owner: !If [HasOwner, !Ref Owner, !Ref AWS::NoValue] }
      Scope: { ComplianceResourceTypes: [AWS::EC2::Volume] }
      Source: { SourceDetails: [{ MessageType: ConfigurationItemChangeNotification }] }

  # ----- volumes -----
  VolumesFunction:
    Properties:
      CodeUri: volumes/
      Description: Volumes.
      Policies: []
  VolumesRule:
    Properties:
      Description: Volumes.
      Source: { SourceDetails: [{ MessageType: ScheduledNotification }] }

Outputs:
  SizesRuleName:
    Value: !Ref SizesRule
  VolumesRuleName:
    Value: !Ref VolumesRule
"""
REPORT = """
def report(event, resource_type, resource_id, size, limit, time, annotation):
    evaluation = {"ComplianceResourceType": resource_type, "ComplianceResourceId": resource_id,
                  "ComplianceType": "COMPLIANT" if size <= limit else "NON_COMPLIANT",
                  "Annotation": annotation, "OrderingTimestamp": time}
    token = event["resultToken"]
    boto3.client("config").put_evaluations(Evaluations=[evaluation], ResultToken=token)
"""
SIZES = f"""
import json, logging, boto3
{REPORT}
def lambda_handler(event, context):
    item = json.loads(event["invokingEvent"])["configurationItem"]
    limit = json.loads(event["ruleParameters"])["limit"]
    size = item["configuration"]["size"]
    print("measured")
    logging.getLogger(__name__).info("found", extra={{"size": size}})
    report(event, item["resourceType"], item["resourceId"], size, int(limit),
           item["configurationItemCaptureTime"], f"Size {{size}}, limit {{limit}}.")
"""
VOLUMES = f"""\"\"\"The card: count.\"\"\"
import json, boto3
{REPORT}
# ----- This rulethe same.
def lambda_handler(event, context):
    time = json.loads(event["invokingEvent"])["notificationCreationTime"]
    client, resource_type = boto3.client("config"), "AWS::EC2::Volume"
    found = client.list_discovered_resources(resourceType=resource_type)["resourceIdentifiers"]
    report(event, "AWS::::Account", event["accountId"], len(found), 2, time,
           f"Volumes: {{len(found)}}.")
"""


def make_volume(resource_id: str, size: int, **fields: Any) -> JsonObject:
    """Return a configuration item as snapshots have it."""
    item = {
        "resourceType": "AWS::EC2::Volume",
        "resourceId": resource_id,
        "awsAccountId": "123456789012",
        "awsRegion": "us-east-1",
        "configurationItemStatus": "OK",
        "configurationItemCaptureTime": "2026-11-05T09:15:27.482Z",
        "configuration": {"size": size},
        "tags": {"Name": "data"},
        "relationships": [],
        "supplementaryConfiguration": {},
    }
    return {name: value for name, value in {**item, **fields}.items() if value is not ABSENT}


def make_snapshot(*items: JsonObject) -> JsonObject:
    return {"fileVersion": "1.0", "configSnapshotId": "4f2", "configurationItems": items}


@dataclass
class Project:
    """A folder that the scripts take for the repository."""

    root: Path

    def write(self, name: str, content: Any) -> Path:
        """Write a file: text as it is, anything else as JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def write_size_event(self, name: str, size: int) -> Path:
        """Write an event of a volume, its JSON texts as plain objects."""
        change = {"messageType": "ConfigurationItemChangeNotification"}
        event = {"invokingEvent": change | {"configurationItem": make_volume("vol-1", size)}}
        return self.write(name, event | {"ruleParameters": {"limit": 3}, "resultToken": "real"})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project of two small rules, in place of the repository."""
    made = Project(tmp_path)
    made.write("template.yaml", PROJECT_TEMPLATE)
    made.write("sizes/app.py", SIZES)
    made.write("volumes/app.py", VOLUMES)
    made.write_size_event("events/sizes/large.json", 9)
    made.write_size_event("events/sizes/small.json", 1)
    notification = {"notificationCreationTime": "2026-11-06T09:15:28.107Z"}
    notification["messageType"] = "ScheduledNotification"
    event = {"invokingEvent": notification, "accountId": "123456789012", "resultToken": "real"}
    event["configRuleName"] = "volumes"
    for rule in ("sizes", "volumes"):
        made.write(f"tests/test_{rule}.py", f'RULE = "{rule}"')
    made.write("events/volumes/count.json", event)
    items = {"configurationItems": [make_volume("vol-1", 1), make_volume("vol-2", 1)]}
    made.write("events/volumes/configuration_items.json", items)
    for module in (template, local_aws, run_events, make_rule):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    template.load_template.cache_clear()
    yield made
    template.load_template.cache_clear()
