"""The block for change-triggered rules, in every rule that has it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import CHANGE_RULES, Json, Wire, edit, load, read_sample

pytestmark = [pytest.mark.sdk, pytest.mark.parametrize("rule", CHANGE_RULES)]
NOTIFIED = "2026-11-05T09:15:27.482Z"
SUMMARY_FIELDS = (
    "resourceType",
    "resourceId",
    "configurationItemCaptureTime",
    "configurationItemStatus",
)


def with_item(rule: str, **changes: Any) -> Json:
    """Return the rule's sample event with its configuration item changed; ... removes a field."""
    changes = {f"configurationItem.{name}": value for name, value in changes.items()}
    return edit(read_sample(rule), "invokingEvent", changes)


def oversized(rule: str, capture_time: str = NOTIFIED, **changes: Any) -> Json:
    """Return the sample event as the oversized notification that it could have been."""
    event = read_sample(rule)
    item = json.loads(event["invokingEvent"])["configurationItem"]
    summary = {name: item[name] for name in SUMMARY_FIELDS}
    content = {
        "messageType": "OversizedConfigurationItemChangeNotification",
        "configurationItemSummary": {
            **summary,
            "configurationItemCaptureTime": capture_time,
            **changes,
        },
    }
    return {**event, "invokingEvent": json.dumps(content)}


def record(aws: Wire, rule: str, seconds: float, tag: str = "notified", **fields: Any) -> None:
    """Record the sample's item as captured that many seconds after NOTIFIED."""
    item = json.loads(read_sample(rule)["invokingEvent"])["configurationItem"]
    aws.items.append(
        {
            **{name: item[name] for name in SUMMARY_FIELDS},
            "configurationItemCaptureTime": datetime.fromisoformat(NOTIFIED).timestamp() + seconds,
            "configuration": json.dumps(item["configuration"]),
            "supplementaryConfiguration": {
                name: json.dumps(value)
                for name, value in (item.get("supplementaryConfiguration") or {}).items()
            },
            "tags": {"which": tag},
            **fields,
        }
    )


def find(rule: str, event: Json) -> Json:
    """Return the configuration item that the rule evaluates for an event."""
    module = load(rule)
    invoking_event = json.loads(event["invokingEvent"])
    client = module.get_client("config", event)
    item: Json = module.get_configuration_item(invoking_event, event, client)
    return item


# Which resources are evaluated


@pytest.mark.parametrize("status", ["OK", "ResourceDiscovered"])
def test_existing_resource_is_evaluated(rule: str, status: str, aws: Wire) -> None:
    (evaluation,) = load(rule).lambda_handler(with_item(rule, configurationItemStatus=status), None)
    assert evaluation["ComplianceType"] in ("COMPLIANT", "NON_COMPLIANT")


@pytest.mark.parametrize(
    "status",
    ["ResourceDeleted", "ResourceNotRecorded", "ResourceDeletedNotRecorded", "ResourceUnheardOf"],
)
def test_resource_of_any_other_status_is_not_applicable(rule: str, status: str, aws: Wire) -> None:
    event = with_item(rule, configurationItemStatus=status, configuration=...)
    del event["ruleParameters"]
    (evaluation,) = load(rule).lambda_handler(event, None)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"
    assert evaluation["Annotation"] == f"Not evaluated: the resource's status is {status}."


def test_resource_that_left_the_scope_is_not_applicable(rule: str, aws: Wire) -> None:
    event = {**with_item(rule), "eventLeftScope": True}
    (evaluation,) = load(rule).lambda_handler(event, None)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"
    annotation = "Not evaluated: the resource is no longer in the rule's scope."
    assert evaluation["Annotation"] == annotation


def test_absent_left_scope_counts_as_false(rule: str) -> None:
    assert load(rule).is_applicable({"configurationItemStatus": "OK"}, {})


# What is invalid


@pytest.mark.parametrize("name", ["configurationItem", "configurationItemSummary"])
@pytest.mark.parametrize("item", [..., None, [], "text"])
def test_notification_without_its_item_is_an_error(
    rule: str, name: str, item: Any, aws: Wire
) -> None:
    event = with_item(rule) if name == "configurationItem" else oversized(rule)
    with pytest.raises(ValueError, match=f"^{name} must be a non-empty object, not "):
        load(rule).lambda_handler(edit(event, "invokingEvent", {name: item}), None)


def test_any_other_message_type_is_named(rule: str, aws: Wire) -> None:
    event = edit(read_sample(rule), "invokingEvent", {"messageType": "ScheduledNotification"})
    with pytest.raises(ValueError, match="messageType") as caught:
        load(rule).lambda_handler(event, None)
    assert str(caught.value) == (
        "messageType must be ConfigurationItemChangeNotification or "
        "OversizedConfigurationItemChangeNotification, not 'ScheduledNotification'."
    )


# Oversized notifications


def test_oversized_notification_is_evaluated_and_reported(rule: str, aws: Wire) -> None:
    record(aws, rule, 0)
    (expected,) = load(rule).lambda_handler(read_sample(rule), None)
    (evaluation,) = load(rule).lambda_handler(oversized(rule), None)
    assert evaluation == {**expected, "OrderingTimestamp": NOTIFIED}
    assert aws.operations[1:] == ["GetResourceConfigHistory", "PutEvaluations"]


@pytest.mark.parametrize("fraction", ["482", "000", "999"])
def test_notified_configuration_is_found_and_not_the_one_before(
    rule: str, fraction: str, aws: Wire
) -> None:
    offset = int(fraction) / 1000 - 0.482
    record(aws, rule, offset - 3600, "an hour older")
    record(aws, rule, offset - 1.2, "a second older")
    record(aws, rule, offset)
    record(aws, rule, offset + 3600, "an hour newer")
    time = NOTIFIED.replace("482", fraction)
    item = find(rule, oversized(rule, time))
    assert item["tags"] == {"which": "notified"}
    assert item["configurationItemCaptureTime"] == time


