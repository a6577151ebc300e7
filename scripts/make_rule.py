"""Make a rule like another one: its folder, its events and its section of the template, renamed.

Usage: python -m scripts.make_rule NAME LIKE
"""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from pathlib import Path

from scripts.stack import ROOT, get_name, list_rules

TEMPLATE = ROOT / "template.yaml"


def rename(text: str, like: str, name: str) -> str:
    """Return the text with the rule's names replaced, in each of the forms that they have."""
    text = text.replace(like, name).replace(like.replace("_", "-"), name.replace("_", "-"))
    # DesiredInstanceTypeFunction is the rule's; DesiredInstanceType is a parameter of the stack.
    return re.sub(rf"\b{get_name(like)}(?=[A-Z])", get_name(name), text)


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
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise ValueError(f"NAME must be a Python name like s3_bucket_versioning, not {name!r}.")
    taken = f"  {get_name(name)}Function:" in TEMPLATE.read_text()
    if taken or (ROOT / name).exists() or (ROOT / "events" / name).exists():
        raise ValueError(f"NAME must be new: {name} exists.")


def make_rule(name: str, like: str) -> None:
    """Make the rule; leave everything as it was if anything fails."""
    check_names(name, like)
    before = TEMPLATE.read_text()
    template = add_to_template(before, like, name)
    folders = {ROOT / like: ROOT / name, ROOT / "events" / like: ROOT / "events" / name}
    try:
        for source, folder in folders.items():
            folder.mkdir()
            for path in filter(Path.is_file, source.iterdir()):
                (folder / path.name).write_text(rename(path.read_text(), like, name))
        TEMPLATE.write_text(template)
    except BaseException:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)
        TEMPLATE.write_text(before)
        raise


if __name__ == "__main__":
    try:
        make_rule(*[*sys.argv[1:], "", ""][:2])
    except (OSError, ValueError) as ex:
        sys.exit(f"make rule: {ex}")
    print(f"Made {sys.argv[1]}/, events/{sys.argv[1]}/ and a section of template.yaml.")
