"""`make run`: what a rule's author sees of events."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import run_events
from scripts.template import ROOT
from tests.helpers import RULES, run_module
from tests.scripts.helpers import Project

README = (ROOT / "README.md").read_text()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns exit code and output."""

    def call(*arguments: object) -> tuple[int, str]:
        code = run_events.main([str(each) for each in arguments])
        return code, capsys.readouterr().out

    return call


@pytest.mark.parametrize("rule", RULES)
def test_readme_shows_what_the_sample_events_print(rule: str, run: Any) -> None:
    _, printed = run("--rule", rule)
    block = rf"^{rule}/(\w+) +(\w+)  (\S+)(?:  .+)?\n +(.+)"
    shown = re.findall(block, README, re.MULTILINE)
    if shown:  # a rule of one's own need not be shown
        assert shown == re.findall(block, printed, re.MULTILINE)
    assert printed.endswith(" 0 errors\n")


def test_events_are_shown_with_result_resource_calls_and_annotation(
    project: Project, run: Any
) -> None:
    code, printed = run()
    assert code == 0
    assert printed.splitlines() == [
        "sizes/deleted     NOT_APPLICABLE  vol-1  PutEvaluations",
        "    The volume is deleted.",
        "sizes/large       NON_COMPLIANT   vol-1  PutEvaluations",
        "    Size 9, limit 3. Ask ann.",
        "sizes/oversized   COMPLIANT       vol-2  GetResourceConfigHistory, PutEvaluations",
        "    Size 2, limit 3.",
        "sizes/small       COMPLIANT       vol-1  PutEvaluations",
        "    Size 1, limit 3.",
        "volumes/count     COMPLIANT       123456789012  ListDiscoveredResources, PutEvaluations",
        "    Volumes: 2.",
        "volumes/too_many  NON_COMPLIANT   123456789012  ListDiscoveredResources, PutEvaluations",
        "    Volumes: 2.",
        "",
        "6 events: 3 compliant, 2 non-compliant, 1 not applicable, 0 errors",
    ]


def test_one_rule_and_one_event_can_be_chosen(project: Project, run: Any) -> None:
    assert "volumes" not in run("--rule=sizes")[1]
    path = project.write_size_event("elsewhere/mine.json", 7)
    _, printed = run(path, "--rule=sizes")
    assert printed.startswith("sizes/mine  NON_COMPLIANT ")
    assert "1 event: 0 compliant, 1 non-compliant" in printed


def test_state_is_created_before_the_events_of_its_rule(project: Project, run: Any) -> None:
    state = "import boto3\nboto3.client('iam').create_user(UserName='ann')"
    project.write("events/volumes/state.py", state)
    app = (project.root / "volumes/app.py").read_text()
    found = "len(boto3.client('iam').list_users()['Users'])"
    project.write("volumes/app.py", app.replace("{len(found)}", f"{{{found}}}"))
    _, printed = run("--rule=volumes")
    assert "ListDiscoveredResources, ListUsers, PutEvaluations\n    Volumes: 1.\n" in printed


HANDLER = "import boto3, sys\ndef lambda_handler(event, context):\n print('here')\n {}"
PUT = HANDLER.format("""
 evaluation = dict(ComplianceResourceType="AWS::EC2::Volume", ComplianceResourceId="vol-1",
                   ComplianceType="COMPLIANT", OrderingTimestamp=0)
 boto3.client("config").put_evaluations(Evaluations={}, ResultToken="real")
""")


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("import requestss", "No module named 'requestss'"),
        ("def lambda_handler(", "SyntaxError: '(' was never closed (app.py, line 1)"),
        (HANDLER.format(""), "The function sent no evaluation; it returned None.\n    | here"),
        (
            HANDLER.format("sys.exit(3)"),
            'SystemExit: 3\n      File "sizes/app.py", line 4, in lambda_handler',
        ),
        (
            HANDLER.format("boto3.client('s3', endpoint_url='https://example.com').list_buckets()"),
            "RuntimeError: moto has no answer to GET https://example.com/.",
        ),
        (PUT.format("[evaluation]"), "COMPLIANT       vol-1  PutEvaluations\n    (no annotation)"),
        (PUT.format("[]"), "no evaluations  PutEvaluations"),
        (
            PUT.format("[{**evaluation, 'ComplianceType': 'FINE'}]"),
            "one of COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, not FINE.",
        ),
        (
            PUT.format("[{**evaluation, 'Annotation': 'x' * 257}]"),
            "An annotation has 1 to 256 characters.",
        ),
        (PUT.format("[evaluation] * 101"), "PutEvaluations accepts at most 100 evaluations."),
    ],
    ids=[
        *("an import fails", "a syntax error", "nothing is sent", "it exits", "a call elsewhere"),
        *("no annotation", "none to report", "an unknown compliance type", "a long annotation"),
        "a batch of 101",
    ],
)
def test_handler_under_construction_is_shown_as_it_is(
    app: str, expected: str, project: Project, run: Any
) -> None:
    project.write("sizes/app.py", app)
    code, printed = run(project.root / "events/sizes/small.json")
    assert expected in printed
    assert "site-packages" not in printed
    assert code == int("ERROR" in printed)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("small", "", ": Expecting value: line 1 column 1 (char 0)."),
        ("small", '{"a": 1,}', ": Illegal trailing comma before end of object: line 1 column 8"),
        ("small", "[]", " must hold a JSON object, not a list."),
        ("configuration_items", {}, " must hold the list configurationItems."),
        (
            "configuration_items",
            {"configurationItems": ["x"]},
            ": item 1 (no resourceId): it must be an object, not 'x'.",
        ),
    ],
    ids=["an empty file", "no JSON", "a list", "no list of items", "a string in place of an item"],
)
def test_file_that_cannot_be_used_is_named(
    name: str, content: Any, message: str, project: Project, run: Any
) -> None:
    path = project.write(f"events/sizes/{name}.json", content)
    with pytest.raises(ValueError, match=re.escape(f"{path}{message}")):
        run("--rule=sizes")


