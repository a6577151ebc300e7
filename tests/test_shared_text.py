"""What stands above the marker line is the same text in every rule that has it."""

import ast

import pytest

from scripts.template import ROOT
from tests.helpers import RULES


def read_above_the_marker(rule: str) -> dict[str, str]:
    """Return the text of the functions and constants above the marker, by name."""
    source, marker, _ = (ROOT / rule / "app.py").read_text().partition("\n# ----- This rule")
    if not marker or "\ndef report_evaluations(" not in source:
        pytest.fail(f"{rule}/app.py needs a line '# ----- This rule…' after report_evaluations.")
    found = {}
    for each in ast.parse(source).body:
        names = [each.name] if isinstance(each, ast.FunctionDef) else []
        if isinstance(each, ast.Assign):
            names = [target.id for target in each.targets if isinstance(target, ast.Name)]
        found.update(dict.fromkeys(names, str(ast.get_source_segment(source, each))))
    return found


@pytest.mark.parametrize("rule", RULES)
def test_functions_and_constants_are_the_same_in_every_rule(rule: str) -> None:
    own = read_above_the_marker(rule)
    for other in RULES:
        for name, text in read_above_the_marker(other).items():
            assert own.get(name, text) == text, (
                f"{name} differs in {rule}/app.py and {other}/app.py: above the marker line write "
                "the same in both, or give it another name."
            )
