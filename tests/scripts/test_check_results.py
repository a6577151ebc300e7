"""What `make check` says of mistakes that give a wrong or missing result and pass otherwise."""

import pytest

from tests.scripts.helpers import Project, find_problems, make_volume

APP, TEMPLATE, STATE = "sizes/app.py", "template.yaml", "events/volumes/state.py"
VOLUME = "AWS::EC2::Volume"
CREATED = "2026-11-05T09:20:00.000Z"


KEPT = "keep nothing of an event in the module, neither in a list nor in a cache."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "def lambda_handler(event, context):\n",
            "SEEN = []\n\n\ndef lambda_handler(event, context):\n    SEEN.append(1)\n",
            id="a list that grows",
        ),
        pytest.param(
            "def lambda_handler(event, context):\n",
            "SEEN = {}\n\n\ndef lambda_handler(event, context):\n"
            '    SEEN.setdefault("first", event["configRuleName"] + event["invokingEvent"])\n',
            id="a cache that only the first event fills",
        ),
    ],
)
def test_result_that_depends_on_other_events_is_found(old: str, new: str, project: Project) -> None:
    project.replace(APP, old, new)
    project.replace(APP, 'f"Size {size}', 'f"{len(str(SEEN))} Size {size}')
    problems = list(find_problems(project))
    assert f"sizes/app.py: large.json gives another result after other events: {KEPT}" in problems


def test_names_that_moto_makes_up_are_no_difference(project: Project) -> None:
    project.write(STATE, "import boto3\nboto3.client('kms').create_key()\n")
    keys = "boto3.client('kms').list_keys()['Keys']"
    project.replace("volumes/app.py", "Volumes: {len(found)}", f"{{{keys}}}")
    assert list(find_problems(project)) == []


RAISES_AT_THE_SECOND_TIME = """

SEEN = set()
report = lambda_handler


def lambda_handler(event, context):
    report(event, context)
    if event["invokingEvent"] in SEEN:
        raise ValueError("again")
    SEEN.add(event["invokingEvent"])
"""


def test_error_that_comes_after_other_events_is_found(project: Project) -> None:
    code = (project.root / APP).read_text()
    project.write(APP, code + RAISES_AT_THE_SECOND_TIME)
    names = ("deleted", "large", "oversized", "small")
    assert list(find_problems(project)) == [
        f"sizes/app.py: {name}.json gives another result after other events: {KEPT}"
        for name in names
    ]


EARLIER = f"""
import boto3
evaluation = {{"ComplianceResourceType": "{VOLUME}", "ComplianceResourceId": "{{}}",
              "ComplianceType": "COMPLIANT", "OrderingTimestamp": 0}}
boto3.client("config").put_evaluations(Evaluations=[evaluation], ResultToken="earlier")
"""


def test_earlier_result_that_no_event_reports_again_is_found(project: Project) -> None:
    project.write(STATE, EARLIER.replace("{}", "vol-gone"))
    assert list(find_problems(project)) == [
        f"events/volumes/state.py: no event reports the earlier result of {VOLUME} vol-gone again: "
        "let volumes/app.py report it, NOT_APPLICABLE if it is deleted."
    ]


def test_event_that_fails_leaves_earlier_results_out(project: Project) -> None:
    project.write(STATE, EARLIER.replace("{}", "vol-gone"))
    project.replace("volumes/app.py", 'event["accountId"]', 'event["account"]')
    problems = list(find_problems(project))
    assert problems
    assert not any("earlier result" in problem for problem in problems)


def test_time_that_changes_by_itself_is_found_once(project: Project) -> None:
    project.replace(
        APP, 'time = item["configurationItemCaptureTime"]', "time = __import__('time').time()"
    )
    problems = list(find_problems(project))
    assert problems
    assert all("OrderingTimestamp" in problem for problem in problems)


def test_earlier_result_that_an_event_reports_again_is_right(project: Project) -> None:
    project.write("events/sizes/state.py", EARLIER.replace("{}", "vol-1"))
    assert list(find_problems(project)) == []


