"""The block for periodic rules, in every rule that has it."""

from __future__ import annotations

import pytest

from tests.conftest import PERIODIC_RULES, Wire, edit, load, read_sample

pytestmark = pytest.mark.parametrize("rule", PERIODIC_RULES)


def test_evaluation_needs_no_annotation(rule: str) -> None:
    event = edit(
        read_sample(rule), "invokingEvent", {"notificationCreationTime": "2026-11-06T09:15Z"}
    )
    assert load(rule).build_evaluation("i-1", "COMPLIANT", event, "AWS::EC2::Instance") == {
        "ComplianceResourceType": "AWS::EC2::Instance",
        "ComplianceResourceId": "i-1",
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": "2026-11-06T09:15Z",
    }


def test_account_is_reported_by_default(rule: str, aws: Wire) -> None:
    (evaluation,) = load(rule).lambda_handler(read_sample(rule), None)
    assert evaluation["ComplianceResourceType"] == "AWS::::Account"
    assert evaluation["ComplianceResourceId"] == "123456789012"


def test_any_other_message_type_is_named(rule: str, aws: Wire) -> None:
    message_type = "ConfigurationItemChangeNotification"
    event = edit(read_sample(rule), "invokingEvent", {"messageType": message_type})
    with pytest.raises(ValueError, match="messageType") as caught:
        load(rule).lambda_handler(event, None)
    message = f"messageType must be ScheduledNotification, not {message_type!r}."
    assert str(caught.value) == message
