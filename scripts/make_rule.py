"""Make a rule like another one: its folder, events, tests and section of the template, renamed."""

import argparse
import re
from pathlib import Path

from scripts.template import ROOT, get_name, list_rules


def rename(text: str, like: str, name: str) -> str:
    """Return the text with the rule's name replaced where it names the rule, and nowhere else."""
    for before, after in (
        ("# ----- ", " -----"),
        ("CodeUri: ", "/"),
        ("AWS Config rule ", " "),
        ('RULE = "', '"'),
        ('"""The rule ', ":"),
    ):
        text = text.replace(f"{before}{like}{after}", f"{before}{name}{after}")
    field, hyphens = '"configRuleName": "', str.maketrans("_", "-")
    text = text.replace(f'{field}{like.translate(hyphens)}"', f'{field}{name.translate(hyphens)}"')
    # DesiredInstanceTypeFunction is the rule's; DesiredInstanceType is a parameter of the stack.
    pattern = rf"\b{get_name(like)}(?=Function|Permission|Rule|Alarm)"
    return re.sub(pattern, get_name(name), text)


def add_to_template(text: str, like: str, name: str) -> str:
    """Return the template with a copy of the rule's section and of its output after them."""
    section = re.search(rf"  # ----- {like} -----\n.*?\n(?=\n)", text, re.DOTALL)
    output = re.search(rf"  {get_name(like)}RuleName:\n(    .*\n)+", text)
    if not section or not output:
        raise ValueError(f"template.yaml has no section or no output of {like}.")
    for part in (section[0] + "\n", output[0]):
        text = text.replace(part, part + rename(part, like, name))
    return text


def check_names(name: str, like: str) -> None:
    """Raise a ValueError unless the new rule can have this name and the other one exists."""
    if like not in list_rules():
        raise ValueError(f"LIKE must be one of {', '.join(list_rules())}, not {like!r}.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise ValueError(f"NAME must be a name like s3_bucket_versioning, not {name!r}.")
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
    """Return what is left to edit, in order, each with its file and line."""

    def find(path: str, text: str) -> str:
        before, _text, _after = (ROOT / path).read_text().partition(text)
        return f"{path}:{before.count('\n') + 1}"

    template, app = "template.yaml", f"{name}/app.py"
    edits = [
        (find(template, "Parameters:"), "the stack's parameters; then their rows in README.md"),
        (
            find(template, f"# ----- {name}"),
            "descriptions, InputParameters, scope, Timeout, actions",
        ),
        (find(app, '"""'), "the docstring: what the rule says of itself"),
        (find(app, "# ----- This rule"), "the functions below this heading"),
        (f"events/{name}/", "the events, JSON texts or objects, and what is recorded"),
        (f"events/{name}/state.py", "what the rule reads of other services, made by boto3 calls"),
        (f"tests/test_{name}.py", "the tests"),
    ]
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
    print(f"Made {chosen.name}, and its section of template.yaml. Now edit, in this order:")
    print(list_edits(chosen.name))


if __name__ == "__main__":
    main()
