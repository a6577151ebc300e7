"""docs/new-rule.md: its examples work as they are printed."""

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.template import ROOT, JsonObject
from tests.helpers import RULES, FakeAws, load, run_module

TEXT = (ROOT / "docs/new-rule.md").read_text()
CODE = [dedent(block) for block in re.findall(r"^ *```python\n(.*?)^ *```$", TEXT, re.M | re.S)]
HEADING = "# ----- This rule -----\n"


def find_code(content: str) -> str:
    """Return the only Python example of the document that has this in it."""
    (code,) = (code for code in CODE if content in code)
    return code


@pytest.mark.skipif("resource_count_limit" not in RULES, reason="the rule was removed")
def test_example_of_a_rule_works(project_copy: Path) -> None:
    made = run_module(project_copy, "scripts.make_rule", "iam_user_path", "resource_count_limit")
    assert made.returncode == 0, made.stderr
    app = project_copy / "iam_user_path/app.py"
    shared, heading, _rule = app.read_text().partition(HEADING)
    app.write_text(f"{shared}{heading}\n\n{find_code('def lambda_handler')}")
    state = project_copy / "events/iam_user_path/state.py"
    state.write_text(find_code("create_user"))
    tests = project_copy / "tests/test_iam_user_path.py"
    tests.write_text(find_code("def test_users_of_every_page"))

    ran = run_module(project_copy, "scripts.run_events", "--rule", "iam_user_path")
    assert ran.stdout.endswith("2 compliant, 2 non-compliant, 2 not applicable, 0 errors\n")
    assert re.findall(r"NOT_APPLICABLE +(\w+)", ran.stdout) == ["AIDADELETED"] * 2
    tested = run_module(project_copy, "pytest", str(tests))
    assert tested.returncode == 0, tested.stdout
    for command in (["check"], ["format", "--check"]):
        style = run_module(project_copy, "ruff", *command, str(state), str(tests))
        assert style.returncode == 0, style.stdout


def test_what_moto_lacks_can_be_added(project_copy: Path, aws: FakeAws) -> None:
    state = find_code("RotationPeriodInDays") + find_code("SelectResourceConfig")
    (project_copy / "state.py").write_text(state)
    aws.load_sample_state(project_copy)
    kms: Any = boto3.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    assert kms.get_key_rotation_status(KeyId=key_id)["RotationPeriodInDays"] == 180
    (store,) = kms.describe_custom_key_stores()["CustomKeyStores"]
    assert store == {"CustomKeyStoreId": "cks-1"}
    query = "SELECT resourceId WHERE resourceType = 'AWS::EC2::Instance'"
    answer = boto3.client("config").select_resource_config(Expression=query)
    assert answer["Results"] == ['{"resourceId": "i-1"}']
    assert aws.operations[-1] == "SelectResourceConfig", "its permission is tested, too"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({"tags": {"Owner": "ann"}}, {"Owner": "ann"}, id="an object"),
        pytest.param({"tags": None}, {}, id="null"),
        pytest.param({}, {}, id="absent"),
    ],
)
def test_tags_are_read(item: JsonObject, expected: JsonObject) -> None:
    names: JsonObject = {"JsonObject": JsonObject, "field_error": load(RULES[0]).field_error}
    exec(find_code("def get_tags"), names)  # noqa: S102  # as a part of app.py
    assert names["get_tags"](item) == expected
    with pytest.raises(ValueError, match=r"^tags must be an object"):
        names["get_tags"]({"tags": "Owner"})


def test_held_results_are_answered_in_pages(aws: FakeAws) -> None:
    aws.rule_name, client = "mine", boto3.client("config")
    made = {"ComplianceResourceType": "AWS::IAM::User", "OrderingTimestamp": 0}
    for number in range(25):
        kind = ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE")[number % 3]
        evaluation = made | {"ComplianceResourceId": f"user-{number}", "ComplianceType": kind}
        token = "TESTMODE" if number > 20 else "earlier"  # a dry run is not kept
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
