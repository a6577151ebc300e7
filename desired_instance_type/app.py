"""AWS Config rule: EC2 instances are of a desired type.

Trigger         configuration changes, oversized ones too; scope: AWS::EC2::Instance
Parameter       desiredInstanceType: instance types separated by commas, * and ? are wildcards;
                for example {"desiredInstanceType": "t3.*, m5.large"}
COMPLIANT       the instance type matches one of them
NON_COMPLIANT   it matches none
NOT_APPLICABLE  the resource is deleted, not recorded, out of scope, or not an EC2 instance

This is the change-triggered example of AWS's developer guide, fixed: it compares whole names, not
parts of them, reports oversized notifications, and fails where a result would be lost (README).
"""

import json
import logging
import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import islice
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

INSTANCE = "AWS::EC2::Instance"


def evaluate_change_notification_compliance(configuration_item: Json, rule_parameters: Json) -> str:
    """Return the compliance type of a resource that exists and is in the rule's scope."""
    if configuration_item["resourceType"] != INSTANCE:
        return "NOT_APPLICABLE"
    configuration = check_defined(configuration_item.get("configuration"), "configuration", dict)
    instance_type = check_defined(configuration.get("instanceType"), "instanceType")
    desired = rule_parameters.get("desiredInstanceType")
    if not isinstance(desired, str) or not desired.replace(",", "").strip():
        raise bad_input("desiredInstanceType", "a list of instance types", desired)
    # Escaped, because fnmatch would read a bracket as a wildcard too.
    patterns = [entry.strip().replace("[", "[[]") for entry in desired.split(",")]
    matches = any(fnmatchcase(instance_type, pattern) for pattern in patterns)
    return "COMPLIANT" if matches else "NON_COMPLIANT"


def build_annotation(compliance_type: str, configuration_item: Json, rule_parameters: Json) -> str:
    """Return the sentence that AWS Config shows beside the compliance type."""
    if compliance_type == "NOT_APPLICABLE":
        return f"Not evaluated: {configuration_item['resourceType']} is not {INSTANCE}."
    instance_type = configuration_item["configuration"]["instanceType"]
    verb = "matches" if compliance_type == "COMPLIANT" else "does not match"
    desired = rule_parameters["desiredInstanceType"].strip(", ")
    return f"Instance type {instance_type} {verb} the desired types: {desired}."


# --- Block for change-triggered rules: the same text in each of them ---
CHANGE = "ConfigurationItemChangeNotification"
APPLICABLE = ("OK", "ResourceDiscovered")
MAX_HISTORY_PAGES = 5  # AWS may answer with empty pages before the one that holds the item


def lambda_handler(event: Json, context: object) -> list[Evaluation]:
    """Evaluate the resource that changed; return the evaluations sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken` and `eventLeftScope`; to assume a role,
    `executionRoleArn` and `accountId` too (guide: Example Events for AWS Config Rules).
    ValueError: invalid input. RuntimeError: AWS Config's history lags, or it rejected the
    evaluation. ClientError: any error of AWS, unchanged.
    """
    invoking_event, rule_parameters = parse_event(event)
    client = get_client("config", event)
    configuration_item = get_configuration_item(invoking_event, event, client)
    if is_applicable(configuration_item, event):
        compliance_type = evaluate_change_notification_compliance(
            configuration_item, rule_parameters
        )
        annotation = build_annotation(compliance_type, configuration_item, rule_parameters)
    else:
        compliance_type = "NOT_APPLICABLE"
        annotation = build_not_applicable_annotation(configuration_item)
    evaluation = {
        "ComplianceResourceType": configuration_item["resourceType"],
        "ComplianceResourceId": configuration_item["resourceId"],
        "ComplianceType": compliance_type,
        "Annotation": shorten(annotation),
        "OrderingTimestamp": configuration_item["configurationItemCaptureTime"],
    }
    return report_evaluations([evaluation], event, client)


