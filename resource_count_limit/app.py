"""AWS Config rule: the account holds at most the allowed number of resources of a type.

Trigger        periodic; the account is evaluated (AWS::::Account)
Parameters     applicableResourceType: the type to count, as AWS Config writes it
               maxCount: the number allowed, a whole number; 0 if absent
               for example {"applicableResourceType": "AWS::EC2::Instance", "maxCount": "50"}
COMPLIANT      AWS Config has discovered at most maxCount resources in this account and Region
NON_COMPLIANT  it has discovered more

This is the periodic example of AWS's developer guide, fixed: it counts past the first 100, refuses
a maxCount that is not a whole number, and fails where a result would be lost (README).
"""

import json
import logging
import os
import re
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.session import Session

Json = dict[str, Any]
Evaluation = dict[str, str]


def lambda_handler(event: Json, context: object) -> list[Evaluation]:
    """Evaluate the account; return the evaluations sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken` and `accountId`; to assume a role,
    `executionRoleArn` too (guide: Example Events for AWS Config Rules).
    ValueError: invalid input. RuntimeError: AWS Config rejected the evaluation. ClientError: any
    error of AWS, unchanged.
    """
    invoking_event, rule_parameters = parse_event(event)
    message_type = invoking_event.get("messageType")
    if not is_scheduled_notification(message_type):
        raise bad_input("messageType", "ScheduledNotification", message_type)
    account_id = check_defined(event.get("accountId"), "accountId")
    parameters = evaluate_parameters(rule_parameters)
    resource_type, max_count = parameters["applicableResourceType"], parameters["maxCount"]
    client = get_client("config", event)
    count = count_resource_types(resource_type, "", 0, client, max_count)
    compliance_type = evaluate_compliance(max_count, count)
    annotation = build_annotation(resource_type, max_count, count)
    evaluation = build_evaluation(account_id, compliance_type, event, annotation=annotation)
    return report_evaluations([evaluation], event, client)


def evaluate_parameters(rule_parameters: Json) -> Json:
    """Return the rule parameters, checked, `maxCount` as a number; ValueError if one is invalid."""
    resource_type = rule_parameters.get("applicableResourceType")
    if not isinstance(resource_type, str) or not resource_type.strip():
        raise bad_input("applicableResourceType", "a resource type", resource_type)
    max_count = rule_parameters.get("maxCount", 0)
    digits = str(max_count).strip() if type(max_count) in (int, str) else ""
    if not re.fullmatch("[0-9]+", digits):
        raise bad_input("maxCount", "a whole number of 0 or more", max_count)
    return {"applicableResourceType": resource_type.strip(), "maxCount": int(digits)}


def count_resource_types(
    applicable_resource_type: str, next_token: str, count: int, client: Any, max_count: int
) -> int:
    """Return `count` and the resources listed from `next_token` on.

    Stops once the count is over `max_count`: the annotation then says "at least". Source: API
    ListDiscoveredResources, which lists up to 100 a page, and deleted resources never.
    """
    request = {"nextToken": next_token} if next_token else {}
    pages = client.get_paginator("list_discovered_resources").paginate(
        resourceType=applicable_resource_type, PaginationConfig={"PageSize": 100}, **request
    )
    for page in pages:
        count += len(page["resourceIdentifiers"])
        if count > max_count:
            break
    return count


def evaluate_compliance(max_count: int, actual_count: int) -> str:
    """Return the compliance type of an account that holds `actual_count` resources."""
    return "NON_COMPLIANT" if actual_count > max_count else "COMPLIANT"


def build_annotation(resource_type: str, max_count: int, count: int) -> str:
    """Return the sentence that AWS Config shows beside the compliance type."""
    found = f"at least {count}" if count > max_count else f"{count}"
    # AWS Config lists nothing of a type that it does not record.
    doubt = "" if count else " (is the type recorded?)"
    return f"Resources of type {resource_type} found: {found}{doubt}; at most {max_count} allowed."


# --- Block for periodic rules: the same text in each of them ---
def is_scheduled_notification(message_type: str | None) -> bool:
    """Return whether the notification is a periodic one."""
    return message_type == "ScheduledNotification"


def build_evaluation(
    resource_id: str,
    compliance_type: str,
    event: Json,
    resource_type: str = "AWS::::Account",
    annotation: str | None = None,
) -> Evaluation:
    """Return the evaluation of a resource, at the time of the event's notification."""
    time = json.loads(event["invokingEvent"]).get("notificationCreationTime")
    check_time(time, "notificationCreationTime")
    evaluation = {
        "ComplianceResourceType": resource_type,
        "ComplianceResourceId": resource_id,
        "ComplianceType": compliance_type,
        "OrderingTimestamp": time,
    }
    if annotation:
        evaluation["Annotation"] = shorten(annotation)
    return evaluation


# --- Block for all rules: the same text in each of them ---
MODE = os.environ.get("ASSUME_ROLE_MODE") or "false"
if MODE.lower() not in ("true", "false"):
    raise ValueError(f"ASSUME_ROLE_MODE must be true or false, not {MODE!r}.")
ASSUME_ROLE_MODE = MODE.lower() == "true"
EXECUTION_ROLE_NAME = os.environ.get("EXECUTION_ROLE_NAME", "")
# A call that is retried to its end takes at most 40 s: 3 x (2 + 7) s, and 13 s between.
RETRIES = {"mode": "standard", "total_max_attempts": 3}
CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=7, retries=RETRIES)
# It keeps the API models it has read, some 9 MB: the clients of all roles share them.
LOADER = Loader()
LOGGER = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.WARNING)  # its debug log shows result tokens


