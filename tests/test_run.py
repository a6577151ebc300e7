"""`make run`: what a rule's author sees of events."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import run_events
from scripts.stack import ROOT
from tests.conftest import RULES, Project, make_volume

README = (ROOT / "README.md").read_text()


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Return exit code and output of the command."""
    code = run_events.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


# Samples


@pytest.mark.parametrize("rule", RULES)
def test_readme_shows_what_the_sample_events_print(
    rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, printed = run(capsys, "--rule", rule)
    block = rf"^{rule}/(\w+) +(\w+)  (\S+)(?:  .+)?\n +(.+)"
    shown = re.findall(block, README, re.MULTILINE)
    if shown:  # a rule of one's own need not be shown
        assert shown == re.findall(block, printed, re.MULTILINE)
    assert printed.endswith(" 0 errors\n")


def test_events_are_shown_with_result_resource_calls_and_annotation(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = run(capsys)
    assert code == 0
    assert printed.splitlines() == [
        "sizes/large    NON_COMPLIANT   vol-1  PutEvaluations",
        "    Size 9, limit 3.",
        "sizes/small    COMPLIANT       vol-1  PutEvaluations",
        "    Size 1, limit 3.",
        "volumes/count  COMPLIANT       123456789012  ListDiscoveredResources, PutEvaluations",
        "    Volumes: 2.",
        "",
        "3 events: 2 compliant, 1 non-compliant, 0 not applicable, 0 errors",
    ]


def test_one_rule_and_one_event_can_be_chosen(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "volumes" not in run(capsys, "--rule", "sizes")[1]
    path = project.write_size_event("elsewhere/mine.json", 7)
    _, printed = run(capsys, "--rule", "sizes", path)
    assert printed.startswith("sizes/mine  NON_COMPLIANT ")
    assert "1 event: 0 compliant, 1 non-compliant" in printed


def test_state_is_created_before_the_events_of_its_rule(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    state = "import boto3\nboto3.client('iam').create_user(UserName='ann')"
    project.write("events/volumes/state.py", state)
    app = (project.root / "volumes/app.py").read_text()
    found = "len(boto3.client('iam').list_users()['Users'])"
    project.write("volumes/app.py", app.replace("{len(found)}", f"{{{found}}}"))
    _, printed = run(capsys, "--rule", "volumes")
    assert "ListDiscoveredResources, ListUsers, PutEvaluations\n    Volumes: 1.\n" in printed


# Errors

PUT = """
import boto3
def lambda_handler(event, context):
    print("here")
    evaluation = dict(ComplianceResourceType="AWS::EC2::Volume", ComplianceResourceId="vol-1",
                      ComplianceType="COMPLIANT", OrderingTimestamp=0)
    boto3.client("config").put_evaluations(Evaluations={}, ResultToken="real")
"""


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        pytest.param("import requestss", ["No module named 'requestss'"], id="an import fails"),
        pytest.param("def lambda_handler(", ["SyntaxError", "app.py"], id="a syntax error"),
        pytest.param(
            "def lambda_handler(event, context): print('here')",
            ["The function sent no evaluation; it returned None.", "| here"],
            id="nothing is sent",
        ),
        pytest.param(
            "import sys\ndef lambda_handler(event, context):\n sys.exit(3)",
            ["SystemExit: 3", 'File "sizes/app.py", line 3, in lambda_handler'],
            id="it exits",
        ),
        pytest.param(
            PUT.format("[evaluation]"),
            ["COMPLIANT       vol-1  PutEvaluations", "(no annotation)"],
            id="no annotation",
        ),
        pytest.param(PUT.format("[]"), ["no evaluations  PutEvaluations"], id="none to report"),
        pytest.param(
            PUT.format("[{**evaluation, 'Annotation': '[/nope] [red]'}]"),
            ["[/nope] [red]"],
            id="an annotation like markup",
        ),
        pytest.param(
            PUT.format("[{**evaluation, 'ComplianceType': 'FINE'}]"),
            ["one of COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, not FINE.", "| here"],
            id="an unknown compliance type",
        ),
        pytest.param(
            PUT.format("[{**evaluation, 'Annotation': 'x' * 257}]"),
            ["An annotation has 1 to 256 characters."],
            id="a long annotation",
        ),
        pytest.param(
            PUT.format("[evaluation] * 101"),
            ["PutEvaluations accepts at most 100 evaluations."],
            id="a batch of 101",
        ),
        pytest.param(
            "import boto3\ndef lambda_handler(event, context):\n"
            " boto3.client('s3', endpoint_url='https://example.com').list_buckets()",
            ["RuntimeError: moto has no answer to GET https://example.com/."],
            id="a call elsewhere",
        ),
    ],
)
def test_handler_under_construction_is_shown_as_it_is(
    app: str, expected: list[str], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("sizes/app.py", app)
    code, printed = run(capsys, "--rule", "sizes", project.root / "events/sizes/small.json")
    assert [text for text in expected if text not in printed] == [], printed
    assert "site-packages" not in printed
    assert code == int("ERROR" in printed)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: Expecting value."),
        ('{"a": 1,}', "line 1: Illegal trailing comma"),
        ("[]", "must hold a JSON object, not a list."),
        ("[" * 100_000, "is nested too deep."),
    ],
    ids=["empty", "invalid JSON", "a list", "nested 100,000 deep"],
)
def test_event_that_cannot_be_used_is_named(content: str, message: str, project: Project) -> None:
    path = project.write("event.json", content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run_events.main(["--rule", "sizes", str(path)])
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, " must hold the list configurationItems."),
        (
            {"configurationItems": ["x"]},
            ": each item needs configurationItemCaptureTime, resourceId, resourceType.",
        ),
        (
            {"configurationItems": [make_volume("vol-1", 1, configurationItemCaptureTime="then")]},
            ": configurationItemCaptureTime must be a time, not 'then'.",
        ),
    ],
    ids=["no list", "no item", "no time"],
)
def test_recorded_items_that_cannot_be_used_are_named(
    content: Any, message: str, project: Project
) -> None:
    path = project.write("events/volumes/configuration_items.json", content)
    with pytest.raises(ValueError, match="configuration_items") as caught:
        run_events.main(["--rule", "volumes"])
    assert str(caught.value) == f"{path}{message}"


