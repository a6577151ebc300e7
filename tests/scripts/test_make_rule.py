"""`make rule`: a new rule passes its own tests, and `make check` says what is left to edit."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import check, make_rule
from scripts.template import ROOT, get_name, list_rules, load_template
from tests.helpers import RULES, run_module
from tests.scripts.helpers import Project

SHIPPED = [rule for rule in ("desired_instance_type", "resource_count_limit") if rule in RULES]


@pytest.mark.skipif(not SHIPPED, reason="the shipped rules were removed")
def test_copied_rule_passes_its_tests(
    project_copy: Path, work_in: Callable[[Path], Project]
) -> None:
    name, like = "a_name_that_has_32_characters_ok", SHIPPED[-1]
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


def test_names_are_replaced_only_where_they_name_the_rule(project: Project) -> None:
    for name, like in (("count", "volumes"), ("vpc_limit", "count")):  # the code says count, too
        make_rule.main([name, like])
        load_template.cache_clear()
    assert list_rules() == ["sizes", "volumes", "count", "vpc_limit"]
    app = (project.root / "vpc_limit/app.py").read_text()
    assert app == (project.root / "volumes/app.py").read_text()
    event = (project.root / "events/vpc_limit/count.json").read_text()
    assert '"configRuleName": "config-rules-vpc-limit"' in event
    assert 'RULE = "vpc_limit"' in (project.root / "tests/test_vpc_limit.py").read_text()


def test_copy_has_the_resources_and_outputs_of_the_rule(project: Project) -> None:
    make_rule.main(["vpc_limit", "volumes"])
    load_template.cache_clear()
    template = load_template()
    made = ["VpcLimitFunction", "VpcLimitPermission", "VpcLimitRule"]
    assert [*template["Resources"]][-3:] == made
    assert [*template["Outputs"]][-2:] == ["VpcLimitFunctionName", "VpcLimitRuleName"]
    assert template["Outputs"]["VpcLimitFunctionName"]["Value"] == {"Ref": "VpcLimitFunction"}
    properties = template["Resources"]["VpcLimitRule"]["Properties"]
    assert properties["ConfigRuleName"] == {"Fn::Sub": "${RuleNamePrefix}vpc-limit"}


def test_what_is_left_to_edit_names_files_and_sections(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    make_rule.main(["vpc_limit", "volumes"])
    edits = re.findall(r"^  (\S+?)(?:, (.+?))?  ", capsys.readouterr().out, re.MULTILINE)
    assert edits[0] == ("vpc_limit/app.py", "")
    for path, section in edits:
        if section:
            heading = rf"^(## )?{section}:?$"
            assert re.search(heading, (ROOT / path).read_text(), re.MULTILINE), (path, section)
        else:
            assert (project.root / path).exists() or path == "events/vpc_limit/state.py"


def test_rule_without_both_sections_is_not_copied(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    template = project.root / "template.yaml"
    resources, heading, outputs = template.read_text().rpartition("  # ----- volumes -----\n")
    project.write("template.yaml", resources + outputs)
    with pytest.raises(SystemExit):
        make_rule.main(["vpc_limit", "volumes"])
    assert f'a section "{heading.strip()}" in Resources and in Outputs' in capsys.readouterr().err
    assert not (project.root / "vpc_limit").exists()


@pytest.mark.parametrize(
    ("name", "like", "message"),
    [
        ("sizes", "volumes", "NAME must be new: sizes exists."),
        ("events", "volumes", "NAME must be new: events exists."),
        ("large", "sizes", "NAME must be new: large exists."),
        ("S3Bucket", "sizes", "NAME must be a name like s3_bucket_versioning, not 'S3Bucket'."),
        ("a" * 33, "sizes", "NAME must have at most 32 characters, not 33."),
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