def bad_input(name: str, expected: str, value: object) -> ValueError:
    """Return the error that says what field `name` must be, and shows what it is."""
    # The holder of a result token can write evaluations: neither it nor a whole event is shown.
    shown = "" if name in ("event", "resultToken") else f", not {value!r:.100}"
    return ValueError(f"{name} must be {expected}{shown}.")


def check_defined(reference: Any, reference_name: str, kind: type = str) -> Any:
    """Return `reference`; ValueError if it is missing, empty or not of `kind` (str or dict)."""
    if not reference or not isinstance(reference, kind):
        noun = "string" if kind is str else "object"
        raise bad_input(reference_name, f"a non-empty {noun}", reference)
    return reference


def check_time(reference: Any, reference_name: str) -> datetime:
    """Return the time; ValueError unless `reference` is in ISO 8601 with an offset."""
    with suppress(TypeError, ValueError):
        time = datetime.fromisoformat(reference)
        if time.tzinfo:
            return time
    raise bad_input(reference_name, "an ISO 8601 time with an offset", reference)


def parse_event(event: Any) -> tuple[Json, Json]:
    """Return the invoking event and the rule parameters; ValueError if the event is invalid."""
    check_defined(event, "event", dict)
    check_defined(event.get("resultToken"), "resultToken")
    invoking_event = parse_object(event.get("invokingEvent"), "invokingEvent")
    return invoking_event, parse_object(event.get("ruleParameters", "{}"), "ruleParameters")


def parse_object(text: Any, name: str) -> Json:
    """Return the JSON object written in field `name`; ValueError if there is none."""
    with suppress(TypeError, ValueError):
        if isinstance(value := json.loads(text), dict):
            return value
    raise bad_input(name, "the text of a JSON object", text)


def shorten(annotation: str) -> str:
    """Return the annotation, cut to the 256 characters that AWS Config accepts."""
    return annotation if len(annotation) <= 256 else annotation[:255] + "…"


def report_evaluations(evaluations: list[Evaluation], event: Json, client: Any) -> list[Evaluation]:
    """Send the evaluations to AWS Config and return them (API: PutEvaluations).

    With result token TESTMODE nothing is written. RuntimeError: AWS Config rejected an evaluation.
    """
    test_mode = event["resultToken"] == "TESTMODE"
    response = client.put_evaluations(
        Evaluations=evaluations, ResultToken=event["resultToken"], TestMode=test_mode
    )
    if rejected := response.get("FailedEvaluations"):
        raise RuntimeError(f"AWS Config rejected {len(rejected)} of {evaluations}.")
    LOGGER.info("evaluations sent", extra={"evaluations": evaluations, "test_mode": test_mode})
    return evaluations


def get_client(service: str, event: Json) -> Any:
    """Return the client of a service, in assume-role mode with a role of the event's account."""
    return build_client(service, get_role_arn(event) if ASSUME_ROLE_MODE else None)


def get_role_arn(event: Json) -> str:
    """Return the role to assume: EXECUTION_ROLE_NAME in the event's account, or the event's."""
    role_arn = check_defined(event.get("executionRoleArn"), "executionRoleArn")
    match = re.fullmatch(r"(arn:[a-z-]+:iam::([0-9]{12}):role/)(.+)", role_arn)
    if not match:
        raise bad_input("executionRoleArn", "the ARN of a role", role_arn)
    prefix, account_id, role_name = match.groups()
    if event.get("accountId") != account_id:
        raise bad_input("accountId", f"{account_id} as in executionRoleArn", event.get("accountId"))
    role_name = EXECUTION_ROLE_NAME or role_name
    if role_name.startswith("aws-service-role/"):
        expected = "a role that is not service-linked (set EXECUTION_ROLE_NAME)"
        raise bad_input("executionRoleArn", expected, role_arn)
    return prefix + role_name


@lru_cache(maxsize=200)  # a role takes some 0.5 MB
def build_client(service: str, role_arn: str | None = None) -> Any:
    """Return the client of a service, kept across invocations; credentials refresh themselves."""
    if role_arn is None:
        return boto3.client(service, config=CLIENT_CONFIG)

    def refresh() -> dict[str, str]:
        credentials = get_assume_role_credentials(role_arn)
        return {
            "access_key": credentials["AccessKeyId"],
            "secret_key": credentials["SecretAccessKey"],
            "token": credentials["SessionToken"],
            "expiry_time": credentials["Expiration"].isoformat(),
        }

    credentials = DeferredRefreshableCredentials(refresh, "assume-role")
    provider = SimpleNamespace(load_credentials=lambda: credentials)
    session = Session()
    session.register_component("credential_provider", provider)
    session.register_component("data_loader", LOADER)
    return session.create_client(service, config=CLIENT_CONFIG)


def get_assume_role_credentials(role_arn: str) -> Json:
    """Return credentials of the role (API: AssumeRole); errors come without ARN and account."""
    request = {"RoleArn": role_arn, "RoleSessionName": "configLambdaExecution"}
    try:
        return dict(build_client("sts").assume_role(**request)["Credentials"])
    except ClientError as ex:
        code = ex.response["Error"]["Code"]
    # Raised outside the except clause: inside it, the traceback would show AWS's error too.
    LOGGER.error("AssumeRole failed", extra={"error_code": code})
    if "AccessDenied" in code:
        message = "AWS Config does not have permission to assume the IAM role."
    else:
        code = message = "InternalError"
    raise ClientError({"Error": {"Code": code, "Message": message}}, "AssumeRole")


if not ASSUME_ROLE_MODE:
    get_client("config", {})  # built while the module loads, so that no event waits for it
# --- End of the block for all rules ---
