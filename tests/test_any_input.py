"""Events mutated at any depth: a right evaluation, or a ValueError that names a field."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import read_event
from tests.test_desired_instance_type import history_item

if TYPE_CHECKING:
    from tests.conftest import Load
    from tests.fake_aws import FakeAws

TEXTS = ("invokingEvent", "ruleParameters")
# What the verdict, its place and its time depend on; every other field may be anything.
ITEM_FIELDS = ("resourceType", "resourceId", "configurationItemCaptureTime")
JUDGED = {
    "desired_instance_type": {
        ("resultToken",),
        ("eventLeftScope",),
        ("invokingEvent", "messageType"),
        ("ruleParameters", "desiredInstanceType"),
        ("invokingEvent", "configurationItem", "configuration", "instanceType"),
        *(
            ("invokingEvent", item, field)
            for item in ("configurationItem", "configurationItemSummary")
            for field in (*ITEM_FIELDS, "configurationItemStatus")
        ),
    },
    "resource_count_limit": {
        ("resultToken",),
        ("accountId",),
        ("invokingEvent", "messageType"),
        ("invokingEvent", "notificationCreationTime"),
        ("ruleParameters", "applicableResourceType"),
        ("ruleParameters", "maxCount"),
    },
}
NAMED = re.compile(
    "(event|resultToken|invokingEvent|ruleParameters|messageType|configurationItem(Summary)?"
    "|resourceType|resourceId|configurationItemCaptureTime|configurationItemStatus|eventLeftScope"
    "|configuration|instanceType|desiredInstanceType|accountId|notificationCreationTime"
    "|applicableResourceType|maxCount) must be "
)
CASES = [
    ("desired_instance_type", "compliant"),
    ("desired_instance_type", "non_compliant"),
    ("desired_instance_type", "deleted"),
    ("desired_instance_type", "left_scope"),
    ("desired_instance_type", "oversized"),
    ("resource_count_limit", "within_limit"),
    ("resource_count_limit", "over_limit"),
]
NOTHING = object()

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(
        [
            "x" * 100_000,
            "i" * 769,
            "\ud800",
            "\x00",
            "ＯＫ",
            "9" * 5000,
            "0",
            "50",
            " 7 ",
            "t3.*",
            "[",
            "OK",
            "ResourceDeleted",
            "AWS::S3::Bucket",
            "ConfigurationItemChangeNotification",
            "ScheduledNotification",
            "2026-11-05T09:15:27Z",
            "2999-12-31T23:59:59.999+23:59",
            "0001-01-01T00:00:00Z",
        ]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
) | st.sampled_from([500, 50_000]).map(lambda depth: "[" * depth + "]" * depth)


def list_paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every part of a value."""
    parts = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = [prefix] if prefix else []
    for key, part in parts:
        found += list_paths(part, (*prefix, key))
    return found


def read_opened(rule: str, case: str) -> dict[str, Any]:
    """Return the sample event with the JSON texts in it parsed."""
    event = read_event(rule, case)
    return {name: json.loads(value) if name in TEXTS else value for name, value in event.items()}


@st.composite
def mutations(draw: st.DrawFn, rule: str, case: str) -> tuple[dict[str, Any], set[tuple[Any, ...]]]:
    """Return an event with one to three parts dropped or replaced, and their paths."""
    event = copy.deepcopy(read_opened(rule, case))
    judged = sorted(path for path in JUDGED[rule] if path in list_paths(event))
    anywhere = st.sampled_from(list_paths(event)) | st.sampled_from(judged)
    paths = draw(st.lists(anywhere, min_size=1, max_size=3, unique=True))
    for path in paths:
        *parents, last = path
        holder = event
        try:
            for parent in parents:
                holder = holder[parent]
            value = draw(st.just(NOTHING) | VALUES)
            if value is NOTHING:
                del holder[last]
            else:
                holder[last] = value
        except (KeyError, IndexError, TypeError):
            continue  # another mutation took this part away
    return event, set(paths)


def close(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its two texts as JSON again, unless they are no objects any more."""
    return {
        name: json.dumps(value) if name in TEXTS and isinstance(value, dict | list) else value
        for name, value in event.items()
    }


def touches_judged(rule: str, paths: set[tuple[Any, ...]]) -> bool:
    return any(
        path[: len(judged)] == judged or judged[: len(path)] == path
        for path in paths
        for judged in JUDGED[rule]
    )


def expect_change(event: dict[str, Any]) -> dict[str, Any]:
    """Return what a change notification has to give, told from the event in another way."""
    item = event["invokingEvent"]["configurationItem"]
    exists = item["configurationItemStatus"] in ("OK", "ResourceDiscovered")
    verdict = "NOT_APPLICABLE"
    if (
        exists
        and event.get("eventLeftScope") is not True
        and item["resourceType"] == "AWS::EC2::Instance"
    ):
        patterns = [
            re.escape(entry.strip()).replace(r"\*", ".*").replace(r"\?", ".")
            for entry in event["ruleParameters"]["desiredInstanceType"].split(",")
            if entry.strip()
        ]
        found = item["configuration"]["instanceType"]
        wanted = any(re.fullmatch(pattern, found, re.DOTALL) for pattern in patterns)
        verdict = "COMPLIANT" if wanted else "NON_COMPLIANT"
    return {
        "ComplianceResourceType": item["resourceType"],
        "ComplianceResourceId": item["resourceId"],
        "ComplianceType": verdict,
        "OrderingTimestamp": item["configurationItemCaptureTime"],
    }


def expect_count(event: dict[str, Any], fleet: int) -> dict[str, Any]:
    """Return what a periodic notification has to give for a fleet."""
    return {
        "ComplianceResourceType": "AWS::::Account",
        "ComplianceResourceId": event["accountId"],
        "ComplianceType": "NON_COMPLIANT"
        if fleet > int(event["ruleParameters"].get("maxCount", 0))
        else "COMPLIANT",
        "OrderingTimestamp": event["invokingEvent"]["notificationCreationTime"],
    }


@pytest.mark.parametrize(("rule", "case"), CASES)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_mutated_event_is_judged_rightly_or_refused_by_name(
    rule: str, case: str, data: st.DataObject, load: Load, aws: FakeAws
) -> None:
    module = aws.state.setdefault("module", None) or load(rule)
    aws.state["module"] = module
    aws.history, aws.fleet = [history_item(0)], 20
    event, paths = data.draw(mutations(rule, case))
    aws.calls.clear()
    try:
        (evaluation,) = module.lambda_handler(close(event), None)
    except ValueError as ex:
        assert touches_judged(rule, paths), f"{ex} for {paths}"
        assert NAMED.match(str(ex)), str(ex)
        assert len(str(ex)) < 1000
        assert aws.evaluations == []
        return
    except RuntimeError as ex:
        assert case == "oversized"  # the history has nothing at the mutated time
        assert "has not caught up" in str(ex)
        assert aws.evaluations == []
        return
    assert len(aws.evaluations) == 1
    assert 1 <= len(evaluation["Annotation"]) <= 256
    json.dumps(evaluation, ensure_ascii=False).encode()
    if not touches_judged(rule, paths):
        event = read_opened(rule, case)
    found = {name: value for name, value in evaluation.items() if name != "Annotation"}
    if rule == "resource_count_limit":
        assert found == expect_count(event, 20)
    elif case != "oversized":
        assert found == expect_change(event)
    elif found["ComplianceType"] != "NOT_APPLICABLE":
        assert found["ComplianceType"] in ("COMPLIANT", "NON_COMPLIANT")
        assert found["OrderingTimestamp"] == "2026-11-05T09:15:27.482Z"