def get_configuration_item(invoking_event: Json, event: Json, client: Any) -> Json:
    """Return the configuration item notified; of an inapplicable resource, its summary will do.

    ValueError: another message type, or a field that every rule needs is missing or invalid.
    """
    message_type = invoking_event.get("messageType")
    is_oversized = is_oversized_changed_notification(message_type)
    if not is_oversized and message_type != CHANGE:
        raise bad_input("messageType", f"{CHANGE} or Oversized{CHANGE}", message_type)
    name = "configurationItemSummary" if is_oversized else "configurationItem"
    item: Json = check_defined(invoking_event.get(name), name, dict)
    for field in ("resourceType", "resourceId", "configurationItemStatus"):
        check_defined(item.get(field), field)
    capture_time: Any = item.get("configurationItemCaptureTime")
    check_time(capture_time, "configurationItemCaptureTime")
    if is_oversized and is_applicable(item, event):
        return get_configuration(item["resourceType"], item["resourceId"], capture_time, client)
    return item


def is_oversized_changed_notification(message_type: str | None) -> bool:
    """Return whether the notification holds a summary instead of the configuration item."""
    return message_type == f"Oversized{CHANGE}"


def get_configuration(
    resource_type: str, resource_id: str, configuration_capture_time: str, client: Any
) -> Json:
    """Return the configuration item captured at that time or later, never an older one.

    RuntimeError: there is none yet; Lambda's retry finds it (API: GetResourceConfigHistory).
    """
    # botocore before 1.43 drops fractions of a second, so the exact time would find the previous
    # configuration.
    captured = datetime.fromisoformat(configuration_capture_time).replace(microsecond=0)
    pages = client.get_paginator("get_resource_config_history").paginate(
        resourceType=resource_type,
        resourceId=resource_id,
        earlierTime=captured - timedelta(seconds=1),
        laterTime=captured + timedelta(seconds=2),
        chronologicalOrder="Reverse",
    )
    for page in islice(pages, MAX_HISTORY_PAGES):
        for item in page["configurationItems"]:
            if item["configurationItemCaptureTime"] >= captured:
                return convert_api_configuration(item)
    missing = f"{resource_id} at {configuration_capture_time} or later"
    raise RuntimeError(f"AWS Config has not caught up: no configuration of {missing}.")


def convert_api_configuration(configuration_item: Json) -> Json:
    """Return a copy of the API's configuration item in the form that events have."""
    item: Json = json.loads(json.dumps(configuration_item, default=format_time))
    for api_name, event_name in (
        ("accountId", "awsAccountId"),
        ("arn", "ARN"),
        ("configurationItemMD5Hash", "configurationStateMd5Hash"),
        ("version", "configurationItemVersion"),
    ):
        if api_name in item:
            item[event_name] = item[api_name]
    if item.get("configuration"):
        item["configuration"] = json.loads(item["configuration"])
    supplements = item.get("supplementaryConfiguration") or {}
    for name, text in supplements.items():
        with suppress(ValueError):  # some are plain text
            supplements[name] = json.loads(text)
    for relationship in item.get("relationships") or []:
        if "relationshipName" in relationship:
            relationship["name"] = relationship["relationshipName"]
    return item


def format_time(time: datetime) -> str:
    """Return the time as events have it: 2016-10-06T16:46:16.261Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_applicable(configuration_item: Json, event: Json) -> bool:
    """Return whether the resource exists, is recorded and is in the rule's scope."""
    status = configuration_item.get("configurationItemStatus")
    return status in APPLICABLE and event.get("eventLeftScope") is not True


def build_not_applicable_annotation(configuration_item: Json) -> str:
    """Return the sentence that says why a resource was not evaluated."""
    status = configuration_item.get("configurationItemStatus")
    if status in APPLICABLE:
        return "Not evaluated: the resource is no longer in the rule's scope."
    return f"Not evaluated: the resource's status is {status}."


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
