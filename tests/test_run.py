"""`make run`: the built functions in Lambda's emulator, and what a rule's author sees."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scripts import run_events
from scripts.lambda_runtime import Function, load_function, start_function
from scripts.local_aws import start_local_aws
from scripts.stack import ROOT
from tests.conftest import RULES, read_event

pytestmark = pytest.mark.usefixtures("built")
RULE = "desired_instance_type"
README = (ROOT / "README.md").read_text()
linux = pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator is a Linux binary")
REPORT = """
import boto3
def lambda_handler(event, context):
    print("reporting")
    evaluation = dict(ComplianceResourceType="AWS::EC2::Instance", ComplianceResourceId="i-1",
                      ComplianceType="{}", OrderingTimestamp=0{})
    boto3.client("config").put_evaluations(Evaluations=[evaluation], ResultToken="a-real-token")
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Return exit code and output of the command."""
    code = run_events.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def write_event(folder: Path, **fields: Any) -> Path:
    path = folder / "event.json"
    path.write_text(json.dumps({**read_event(RULE, "compliant"), **fields}))
    return path


# The samples


@pytest.mark.parametrize("emulated", [pytest.param(True, marks=linux), False])
def test_readme_shows_what_the_sample_events_print(
    emulated: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not emulated:
        monkeypatch.setattr("sys.platform", "darwin")
    code, printed = run(capsys)
    assert code == 0
    shown = re.search(r"```\n(desired_instance_type/compliant.*?)\n\n", README, re.DOTALL)
    assert shown
    assert [line for line in shown[1].splitlines() if line not in printed] == []
    assert ("plain Python instead" in printed) is not emulated
    assert ", 0 errors" in printed


def test_each_rule_runs_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in RULES:
        _, printed = run(capsys, "--rule", rule)
        names = re.findall(r"^(\w+)/", printed, re.MULTILINE)
        assert set(names) == {rule}


def test_event_may_be_written_with_plain_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = read_event(RULE, "compliant")
    opened = {name: json.loads(event[name]) for name in ("invokingEvent", "ruleParameters")}
    opened["ruleParameters"]["desiredInstanceType"] = "t[abc].micro"
    _, printed = run(capsys, "--rule", RULE, write_event(tmp_path, **opened))
    assert "does not match the desired types: t[abc].micro." in printed


def test_oversized_event_is_evaluated_from_the_item_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = json.loads((ROOT / "events" / RULE / "configuration_items.json").read_text())
    items["configurationItems"][0]["configuration"] = '{"instanceType": "x9.huge"}'
    (tmp_path / "configuration_items.json").write_text(json.dumps(items))
    path = write_event(
        tmp_path,
        **read_event(RULE, "oversized"),
    )
    _, printed = run(capsys, "--rule", RULE, path)
    assert "Instance type x9.huge does not match" in printed


# Errors


def test_failing_event_is_shown_with_the_functions_own_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = run(capsys, "--rule", RULE, write_event(tmp_path, ruleParameters="{}"))
    assert code == 1
    assert printed.count("desiredInstanceType must be a list of instance types, not None.") == 1
    assert 'File "desired_instance_type/app.py", line ' in printed
    assert "awslambdaric" not in printed
    assert "1 event: 0 compliant, 0 non-compliant, 0 not applicable, 1 errors" in printed


HANDLERS = [
    pytest.param("import requestss", ["No module named 'requestss'"], id="an import fails"),
    pytest.param("def lambda_handler(", ["SyntaxError", "app.py"], id="a syntax error"),
    pytest.param(
        "def lambda_handler(event, context): print('here')",
        ["The function sent no evaluation; it returned None.", "| here"],
        id="nothing is sent",
    ),
    pytest.param(
        "def lambda_handler(event, context):\n print('looping')\n while True: pass",
        ["Task timed out after 1.00 seconds", "| looping"],
        id="an endless loop",
    ),
    pytest.param(
        "import os\ndef lambda_handler(event, context):\n print('dying')\n os._exit(3)",
        ["exited with", "status 3", "| dying"],
        id="the process dies",
    ),
    pytest.param(
        REPORT.format("COMPLIANT", ""),
        ["COMPLIANT       i-1  PutEvaluations", "(no annotation)"],
        id="a real token and no annotation",
    ),
    pytest.param(
        REPORT.format("COMPLIANT", ", Annotation='[/nope] [red]'"),
        ["[/nope] [red]"],
        id="an annotation like markup",
    ),
    pytest.param(
        REPORT.format("FINE", ""),
        ["InvalidParameterValueException", "ComplianceType FINE", "| reporting"],
        id="an unknown compliance type",
    ),
]


@pytest.mark.parametrize(
    ("emulated", "handler", "expected"),
    [pytest.param(True, *each.values, id=each.id, marks=linux) for each in HANDLERS]
    + [
        pytest.param(False, *each.values, id=f"{each.id}, in plain Python") for each in HANDLERS[:5]
    ],
)
def test_handler_under_construction_is_shown_as_it_is(
    emulated: bool,
    handler: str,
    expected: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not emulated:
        monkeypatch.setattr("sys.platform", "darwin")
    (tmp_path / "app.py").write_text(handler)
    case = run_events.load_case(ROOT / "events" / RULE / "compliant.json", None)
    printer = run_events.Printer([case], show_log=False)
    function = build(tmp_path, timeout=1 if "looping" in handler else 60)
    with start_local_aws() as aws, start_function(function, aws.endpoint) as runtime:
        printer.print_name(case)
        printer.print_outcome(run_events.run_case(case, runtime, aws))
    printed = capsys.readouterr().out
    assert [text for text in expected if text not in printed] == [], printed
    assert "botocore" not in printed


def build(folder: Path, timeout: int = 60) -> Function:
    """Return a function of the folder, with a timeout in seconds."""
    function = load_function(RULE)
    variables = {"LAMBDA_TASK_ROOT": str(folder), "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout)}
    return Function(folder, function.handler, timeout, {**function.environment, **variables})


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
def test_file_that_cannot_be_used_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run_events.main(["--rule", RULE, str(path)])
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["x"], "each item needs configurationItemCaptureTime, resourceId, resourceType."),
        (
            [{"resourceType": "A", "resourceId": "a", "configurationItemCaptureTime": "then"}],
            "configurationItemCaptureTime must be a time, not 'then'.",
        ),
    ],
)
def test_recorded_items_that_cannot_be_used_are_named(
    items: list[Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "configuration_items.json"
    path.write_text(json.dumps({"configurationItems": items}))
    with pytest.raises(ValueError, match="configuration_items") as caught:
        run_events.main(["--rule", RULE, str(write_event(tmp_path))])
    assert str(caught.value) == f"{path}: {message}"


def test_unknown_rule_or_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"RULE must be one of {RULES[0]}, .*, not 'other'\."):
        run_events.main(["--rule", "other"])
    with pytest.raises(ValueError, match=r"missing\.json: No such file or directory\."):
        run_events.main([str(tmp_path / "missing.json")])


def test_event_without_a_rule_lists_the_rules(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"add RULE={RULES[0]} or RULE="):
        run_events.main([str(write_event(tmp_path))])


# The output


@pytest.mark.parametrize(("columns", "longest"), [("80", 80), ("200", 140)])
def test_output_fits_the_terminal(
    columns: str,
    longest: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, printed = run(capsys)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= longest
    assert "\x1b" not in printed
    assert any(
        re.match(r"\w+/oversized +NON_COMPLIANT +i-0b16000000000005b", line) for line in lines
    )


def test_terminal_has_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    _, printed = run(capsys, "--rule", "resource_count_limit")
    assert "\x1b[33mNON_COMPLIANT\x1b[0m" in printed


def test_log_is_shown_on_request_and_has_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = run(capsys, "--rule", RULE, "--log")
    assert printed.count("| INFO evaluations sent {") == len(run_events.list_events(RULE))
    assert "TESTMODE" not in printed
    assert "stand-in" not in printed


# Nothing is left behind


def find_processes(marker: str) -> list[str]:
    """Return the processes that have the marker in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_text() and (entry / "cmdline").read_text():
                found.append(entry.name)
        except (OSError, UnicodeDecodeError):
            continue  # it ended, or is another user's
    return found


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_run(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('started', flush=True)\nwhile True: pass")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "from pathlib import Path; from tests.test_run import build, start_function\n"
        f"with start_function(build(Path({str(tmp_path)!r})), 'http://127.0.0.1:1') as runtime:\n"
        "    print('ready', flush=True)\n"
        "    runtime.invoke({})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    wait_for(lambda: len(find_processes(str(tmp_path))) == 2)  # the emulator and the function
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    wait_for(lambda: not find_processes(str(tmp_path)))


def wait_for(condition: Any) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("It did not happen in thirty seconds.")