@pytest.mark.parametrize("seconds", [-0.482, 0.518], ids=["down", "up"])
def test_time_that_the_service_rounds_is_found(rule: str, seconds: float, aws: Wire) -> None:
    record(aws, rule, seconds)
    assert find(rule, oversized(rule))["tags"] == {"which": "notified"}


def test_newer_configuration_is_evaluated_under_its_own_time(rule: str, aws: Wire) -> None:
    record(aws, rule, 0)
    record(aws, rule, 0.6, "newer")
    item = find(rule, oversized(rule))
    assert item["tags"] == {"which": "newer"}
    assert item["configurationItemCaptureTime"] == "2026-11-05T09:15:28.082Z"


def test_older_configuration_is_never_evaluated(rule: str, aws: Wire) -> None:
    record(aws, rule, -1)
    with pytest.raises(RuntimeError) as caught:
        load(rule).lambda_handler(oversized(rule, resourceId=aws.items[0]["resourceId"]), None)
    assert str(caught.value) == (
        "AWS Config has not caught up: no configuration of "
        f"{aws.items[0]['resourceId']} at {NOTIFIED} or later."
    )
    assert aws.evaluations == []


def test_older_configuration_is_not_evaluated_even_if_the_service_answers_with_it(
    rule: str, aws: Wire
) -> None:
    record(aws, rule, -60)
    aws.answers["GetResourceConfigHistory"] = [{"configurationItems": aws.items}]
    with pytest.raises(RuntimeError, match="not caught up"):
        find(rule, oversized(rule))


@pytest.mark.parametrize(("empty_pages", "found"), [(4, True), (5, False)])
def test_empty_pages_are_followed_to_a_bound(
    rule: str, empty_pages: int, found: bool, aws: Wire
) -> None:
    record(aws, rule, 0)
    pages = [{"configurationItems": [], "nextToken": str(page)} for page in range(empty_pages)]
    aws.answers["GetResourceConfigHistory"] = [*pages]
    if found:
        find(rule, oversized(rule))
    else:
        with pytest.raises(RuntimeError, match="not caught up"):
            find(rule, oversized(rule))
    assert aws.operations == ["GetResourceConfigHistory"] * 5


def test_history_is_asked_for_seconds_and_not_for_years(rule: str, aws: Wire) -> None:
    record(aws, rule, 0)
    find(rule, oversized(rule))
    (call,) = aws.calls
    second = int(datetime.fromisoformat(NOTIFIED).timestamp())
    assert call.parameters == {
        "resourceType": aws.items[0]["resourceType"],
        "resourceId": aws.items[0]["resourceId"],
        "earlierTime": second - 1,
        "laterTime": second + 2,
        "chronologicalOrder": "Reverse",
    }


def test_unknown_resource_is_awss_own_error(rule: str, aws: Wire) -> None:
    with pytest.raises(ClientError, match="ResourceNotDiscoveredException"):
        load(rule).lambda_handler(oversized(rule), None)


@pytest.mark.parametrize(
    ("status", "left_scope"), [("ResourceDeleted", False), ("OK", True)], ids=["deleted", "left"]
)
def test_summary_that_settles_the_answer_needs_no_history(
    rule: str, status: str, left_scope: bool, aws: Wire
) -> None:
    event = {**oversized(rule, configurationItemStatus=status), "eventLeftScope": left_scope}
    (evaluation,) = load(rule).lambda_handler(event, None)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"
    assert evaluation["OrderingTimestamp"] == NOTIFIED
    assert aws.operations == ["PutEvaluations"]


def test_resource_deleted_meanwhile_is_not_applicable(rule: str, aws: Wire) -> None:
    record(aws, rule, 1, configurationItemStatus="ResourceDeleted", configuration="")
    (evaluation,) = load(rule).lambda_handler(oversized(rule), None)
    assert evaluation["ComplianceType"] == "NOT_APPLICABLE"


# The API's form of a configuration item


def test_api_item_gets_the_form_of_events(rule: str) -> None:
    time = datetime(2016, 10, 6, 18, 46, 16, 261000, timezone(timedelta(hours=2)))
    item = {
        "version": "1.3",
        "accountId": "123456789012",
        "arn": "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "configurationItemMD5Hash": "8f1e",
        "configurationItemCaptureTime": time,
        "resourceCreationTime": datetime(2016, 10, 6, 16, 46, 16, tzinfo=UTC),
        "configuration": '{"instanceType": "t3.micro"}',
        "relationships": [{"resourceId": "eni-1", "relationshipName": "Is attached to"}, {}],
        "supplementaryConfiguration": {"a": '{"b": [1]}', "c": "plain text"},
    }
    before = copy.deepcopy(item)
    assert load(rule).convert_api_configuration(item) == {
        **item,
        "awsAccountId": "123456789012",
        "ARN": "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "configurationStateMd5Hash": "8f1e",
        "configurationItemVersion": "1.3",
        "configurationItemCaptureTime": "2016-10-06T16:46:16.261Z",
        "resourceCreationTime": "2016-10-06T16:46:16.000Z",
        "configuration": {"instanceType": "t3.micro"},
        "relationships": [
            {"resourceId": "eni-1", "relationshipName": "Is attached to", "name": "Is attached to"},
            {},
        ],
        "supplementaryConfiguration": {"a": {"b": [1]}, "c": "plain text"},
    }
    assert item == before, "the argument is not changed"


def test_absent_fields_stay_absent(rule: str) -> None:
    assert load(rule).convert_api_configuration({"resourceId": "i-1"}) == {"resourceId": "i-1"}
