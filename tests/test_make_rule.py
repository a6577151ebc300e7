"""`make rule`: a new rule runs and passes its own tests; the others say what is left to edit."""

import re
from pathlib import Path

import pytest

from tests.conftest import RULES, run_module


@pytest.mark.parametrize(
    ("name", "like"), [("count", RULES[0]), (f"{RULES[-1]}_with_a_very_long_name", RULES[-1])]
)
def test_new_rule_runs_and_passes_and_tests_name_what_is_left(
    name: str, like: str, copy: Path
) -> None:
    made = run_module(copy, "scripts.make_rule", name, like)
    assert made.returncode == 0, made.stderr
    edits = re.findall(r"^  (\S+?)(?::(\d+))?  ", made.stdout, re.MULTILINE)
    assert len(edits) == 9
    for path, line in edits:
        assert (copy / path).exists() or path == f"events/{name}/state.py"
        assert not line or (copy / path).read_text().splitlines()[int(line) - 1]
    assert run_module(copy, "scripts.run_events", "--rule", name).returncode == 0
    assert run_module(copy, "pytest", f"tests/test_{name}.py").returncode == 0
    tested = run_module(copy, "pytest", "-k", f"{name} or share", "tests/test_template.py")
    failed = re.findall(r"^FAILED \S+::(\w+)", tested.stdout, re.MULTILINE)
    assert failed == ["test_no_two_rules_share_a_description"] * 3, tested.stdout


def test_rule_that_is_a_common_word_can_be_copied(copy: Path) -> None:
    assert run_module(copy, "scripts.make_rule", "count", RULES[-1]).returncode == 0
    assert run_module(copy, "scripts.make_rule", "vpc_limit", "count").returncode == 0
    assert run_module(copy, "pytest", "tests/test_vpc_limit.py").returncode == 0


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        (RULES[0], RULES[-1], f"NAME must be new: {RULES[0]} exists."),
        ("events", RULES[0], "NAME must be new: events exists."),
        ("run", RULES[0], "NAME must be new: run exists."),
        ("S3Bucket", RULES[0], "NAME must be a name like s3_bucket_versioning, not 'S3Bucket'."),
        ("new_rule", "other", f"LIKE must be one of {', '.join(RULES)}, not 'other'."),
    ],
)
def test_name_that_cannot_be_is_refused_and_nothing_changes(
    name: str, like: str, message: str, copy: Path
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    made = run_module(copy, "scripts.make_rule", name, like)
    assert made.returncode == 2
    assert message in made.stderr
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def break_event(copy: Path) -> None:
    path = next((copy / "events" / RULES[0]).glob("*.json"))
    path.write_text(path.read_text().replace(":", "", 1))


def remove_folder(copy: Path) -> None:
    (copy / RULES[0] / "app.py").unlink()


def add_folder(copy: Path) -> None:
    (copy / "unregistered").mkdir()
    (copy / "unregistered" / "app.py").touch()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_event, "Expecting ':' delimiter: line 2"),
        (remove_folder, f"CodeUri names {{'{RULES[0]}'}}, but there is no such folder"),
        (add_folder, "template.yaml has no function whose CodeUri is {'unregistered'}: add one."),
    ],
)
def test_what_all_tests_need_is_one_failure_in_one_sentence(
    damage: object, message: str, copy: Path
) -> None:
    assert callable(damage)
    damage(copy)
    tested = run_module(copy, "pytest")
    assert tested.returncode == 1
    assert message in tested.stdout + tested.stderr
    assert len((tested.stdout + tested.stderr).splitlines()) < 6
