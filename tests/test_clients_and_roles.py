"""The shared functions for clients and roles, called directly in every rule that has them."""

import logging
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.template import JsonObject
from tests.helpers import FakeAws, for_rules_with, load, read_sample

pytestmark = [pytest.mark.sdk, for_rules_with("get_client")]
OWN_ACCOUNT, OTHER_ACCOUNT = "123456789012", "111122223333"
ROLE = "arn:aws:iam::{}:role/config/recorder"
SERVICE_LINKED = "arn:aws-cn:iam::{}:role/aws-service-role/config.amazonaws.com/AWSServiceRole"


def of_account(account_id: str, role: str = ROLE) -> JsonObject:
    """Return what an event of the account says of its role."""
    return {"accountId": account_id, "executionRoleArn": role.format(account_id)}


def test_import_needs_no_region_and_no_credentials(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("boto3.client", None)
    cache = load(rule).build_client
    assert cache.cache_info().misses == 0
    assert cache.cache_parameters()["maxsize"] == 50


@pytest.mark.parametrize("mode", ["", "false", "FALSE"])
def test_own_account_mode_keeps_one_client_of_each_service(
    rule: str, mode: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(rule, ASSUME_ROLE_MODE=mode, EXECUTION_ROLE_NAME="unused")
    assert module.ASSUME_ROLE_MODE is False, "a truth value, as in the guide"
    client = module.get_client("config", of_account(OTHER_ACCOUNT))
    client.describe_configuration_recorders()
    assert aws.requests[-1].account_id == OWN_ACCOUNT
    assert module.get_client("iam", {}).meta.service_model.service_name == "iam"
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 4e9))
    assert module.get_client("config", {}) is client


@pytest.mark.parametrize("mode", ["yes", "1", "true "])
def test_other_assume_role_mode_is_an_error(rule: str, mode: str) -> None:
    message = f"^ASSUME_ROLE_MODE must be true or false, not {mode!r}\\.$"
    with pytest.raises(ValueError, match=message):
        load(rule, ASSUME_ROLE_MODE=mode)


@pytest.mark.parametrize("mode", ["true", "True"])
def test_each_account_is_reported_with_its_own_role(
    rule: str, mode: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, accounts = load(rule, ASSUME_ROLE_MODE=mode), [OTHER_ACCOUNT, OWN_ACCOUNT] * 3
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: 3600))
    for account_id in accounts:
        module.lambda_handler(read_sample(rule, **of_account(account_id)), None)
    reports = [each for each in aws.requests if each.operation == "PutEvaluations"]
    assert [each.account_id for each in reports] == accounts
    assert all(each.has_session_token for each in reports), "AWS accepts no role's key without it"
    assumed = [each for each in aws.requests if each.operation == "AssumeRole"]
    services = {each.action.partition(":")[0] for each in aws.requests} - {"sts"}
    assert len(assumed) == 2 * len(services)
    assert module.build_client.cache_info().misses == len(assumed) + 1, "and one client of STS"
    assert {each.account_id for each in assumed} == {OWN_ACCOUNT}
    assert assumed[0].parameters["RoleArn"] == ROLE.format(OTHER_ACCOUNT)
    assert assumed[0].parameters["RoleSessionName"] == "configLambdaExecution"


def test_assumed_credentials_serve_for_half_an_hour_at_most(
    rule: str, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    for seconds, assumed in [(3600, 1), (5399.9, 1), (5400, 2)]:
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda now=seconds: now))
        module.get_client("config", of_account(OTHER_ACCOUNT))
        assert aws.operations == ["AssumeRole"] * assumed


