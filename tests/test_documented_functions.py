"""The documented functions of AWS's guide: both files have them, in its order."""

import ast

import pytest

from scripts.template import ROOT
from tests.helpers import RULES

# Names and parameters as the guide's two programs have them, those in snake case.
CHANGE_TRIGGERED = {
    "get_client": ["service", "event"],
    "check_defined": ["reference", "reference_name"],
    "is_oversized_changed_notification": ["message_type"],
    "get_configuration": ["resource_type", "resource_id", "configuration_capture_time"],
    "convert_api_configuration": ["configuration_item"],
    "get_configuration_item": ["invoking_event"],
    "is_applicable": ["configuration_item", "event"],
    "get_assume_role_credentials": ["role_arn"],
    "evaluate_change_notification_compliance": ["configuration_item", "rule_parameters"],
    "lambda_handler": ["event", "context"],
}
PERIODIC = {
    "get_client": ["service", "event"],
    "get_assume_role_credentials": ["role_arn"],
    "is_scheduled_notification": ["message_type"],
    "count_resource_types": ["applicable_resource_type", "next_token", "count"],
    "evaluate_compliance": ["max_count", "actual_count"],
    "evaluate_parameters": ["rule_parameters"],
    "build_evaluation": ["resource_id", "compliance_type", "event", "resource_type", "annotation"],
    "lambda_handler": ["event", "context"],
}
GUIDE = {"desired_instance_type": CHANGE_TRIGGERED, "resource_count_limit": PERIODIC}


@pytest.mark.parametrize("rule", [rule for rule in GUIDE if rule in RULES])
def test_documented_functions_are_there_in_the_guides_order_with_its_parameters_first(
    rule: str,
) -> None:
    tree = ast.parse((ROOT / rule / "app.py").read_text())
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
    own = {each.name: [argument.arg for argument in each.args.args] for each in functions}
    documented = GUIDE[rule]
    kept = {name: own[name][: len(documented[name])] for name in own if name in documented}
    assert list(kept.items()) == list(documented.items())
