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
from scripts.template import ROOT, get_name, load_template
from tests.helpers import RULES

TRANSLATED = translate()


def test_stackset_gets_plain_cloudformation_with_the_code_inside() -> None:
    assert "Transform" not in TRANSLATED
    for rule in RULES:
        function = TRANSLATED["Resources"][f"{get_name(rule)}Function"]["Properties"]
        assert function["Code"] == {"ZipFile": (ROOT / rule / "app.py").read_text()}
        assert function["Handler"] == "index.lambda_handler"


def test_stackset_has_no_partition_and_uses_every_parameter() -> None:
    resources = deepcopy(TRANSLATED["Resources"])
    for rule in RULES:
        del resources[f"{get_name(rule)}Function"]["Properties"]["Code"]
    assert "arn:aws:" not in json.dumps(resources), (
        "In template.yaml write arn:${AWS::Partition}: in ARNs."
    )
    text = json.dumps(TRANSLATED)
    used = {*re.findall(r'{"Ref": "(\w+)"}', text), *re.findall(r"\${(\w+)}", text)}
    unused = [name for name in load_template()["Parameters"] if name not in used]
    assert not unused, f"In template.yaml use the parameters {unused}, or remove them."


def test_written_file_is_accepted_by_the_linter_for_all_regions(
    project_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(organization, "ROOT", project_copy)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "cn-north-1")  # of no effect
    organization.main()
    printed = capsys.readouterr().out
    assert re.match(r"Wrote organization\.json: [0-9,]+ bytes\.\n", printed)
    assert json.loads((project_copy / "organization.json").read_text()) == TRANSLATED
    lint = "from cfnlint.runner import main; main()"
    command = [sys.executable, "-c", lint, "--regions=ALL_REGIONS", "--", "organization.json"]
    linted = subprocess.run(command, cwd=project_copy, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("size", "code", "message"),
    [
        (60_000, 0, "Over 51,200 bytes: upload it to S3, and use --template-url"),
        (1_000_000, 1, "make organization: CloudFormation accepts at most 1 MB"),
    ],
)
def test_file_too_large_for_a_template_body_says_so(
    size: int,
    code: int,
    message: str,
    project_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(organization, "ROOT", project_copy)
    with (project_copy / RULES[0] / "app.py").open("a") as file:
        file.write("#" * size)
    said, ended = "", 0
    try:
        organization.main()
    except SystemExit as ex:  # Python prints the text and ends with 1
        said, ended = str(ex.code), 1
    assert ended == code
    assert message in said + capsys.readouterr().out
    assert (project_copy / "organization.json").stat().st_size > size