def test_retried_call_takes_under_a_minute(rule: str, aws: FakeAws) -> None:
    module = load(rule)
    config = module.CLIENT_CONFIG
    for role_arn in ("", ROLE.format(OTHER_ACCOUNT)):
        assert module.build_client("config", role_arn).meta.config.read_timeout == 7
    attempts = config.retries["total_max_attempts"]
    # Standard retries wait up to 2 ** n seconds, and 5 more where the service asks for it.
    back_off = sum(2**number + 5 for number in range(attempts - 1))
    assert attempts * (config.connect_timeout + config.read_timeout) + back_off < 60
    assert config.retries["mode"] == "standard"


@pytest.mark.parametrize(
    ("role", "prefix"), [(ROLE, "arn:aws:iam"), (SERVICE_LINKED, "arn:aws-cn:iam")]
)
def test_execution_role_name_replaces_the_events_role(
    rule: str, role: str, prefix: str, aws: FakeAws
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true", EXECUTION_ROLE_NAME="team/Evaluator")
    module.get_client("config", of_account(OTHER_ACCOUNT, role))
    assert aws.requests[0].parameters["RoleArn"] == f"{prefix}::{OTHER_ACCOUNT}:role/team/Evaluator"


@pytest.mark.parametrize(
    ("role_arn", "expected"),
    [
        (None, "a non-empty string, not None"),
        ("arn:aws:s3:::b", "the ARN of a role .*, not 'arn:aws:s3:::b'"),
        (f"arn:aws:s3::{OTHER_ACCOUNT}:role/x", "the ARN of a role .*, not 'arn:aws:s3::.*'"),
        ("arn:aws:iam:::role/x", "the ARN of a role .*, not 'arn:aws:iam:::role/x'"),
        (f"arn:aws:iam::{OTHER_ACCOUNT}:role/", "the ARN of a role .*, not 'arn:.*:role/'"),
        (
            SERVICE_LINKED.format(OTHER_ACCOUNT),
            r"the ARN of a role that is not service-linked \(or set EXECUTION_ROLE_NAME\), "
            f"not '{SERVICE_LINKED.format(OTHER_ACCOUNT)}'",
        ),
    ],
    ids=["no role", "a bucket", "a role of S3", "no account", "no name", "a service-linked role"],
)
def test_role_that_cannot_be_assumed_is_an_error(
    rule: str, role_arn: Any, expected: str, aws: FakeAws
) -> None:
    module = load(rule, ASSUME_ROLE_MODE="true")
    with pytest.raises(ValueError, match=f"^executionRoleArn must be {expected}\\.$"):
        module.get_client("config", {"executionRoleArn": role_arn})
    assert aws.requests == []


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            "AccessDenied: 111122223333 may not assume arn:aws:iam::111122223333:role/x",
            "AccessDenied",
            "AWS Config does not have permission to assume the IAM role.",
        ),
        (
            "AccessDeniedException: 111122223333 may not assume arn:aws:iam::111122223333:role/x",
            "AccessDeniedException",
            "AWS Config does not have permission to assume the IAM role.",
        ),
        ("ValidationError: arn:aws:iam::111122223333:x is odd", "InternalError", "InternalError"),
    ],
    ids=["denied", "denied by another code", "any other error"],
)
def test_failed_assume_role_names_neither_arn_nor_account(
    rule: str, answer: str, code: str, message: str, aws: FakeAws, caplog: pytest.LogCaptureFixture
) -> None:
    aws.canned_answers["AssumeRole"] = [answer]
    with caplog.at_level(logging.INFO), pytest.raises(ClientError) as caught:
        load(rule).get_assume_role_credentials(ROLE.format(OTHER_ACCOUNT))
    operation = "when calling the AssumeRole operation"
    assert str(caught.value) == f"An error occurred ({code}) {operation}: {message}"
    (record,) = (record for record in caplog.records if record.message == "AssumeRole failed")
    assert record.error_code == answer.partition(":")[0]  # type: ignore[attr-defined]
    printed = "".join(traceback.format_exception(caught.value))
    seen = f"{caught.value} {caught.value.response} {printed} {caplog.text}"
    assert "111122223333" not in seen
    assert "arn:" not in seen