@pytest.mark.parametrize(
    "time",
    ['"2026-11-26T00:00:00Z"', "0", 'item.get("resourceCreationTime", 1)'],
    ids=["another time", "zero", "the resource's creation"],
)
def test_time_that_is_not_of_event_or_item_is_found(time: str, project: Project) -> None:
    project.replace(APP, 'time = item["configurationItemCaptureTime"]', f"time = {time}")
    assert (
        "sizes/app.py: the OrderingTimestamp of deleted.json, large.json, oversized.json, "
        "small.json is neither the event's notificationCreationTime nor the item's "
        "configurationItemCaptureTime: report one of them."
    ) in find_problems(project)


def test_time_of_the_notification_is_right(project: Project) -> None:
    for name in ("deleted", "large", "oversized", "small"):
        created = f'"notificationCreationTime": "{CREATED}",\n    "messageType"'
        project.replace(f"events/sizes/{name}.json", '"messageType"', created)
    project.replace(APP, 'time = item["configurationItemCaptureTime"]', f'time = "{CREATED}"')
    assert list(find_problems(project)) == []


def test_time_of_another_resources_item_is_found(project: Project) -> None:
    items = [make_volume("vol-2", 1, configurationItemCaptureTime=CREATED)]
    project.write("events/volumes/configuration_items.json", {"configurationItems": items})
    time = 'time = json.loads(event["invokingEvent"])["notificationCreationTime"]'
    project.replace("volumes/app.py", time, f'time = "{CREATED}"')
    assert any(
        problem.startswith("volumes/app.py: the OrderingTimestamp of count.json, ")
        for problem in find_problems(project)
    )


@pytest.mark.parametrize(
    ("old", "new", "name", "default"),
    [
        pytest.param('Default: "3"', 'Default: "3 GiB"', "Limit", "'3 GiB'", id="a pattern"),
        pytest.param("Default: One_Hour", "Default: Hourly", "Frequency", "'Hourly'", id="values"),
        pytest.param(
            "Default: config-rules-",
            "Default: config-rules-\n    MaxLength: 5",
            "RuleNamePrefix",
            "'config-rules-'",
            id="a length",
        ),
    ],
)
def test_default_that_the_parameter_refuses_is_found(
    old: str, new: str, name: str, default: str, project: Project
) -> None:
    project.replace(TEMPLATE, old, new)
    assert (
        f"template.yaml: {name} does not accept its own Default, {default}: correct it, "
        "or AllowedPattern, AllowedValues or MaxLength."
    ) in find_problems(project)


@pytest.mark.parametrize(
    ("types", "problems"),
    [
        pytest.param(
            f"{VOLUME}, AWS::RDS::DbCluster",
            [
                "template.yaml: the Scope of SizesRule has AWS::RDS::DbCluster, which is no "
                "resource type of AWS Config: correct it."
            ],
            id="a misspelt type",
        ),
        pytest.param(f"{VOLUME}, AWS::RDS::DBCluster", [], id="a type without a sample"),
        pytest.param(f"{VOLUME}, MyCompany::Own::Type", [], id="a type of one's own"),
    ],
)
def test_type_in_the_scope_that_is_unknown_is_found(
    types: str, problems: list[str], project: Project
) -> None:
    project.replace(TEMPLATE, f"[{VOLUME}]", f"[{types}]")
    assert list(find_problems(project)) == problems


def test_state_is_prepared_in_the_region_of_each_event(project: Project) -> None:
    arn = "arn:aws:config:eu-west-1:123456789012:config-rule/config-rule-1"
    changed = f'"configRuleArn": "{arn}",\n  "configRuleName"'
    project.replace("events/volumes/count.json", '"configRuleName"', changed)
    topic = "boto3.client('sns').create_topic(Name='volumes')"
    project.write(STATE, f"import boto3\n{topic}\n")
    count = "len(boto3.client('sns').list_topics()['Topics'])"
    project.replace("volumes/app.py", "Volumes: {len(found)}", f"{{len(found) / {count}}}")
    assert list(find_problems(project)) == []
