"""A clean environment, the rules loaded as Lambda loads them, AWS on this machine."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from scripts.local_aws import REGION
from tests.fake_aws import start_fake_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fake_aws import FakeAws

ROOT = Path(__file__).parent.parent
RULES = ("desired_instance_type", "resource_count_limit")


@cache
def compile_rule(rule: str) -> CodeType:
    path = ROOT / rule / "app.py"
    return compile(path.read_text(), path, "exec")


class Load(Protocol):
    def __call__(self, rule: str, **environment: str) -> Any: ...


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own-secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Lambda runs in UTC; a developer's machine need not.
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    monkeypatch.delenv("ASSUME_ROLE_MODE", raising=False)
    monkeypatch.delenv("EXECUTION_ROLE_NAME", raising=False)


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    """AWS Config and STS on this machine, for the rules loaded after it."""
    with start_fake_aws() as server:
        yield server


@pytest.fixture
def load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a rule's app.py as a new Lambda process does, with its environment."""

    def load_rule(rule: str, **environment: str) -> ModuleType:
        if "aws" in request.fixturenames:
            endpoint = request.getfixturevalue("aws").endpoint
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        module = ModuleType(f"{rule}.app")
        exec(compile_rule(rule), module.__dict__)  # noqa: S102  # the rule's own file
        return module

    return load_rule


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK retry at once."""
    sleep: Callable[[float], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr("botocore.endpoint.time", _Time(sleep))


class _Time:
    """The time module with another sleep."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


def read_event(rule: str, case: str) -> dict[str, Any]:
    """Return the sample event of the repository."""
    event: dict[str, Any] = json.loads((ROOT / "events" / rule / f"{case}.json").read_text())
    return event


def edit(event: dict[str, Any], field: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its JSON text in `field` changed: dotted names, ... removes."""
    content = json.loads(event[field])
    for path, value in changes.items():
        *parents, name = path.split(".")
        holder = content
        for parent in parents:
            holder = holder[parent]
        if value is ...:
            del holder[name]
        else:
            holder[name] = value
    return {**event, field: json.dumps(content)}
