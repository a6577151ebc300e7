"""Say what would fail most of the tests, in a sentence."""

import json
import sys

import yaml

from scripts.local_aws import clean_environment, start_local_aws
from scripts.run_events import list_sample_events, load_event
from scripts.template import ROOT, list_rules, load_template, read_rule


def check_project() -> None:
    """Raise an error that says what would fail most of the tests."""
    folders = {path.parent.name for path in ROOT.glob("*/app.py")}
    rules = list_rules()
    for rule in sorted(set(rules) - folders):
        fix = "write it, or remove the rule's section"
        raise ValueError(
            f"template.yaml: CodeUri names {rule}/, but there is no {rule}/app.py: {fix}."
        )
    for folder in sorted(folders - set(rules)):
        raise ValueError(f"template.yaml has no function with CodeUri: {folder}/: add one.")
    for rule in rules:
        check_rule(rule)
    loaded = load_template()
    for name, output in loaded.get("Outputs", {}).items():
        value = output["Value"]
        if isinstance(value, dict) and value.get("Ref") not in {*loaded["Resources"], None}:
            raise ValueError(f"template.yaml: the output {name} is of no resource: remove it.")


def check_rule(rule: str) -> None:
    """Raise an error that says what would fail most of the rule's tests."""
    code = (ROOT / rule / "app.py").read_text()
    compile(code, f"{rule}/app.py", "exec")
    if "\ndef lambda_handler(event" not in code:
        raise ValueError(f"{rule}/app.py has no lambda_handler(event, context): write it.")
    if not (ROOT / "tests" / f"test_{rule}.py").exists():
        raise ValueError(f"There is no tests/test_{rule}.py: write the rule's own tests.")
    types = read_rule(rule).message_types
    with start_local_aws() as aws:
        aws.load_sample_state(ROOT / "events" / rule)
    paths = list_sample_events(rule)
    if not paths:
        raise ValueError(f"There is no event in events/{rule}/: write one for each result.")
    for path in paths:
        content = json.loads(load_event(path).get("invokingEvent", "{}"))
        if content.get("messageType") not in types:
            named = path.relative_to(ROOT)
            raise ValueError(f"{named}: messageType must be one of {types}, as in template.yaml.")


def find_problem() -> str:
    """Return what would fail most of the tests, in a sentence; empty if there is nothing."""
    try:
        check_project()
    except SyntaxError as ex:
        return f"{ex.filename}, line {ex.lineno}: {ex.msg}"
    except yaml.YAMLError as ex:
        return f"template.yaml cannot be read: {' '.join(str(ex).split())}"
    except (AttributeError, KeyError, TypeError) as ex:
        return f"template.yaml lacks what each rule needs: {ex!r}"
    except ValueError as ex:
        return f"{ex}"
    return ""


def main() -> None:
    """Exit with the problem, if there is one."""
    clean_environment()
    sys.exit(find_problem() or 0)


if __name__ == "__main__":
    main()
