"""`make run`, end to end: the built functions in Lambda's emulator, with moto as AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.lambda_runtime import (
    BUILD,
    find_emulator,
    kill_session,
    load_function,
    start_function,
)
from scripts.local_aws import CREDENTIALS, start_local_aws
from scripts.run_events import Outcome, load_cases, main, run_cases
from tests.conftest import ROOT, RULES, edit, read_event

HISTORY, LIST, PUT = "GetResourceConfigHistory", "ListDiscoveredResources", "PutEvaluations"
EXPECTED = {
    "desired_instance_type/compliant": ("COMPLIANT", "i-0a11ce0000000001a", [PUT]),
    "desired_instance_type/deleted": ("NOT_APPLICABLE", "i-0dead0000000003de", [PUT]),
    "desired_instance_type/left_scope": ("NOT_APPLICABLE", "i-01ef7000000000004", [PUT]),
    "desired_instance_type/non_compliant": ("NON_COMPLIANT", "i-0b0b000000000002b", [PUT]),
    "desired_instance_type/oversized": ("NON_COMPLIANT", "i-0b16000000000005b", [HISTORY, PUT]),
    "resource_count_limit/over_limit": ("NON_COMPLIANT", "123456789012", [LIST, PUT]),
    "resource_count_limit/within_limit": ("COMPLIANT", "123456789012", [LIST, PUT]),
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="the Lambda emulator is a Linux binary")
requires_emulator = pytest.mark.parametrize(
    "emulated", [pytest.param(True, marks=linux, id="emulator"), pytest.param(False, id="python")]
)


def run_all(*, emulated: bool) -> tuple[dict[str, Outcome], dict[str, str]]:
    cases = load_cases(sorted(ROOT.glob("events/*/*.json")), None)
    with start_local_aws() as aws:
        outcomes, logs = run_cases(cases, aws, find_emulator() if emulated else None)
    return {f"{outcome.case.rule}/{outcome.case.name}": outcome for outcome in outcomes}, logs


@requires_emulator
def test_every_sample_event_has_its_result(emulated: bool) -> None:
    outcomes, logs = run_all(emulated=emulated)
    found = {
        name: (
            outcome.answer[0]["ComplianceType"],
            outcome.answer[0]["ComplianceResourceId"],
            outcome.calls,
        )
        for name, outcome in outcomes.items()
    }
    assert found == EXPECTED
    # The history and the count are of instances launched by the run: t3.large; four of them.
    assert "t3.large is not" in outcomes["desired_instance_type/oversized"].answer[0]["Annotation"]
    counted = outcomes["resource_count_limit/over_limit"].answer[0]["Annotation"]
    assert "discovered 4 of AWS::EC2::Instance" in counted
    if emulated:
        check_log(logs, outcomes)


def check_log(logs: dict[str, str], outcomes: dict[str, Outcome]) -> None:
    """Check that the JSON log holds each evaluation, and no token or credential."""
    lines = [line for log in logs.values() for line in log.splitlines() if line.startswith("{")]
    records = [json.loads(line) for line in lines]
    logged = [record["evaluations"] for record in records if "evaluations" in record]
    assert logged == [outcome.answer for outcome in outcomes.values()]
    text = "".join(logs.values())
    secrets = ("TESTMODE", "resultToken", *CREDENTIALS.values())
    assert not [secret for secret in secrets if secret in text]


def write_event(folder: Path, event: dict[str, Any]) -> str:
    path = folder / "event.json"
    path.write_text(json.dumps(event))
    return str(path)


def test_one_event_with_its_rule_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    event = edit(
        read_event("desired_instance_type", "compliant"),
        "ruleParameters",
        {"desiredInstanceType": "m5.*"},
    )
    assert main(["--rule", "desired_instance_type", write_event(tmp_path, event)]) == 0
    printed = capsys.readouterr().out
    assert "NON_COMPLIANT" in printed
    assert "t3.micro is not among those wanted: m5.*" in printed
    assert "1 PutEvaluations" in printed
    assert "\x1b" not in printed, "plain when piped"


@requires_emulator
def test_failing_function_is_shown_and_fails_the_run(
    emulated: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not emulated:
        monkeypatch.setattr("sys.platform", "darwin")
    event = {**read_event("desired_instance_type", "compliant"), "ruleParameters": "{}"}
    assert main(["--rule", "desired_instance_type", write_event(tmp_path, event)]) == 1
    printed = capsys.readouterr().out
    assert "ERROR" in printed
    assert "failed with ValueError: desiredInstanceType must be a non-empty string" in printed
    assert "evaluate_change_notification_compliance" in printed, "the stack trace"
    assert ("plain Python instead" in printed) is not emulated


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"invokingEvent": "{"}, "ValueError: invokingEvent must be JSON text, not '{'."),
        ({"invokingEvent": "[]"}, "ValueError: invokingEvent must be a JSON object, not []."),
        ({"resultToken": ""}, "ValueError: resultToken must be a non-empty string, not a str."),
    ],
    ids=["broken JSON", "a list", "no token"],
)
def test_error_shown_for_a_broken_event_is_the_functions_own(
    changes: dict[str, Any], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {**read_event("desired_instance_type", "compliant"), **changes}
    assert main(["--rule", "desired_instance_type", write_event(tmp_path, event)]) == 1
    assert error in capsys.readouterr().out


def test_unknown_rule_is_named(tmp_path: Path) -> None:
    event = read_event("desired_instance_type", "compliant")
    with pytest.raises(ValueError, match="rule must be a folder"):
        main(["--rule", "other", write_event(tmp_path, event)])


@linux
def test_emulator_listens_on_this_machine_alone_and_leaves_nothing() -> None:
    function = load_function(RULES[0])
    with (
        start_local_aws() as aws,
        start_function(function, aws.endpoint, emulator=find_emulator()) as runtime,
    ):
        runtime.invoke(read_event(RULES[0], "compliant"))
        emulators = find_processes("aws-lambda-rie")
        assert emulators
        assert find_processes("awslambdaric")
        addresses = {address for pid in emulators for address in list_listening(pid)}
        assert len(addresses) == 2
        assert all(address.startswith("0100007F:") for address in addresses), addresses
    assert not find_processes("aws-lambda-rie")
    assert not find_processes("awslambdaric")


def find_processes(name: str) -> list[str]:
    """Return the ids of the processes that were started with the name on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text()  # empty for a zombie
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        if name in command:
            found.append(entry.name)
    return found


def list_listening(pid: str) -> list[str]:
    """Return the local addresses, in the kernel's hexadecimal, that a process listens on."""
    inodes = set()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(entry.path))
        except FileNotFoundError:
            continue  # closed meanwhile
    found = []
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as lines:
            rows = [line.split() for line in lines][1:]
        found += [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    return found


def test_killing_a_session_spares_others() -> None:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)  # noqa: S607
    kill_session(process.pid)
    assert process.wait() == -9


def test_built_functions_hold_their_own_file_alone_and_are_small() -> None:
    for rule in RULES:
        folder = load_function(rule).folder
        assert folder.is_relative_to(BUILD)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert [path.name for path in files] == ["app.py"]
        assert files[0].read_bytes() == (ROOT / rule / "app.py").read_bytes()
        assert files[0].stat().st_size < 16 * 1024
