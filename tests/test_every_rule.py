"""The block for all rules, in every rule: events, reporting, roles, and what AWS does wrong."""

from __future__ import annotations

import json
import logging
import re
import traceback
from datetime import datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto.core.utils import utcnow

from scripts.stack import ROOT
from tests.conftest import (
    OTHER_ACCOUNT,
    OWN_ACCOUNT,
    ROLE,
    RULES,
    Json,
    Wire,
    edit,
    load,
    load_once,
    read_sample,
)

pytestmark = [pytest.mark.sdk, pytest.mark.parametrize("rule", RULES)]
SERVICE_LINKED = "arn:aws-cn:iam::{}:role/aws-service-role/config.amazonaws.com/AWSServiceRole"
EXPIRED = "ExpiredTokenException: The security token included in the request is expired"


def of_account(rule: str, account_id: str, role: str = ROLE, **fields: Any) -> Json:
    """Return the sample event as an account's AWS Config sends it."""
    role_arn = role.format(account_id)
    return read_sample(rule, accountId=account_id, executionRoleArn=role_arn, **fields)


# The copies


def test_blocks_are_the_same_in_every_file(rule: str) -> None:
    def read_blocks(name: str) -> dict[str, str]:
        parts = re.split(
            r"^# --- Block for (.+): .*\n", (ROOT / name / "app.py").read_text(), flags=re.M
        )
        return dict(zip(parts[1::2], parts[2::2], strict=True))

    blocks = read_blocks(rule)
    assert "all rules" in blocks, f"{rule}/app.py has no block for all rules."
    for other in RULES:
        for name, text in read_blocks(other).items():
            assert blocks.get(name, text) == text, f"{rule} and {other}: block for {name}"


# Events


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("resultToken", ..., "resultToken must be a non-empty string."),
        ("resultToken", "", "resultToken must be a non-empty string."),
        ("resultToken", {"secret": "s3cr3t"}, "resultToken must be a non-empty string."),
        ("invokingEvent", ..., "invokingEvent must be the text of a JSON object, not None."),
        ("invokingEvent", "{", "invokingEvent must be the text of a JSON object, not '{'."),
        ("invokingEvent", "[1]", "invokingEvent must be the text of a JSON object, not '[1]'."),
        ("invokingEvent", {}, "invokingEvent must be the text of a JSON object, not {}."),
        ("ruleParameters", "", "ruleParameters must be the text of a JSON object, not ''."),
        ("ruleParameters", None, "ruleParameters must be the text of a JSON object, not None."),
    ],
)
def test_invalid_event_is_an_error_before_any_call(
    rule: str, field: str, value: Any, message: str, aws: Wire
) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        load(rule).lambda_handler(read_sample(rule, **{field: value}), None)
    assert str(caught.value) == message
    assert aws.calls == []


def test_absent_rule_parameters_are_none(rule: str) -> None:
    _, rule_parameters = load(rule).parse_event(read_sample(rule, ruleParameters=...))
    assert rule_parameters == {}


@pytest.mark.parametrize("event", [None, {}, [{"resultToken": "a-real-token"}], "text"])
def test_event_that_is_no_object_is_an_error_and_is_not_shown(rule: str, event: Any) -> None:
    with pytest.raises(ValueError, match=r"^event must be a non-empty object\.$"):
        load(rule).lambda_handler(event, None)


@pytest.mark.parametrize("message_type", [..., "", "ConfigurationSnapshotDeliveryCompleted", ["x"]])
def test_unknown_message_type_is_an_error(rule: str, message_type: Any, aws: Wire) -> None:
    event = edit(read_sample(rule), "invokingEvent", {"messageType": message_type})
    with pytest.raises(ValueError, match=r"^messageType must be .*Notification, not "):
        load(rule).lambda_handler(event, None)


@pytest.mark.parametrize("reference", [None, "", 5, ["x"], {"a": 1}], ids=repr)
def test_reference_that_is_not_defined_is_named_and_shown(rule: str, reference: Any) -> None:
    with pytest.raises(ValueError, match="name") as caught:
        load(rule).check_defined(reference, "name")
    assert str(caught.value) == f"name must be a non-empty string, not {reference!r}."


