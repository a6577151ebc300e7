"""AWS Config rule: whether the account holds more resources of a type than allowed.

Trigger     periodic. The verdict is on the account: AWS::::Account.
Parameters  applicableResourceType: the type to count, as AWS Config writes it.
            maxCount: the number allowed, a whole number; 0 where it is absent.
            Example: {"applicableResourceType": "AWS::EC2::Instance", "maxCount": "50"}
Verdicts    COMPLIANT       at most maxCount resources
            NON_COMPLIANT   more

The count is what AWS Config has discovered in one account and Region: 0 of a type that it does not
support or discover, and old where the recorder is stopped.

The README lists where it differs from the periodic example of AWS's developer guide.
"""

import json
import logging
import os
import re
from datetime import datetime
from functools import lru_cache
from reprlib import Repr
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ClientError

Object = dict[str, Any]
Evaluation = dict[str, str]

DEFAULT_RESOURCE_TYPE = "AWS::::Account"
# As many digits as AWS Config lets all parameters of a rule have together.
WHOLE_NUMBER = re.compile(r"[0-9]{1,1024}")


class ResourceCount(int):
    """A number of resources, and whether the listing was cut short before its end."""

    cut_short = False


def lambda_handler(event: Object, context: object) -> list[Evaluation]:
    """Count the resources of the account and return the evaluation sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken` and `accountId`, and, to assume a role,
    `executionRoleArn`. ValueError: bad input, nothing sent. RuntimeError: AWS Config did not take
    the evaluation. ClientError: AWS's own.
    Source: AWS Config Developer Guide, "Example Events for AWS Config Rules".
    """
    invoking_event, rule_parameters = parse_event(event)
    is_scheduled_notification(invoking_event.get("messageType"))
    check_time(invoking_event.get("notificationCreationTime"), "notificationCreationTime")
    account_id = check_defined(event.get("accountId"), "accountId", str)
    if not re.fullmatch("[0-9]{12}", account_id):
        raise bad_input("accountId", "the 12 digits of an account", account_id)
    parameters = evaluate_parameters(rule_parameters)
    resource_type, max_count = parameters["applicableResourceType"], parameters["maxCount"]

    count = count_resource_types(resource_type, "", 0, max_count, event)
    compliance_type = evaluate_compliance(max_count, count)
    annotation = annotate(explain(resource_type, max_count, count))
    evaluation = build_evaluation(account_id, compliance_type, event, annotation=annotation)
    return report(event, [evaluation])


def is_scheduled_notification(message_type: str | None) -> bool:
    """Return True for a periodic notification; ValueError for any other."""
    if message_type != "ScheduledNotification":
        raise bad_input("messageType", "ScheduledNotification", message_type)
    return True


def evaluate_parameters(rule_parameters: Object) -> Object:
    """Return the rule parameters, checked: `maxCount` as a number, 0 where it is absent."""
    resource_type = check_defined(
        rule_parameters.get("applicableResourceType"), "applicableResourceType", str
    ).strip()
    check_defined(resource_type, "applicableResourceType", str)
    max_count = rule_parameters.get("maxCount", 0)
    digits = str(max_count).strip() if type(max_count) in (int, str) else ""
    if not WHOLE_NUMBER.fullmatch(digits):
        raise bad_input("maxCount", "a whole number of 0 or more", max_count)
    return {**rule_parameters, "applicableResourceType": resource_type, "maxCount": int(digits)}


def count_resource_types(
    applicable_resource_type: str,
    next_token: str,
    count: int,
    limit: int | None = None,
    event: Object | None = None,
) -> ResourceCount:
    """Return `count` and the resources that AWS Config lists from `next_token` on.

    Stops as soon as the count passes `limit` (API: ListDiscoveredResources, 100 to a page).
    """
    pages = (
        get_client("config", event or {})
        .get_paginator("list_discovered_resources")
        .paginate(
            resourceType=applicable_resource_type,
            PaginationConfig={"PageSize": 100},
            **({"nextToken": next_token} if next_token else {}),
        )
    )
    for page in pages:
        count += len(page["resourceIdentifiers"])
        if limit is not None and count > limit:
            break
    counted = ResourceCount(count)
    counted.cut_short = bool(page.get("nextToken"))
    return counted


