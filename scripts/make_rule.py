"""Make a rule like another one: its folder, events, tests and sections of the template, renamed."""

import argparse
import re
from pathlib import Path

from scripts.template import ROOT, get_name, list_rules


def rename(text: str, like: str, name: str) -> str:
    """Return the text with the rule's name replaced where it names the rule, and nowhere else."""
    for before, after in (
        ("# ----- ", " -----"),
        ("CodeUri: ", "/"),
        ('RULE = "', '"'),
        ('"""The rule ', ":"),
    ):
        text = text.replace(f"{before}{like}{after}", f"{before}{name}{after}")
    # AWS Config's name of the rule, in the template after the prefix and in the sample events.
    old, new = like.replace("_", "-"), name.replace("_", "-")
    text = re.sub(rf"(\$\{{RuleNamePrefix\}}){old}", rf"\g<1>{new}", text)
    text = re.sub(rf'("configRuleName": "[\w-]*?){old}"', rf'\g<1>{new}"', text)
    # DesiredInstanceTypeFunction is the rule's; DesiredInstanceType is a parameter of the stack.
    pattern = rf"\b{get_name(like)}(?=Function|Permission|Rule|Alarm)"
    return re.sub(pattern, get_name(name), text)


def add_to_template(text: str, like: str, name: str) -> str:
    """Return the template with a copy of each section of the rule: its resources, its outputs."""
    sections = re.findall(rf"^  # ----- {like} -----\n(?:.+\n)+", text, re.MULTILINE)
    if len(sections) < 2:
        raise ValueError(
            f'template.yaml needs a section "# ----- {like} -----" in Resources and in Outputs.'
        )
    for section in sections:
        text = text.replace(section, f"{section}\n{rename(section, like, name)}")
    return text


def check_names(name: str, like: str) -> None:
    """Raise a ValueError unless the new rule can have this name and the other one exists."""
    if like not in list_rules():
        raise ValueError(f"LIKE must be one of {', '.join(list_rules())}, not {like!r}.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(f"NAME must be a name like s3_bucket_versioning, not {name!r}.")
    if len(name) > 32:  # AWS Config's name of the rule has a prefix of up to 32, and 64 in all
        raise ValueError(f"NAME must have at most 32 characters, not {len(name)}.")
    is_named = f"  {get_name(name)}Function:" in (ROOT / "template.yaml").read_text()
    if is_named or any(path.exists() for path in list_paths(name)):
        raise ValueError(f"NAME must be new: {name} exists.")


def list_paths(name: str) -> list[Path]:
    """Return the folder, the events and the tests of a rule."""
    return [ROOT / name, ROOT / "events" / name, ROOT / "tests" / f"test_{name}.py"]


def make_rule(name: str, like: str) -> None:
    """Make the rule."""
    check_names(name, like)
    template = add_to_template((ROOT / "template.yaml").read_text(), like, name)
    for source, made in zip(list_paths(like), list_paths(name), strict=True):
        for path in [source, *source.glob("*")]:
            if path.is_file():
                target = made / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                target.write_text(rename(path.read_text(), like, name))
    (ROOT / "template.yaml").write_text(template)


def list_edits(name: str) -> str:
    """Return what is left to edit, each with its file and section, in the document's order."""
    edits = (
        (f"{name}/app.py", "the docstring, and the functions below the heading This rule"),
        (f"events/{name}/", "an event for each result, and what AWS Config has recorded"),
        (f"events/{name}/state.py", "write it if the rule calls another service than AWS Config"),
        ("template.yaml, Resources", "its section: descriptions, InputParameters, Scope, Policies"),
        ("template.yaml, Parameters", "add what should differ between stacks"),
        ("README.md, The rules", "add a row for the rule"),
        ("README.md, Parameters of the stack", "add a row for each parameter that you have added"),
        (f"tests/test_{name}.py", "the tests"),
    )
    width = max(len(where) for where, _what in edits) + 2
    return "\n".join(f"  {where:<{width}}{what}" for where, what in edits)


def main(arguments: list[str] | None = None) -> None:
    """Make the rule; print what is left to edit."""
    parser = argparse.ArgumentParser(prog="python -m scripts.make_rule", description=__doc__)
    parser.add_argument("name", help="the new rule, like s3_bucket_versioning")
    parser.add_argument("like", help="the rule to copy")
    chosen = parser.parse_args(arguments)
    try:
        make_rule(chosen.name, chosen.like)
    except ValueError as ex:
        parser.error(str(ex))
    print(f"Made {chosen.name}, and its sections of template.yaml.")
    print("Edit in this order, and run its events after each step; docs/new-rule.md explains each:")
    print(list_edits(chosen.name))


if __name__ == "__main__":
    main()
