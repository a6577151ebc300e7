"""What comes of an invocation when AWS misbehaves: the right evaluation once, or an error and none.

The server is a real one, so that retries, timeouts and connections are the SDK's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.conftest import RULES, edit, read_event
from tests.fake_aws import BROKEN, DENIED, DROPPED, EXPIRED, THROTTLED, Fault
from tests.test_desired_instance_type import history_item

if TYPE_CHECKING:
    from tests.conftest import Load
    from tests.fake_aws import FakeAws

pytestmark = pytest.mark.usefixtures("no_backoff")
READ_TIMEOUT = 0.5
SLOW = Fault(seconds=READ_TIMEOUT + 0.2)
CALLS = {
    "desired_instance_type": ["AssumeRole", "GetResourceConfigHistory", "PutEvaluations"],
    "resource_count_limit": ["AssumeRole", "ListDiscoveredResources", "PutEvaluations"],
}
EVERY_CALL = [
    pytest.param(rule, call, id=f"{rule}-{call}") for rule in RULES for call in CALLS[rule]
]
every_call = pytest.mark.parametrize(("rule", "call"), EVERY_CALL)


def start(rule: str, load: Load, aws: FakeAws, fault: Fault | None = None) -> Any:
    """Load the rule so that its sample event makes all three calls."""
    module = load(rule, ASSUME_ROLE_MODE="true", EXECUTION_ROLE_NAME="Evaluator")
    if fault is SLOW:
        module.CLIENT_CONFIG = module.CLIENT_CONFIG.merge(Config(read_timeout=READ_TIMEOUT))
        module.build_client.cache_clear()
    aws.history = [history_item(0)]
    aws.fleet = 250
    return module


def sample(rule: str) -> dict[str, Any]:
    case = {"desired_instance_type": "oversized", "resource_count_limit": "within_limit"}[rule]
    event = edit(read_event(rule, case), "ruleParameters", {})
    return {**event, "resultToken": "a-real-token"}


def check_next_invocation(rule: str, module: Any, aws: FakeAws) -> None:
    """Check that the same process judges the next event, rightly and once."""
    for faults in aws.faults.values():
        faults.clear()
    before = len(aws.evaluations)
    (evaluation,) = module.lambda_handler(sample(rule), None)
    verdict = {"desired_instance_type": "COMPLIANT", "resource_count_limit": "NON_COMPLIANT"}[rule]
    assert evaluation["ComplianceType"] == verdict
    assert len(aws.evaluations) == before + 1
    assert aws.evaluations[-1]["ComplianceType"] == verdict


@every_call
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(THROTTLED, id="throttled"),
        pytest.param(BROKEN, id="broken"),
        pytest.param(DROPPED, id="dropped"),
        pytest.param(SLOW, id="slow"),
    ],
)
def test_fault_that_passes_after_two_tries_is_not_seen(
    rule: str, call: str, fault: Fault, load: Load, aws: FakeAws
) -> None:
    module = start(rule, load, aws, fault)
    aws.faults[call] = [fault, fault]
    (evaluation,) = module.lambda_handler(sample(rule), None)
    assert evaluation["ComplianceType"] in ("COMPLIANT", "NON_COMPLIANT")
    assert len(aws.evaluations) == 1
    assert aws.attempts[call] >= 3
    check_next_invocation(rule, module, aws)


@every_call
@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        pytest.param(THROTTLED, ClientError, "ThrottlingException", id="throttled"),
        pytest.param(BROKEN, ClientError, "InternalFailure", id="broken"),
        pytest.param(DROPPED, ConnectionClosedError, "closed", id="dropped"),
        pytest.param(SLOW, ReadTimeoutError, "Read timeout", id="slow"),
    ],
)
def test_fault_that_does_not_pass_is_an_error(
    rule: str,
    call: str,
    fault: Fault,
    error: type[Exception],
    message: str,
    load: Load,
    aws: FakeAws,
) -> None:
    module = start(rule, load, aws, fault)
    aws.faults[call] = [fault] * 9
    if call == "AssumeRole" and error is ClientError:
        message = "InternalError"  # scrubbed
    with pytest.raises(error, match=message):
        module.lambda_handler(sample(rule), None)
    assert aws.attempts[call] == 3
    assert aws.evaluations == []
    check_next_invocation(rule, module, aws)


@every_call
def test_denied_call_is_an_error_at_once(rule: str, call: str, load: Load, aws: FakeAws) -> None:
    module = start(rule, load, aws)
    aws.faults[call] = [DENIED]
    with pytest.raises(ClientError, match="AccessDenied"):
        module.lambda_handler(sample(rule), None)
    assert aws.attempts[call] == 1
    assert aws.evaluations == []
    check_next_invocation(rule, module, aws)


@pytest.mark.parametrize("rule", RULES)
def test_evaluation_not_taken_inside_a_good_answer_is_an_error(
    rule: str, load: Load, aws: FakeAws
) -> None:
    module = start(rule, load, aws)
    good = aws.answers["PutEvaluations"]
    aws.answers["PutEvaluations"] = lambda sent: {"FailedEvaluations": sent["Evaluations"]}
    with pytest.raises(RuntimeError, match="did not take"):
        module.lambda_handler(sample(rule), None)
    assert aws.attempts["PutEvaluations"] == 1
    aws.answers["PutEvaluations"] = good
    check_next_invocation(rule, module, aws)


@pytest.mark.parametrize("good_pages", [0, 1, 2])
def test_credentials_that_expire_in_the_middle_of_a_count_are_an_error(
    good_pages: int, load: Load, aws: FakeAws
) -> None:
    module = start("resource_count_limit", load, aws)
    list_resources = aws.answers["ListDiscoveredResources"]

    def expire_next(parameters: dict[str, Any]) -> dict[str, Any]:
        if int(parameters.get("nextToken", "0")) == good_pages - 1:
            aws.faults["ListDiscoveredResources"] = [EXPIRED]
        return list_resources(parameters)

    aws.answers["ListDiscoveredResources"] = expire_next
    aws.faults["ListDiscoveredResources"] = [EXPIRED] if good_pages == 0 else []
    event = edit(sample("resource_count_limit"), "ruleParameters", {"maxCount": "300"})
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        module.lambda_handler(event, None)
    assert aws.evaluations == []
    aws.answers["ListDiscoveredResources"] = list_resources
    check_next_invocation("resource_count_limit", module, aws)


def test_failed_history_page_in_the_middle_is_an_error(load: Load, aws: FakeAws) -> None:
    module = start("desired_instance_type", load, aws)
    aws.empty_history_pages = 2
    aws.faults["GetResourceConfigHistory"] = []
    get_history = aws.answers["GetResourceConfigHistory"]

    def fail_second(parameters: dict[str, Any]) -> dict[str, Any]:
        aws.faults["GetResourceConfigHistory"] = [BROKEN] * 3
        return get_history(parameters)

    aws.answers["GetResourceConfigHistory"] = fail_second
    with pytest.raises(ClientError, match="InternalFailure"):
        module.lambda_handler(sample("desired_instance_type"), None)
    assert aws.evaluations == []
    aws.answers["GetResourceConfigHistory"] = get_history
    check_next_invocation("desired_instance_type", module, aws)


def test_token_that_repeats_is_an_error_and_no_endless_loop(load: Load, aws: FakeAws) -> None:
    module = start("resource_count_limit", load, aws)
    list_resources = aws.answers["ListDiscoveredResources"]
    aws.answers["ListDiscoveredResources"] = lambda _: {
        "resourceIdentifiers": [],
        "nextToken": "the same",
    }
    with pytest.raises(Exception, match="same next token was received twice"):
        module.lambda_handler(sample("resource_count_limit"), None)
    assert aws.evaluations == []
    aws.answers["ListDiscoveredResources"] = list_resources
    check_next_invocation("resource_count_limit", module, aws)


@pytest.mark.parametrize("rule", RULES)
def test_request_that_aws_would_refuse_is_refused_here(rule: str, load: Load, aws: FakeAws) -> None:
    """The server checks requests as AWS does; without that the tests above would prove little."""
    client = load(rule).build_client("config")
    too_long = {
        "ComplianceResourceType": "AWS::EC2::Instance",
        "ComplianceResourceId": "i" * 769,
        "ComplianceType": "COMPLIANT",
        "OrderingTimestamp": "2026-11-05T09:15:27Z",
    }
    with pytest.raises(ClientError, match="ComplianceResourceId is longer than 768"):
        client.put_evaluations(Evaluations=[too_long], ResultToken="t")
    assert aws.evaluations == []
