"""docs/new-rule.md: its examples work together, in a periodic rule that reports resources."""

import re
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.template import ROOT
from tests.helpers import RULES, FakeAws, run_module

BLOCKS = re.findall(r"```python\n(.+?)```", (ROOT / "docs/new-rule.md").read_text(), re.DOTALL)
HANDLER = """

def lambda_handler(event, context):
    invoking_event, _parameters = parse_event(event)
    client, users = get_client("config", event), []
    for page in get_client("iam", event).get_paginator("list_users").paginate():
        users += [user["UserId"] for user in page["Users"]]
    evaluations = [build_evaluation(user, "COMPLIANT", event, "AWS::IAM::User") for user in users]
    evaluations += list_gone({*users}, event, client)
    return report_evaluations(evaluations, event, client)
"""
TESTS = """
from tests.helpers import FakeAws, load, read_event

RULE = "iam_users"
"""


@pytest.mark.skipif("resource_count_limit" not in RULES, reason="the rule was removed")
def test_examples_of_the_document_work(project_copy: Path) -> None:
    state, pages, gone = BLOCKS
    made = run_module(project_copy, "scripts.make_rule", "iam_users", "resource_count_limit")
    assert made.returncode == 0, made.stderr
    app = project_copy / "iam_users/app.py"
    kept, _handler = app.read_text().split("def lambda_handler")
    app.write_text(kept + gone + HANDLER)
    (project_copy / "events/iam_users/state.py").write_text(state)
    ran = run_module(project_copy, "scripts.run_events", "--rule", "iam_users")
    assert ran.stdout.endswith("2 compliant, 0 non-compliant, 2 not applicable, 0 errors\n")
    assert re.findall(r"NOT_APPLICABLE +(\w+)", ran.stdout) == ["AIDAGONE"] * 2
    (project_copy / "tests/test_iam_users.py").write_text(TESTS + pages)
    files = ("tests/test_iam_users.py", "tests/test_shared_functions.py")
    tested = run_module(
        project_copy, "pytest", "-k", "every_page or any_field and iam_users", *files
    )
    assert tested.returncode == 0, tested.stdout


def test_results_are_answered_in_pages_without_dry_runs_and_for_the_rule_alone(
    aws: FakeAws,
) -> None:
    aws.rule_name, client = "mine", boto3.client("config")
    made = {"ComplianceResourceType": "AWS::IAM::User", "OrderingTimestamp": 0}
    for number in range(25):
        kind = ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE")[number % 3]
        evaluation = made | {"ComplianceResourceId": f"user-{number}", "ComplianceType": kind}
        token = "TESTMODE" if number > 20 else "earlier"
        client.put_evaluations(Evaluations=[evaluation], ResultToken=token)
    ask = client.get_compliance_details_by_config_rule
    first = ask(ConfigRuleName="mine")
    second = ask(ConfigRuleName="mine", NextToken=first["NextToken"])
    sizes = [len(page["EvaluationResults"]) for page in (first, second)]
    assert sizes == [10, 4], "what is NOT_APPLICABLE is not kept"
    assert "NextToken" not in second
    found = ask(ConfigRuleName="mine", ComplianceTypes=["NON_COMPLIANT"])["EvaluationResults"]
    assert {each["ComplianceType"] for each in found} == {"NON_COMPLIANT"}
    with pytest.raises(ClientError, match="NoSuchConfigRuleException"):
        ask(ConfigRuleName="other")
