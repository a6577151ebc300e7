"""README and docs/: their tables and commands are those of the project."""

import json
import re
import shlex
import subprocess
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from scripts.template import ROOT
from tests.helpers import SAM_PYTHON, needs_sam

PATHS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
LINES = [line for text in DOCUMENTS.values() for line in text.splitlines()]
OF_THE_CLI = ("aws s3 cp ", "aws logs tail ")  # no operations of the API
AWS = sorted(
    {line for line in LINES if line.startswith("aws ") and not line.startswith(OF_THE_CLI)}
)
SAM = sorted(
    {part.strip() for line in LINES if line.startswith("sam ") for part in line.split("&&")}
)
# Runs in SAM CLI's own environment: parses each command as SAM CLI does.
PARSE = """
import json, sys, click
from samcli.cli.main import cli
for words in json.load(sys.stdin):
    command, context = cli, click.Context(cli, obj=True)
    while hasattr(command, "get_command"):
        command = command.get_command(context, words.pop(0))
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(words)
"""


@pytest.mark.parametrize("command", AWS)
def test_aws_command_is_an_operation_of_the_api(command: str) -> None:
    _, service, operation, *words = shlex.split(command.partition(" > ")[0])
    session = botocore.session.get_session()
    model = session.get_service_model({"configservice": "config"}.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape: Any = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): name for name in shape.members}
    flags = {word[2:].removeprefix("no-") for word in words if word.startswith("--")} - {"query"}
    assert flags <= set(members)
    required = set(shape.required_members) - {"OperationId"}  # the CLI makes one
    assert required <= {members[flag] for flag in flags}


@needs_sam
def test_sam_commands_are_accepted_by_sam() -> None:
    assert len(SAM) >= 6
    subprocess.run(
        [SAM_PYTHON, "-c", PARSE],
        input=json.dumps([shlex.split(command)[1:] for command in SAM]),
        text=True,
        check=True,
    )


@pytest.mark.parametrize(("document", "text"), DOCUMENTS.items(), ids=DOCUMENTS)
def test_files_that_are_named_exist(document: str, text: str) -> None:
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", text)
    missing = [link for link in links if not ((ROOT / document).parent / link).exists()]
    assert not missing, f"{document}: correct the links to {missing}, or remove them."
