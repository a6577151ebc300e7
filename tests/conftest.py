"""A clean environment, the rules as Lambda loads them, and AWS: moto at the end of a wire."""

from __future__ import annotations

import importlib.metadata
import importlib.util
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

# Before the imports: no profile, proxy, time zone or credential of the machine reaches a test.
for name in list(os.environ):
    if name.startswith(("AWS_", "ASSUME_ROLE_", "EXECUTION_ROLE_")) or "proxy" in name.lower():
        del os.environ[name]
os.environ |= {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "own-key",
    "AWS_SECRET_ACCESS_KEY": "own-secret",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "TZ": "America/New_York",  # Lambda runs in UTC; nothing may depend on it
}
time.tzset()
sys.dont_write_bytecode = True  # a rule's folder is what gets deployed

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws
from moto.core.botocore_stubber import MockRawResponse
from moto.iam.models import get_account_id_from

from scripts.local_aws import read_items, record_config
from scripts.run_events import list_events, load_case
from scripts.stack import ACCOUNT_ID, ROOT, get_name, list_rules, load_template

Json = dict[str, Any]
RULES = list_rules()
ABSENT = object()  # as a field's value: the field is not there
boto3.setup_default_session()
OWN_ACCOUNT = ACCOUNT_ID
OTHER_ACCOUNT = "111122223333"
ROLE = "arn:aws:iam::{}:role/config/recorder"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    versions = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("boto3", "botocore")
    )
    terminalreporter.write_line(f"Tested with {versions}.")


# The rules


def load(rule: str, **environment: str) -> Any:
    """Return the rule's module, loaded anew with this environment."""
    spec: Any = importlib.util.spec_from_file_location(f"{rule}.app", ROOT / rule / "app.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        spec.loader.exec_module(module)
    return module


def for_rules_with(function: str) -> pytest.MarkDecorator:
    """Run the test for every rule of the template that has the function."""
    return pytest.mark.parametrize(
        "rule",
        [rule for rule in RULES if f"\ndef {function}(" in (ROOT / rule / "app.py").read_text()],
    )


def get_message_types(rule: str) -> list[str]:
    """Return the notifications that the rule listens to, from the template."""
    properties = load_template()["Resources"][f"{get_name(rule)}Rule"]["Properties"]
    return [detail["MessageType"] for detail in properties["Source"]["SourceDetails"]]


# Events


def read_event(rule: str, case: str) -> Json:
    """Return a sample event of the repository."""
    return load_case(ROOT / "events" / rule / f"{case}.json", rule).event


def read_sample(rule: str, **fields: Any) -> Json:
    """Return the rule's first sample event that is evaluated from what it holds."""
    for path in list_events(rule):
        event = read_event(rule, path.stem)
        content = json.loads(event["invokingEvent"])
        status = content.get("configurationItem", {}).get("configurationItemStatus")
        if status == "OK" or content["messageType"] == "ScheduledNotification":
            event |= {"resultToken": "a-real-token", **fields}
            return {name: value for name, value in event.items() if value is not ABSENT}
    raise AssertionError(f"events/{rule}/ has no event of a resource with status OK.")


def edit(event: Json, name: str, changes: Json) -> Json:
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
    parameters: Json
    account_id: str

    @property
    def operation(self) -> str:
        return self.action.split(":")[1]


@dataclass
class Wire:
    """Between every client and moto: notes each request, and may answer in AWS's place."""

    items: list[Json]  # what AWS Config has recorded
    calls: list[Call] = field(default_factory=list)
    evaluations: list[Json] = field(default_factory=list)  # those that reached AWS Config
    # By operation, for its next requests: an exception, an error "Code: message", or a response.
    answers: dict[str, list[Exception | str | Json]] = field(default_factory=dict)

    def __call__(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        body = request.body or ""
        body = body if isinstance(body, str) else body.decode()
        is_json = body.startswith("{")
        parameters = json.loads(body) if is_json else dict(parse_qsl(body))
        signed = re.search("Credential=(.+?)/.+?/.+?/(.+?)/", str(request.headers["Authorization"]))
        assert signed, "every request is signed"
        key, service = signed.groups()
        self.calls.append(Call(f"{service}:{operation}", parameters, get_account_id_from(key)))
        answers = self.answers.get(operation)
        answer = answers.pop(0) if answers else None
        if answer is None:
            self.evaluations += parameters.get("Evaluations", [])
            return None
        if isinstance(answer, Exception):
            raise answer
        status, text = 200, json.dumps(answer)
        if isinstance(answer, str):
            code, _colon, message = answer.partition(": ")
            xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            text = json.dumps({"__type": code, "message": message})
            status, text = 400, text if is_json else f"{xml}</ErrorResponse>"
        return AWSResponse(request.url, status, HTTPHeaders(), MockRawResponse(text))

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def prepare(self, rule: str) -> None:
        """Record what the rule's sample events need."""
        self.items[:] = read_items(ROOT / "events" / rule)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository, without what is installed and built."""
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    for name in ("events", "scripts", "tests", *RULES):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    return tmp_path


@pytest.fixture(scope="session")
def built() -> None:
    """The functions as sam build makes them of the files as they are now."""
    subprocess.run(["make", "--silent", "build"], cwd=ROOT, check=True)  # noqa: S607  # make's own


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    """moto with an empty AWS Config; retries wait for nothing."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    keep_session: Any = {"core": {"reset_boto3_session": False}}  # its API models take 0.1 s
    with mock_aws(config=keep_session), record_config() as record:
        wire = Wire(record.items)
        events = boto3.DEFAULT_SESSION.events
        events.register_first("before-send", wire)
        yield wire
        events.unregister("before-send", wire)