def test_what_cannot_be_found_is_named(project: Project) -> None:
    with pytest.raises(ValueError, match=r"RULE must be one of sizes, volumes, not 'other'\."):
        run_events.main(["--rule", "other"])
    with pytest.raises(OSError, match=r"missing\.json"):
        run_events.main([str(project.root / "missing.json")])
    path = project.write_size_event("elsewhere/event.json", 1)
    with pytest.raises(ValueError, match=r"add RULE=sizes or RULE=volumes\."):
        run_events.main([str(path)])


# Output


def test_output_fits_a_terminal_and_is_plain_with_no_color(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, printed = run(capsys)
    assert max(map(len, printed.splitlines()[:-1])) <= 60
    assert "\x1b" not in printed
    assert "volumes/count  COMPLIANT       123456789012\n" in printed


def test_terminal_has_colours(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[33mNON_COMPLIANT\x1b[0m" in run(capsys)[1]


def test_log_is_shown_on_request(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = run(capsys, "--log", project.root / "events/sizes/small.json")
    assert '\n    | INFO found {"size": 1}\n    | measured\n' in printed
    assert "| " not in run(capsys)[1]


# The caller


def test_no_setting_of_the_caller_reaches_a_rule(copy: Path) -> None:
    show = "import os\nprint(sorted(os.environ))\nimport boto3\nboto3.client('sts')\n"
    app = copy / RULES[0] / "app.py"
    app.write_text(show + app.read_text())
    settings = {
        "AWS_PROFILE": "missing",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_RETRY_MODE": "bogus",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ASSUME_ROLE_MODE": "nonsense",
    }
    command = [sys.executable, "-m", "scripts.run_events", "--log", "--rule", RULES[0]]
    printed = subprocess.check_output(command, cwd=copy, env=settings, text=True)
    assert printed.endswith(" 0 errors\n")
    assert [name for name in settings if f"'{name}'" in printed] == []


def test_interrupt_ends_the_run_without_a_traceback(copy: Path) -> None:
    (copy / RULES[0] / "app.py").write_text("while True: pass")
    command = [sys.executable, "-m", "scripts.run_events", "--rule", RULES[0]]
    process = subprocess.Popen(
        command, cwd=copy, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(len(RULES[0])).decode() == RULES[0]
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        assert process.stderr.read() == b""
