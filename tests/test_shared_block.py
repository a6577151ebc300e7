"""What both rules do alike; every test runs against both."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import ROOT, RULES, edit, read_event
from tests.fake_aws import BROKEN, DENIED, Fault

if TYPE_CHECKING:
    from tests.conftest import Load
    from tests.fake_aws import FakeAws

pytestmark = pytest.mark.parametrize("rule", RULES)
CASES = {"desired_instance_type": "compliant", "resource_count_limit": "within_limit"}
ROLE = "arn:aws:iam::{}:role/config/recorder"


def sample(rule: str, **fields: Any) -> dict[str, Any]:
    """Return an event of the rule with a result token as AWS Config sends it."""
    event = {**read_event(rule, CASES[rule]), "resultToken": "a-real-token", **fields}
    return {name: value for name, value in event.items() if value is not ...}


def from_account(rule: str, account: str) -> dict[str, Any]:
    return sample(rule, accountId=account, executionRoleArn=ROLE.format(account))


def test_block_is_the_same_to_the_letter(rule: str) -> None:
    def read_block(name: str) -> str:
        text = (ROOT / name / "app.py").read_text()
        start, end = "# --- shared by both rules", "# --- end of the shared block ---\n"
        assert text.count(start) == text.count(end) == 1
        assert text.endswith(end)
        return text[text.index(start) :]

    assert read_block(rule) == read_block(RULES[0])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        pytest.param("resultToken", ..., "resultToken must be", id="token missing"),
        pytest.param("resultToken", "", "resultToken must be", id="token empty"),
        pytest.param("resultToken", ["t"], "resultToken must be", id="token of the wrong kind"),
        pytest.param("resultToken", "t\ud800", "resultToken must be Unicode text", id="no text"),
        pytest.param("invokingEvent", ..., "invokingEvent must be JSON text", id="no event"),
        pytest.param("invokingEvent", "", "invokingEvent must be JSON text, not ''", id="empty"),
        pytest.param("invokingEvent", "{", "must be JSON text, not '{'", id="broken JSON"),
        pytest.param("invokingEvent", "[1]", "must be a JSON object, not \\[1\\]", id="a list"),
        pytest.param("invokingEvent", {"a": 1}, "invokingEvent must be JSON text", id="no text"),
        pytest.param("invokingEvent", "[" * 99999, "invokingEvent must be", id="nested deep"),
        pytest.param("ruleParameters", "", "ruleParameters must be", id="parameters empty"),
        pytest.param("ruleParameters", "{]", "not '{\\]'", id="parameters no JSON"),
        pytest.param("ruleParameters", '"x"', "ruleParameters must be a JSON object", id="text"),
        pytest.param("ruleParameters", None, "ruleParameters must be", id="parameters null"),
    ],
)
def test_bad_event_is_named_and_nothing_is_called(
    rule: str, field: str, value: Any, message: str, load: Load, aws: FakeAws
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(rule).lambda_handler(sample(rule, **{field: value}), None)
    assert len(str(caught.value)) < 300
    assert aws.calls == []


@pytest.mark.parametrize(
    ("event", "kind"), [(None, "NoneType"), ({}, "dict"), ([1], "list"), ("text", "str")]
)
def test_event_that_is_no_object_is_refused(rule: str, event: Any, kind: str, load: Load) -> None:
    with pytest.raises(ValueError, match=f"^event must be a non-empty object, not a {kind}\\.$"):
        load(rule).lambda_handler(event, None)


def test_result_token_of_the_wrong_kind_is_not_shown(rule: str, load: Load) -> None:
    with pytest.raises(ValueError, match="resultToken") as caught:
        load(rule).lambda_handler(sample(rule, resultToken={"secret": "s3cr3t"}), None)
    assert str(caught.value) == "resultToken must be a non-empty string, not a dict."


def test_list_that_holds_the_token_is_not_shown(rule: str, load: Load) -> None:
    with pytest.raises(ValueError, match="event must be") as caught:
        load(rule).lambda_handler([sample(rule)], None)
    assert "a-real-token" not in str(caught.value)


@pytest.mark.parametrize(
    "message_type", [..., None, "", "ConfigurationSnapshotDeliveryCompleted", ["x"]]
)
def test_unknown_message_type_is_named(rule: str, message_type: Any, load: Load) -> None:
    event = edit(sample(rule), "invokingEvent", {"messageType": message_type})
    with pytest.raises(ValueError, match="messageType must be"):
        load(rule).lambda_handler(event, None)


def test_other_rules_message_type_is_refused(rule: str, load: Load) -> None:
    other = next(name for name in RULES if name != rule)
    with pytest.raises(ValueError, match="messageType must be"):
        load(rule).lambda_handler(sample(other), None)


def test_result_is_sent_once_and_returned_as_sent(rule: str, load: Load, aws: FakeAws) -> None:
    answer = load(rule).lambda_handler(sample(rule), None)
    (call,) = (call for call in aws.calls if call.operation == "PutEvaluations")
    assert call.parameters["ResultToken"] == "a-real-token"
    assert call.parameters["TestMode"] is False
    assert len(answer) == len(call.parameters["Evaluations"]) == 1
    sent = call.parameters["Evaluations"][0]
    assert {**sent, "OrderingTimestamp": answer[0]["OrderingTimestamp"]} == answer[0]
    assert all(isinstance(value, str) for value in answer[0].values())
    assert json.loads(json.dumps(answer)) == answer


def test_result_token_testmode_is_a_dry_run(rule: str, load: Load, aws: FakeAws) -> None:
    load(rule).lambda_handler(sample(rule, resultToken="TESTMODE"), None)
    assert aws.calls[-1].parameters["TestMode"] is True


def test_evaluation_not_taken_is_an_error(rule: str, load: Load, aws: FakeAws) -> None:
    aws.answers["PutEvaluations"] = lambda sent: {"FailedEvaluations": sent["Evaluations"]}
    with pytest.raises(RuntimeError, match=r"^AWS Config did not take 1 of \[{.*}\]\.$") as caught:
        load(rule).lambda_handler(sample(rule), None)
    assert "a-real-token" not in str(caught.value)


def test_aws_error_leaves_as_it_is(rule: str, load: Load, aws: FakeAws) -> None:
    aws.faults["PutEvaluations"] = [Fault(400, "InvalidResultTokenException", "Invalid")]
    with pytest.raises(ClientError, match="InvalidResultTokenException"):
        load(rule).lambda_handler(sample(rule), None)


def test_log_holds_the_evaluation_and_no_token(
    rule: str, load: Load, aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    module = load(rule)
    with caplog.at_level(logging.DEBUG):
        answer = module.lambda_handler(sample(rule), None)
    (record,) = (record for record in caplog.records if record.message == "evaluations sent")
    assert record.evaluations == answer  # type: ignore[attr-defined]
    assert record.test_mode is False  # type: ignore[attr-defined]
    assert record.levelname == "INFO"
    seen = "".join(f"{record.__dict__} {record.getMessage()}" for record in caplog.records)
    assert "a-real-token" not in seen
    assert "own-secret" not in seen


def test_clients_live_across_invocations(rule: str, load: Load, aws: FakeAws) -> None:
    module = load(rule)
    for _ in range(5):
        module.lambda_handler(sample(rule), None)
    assert aws.connections == 1


@pytest.mark.parametrize("mode", ["", "false", "False", "FALSE"])
def test_own_account_mode_uses_the_functions_own_role(
    rule: str, mode: str, load: Load, aws: FakeAws
) -> None:
    module = load(rule, ASSUME_ROLE_MODE=mode)
    assert module.build_client.cache_info().currsize == 1, "the client is built at start"
    event = sample(rule)
    del event["executionRoleArn"]
    module.lambda_handler(event, None)
    assert {call.access_key for call in aws.calls} == {"own-key"}


@pytest.mark.parametrize("mode", ["yes", "1", "true ", "truefalse"])
def test_other_assume_role_mode_fails_at_start(rule: str, mode: str, load: Load) -> None:
    with pytest.raises(ValueError, match="ASSUME_ROLE_MODE must be true or false, not"):
        load(rule, ASSUME_ROLE_MODE=mode)


@pytest.mark.parametrize("name", ["arn:aws:iam::123456789012:role/x", "a b", "/x", "x\n"])
def test_execution_role_name_that_is_none_fails_at_start(rule: str, name: str, load: Load) -> None:
    with pytest.raises(ValueError, match="EXECUTION_ROLE_NAME must be"):
        load(rule, EXECUTION_ROLE_NAME=name)


@pytest.mark.parametrize("mode", ["true", "True", "TRUE"])
def test_assume_role_mode_calls_with_the_role_of_the_event(
    rule: str, mode: str, load: Load, aws: FakeAws
) -> None:
    load(rule, ASSUME_ROLE_MODE=mode).lambda_handler(from_account(rule, "111122223333"), None)
    assumed, *others = aws.calls
    assert assumed.operation == "AssumeRole"
    assert assumed.parameters == {
        "RoleArn": ROLE.format("111122223333"),
        "RoleSessionName": "configLambdaExecution",
    }
    assert assumed.access_key == "own-key"
    assert {call.access_key for call in others} == {"ASIA111122223333"}


def test_no_accounts_client_serves_another_and_each_assumes_once(
    rule: str, load: Load, aws: FakeAws
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    accounts = ["111122223333", "123456789012"] * 10
    for account in accounts:
        module.lambda_handler(from_account(rule, account), None)
    assert aws.operations.count("AssumeRole") == 2
    keys = [call.access_key for call in aws.calls if call.operation == "PutEvaluations"]
    assert keys == [f"ASIA{account}" for account in accounts]


def test_another_role_loads_no_api_model_again(
    rule: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_client = load(rule, ASSUME_ROLE_MODE="true").build_client
    build_client("config", ROLE.format("111122223333"))

    def refuse(*_: object) -> None:
        raise AssertionError("a model was read from disk")

    monkeypatch.setattr("botocore.loaders.JSONFileLoader.load_file", refuse)
    build_client("config", ROLE.format("123456789012"))
    assert build_client.cache_parameters()["maxsize"] == 200


def test_credentials_are_refreshed_before_they_expire(rule: str, load: Load, aws: FakeAws) -> None:
    aws.session = timedelta(minutes=14)  # botocore refreshes in the last 15
    module = load(rule, ASSUME_ROLE_MODE="true")
    for _ in range(2):
        module.lambda_handler(from_account(rule, "111122223333"), None)
    assert aws.operations.count("AssumeRole") >= 2


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:iam::111122223333:role/r", "arn:aws:iam::111122223333:role/team/Evaluator"),
        (
            "arn:aws-cn:iam::111122223333:role/aws-service-role/config.amazonaws.com/X",
            "arn:aws-cn:iam::111122223333:role/team/Evaluator",
        ),
    ],
    ids=["another role", "a service-linked role of another partition"],
)
def test_execution_role_name_replaces_the_role_of_the_event(
    rule: str, arn: str, expected: str, load: Load, aws: FakeAws
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true", EXECUTION_ROLE_NAME="team/Evaluator")
    module.lambda_handler(sample(rule, accountId="111122223333", executionRoleArn=arn), None)
    assert aws.calls[0].parameters["RoleArn"] == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"executionRoleArn": ...}, "executionRoleArn must be a non-empty string, not None."),
        (
            {"executionRoleArn": "arn:aws:s3:::b"},
            "executionRoleArn must be a role's ARN, not 'arn:aws:s3:::b'.",
        ),
        (
            {"accountId": "111122223333"},
            "accountId must be 123456789012 as in executionRoleArn, not '111122223333'.",
        ),
        (
            {"executionRoleArn": "arn:aws:iam::123456789012:role/aws-service-role/c/S"},
            "executionRoleArn must be no service-linked role, which nobody can assume "
            "(set EXECUTION_ROLE_NAME), not 'arn:aws:iam::123456789012:role/aws-service-role/c/S'.",
        ),
    ],
    ids=["no role", "no role's ARN", "a role of another account", "a service-linked role"],
)
def test_role_that_cannot_be_right_is_refused_before_any_call(
    rule: str, fields: dict[str, Any], message: str, load: Load, aws: FakeAws
) -> None:
    event = {**from_account(rule, "123456789012"), **fields}
    event = {name: value for name, value in event.items() if value is not ...}
    with pytest.raises(ValueError, match="must be") as caught:
        load(rule, ASSUME_ROLE_MODE="true").lambda_handler(event, None)
    assert str(caught.value) == message
    assert aws.calls == []


@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (
            Fault(403, "AccessDenied", "111122223333 may not assume arn:aws:iam::111122223333:x"),
            "AccessDenied",
            "AWS Config does not have permission to assume the IAM role.",
        ),
        (
            Fault(400, "ValidationError", "arn:aws:iam::111122223333:role/x is odd"),
            "InternalError",
            "InternalError",
        ),
    ],
    ids=["denied", "any other error"],
)
def test_failed_assume_role_is_scrubbed_and_does_not_last(
    rule: str,
    fault: Fault,
    code: str,
    message: str,
    load: Load,
    aws: FakeAws,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    aws.faults["AssumeRole"] = [fault]
    event = from_account(rule, "111122223333")
    with caplog.at_level(logging.INFO), pytest.raises(ClientError) as caught:
        module.lambda_handler(event, None)
    assert caught.value.response["Error"] == {"Code": code, "Message": message}
    assert str(caught.value) == (
        f"An error occurred ({code}) when calling the AssumeRole operation: {message}"
    )
    (record,) = (record for record in caplog.records if record.message == "AssumeRole failed")
    assert record.error_code == fault.code  # type: ignore[attr-defined]
    formatted = "".join(traceback.format_exception(caught.value))
    seen = f"{caught.value} {caught.value.response} {formatted} {caplog.text}"
    assert "111122223333" not in seen
    assert "arn:" not in seen
    module.lambda_handler(event, None)
    assert len(aws.evaluations) == 1


def test_assume_role_credentials_are_as_documented(rule: str, load: Load, aws: FakeAws) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    credentials = module.get_assume_role_credentials(ROLE.format("111122223333"))
    assert credentials["AccessKeyId"] == "ASIA111122223333"
    assert set(credentials) == {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}


def test_retries_pass_over_a_short_fault(
    rule: str, load: Load, aws: FakeAws, no_backoff: None
) -> None:
    aws.faults["PutEvaluations"] = [BROKEN, BROKEN]
    load(rule).lambda_handler(sample(rule), None)
    assert len(aws.evaluations) == 1


def test_denied_call_is_not_retried(rule: str, load: Load, aws: FakeAws) -> None:
    aws.faults["PutEvaluations"] = [DENIED]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        load(rule).lambda_handler(sample(rule), None)
    assert aws.evaluations == []


def test_check_defined_returns_what_is_defined(rule: str, load: Load) -> None:
    check_defined = load(rule).check_defined
    assert check_defined([1], "list") == [1]
    with pytest.raises(ValueError, match=r"^name must be a non-empty value, not None\.$"):
        check_defined(None, "name")


def test_annotation_is_cut_at_256_characters(rule: str, load: Load) -> None:
    annotate = load(rule).annotate
    assert annotate("x" * 256) == "x" * 256
    assert annotate("x" * 257) == "x" * 255 + "…"