@pytest.mark.parametrize(
    "time", [None, 5, "yesterday", "2026-11-05", "2026-11-05T09:15:27", "2026-02-30T09:15:27Z"]
)
def test_time_that_is_not_iso_8601_with_an_offset_is_an_error(rule: str, time: Any) -> None:
    with pytest.raises(ValueError, match="name") as caught:
        load(rule).check_time(time, "name")
    assert str(caught.value) == f"name must be an ISO 8601 time with an offset, not {time!r}."


def test_long_value_is_cut_in_the_error(rule: str) -> None:
    with pytest.raises(ValueError, match="invokingEvent") as caught:
        load(rule).lambda_handler(read_sample(rule, invokingEvent="x" * 10_000), None)
    assert len(str(caught.value)) < 200


def list_paths(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of the fields in nested objects, three deep."""
    if not isinstance(value, dict) or len(path) == 3:
        return []
    paths = [(*path, name) for name in value]
    return paths + [each for name in value for each in list_paths(value[name], (*path, name))]


@pytest.mark.parametrize("junk", [..., None, "", "x", 7, True, [], ["x"], {}, {"x": "y"}], ids=repr)
def test_any_field_of_any_kind_gives_one_evaluation_or_an_error_that_names_it(
    rule: str, junk: Any, aws: Wire
) -> None:
    module, sample = load(rule), read_sample(rule)
    texts = ("invokingEvent", "ruleParameters")
    opened = sample | {name: json.loads(sample.get(name, "{}")) for name in texts}
    for path in list_paths(opened):
        aws.evaluations.clear()
        name, *inner = path
        if inner:
            event = edit(sample, name, {".".join(inner): junk})
        else:
            event = {
                key: value for key, value in {**sample, name: junk}.items() if value is not ...
            }
        try:
            module.lambda_handler(event, None)
        except ValueError as ex:
            named = re.match(r"(\w+) must be ", str(ex))
            assert named, f"{path} = {junk!r}: {ex}"
            assert named[1] in json.dumps(sample), f"{path} = {junk!r}: {ex}"
            assert not aws.evaluations
        else:
            assert len(aws.evaluations) == 1, f"{path} = {junk!r}"


# Reporting


def test_evaluation_is_sent_once_and_returned_as_sent(rule: str, aws: Wire) -> None:
    answer = load(rule).lambda_handler(read_sample(rule), None)
    (sent,) = (call for call in aws.calls if call.operation == "PutEvaluations")
    assert sent.parameters["ResultToken"] == "a-real-token"
    assert sent.parameters["TestMode"] is False
    (evaluation,) = answer
    time = int(datetime.fromisoformat(evaluation["OrderingTimestamp"]).timestamp())
    (reported,) = sent.parameters["Evaluations"]
    assert int(reported["OrderingTimestamp"]) == time
    assert {**evaluation, "OrderingTimestamp": reported["OrderingTimestamp"]} == reported
    assert json.loads(json.dumps(answer)) == answer


def test_result_token_testmode_is_a_dry_run(rule: str, aws: Wire) -> None:
    load(rule).lambda_handler(read_sample(rule, resultToken="TESTMODE"), None)
    assert aws.calls[-1].parameters["TestMode"] is True


def test_rejected_evaluation_is_an_error(rule: str, aws: Wire) -> None:
    aws.answers["PutEvaluations"] = [{"FailedEvaluations": [{"ComplianceResourceId": "i-1"}]}]
    with pytest.raises(RuntimeError, match=r"^AWS Config rejected 1 of \[{.*}\]\.$") as caught:
        load(rule).lambda_handler(read_sample(rule), None)
    assert "a-real-token" not in str(caught.value)


def test_log_has_the_evaluation_and_no_secret(
    rule: str, aws: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = load(rule).lambda_handler(read_sample(rule), None)
    (record,) = (record for record in caplog.records if record.message == "evaluations sent")
    assert (record.levelname, record.evaluations, record.test_mode) == ("INFO", answer, False)  # type: ignore[attr-defined]
    seen = "".join(f"{record.__dict__} {record.getMessage()}" for record in caplog.records)
    assert "a-real-token" not in seen
    assert "own-secret" not in seen


@pytest.mark.parametrize(("length", "shown"), [(256, "x" * 256), (257, "x" * 255 + "…")])
def test_annotation_is_cut_at_256_characters(rule: str, length: int, shown: str) -> None:
    assert load(rule).shorten("x" * length) == shown


# Clients and roles


def test_client_is_built_while_the_module_loads(rule: str, aws: Wire) -> None:
    module = load_once.__wrapped__(rule)
    module.lambda_handler(read_sample(rule), None)
    assert module.build_client.cache_info().misses == 1


@pytest.mark.parametrize("mode", ["", "false", "FALSE"])
def test_own_account_mode_uses_one_client_of_the_functions_own_role(
    rule: str, mode: str, aws: Wire
) -> None:
    module = load(rule, ASSUME_ROLE_MODE=mode)
    clients = {id(module.get_client("config", event)) for event in ({}, {"accountId": "x"})}
    assert len(clients) == 1
    module.lambda_handler(read_sample(rule, executionRoleArn=...), None)
    assert {call.account_id for call in aws.calls} == {OWN_ACCOUNT}


@pytest.mark.parametrize("mode", ["yes", "1", "true "])
def test_any_other_assume_role_mode_is_an_error_at_start(rule: str, mode: str) -> None:
    message = f"^ASSUME_ROLE_MODE must be true or false, not {mode!r}\\.$"
    with pytest.raises(ValueError, match=message):
        load(rule, ASSUME_ROLE_MODE=mode)


@pytest.mark.parametrize("mode", ["true", "True"])
def test_assume_role_mode_calls_with_the_events_role(rule: str, mode: str, aws: Wire) -> None:
    module = load(rule, ASSUME_ROLE_MODE=mode)
    module.lambda_handler(of_account(rule, OTHER_ACCOUNT), None)
    assumed, *others = aws.calls
    assert assumed.operation == "AssumeRole"
    assert assumed.account_id == OWN_ACCOUNT
    assert assumed.parameters["RoleArn"] == ROLE.format(OTHER_ACCOUNT)
    assert assumed.parameters["RoleSessionName"] == "configLambdaExecution"
    assert {call.account_id for call in others} == {OTHER_ACCOUNT}


def test_no_accounts_client_serves_another_and_each_assumes_its_role_once(
    rule: str, aws: Wire
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    accounts = [OTHER_ACCOUNT, OWN_ACCOUNT] * 5
    for account_id in accounts:
        module.lambda_handler(of_account(rule, account_id), None)
    assert aws.operations.count("AssumeRole") == 2
    reports = [call.account_id for call in aws.calls if call.operation == "PutEvaluations"]
    assert reports == accounts


def test_clients_are_bounded_and_share_the_loaded_api_models(
    rule: str, aws: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    module.get_client("config", of_account(rule, OTHER_ACCOUNT))

    def refuse(*_: object) -> None:
        raise AssertionError("an API model is read again")

    monkeypatch.setattr("botocore.loaders.JSONFileLoader.load_file", refuse)
    module.get_client("config", of_account(rule, OWN_ACCOUNT))
    assert module.build_client.cache_parameters()["maxsize"] == 200


def test_credentials_are_refreshed_before_they_expire(
    rule: str, aws: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto's sessions then end in ten minutes; botocore refreshes in the last fifteen.
    begun = utcnow() - timedelta(minutes=50)
    monkeypatch.setattr("moto.sts.models.utcnow", lambda: begun)
    module = load(rule, ASSUME_ROLE_MODE="true")
    for _ in range(2):
        module.lambda_handler(of_account(rule, OTHER_ACCOUNT), None)
    assert aws.operations.count("AssumeRole") >= 2


@pytest.mark.parametrize(
    ("role", "prefix"),
    [(ROLE, "arn:aws:iam"), (SERVICE_LINKED, "arn:aws-cn:iam")],
    ids=["another role", "a service-linked role of another partition"],
)
def test_execution_role_name_replaces_the_events_role(rule: str, role: str, prefix: str) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true", EXECUTION_ROLE_NAME="team/Evaluator")
    role_arn = module.get_role_arn(of_account(rule, OTHER_ACCOUNT, role))
    assert role_arn == f"{prefix}::{OTHER_ACCOUNT}:role/team/Evaluator"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"executionRoleArn": ...}, "executionRoleArn must be a non-empty string, not None."),
        (
            {"executionRoleArn": "arn:aws:s3:::b"},
            "executionRoleArn must be the ARN of a role, not 'arn:aws:s3:::b'.",
        ),
        (
            {"accountId": OTHER_ACCOUNT},
            "accountId must be 123456789012 as in executionRoleArn, not '111122223333'.",
        ),
        (
            {"executionRoleArn": "arn:aws:iam::123456789012:role/aws-service-role/c/S"},
            "executionRoleArn must be a role that is not service-linked (set EXECUTION_ROLE_NAME), "
            "not 'arn:aws:iam::123456789012:role/aws-service-role/c/S'.",
        ),
    ],
    ids=["no role", "not a role", "a role of another account", "a service-linked role"],
)
def test_role_that_cannot_be_right_is_an_error_before_any_call(
    rule: str, fields: Json, message: str, aws: Wire
) -> None:
    event = {**of_account(rule, OWN_ACCOUNT), **fields}
    event = {name: value for name, value in event.items() if value is not ...}
    with pytest.raises(ValueError, match="must be") as caught:
        load(rule, ASSUME_ROLE_MODE="true").lambda_handler(event, None)
    assert str(caught.value) == message
    assert aws.calls == []


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            "AccessDenied: 111122223333 may not assume arn:aws:iam::111122223333:role/x",
            "AccessDenied",
            "AWS Config does not have permission to assume the IAM role.",
        ),
        ("ValidationError: arn:aws:iam::111122223333:x is odd", "InternalError", "InternalError"),
    ],
    ids=["denied", "any other error"],
)
def test_failed_assume_role_is_scrubbed_and_does_not_last(
    rule: str, answer: str, code: str, message: str, aws: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    module, event = load(rule, ASSUME_ROLE_MODE="true"), of_account(rule, OTHER_ACCOUNT)
    aws.answers["AssumeRole"] = [answer]
    with caplog.at_level(logging.INFO), pytest.raises(ClientError) as caught:
        module.lambda_handler(event, None)
    operation = "when calling the AssumeRole operation"
    assert str(caught.value) == f"An error occurred ({code}) {operation}: {message}"
    (record,) = (record for record in caplog.records if record.message == "AssumeRole failed")
    assert record.error_code == answer.partition(":")[0]  # type: ignore[attr-defined]
    printed = "".join(traceback.format_exception(caught.value))
    seen = f"{caught.value} {caught.value.response} {printed} {caplog.text}"
    assert "111122223333" not in seen
    assert "arn:" not in seen
    module.lambda_handler(event, None)
    assert len(aws.evaluations) == 1


# What AWS does wrong


def throttle() -> str:
    return "ThrottlingException: Rate exceeded"


def drop() -> Any:
    return ConnectionClosedError(endpoint_url="https://config.us-east-1.amazonaws.com")


def time_out() -> Any:
    return ReadTimeoutError(endpoint_url="https://config.us-east-1.amazonaws.com")


@pytest.mark.parametrize("fault", [throttle, drop, time_out])
def test_fault_that_passes_is_not_noticed(rule: str, fault: Any, aws: Wire) -> None:
    aws.answers["PutEvaluations"] = [fault(), fault()]
    load(rule).lambda_handler(read_sample(rule), None)
    assert len(aws.evaluations) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [(throttle, ClientError), (drop, ConnectionClosedError), (time_out, ReadTimeoutError)],
)
def test_fault_that_lasts_is_awss_own_error_and_the_next_event_is_evaluated(
    rule: str, fault: Any, error: type[Exception], aws: Wire
) -> None:
    aws.answers["PutEvaluations"] = [fault() for _ in range(3)]
    with pytest.raises(error):
        load(rule).lambda_handler(read_sample(rule), None)
    assert aws.evaluations == []
    load(rule).lambda_handler(read_sample(rule), None)
    assert len(aws.evaluations) == 1


@pytest.mark.parametrize(
    "answer", ["AccessDeniedException: no", "InvalidResultTokenException: no", EXPIRED]
)
def test_refused_call_is_awss_own_error_and_is_not_retried(
    rule: str, answer: str, aws: Wire
) -> None:
    aws.answers["PutEvaluations"] = [answer]
    with pytest.raises(ClientError, match=answer.partition(":")[0]):
        load(rule).lambda_handler(read_sample(rule), None)
    assert aws.operations.count("PutEvaluations") == 1
    assert aws.evaluations == []
