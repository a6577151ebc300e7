"""`make rule`: a new rule of each kind is deployable, tested and runs, with no file edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RULES, get_message_types


def run(copy: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_new_rule_of_each_kind_passes_the_tests_of_every_rule(copy: Path) -> None:
    kinds = {tuple(get_message_types(rule)): rule for rule in RULES}
    for number, like in enumerate(kinds.values()):
        made = run(copy, "scripts.make_rule", f"new_rule_{number}", like)
        assert made.returncode == 0, made.stderr
    tests = [f"tests/test_{name}.py" for name in ("clients", "events", "template")]
    tested = run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-k", "new_rule", *tests)
    assert tested.returncode == 0, tested.stdout[-3000:]
    lint = [sys.executable, "-c", "from cfnlint.runner import main; main()", "template.yaml"]
    linted = subprocess.run(lint, cwd=copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        (RULES[0], RULES[1], f"NAME must be new: {RULES[0]} exists."),
        ("events", RULES[0], "NAME must be new: events exists."),
        ("S3Bucket", RULES[0], "NAME must be a Python name like s3_bucket_versioning"),
        ("class", RULES[0], "NAME must be a Python name like s3_bucket_versioning"),
        ("new_rule", "other", f"LIKE must be one of {', '.join(RULES)}, not 'other'."),
    ],
)
def test_name_that_cannot_be_is_refused_and_nothing_changes(
    name: str, like: str, message: str, copy: Path
) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    made = run(copy, "scripts.make_rule", name, like)
    assert made.returncode == 1
    assert message in made.stderr
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_folder_that_no_function_names_is_an_error(copy: Path) -> None:
    shutil.copytree(copy / RULES[0], copy / "unregistered")
    tested = run(copy, "pytest", "-q", "-k", "every_folder", "tests/test_template.py")
    assert "template.yaml has no function whose CodeUri is {'unregistered'}." in tested.stdout