def evaluate_compliance(max_count: int | str, actual_count: int | str) -> str:
    """Return the compliance type of an account that holds `actual_count` resources."""
    return "NON_COMPLIANT" if int(actual_count) > int(max_count) else "COMPLIANT"


def explain(resource_type: str, max_count: int, count: ResourceCount) -> str:
    """Return the sentence that says what was found and what was wanted."""
    found = f"at least {count}" if count.cut_short else f"{count}"
    unsure = "" if count else ", or does not record this type"
    return (
        f"AWS Config has discovered {found} of {resource_type} in this account and Region"
        f"{unsure}; at most {max_count} allowed."
    )


def build_evaluation(
    resource_id: str,
    compliance_type: str,
    event: Object,
    resource_type: str = DEFAULT_RESOURCE_TYPE,
    annotation: str | None = None,
) -> Evaluation:
    """Return the evaluation of a resource at the time of the event's notification."""
    invoking_event = parse_object(event.get("invokingEvent"), "invokingEvent")
    evaluation = {
        "ComplianceResourceType": resource_type,
        "ComplianceResourceId": resource_id,
        "ComplianceType": compliance_type,
        "OrderingTimestamp": invoking_event["notificationCreationTime"],
    }
    if annotation:
        evaluation["Annotation"] = annotation
    return evaluation


# --- shared by both rules, identical to the letter: a test compares the two copies ---
CLIENT_CONFIG = Config(
    # One call retried to its end: 3 x (2 + 7) s, and 13 s of back-off at most.
    connect_timeout=2,
    read_timeout=7,
    retries={"mode": "standard", "total_max_attempts": 3},
)
SESSION = botocore.session.get_session()
LOGGER = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.WARNING)  # its debug log holds result tokens
ROLE_ARN = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(\S+)")
SHORT = Repr(maxstring=100, maxother=100)
TIME = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def bad_input(name: str, wanted: str, value: object) -> ValueError:
    """Return the error that says what field `name` must be and what it is."""
    # A result token lets its holder write evaluations: neither it nor a whole event is shown.
    secret = name in ("event", "resultToken")
    found = f"a {type(value).__name__}" if secret else SHORT.repr(value)
    return ValueError(f"{name} must be {wanted}, not {found}.")


def check_defined(reference: Any, reference_name: str, kind: type = object) -> Any:
    """Return `reference`; ValueError if it is missing, empty or not of `kind`."""
    if not reference or not isinstance(reference, kind):
        noun = {"str": "string", "dict": "object"}.get(kind.__name__, "value")
        raise bad_input(reference_name, f"a non-empty {noun}", reference)
    if isinstance(reference, str) and re.search("[\ud800-\udfff]", reference):
        raise bad_input(reference_name, "Unicode text", reference)
    return reference


def check_time(text: Any, name: str) -> datetime:
    """Return the time in field `name`; ValueError unless it is ISO 8601 with an offset."""
    try:
        return datetime.fromisoformat(text if TIME.fullmatch(text) else "")
    except (TypeError, ValueError) as ex:
        raise bad_input(name, "an ISO 8601 time with its offset", text) from ex


def parse_object(text: Any, name: str) -> Object:
    """Return the object in the JSON text of field `name`; ValueError if there is none."""
    try:
        parsed = json.loads(text)
    except (TypeError, ValueError, RecursionError) as ex:
        raise bad_input(name, "JSON text", text) from ex
    if not isinstance(parsed, dict):
        raise bad_input(name, "a JSON object", parsed)
    return parsed


def parse_event(event: Any) -> tuple[Object, Object]:
    """Return the invoking event and the rule parameters, none where they are absent."""
    check_defined(event, "event", dict)
    check_defined(event.get("resultToken"), "resultToken", str)
    invoking_event = parse_object(event.get("invokingEvent"), "invokingEvent")
    return invoking_event, parse_object(event.get("ruleParameters", "{}"), "ruleParameters")


def annotate(text: str) -> str:
    """Return the text, cut to the length of an annotation (API: Evaluation)."""
    return text if len(text) <= 256 else text[:255] + "…"


