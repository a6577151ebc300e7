"""A clean environment for every test, and the fixtures that more than one file uses."""

import importlib.metadata
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.httpsession import URLLib3Session

from scripts.local_aws import clean_environment, start_local_aws
from scripts.template import ROOT
from tests.helpers import RULES, FakeAws

# Before a rule is imported: nothing of the caller's settings may reach one.
clean_environment()
os.environ["TZ"] = "America/New_York"  # Lambda runs in UTC; nothing may depend on it
time.tzset()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    versions = " and ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("boto3", "botocore")
    )
    terminalreporter.write_line(f"Tested with {versions}.")


@pytest.fixture(autouse=True)
def _no_call_leaves_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a request to another machine an error: moto lets out what it has no answer for."""
    send = URLLib3Session.send

    def send_to_this_machine(session: URLLib3Session, request: Any) -> Any:
        if urlsplit(request.url).hostname not in ("127.0.0.1", "localhost"):
            raise AssertionError(
                f"No call may leave this machine: {request.method} {request.url}. Take the fixture "
                "aws in the test, or mock_aws."
            )
        return send(session, request)

    monkeypatch.setattr(URLLib3Session, "send", send_to_this_machine)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """AWS Config, empty, with what moto cannot answer; retries do not wait."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    fake = FakeAws()
    with start_local_aws(fake):
        yield fake


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """A copy of the repository, without what is installed and built."""
    for path in ROOT.iterdir():
        if path.is_file() and path.name != "organization.json":  # what make organization wrote
            shutil.copy(path, tmp_path)
    for name in ("docs", "events", "scripts", "tests", *RULES):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    return tmp_path
