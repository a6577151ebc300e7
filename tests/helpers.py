"""What the tests share: rules as Lambda loads them, events, and AWS with canned answers."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from botocore.awsrequest import AWSResponse
from moto.iam.models import get_account_id_from

from scripts.events import list_sample_events, load_event
from scripts.invocation import load_rule
from scripts.local_aws import LocalAws, build_response, get_body
from scripts.template import ROOT, JsonObject, list_rules

RULES = list_rules()


class Absent:
    """As a field's value: the field is not there."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()
every_rule = pytest.mark.parametrize("rule", RULES)

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


@cache
def has_function(rule: str, function: str) -> bool:
    """Return whether the rule has the function; a rule that cannot be loaded fails in the test."""
    try:
        return hasattr(load(rule), function)
    except Exception:  # noqa: BLE001  # here it would stop the tests of every other rule too
        return True


def for_rules_with(function: str) -> pytest.MarkDecorator:
    """Run the test for every rule of the template that has the function."""
    return pytest.mark.parametrize("rule", [rule for rule in RULES if has_function(rule, function)])


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


def with_changes(event: JsonObject, name: str, changes: JsonObject) -> JsonObject:
    """Return the event with its JSON string `name` changed at these dotted paths."""
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
    """One request: its action (config:PutEvaluations), and with whose credentials it was made."""

    action: str
    parameters: JsonObject
    account_id: str
    has_session_token: bool

    @property
    def operation(self) -> str:
        return self.action.split(":")[1]


@dataclass
class FakeAws(LocalAws):
    """What make run uses in place of AWS; it also notes each request and has canned answers.

    moto alone cannot answer what these tests need: history, several pages, rejected evaluations,
    results that are held, and faults. A request comes here by botocore's event before-send.
    """

    requests: list[Call] = field(default_factory=list)
    # By operation, for its next requests: an exception, or what build_response takes.
    canned_answers: dict[str, list[Exception | str | JsonObject]] = field(default_factory=dict)

    def record_call(self, request: Any, call: str) -> AWSResponse | None:
        super().record_call(request, call)
        operation = call.partition(":")[2]
        body = get_body(request)
        parameters = json.loads(body) if body.startswith("{") else dict(parse_qsl(body))
        signed = re.search("Credential=(.+?)/", str(request.headers["Authorization"]))
        assert signed, "every request is signed"
        has_session_token = "X-Amz-Security-Token" in request.headers
        account_id = get_account_id_from(signed[1])
        self.requests.append(Call(call, parameters, account_id, has_session_token))
        if not self.canned_answers.get(operation):
            return None
        answer = self.canned_answers[operation].pop(0)
        if isinstance(answer, Exception):
            raise answer
        return build_response(request, answer)

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.requests]

    def prepare_rule(self, rule: str) -> None:
        """Record and create what the rule's sample events need."""
        self.load_sample_state(ROOT / "events" / rule)
        self.requests.clear()
        self.rule_name = read_sample(rule).get("configRuleName", "")


# Commands


def run_module(
    folder: Path, module: str, *arguments: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a module in a copy of the repository, with more variables in the environment."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
