"""README, CHANGELOG and docs/: their tables, commands, links and outputs are the project's."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from scripts import run_events
from scripts.template import ROOT
from tests.helpers import SAM_PYTHON, needs_sam

PATHS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
README = DOCUMENTS["README.md"]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
every_document = pytest.mark.parametrize(("document", "text"), DOCUMENTS.items(), ids=DOCUMENTS)


# Commands


def list_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in a document's bash fences."""
    blocks = [block for _, language, block in FENCE.findall(text) if language == "bash"]
    script = re.sub(r"(?m)(^|\s)# .*$", "", "\n".join(blocks).replace("\\\n", " "))
    script = re.sub(r"<([A-Z_]+)>", r"\1", script)  # a placeholder is a word
    lexer = shlex.shlex(script, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words: list[str] = []
    for token in [*lexer, "\n"]:
        if {*token} <= {*"();<>|&\n"}:
            yield words
            words = []
        elif words or not re.match(r"\w+=|\$$|do$", token):  # AWS_PROFILE=x, $(...), for ...; do
            words.append(token)


COMMANDS = sorted({tuple(words) for text in DOCUMENTS.values() for words in list_commands(text)})
AWS = [command for command in COMMANDS if command[:1] == ("aws",)]
SAM = [command for command in COMMANDS if command[:1] == ("sam",)]
MAKE = [command for command in COMMANDS if command[:1] == ("make",)]
ONLY_IN_THE_CLI = {"s3", "logs tail"}  # no operations of the API
OF_ANY_COMMAND = {"query", "output", "region", "profile", "max-items"}
OTHER_NAMES = {"notification-endpoint": "endpoint"}  # of the CLI for the API's
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


@pytest.mark.parametrize("command", AWS, ids=" ".join)
def test_aws_command_is_an_operation_of_the_api(command: tuple[str, ...]) -> None:
    _, service, operation, *words = command
    if {service, f"{service} {operation}"} & ONLY_IN_THE_CLI:
        return
    session = botocore.session.get_session()
    model = session.get_service_model({"configservice": "config"}.get(service, service))
    names = {xform_name(name, "-"): name for name in model.operation_names}
    shape: Any = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): name for name in shape.members}
    options = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
    options = [OTHER_NAMES.get(option, option.removeprefix("no-")) for option in options]
    given = {*options} - OF_ANY_COMMAND
    assert given <= set(members)
    required = set(shape.required_members) - {"OperationId"}  # the CLI makes one
    assert required <= {members[option] for option in given}


@needs_sam
def test_sam_commands_are_accepted_by_sam() -> None:
    assert SAM
    commands = json.dumps([command[1:] for command in SAM])
    subprocess.run([SAM_PYTHON, "-c", PARSE], input=commands, text=True, check=True)


def test_make_commands_are_in_the_makefile() -> None:
    known = re.findall(r"^(\w+):.* ## (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for target, _help in known}
    assert {command[1] for command in MAKE} <= targets
    variables = re.findall(r"([A-Z]+)=", " ".join(words for _target, words in known))
    given = [word.partition("=")[0] for command in MAKE for word in command[2:]]
    assert {*given} <= {*variables}, "the help of a command in the Makefile names its variables"


@pytest.mark.parametrize("rule", re.findall(r"^make run RULE=(\w+)$", README, re.MULTILINE))
def test_readme_shows_what_the_command_prints(
    rule: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_events.main(["--rule", rule]) == 0
    assert f"```text\n{capsys.readouterr().out}```\n" in README


# Links and form


def list_anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings in a link."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_links_lead_to_files_and_headings(document: str, text: str) -> None:
    prose = FENCE.sub("", text)
    links = re.findall(r"\]\((?!https:)(\S+?)\)", prose)
    links += re.findall(r"^\[.+?\]: (?!https:)(.+)", prose, re.MULTILINE)
    for link in links:
        name, _, anchor = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), f"{document}: correct the link to {link}: there is no such file."
        is_heading = not anchor or anchor in list_anchors(path.read_text())
        assert is_heading, f"{document}: correct the link to {link}: there is no such heading."
    names = {*re.findall(r"\]\[(.+?)\]", prose)} - {*re.findall(r"^\[(.+?)\]: ", prose, re.M)}
    assert not names, f"{document}: say at its end where the links {names} lead."


def list_flaws(text: str) -> Iterator[str]:
    """Yield what makes a document hard to read or to copy from."""
    language = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence := re.match(r" *```(.*)", line):
            if not language and not fence[1]:
                yield f"line {number}: write the language of the fence"
            language = "" if language else fence[1] or "none"
            continue
        seen = re.sub(r"\]\(.+?\)|\]\[.+?\]", "]", line)  # without where a link leads
        is_bound = language == "text" or line.lstrip().startswith("|") or re.search(r"\S{60}", line)
        if len(seen) > 100 and not is_bound:
            yield f"line {number}: break the line of {len(seen)} columns"
        placeholders = re.findall(r"<([^<>]*[a-z ][^<>]*)>", line) if language == "bash" else []
        if placeholders:
            yield f"line {number}: write placeholders <LIKE_THIS>, not {placeholders}"


@every_document
def test_document_is_easy_to_read_and_copy(document: str, text: str) -> None:
    flaws = list(list_flaws(text))
    assert not flaws, f"{document}: {'; '.join(flaws)}."
