"""`make organization`: plain CloudFormation, with the code inside, for a StackSet."""

import json
import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from scripts import organization
from scripts.organization import translate
from scripts.template import ROOT, get_name
from tests.helpers import RULES, run_module

TRANSLATED = translate()


def test_stackset_gets_plain_cloudformation_with_the_code_inside() -> None:
    assert "Transform" not in TRANSLATED
    for rule in RULES:
        function = TRANSLATED["Resources"][f"{get_name(rule)}Function"]["Properties"]
        assert function["Code"] == {"ZipFile": (ROOT / rule / "app.py").read_text()}
        assert function["Handler"] == "index.lambda_handler"


def test_stackset_has_no_partition() -> None:
    resources = deepcopy(TRANSLATED["Resources"])
    for rule in RULES:
        del resources[f"{get_name(rule)}Function"]["Properties"]["Code"]
    assert "arn:aws:" not in json.dumps(resources), (
        "In template.yaml write arn:${AWS::Partition}: in ARNs."
    )


def test_written_file_is_accepted_by_the_linter_for_all_regions(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(organization, "ROOT", project_copy)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "cn-north-1")  # of no effect
    organization.main([])
    printed = capsys.readouterr().out
    assert re.match(r"Wrote organization\.json: [0-9,]+ bytes\.\n", printed)
    assert json.loads((project_copy / "organization.json").read_text()) == TRANSLATED
    lint = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", lint, "--regions=ALL_REGIONS", "--", "organization.json"]
    linted = subprocess.run(command, cwd=project_copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def write(size: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the file for a rule with so much code."""
    monkeypatch.setattr(organization, "ROOT", folder)
    with (folder / RULES[0] / "app.py").open("a") as file:
        file.write("#" * size)
    organization.main([])


def test_file_too_large_for_a_template_body_says_so(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(60_000, project_copy, monkeypatch)
    assert "Over 51,200 bytes: upload it to S3, and use --template-url" in capsys.readouterr().out


def test_file_too_large_for_cloudformation_is_an_error(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="^CloudFormation accepts at most 1 MB: use fewer rules.$"):
        write(1_000_000, project_copy, monkeypatch)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("helpers.py", "", "helpers.py: move it elsewhere, because a rule is one app.py"),
        ("requirements.txt", "requests\n", "requirements.txt: remove requests, because a rule is"),
    ],
    ids=["a second file", "a package"],
)
def test_code_that_the_stack_would_lack_is_an_error(
    name: str, content: str, problem: str, project_copy: Path
) -> None:
    (project_copy / RULES[0] / name).write_text(content)
    done = run_module(project_copy, "scripts.organization")
    assert done.returncode == 1
    assert done.stderr.startswith(f"python -m scripts.organization: {RULES[0]}/{problem}")
    assert done.stderr.count("\n") == 1
    assert not (project_copy / "organization.json").exists()
