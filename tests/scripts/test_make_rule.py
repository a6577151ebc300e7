"""`make rule`: a new rule passes its own tests, and `make check` says what is left to edit."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import check, make_rule
from scripts.template import get_name, list_rules, load_template
from tests.helpers import RULES, run_module
from tests.scripts.helpers import Project

SHIPPED = [rule for rule in ("desired_instance_type", "resource_count_limit") if rule in RULES]


@pytest.mark.skipif(not SHIPPED, reason="the shipped rules were removed")
def test_copied_rule_passes_its_tests(
    project_copy: Path, work_in: Callable[[Path], Project]
) -> None:
    name, like = "a_name_that_has_35_characters_in_it", SHIPPED[-1]
    work_in(project_copy)
    make_rule.main([name, like])
    style = run_module(project_copy, "ruff", "check", name, f"tests/test_{name}.py")
    assert style.returncode == 0, style.stdout
    tested = run_module(project_copy, "pytest", "-k", "evaluated", f"tests/test_{name}.py")
    assert tested.returncode == 0, tested.stdout
    load_template.cache_clear()
    new, old = get_name(name), get_name(like)
    say = "say what the rule is about."
    assert list(check.find_problems()) == [
        f"template.yaml: {new}Function has the Description of {old}Function: {say}",
        f"template.yaml: {new}Rule has the Description of {old}Rule: {say}",
        f"{name}/app.py: the docstring begins as in {like}/app.py: {say}",
        f"README.md has no link to {name}/app.py: add a row to the table of rules.",
    ]


def test_names_are_replaced_only_where_they_name_the_rule(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    make_rule.main(["count", "volumes"])  # a word that the rule's code has, too
    load_template.cache_clear()
    make_rule.main(["vpc_limit", "count"])
    load_template.cache_clear()
    assert list_rules() == ["sizes", "volumes", "count", "vpc_limit"]
    assert {"CountRuleName", "VpcLimitRuleName"} <= load_template()["Outputs"].keys()
    app = (project.root / "vpc_limit/app.py").read_text()
    assert app == (project.root / "volumes/app.py").read_text()
    assert 'RULE = "vpc_limit"' in (project.root / "tests/test_vpc_limit.py").read_text()
    edits = re.findall(r"^  (\S+?)(?::(\d+))?  ", capsys.readouterr().out, re.MULTILINE)
    assert len(edits) == 14
    for path, line in edits:
        text = (project.root / path).read_text() if line else ""
        assert not line or text.splitlines()[int(line) - 1]
        assert line or (project.root / path).exists() or path.endswith("state.py")


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        ("sizes", "volumes", "NAME must be new: sizes exists."),
        ("events", "volumes", "NAME must be new: events exists."),
        ("large", "sizes", "NAME must be new: large exists."),
        ("S3Bucket", "sizes", "NAME must be a name like s3_bucket_versioning, not 'S3Bucket'."),
        ("new_rule", "other", "LIKE must be one of sizes, volumes, not 'other'."),
    ],
)
def test_impossible_name_is_an_error_and_changes_nothing(
    name: str, like: str, message: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("tests/test_large.py", "")
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as caught:
        make_rule.main([name, like])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {message}\n")
    after = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    assert after == before