def test_state_that_cannot_be_created_is_named(project: Project, run: Any) -> None:
    path = project.write("events/volumes/state.py", "import boto3\nboto3.client('iam').get_role()")
    with pytest.raises(ValueError, match=re.escape(f"{path}: ParamValidationError: ")):
        run("--rule=volumes")


def test_what_cannot_be_found_is_named(
    project: Project, run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("--rule=other")
    assert caught.value.code == 2
    assert "error: RULE must be one of sizes, volumes, not 'other'." in capsys.readouterr().err
    with pytest.raises(OSError, match=r"missing\.json"):
        run(project.root / "missing.json")
    with pytest.raises(ValueError, match=r"add RULE=sizes or RULE=volumes\."):
        run(project.write_size_event("elsewhere/event.json", 1))


def test_terminal_has_colours_and_no_color_is_plain(
    project: Project, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, plain = run()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert "\x1b[33mNON_COMPLIANT\x1b[0m" in run()[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert run()[1] == plain


def test_ten_results_are_listed_unless_all_are_asked_for(project: Project, run: Any) -> None:
    app = (project.root / "sizes/app.py").read_text()
    project.write(
        "sizes/app.py", app.replace("Evaluations=[evaluation]", "Evaluations=[evaluation] * 12")
    )
    event = project.root / "events/sizes/small.json"
    _, printed = run(event)
    assert printed.startswith(
        "sizes/small  COMPLIANT       vol-1  PutEvaluations\n    Size 1, limit"
    )
    assert printed.count("COMPLIANT       vol-1\n") == 9
    assert "\n             and 2 more (ALL=1)\n" in printed
    assert run(event, "--all")[1].count("COMPLIANT       vol-1") == 12


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["run", "EVENT='my file.json' *.json", "ALL=0", "LOG=1"], '"${EVENT-}" --log'),
        (["preview", "ITEMS=~/x", "CSV=a b.csv", "ALL=1"], '"${ITEMS-}" --csv "$CSV" --all'),
        (
            ["preview", "ITEMS=x", "RULE=a", "PARAMETERS=A='1 2'"],
            '"${ITEMS-}" --rule "$RULE" --parameters "$PA',
        ),
        (["rule", "NAME=mine", "LIKE="], '"mine" ""'),
    ],
    ids=["run", "preview with a table", "preview with parameters", "rule"],
)
def test_make_passes_what_is_typed_to_the_command(given: list[str], passed: str) -> None:
    make = ["make", "--just-print", "--no-print-directory", *given]
    printed = subprocess.check_output(make, cwd=ROOT, text=True).replace("\\\n", "")
    assert passed in " ".join(printed.split())


def test_filtered_list_is_an_error(project: Project, run: Any) -> None:
    app = (project.root / "volumes/app.py").read_text()
    project.write(
        "volumes/app.py", app.replace("(resourceType=", "(resourceIds=['v'], resourceType=")
    )
    _, printed = run("--rule=volumes")
    assert "Here ListDiscoveredResources does not know ['resourceIds']." in printed


def test_log_is_shown_on_request(project: Project, run: Any) -> None:
    _, printed = run(project.root / "events/sizes/small.json", "--log")
    assert '\n    | measured\n    | INFO found {"size": 1, "unit": "GiB"}\n' in printed
    assert "| " not in run()[1]


def test_no_setting_of_the_caller_reaches_a_rule(project_copy: Path) -> None:
    app = project_copy / RULES[0] / "app.py"
    app.write_text(f"import os\nprint(sorted(os.environ))\n{app.read_text()}")
    settings = dict.fromkeys(("AWS_ENDPOINT_URL", "HTTPS_PROXY"), "http://127.0.0.1:1")
    settings |= {"AWS_PROFILE": "missing", "AWS_RETRY_MODE": "bogus", "ASSUME_ROLE_MODE": "none"}
    chosen = ("--log", "--rule", RULES[0])
    printed = run_module(project_copy, "scripts.run_events", *chosen, **settings).stdout
    assert printed.endswith(" 0 errors\n")
    assert [name for name in settings if f"'{name}'" in printed] == []


def test_interrupt_ends_the_run_without_a_traceback(project_copy: Path) -> None:
    (project_copy / RULES[0] / "app.py").write_text("while True: pass")
    command = [sys.executable, "-m", "scripts.run_events", "--rule", RULES[0]]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started: Any = subprocess.Popen(command, cwd=project_copy, **pipes)
    with started as process:
        assert process.stdout.read(len(RULES[0])).decode() == RULES[0]
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        assert process.stderr.read() == b""


def test_file_that_is_no_event_is_named(project: Project) -> None:
    path = project.write("sns.json", {"Type": "Notification", "Message": "{}"})
    message = (
        f"{path} is not an event of an AWS Config rule: "
        "that has invokingEvent, ruleParameters and resultToken."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run_events.main([str(path), "--rule=sizes"])