def report(event: Object, evaluations: list[Evaluation]) -> list[Evaluation]:
    """Send the evaluations to AWS Config and return them (API: PutEvaluations).

    The result token TESTMODE makes it a dry run. RuntimeError if one was not taken.
    """
    test_mode = event["resultToken"] == "TESTMODE"
    response = get_client("config", event).put_evaluations(
        Evaluations=evaluations, ResultToken=event["resultToken"], TestMode=test_mode
    )
    if failed := response.get("FailedEvaluations"):
        raise RuntimeError(f"AWS Config did not take {len(failed)} of {evaluations}.")
    LOGGER.info("evaluations sent", extra={"evaluations": evaluations, "test_mode": test_mode})
    return evaluations


def get_client(service: str, event: Object) -> Any:
    """Return the client of a service, with a role in the event's account in assume-role mode."""
    return build_client(service, get_role_arn(event) if ASSUME_ROLE_MODE else None)


def get_role_arn(event: Object) -> str:
    """Return the role to assume: EXECUTION_ROLE_NAME in the event's account, or the event's."""
    role_arn = check_defined(event.get("executionRoleArn"), "executionRoleArn", str)
    match = ROLE_ARN.fullmatch(role_arn)
    if not match:
        raise bad_input("executionRoleArn", "a role's ARN", role_arn)
    partition, account_id, name = match.groups()
    if event.get("accountId") != account_id:
        raise bad_input("accountId", f"{account_id} as in executionRoleArn", event.get("accountId"))
    name = EXECUTION_ROLE_NAME or name
    if name.startswith("aws-service-role/"):
        wanted = "no service-linked role, which nobody can assume (set EXECUTION_ROLE_NAME)"
        raise bad_input("executionRoleArn", wanted, role_arn)
    return f"arn:{partition}:iam::{account_id}:role/{name}"


@lru_cache(maxsize=200)  # a role takes half a megabyte
def build_client(service: str, role_arn: str | None = None) -> Any:
    """Return the client of this service and role, kept across invocations."""
    if role_arn is None:
        return SESSION.create_client(service, config=CLIENT_CONFIG)

    def refresh() -> dict[str, str]:
        credentials = get_assume_role_credentials(role_arn)
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }

    credentials = DeferredRefreshableCredentials(refresh, "sts-assume-role")
    provider = SimpleNamespace(load_credentials=lambda: credentials)
    session = botocore.session.get_session()
    # The loader keeps nine megabytes of API models: one serves all roles.
    session.register_component("data_loader", SESSION.get_component("data_loader"))
    session.register_component("credential_provider", provider)
    return session.create_client(service, config=CLIENT_CONFIG)


def get_assume_role_credentials(role_arn: str) -> Object:
    """Return credentials of the role (API: AssumeRole); errors come without ARN and account."""
    request = {"RoleArn": role_arn, "RoleSessionName": "configLambdaExecution"}
    try:
        return dict(build_client("sts").assume_role(**request)["Credentials"])
    except ClientError as ex:
        code = ex.response["Error"]["Code"]
    # Outside the except clause, or the original error would be the new one's context.
    LOGGER.error("AssumeRole failed", extra={"error_code": code})
    if "AccessDenied" in code:
        message = "AWS Config does not have permission to assume the IAM role."
    else:
        code = message = "InternalError"
    raise ClientError({"Error": {"Code": code, "Message": message}}, "AssumeRole")


MODE = os.environ.get("ASSUME_ROLE_MODE", "")
if MODE.lower() not in ("true", "false", ""):
    raise bad_input("ASSUME_ROLE_MODE", "true or false", MODE)
ASSUME_ROLE_MODE = MODE.lower() == "true"
EXECUTION_ROLE_NAME = os.environ.get("EXECUTION_ROLE_NAME", "")
if not re.fullmatch(r"(\w[\w+=,.@/-]*)?", EXECUTION_ROLE_NAME, re.ASCII):
    raise bad_input("EXECUTION_ROLE_NAME", "a role's name or path/name", EXECUTION_ROLE_NAME)
# Built at start, so that no invocation waits for it.
build_client("sts" if ASSUME_ROLE_MODE else "config")
# --- end of the shared block ---
