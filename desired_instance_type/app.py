"""AWS Config rule: EC2 instances are of a desired type.

Trigger         configuration changes, oversized ones too
Scope           AWS::EC2::Instance
Parameter       desiredInstanceType: instance types separated by commas, * and ? are wildcards;
                for example {"desiredInstanceType": "t3.*,m5.large"}
COMPLIANT       the instance type matches one of them
NON_COMPLIANT   the instance type matches none of them
NOT_APPLICABLE  the resource is deleted, not recorded, out of scope, or not an EC2 instance

The change-triggered example of AWS's developer guide, with its functions in its order:
https://docs.aws.amazon.com/config/latest/developerguide/evaluate-config_develop-rules_lambda-functions.html
Where it differs: whole names of instance types are compared, oversized notifications are reported,
and whatever would lose or falsify a result is an error (docs/differences.md).
"""

import json
import logging
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

JsonObject = dict[str, Any]
MODE_SETTING = os.environ.get("ASSUME_ROLE_MODE") or "false"
if MODE_SETTING.lower() not in ("true", "false"):
    raise ValueError(f"ASSUME_ROLE_MODE must be true or false, not {MODE_SETTING!r}.")
ASSUME_ROLE_MODE = MODE_SETTING.lower() == "true"
EXECUTION_ROLE_NAME = os.environ.get("EXECUTION_ROLE_NAME", "")
# A call that is retried to its end takes at most 40 s: three tries of 9 s, and between them 3 s, or
# 13 s if AWS asks for longer waits.
RETRIES = {"mode": "standard", "total_max_attempts": 3}
CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=7, retries=RETRIES)
LOGGER = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.WARNING)  # its debug log shows result tokens

# ----- Shared: the same text in every rule that has the function -----


def get_client(service: str, event: JsonObject) -> Any:
    """Return the client of a service, in assume-role mode with a role in the event's account."""
    if not ASSUME_ROLE_MODE:
        return build_client(service)
    role_arn = check_defined(event.get("executionRoleArn"), "executionRoleArn", str)
    found = re.fullmatch(r"(arn:[a-z-]+:iam::[0-9]{12}):role/(.+)", role_arn)
    role_name = EXECUTION_ROLE_NAME or (found[2] if found else "")
    if not found or role_name.startswith("aws-service-role/"):  # only AWS Config assumes it
        expected = "the ARN of a role that is not service-linked (or set EXECUTION_ROLE_NAME)"
        raise field_error("executionRoleArn", expected, role_arn)
    # Assumed credentials last an hour; a client with them serves for this half hour at most.
    return build_client(service, f"{found[1]}:role/{role_name}", int(time.time() // 1800))


@lru_cache(maxsize=50)  # 50 clients take about 60 MB over TLS
def build_client(service: str, role_arn: str = "", half_hour: int = 0) -> Any:
    """Return a client, kept across invocations, of `role_arn` or of the function's own role.

    `half_hour` only lets the cache miss, so that a client with new credentials is built.
    """
    if not role_arn:
        return boto3.client(service, config=CLIENT_CONFIG)
    credentials = get_assume_role_credentials(role_arn)
    return boto3.client(
        service,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=CLIENT_CONFIG,
    )


def check_defined(reference: Any, reference_name: str, kind: type = object) -> Any:
    """Return `reference`; ValueError if it is missing, empty or not of `kind` (str or dict)."""
    if reference and isinstance(reference, kind):
        return reference
    nouns: dict[type, str] = {str: "string", dict: "object"}
    raise field_error(reference_name, f"a non-empty {nouns.get(kind, 'value')}", reference)


def field_error(name: str, expected: str, value: object) -> ValueError:
    """Return the error that says what a field must be; it shows the value unless that is secret."""
    if name in ("event", "invokingEvent", "resultToken"):
        return ValueError(f"{name} must be {expected}.")
    if name in ("configurationItem", "configurationItemSummary", "configuration"):
        return ValueError(f"{name} must be {expected}, not {name_kind(value)}.")
    return ValueError(f"{name} must be {expected}, not {shorten(repr(value), 100)}.")


def name_kind(value: object) -> str:
    """Return what kind of JSON a value is; the value itself can hold secrets."""
    if value is None:
        return "null"
    if value == {}:
        return "an empty object"
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return kinds.get(type(value), "a number")


def shorten(text: str, length: int) -> str:
    """Return the text, a longer one cut to `length` characters with an ellipsis."""
    if len(text) <= length:
        return text
    return text[: length - 1] + "…"


def is_oversized_changed_notification(message_type: str | None) -> bool:
    """Return whether the notification holds a summary instead of the configuration item."""
    return message_type == "OversizedConfigurationItemChangeNotification"


def get_configuration(
    resource_type: str, resource_id: str, configuration_capture_time: str, client: Any
) -> JsonObject:
    """Return the configuration item captured at that time or later, never an older one.

    RuntimeError: there is none yet; Lambda's retry finds it. ClientError: AWS Config does not
    know the resource (API: GetResourceConfigHistory).
    """
    captured = datetime.fromisoformat(configuration_capture_time)
    # A second before it: botocore before 1.43.93 drops the fraction of a request's time.
    pages = client.get_paginator("get_resource_config_history").paginate(
        resourceType=resource_type,
        resourceId=resource_id,
        earlierTime=captured - timedelta(seconds=1),
        chronologicalOrder="Forward",
    )
    for page in pages:
        for item in page["configurationItems"]:
            if item["configurationItemCaptureTime"] >= captured:
                return convert_api_configuration(item)
    missing = f"{resource_id} at {configuration_capture_time} or later"
    raise RuntimeError(f"AWS Config has not caught up: no configuration of {missing}.")


def convert_api_configuration(configuration_item: JsonObject) -> JsonObject:
    """Return a copy of the API's configuration item in the form that events have."""
    # A copy in which times are strings.
    item: JsonObject = json.loads(json.dumps(configuration_item, default=format_time))
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
    for name, text in item.get("supplementaryConfiguration", {}).items():
        with suppress(ValueError):  # a value that is no JSON stays a string
            item["supplementaryConfiguration"][name] = json.loads(text)
    for relationship in item.get("relationships", []):
        if "relationshipName" in relationship:
            relationship["name"] = relationship["relationshipName"]
    return item


def format_time(value: datetime) -> str:
    """Return the time as events have it: 2016-10-06T16:46:16.261Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def get_configuration_item(invoking_event: JsonObject, client: Any) -> JsonObject:
    """Return the notified configuration item; if it is oversized, from AWS Config's history.

    Reads `messageType`, and `configurationItem` or `configurationItemSummary`. ValueError: another
    message type, or a field that every rule needs is missing.
    """
    message_type = invoking_event.get("messageType")
    is_oversized = is_oversized_changed_notification(message_type)
    if not is_oversized and message_type != "ConfigurationItemChangeNotification":
        raise field_error(
            "messageType",
            "ConfigurationItemChangeNotification or OversizedConfigurationItemChangeNotification",
            message_type,
        )
    name = "configurationItemSummary" if is_oversized else "configurationItem"
    item: JsonObject = check_defined(invoking_event.get(name), name, dict)
    for field in ("resourceType", "resourceId", "configurationItemCaptureTime"):
        check_defined(item.get(field), field, str)
    if not is_oversized:
        return item
    captured = item["configurationItemCaptureTime"]
    return get_configuration(item["resourceType"], item["resourceId"], captured, client)


def is_applicable(configuration_item: JsonObject, event: JsonObject) -> bool:
    """Return whether the resource exists, is recorded and is in the rule's scope."""
    name = "configurationItemStatus"
    status = check_defined(configuration_item.get(name), name, str)
    left_scope = event.get("eventLeftScope", False)
    if not isinstance(left_scope, bool):
        raise field_error("eventLeftScope", "true or false", left_scope)
    return status in ("OK", "ResourceDiscovered") and not left_scope


def build_not_applicable_annotation(configuration_item: JsonObject, event: JsonObject) -> str:
    """Return the sentence that says why the resource is not evaluated."""
    if event.get("eventLeftScope"):
        return "Not evaluated: the resource is no longer in the rule's scope."
    status = configuration_item["configurationItemStatus"]
    return f"Not evaluated: the resource's status is {status}."


def get_assume_role_credentials(role_arn: str) -> JsonObject:
    """Return credentials of the role (API: AssumeRole); an error names neither ARN nor account."""
    request = {"RoleArn": role_arn, "RoleSessionName": "configLambdaExecution"}
    try:
        return dict(build_client("sts").assume_role(**request)["Credentials"])
    except ClientError as ex:
        code = ex.response["Error"]["Code"]
        LOGGER.error("AssumeRole failed", extra={"error_code": code})
        message = "AWS Config does not have permission to assume the IAM role."
        if "AccessDenied" not in code:
            code = message = "InternalError"
        raise ClientError({"Error": {"Code": code, "Message": message}}, "AssumeRole") from None


def parse_event(event: Any) -> tuple[JsonObject, JsonObject]:
    """Return the invoking event and the rule parameters; ValueError if the event is invalid."""
    check_defined(event, "event", dict)
    check_defined(event.get("resultToken"), "resultToken", str)
    invoking_event = parse_object(event.get("invokingEvent"), "invokingEvent")
    return invoking_event, parse_object(event.get("ruleParameters", "{}"), "ruleParameters")


def parse_object(text: Any, name: str) -> JsonObject:
    """Return the JSON object written in field `name`; ValueError if there is none."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise field_error(name, "a string that holds a JSON object", text)
    return value


def report_evaluations(
    evaluations: list[JsonObject], event: JsonObject, client: Any
) -> list[JsonObject]:
    """Send the evaluations by PutEvaluations, 100 a call; RuntimeError if any is rejected."""
    test_mode = event["resultToken"] == "TESTMODE"  # a dry run: AWS Config writes nothing
    evaluations = [shorten_annotation(evaluation) for evaluation in evaluations]
    batches = [evaluations[start : start + 100] for start in range(0, len(evaluations), 100)]
    if not batches:
        batches = [[]]  # tells AWS Config that there is nothing to report
    rejected = []
    for batch in batches:
        response = client.put_evaluations(
            Evaluations=batch, ResultToken=event["resultToken"], TestMode=test_mode
        )
        rejected += [each["ComplianceResourceId"] for each in response.get("FailedEvaluations", [])]
        LOGGER.info("evaluations sent", extra={"evaluations": batch, "test_mode": test_mode})
    if rejected:
        ids = shorten(", ".join(rejected), 200)
        raise RuntimeError(f"AWS Config rejected {len(rejected)} evaluations: {ids}.")
    return evaluations


def shorten_annotation(evaluation: JsonObject) -> JsonObject:
    """Return the evaluation, a longer annotation cut to the 256 characters of the API."""
    if "Annotation" not in evaluation:
        return evaluation
    return evaluation | {"Annotation": shorten(evaluation["Annotation"], 256)}


# ----- This rule -----


def evaluate_change_notification_compliance(
    configuration_item: JsonObject, rule_parameters: JsonObject
) -> str:
    """Return the compliance type of a resource that exists and is in the rule's scope."""
    if configuration_item["resourceType"] != "AWS::EC2::Instance":
        return "NOT_APPLICABLE"
    configuration = check_defined(configuration_item.get("configuration"), "configuration", dict)
    instance_type = check_defined(configuration.get("instanceType"), "instanceType", str)
    desired_types = list_desired_types(rule_parameters)
    matches = any(fnmatchcase(instance_type, desired) for desired in desired_types)
    return "COMPLIANT" if matches else "NON_COMPLIANT"


def list_desired_types(rule_parameters: JsonObject) -> list[str]:
    """Return the entries of `desiredInstanceType`; ValueError if one is invalid."""
    name = "desiredInstanceType"
    desired = check_defined(rule_parameters.get(name), name, str)
    entries = [entry.strip() for entry in desired.split(",") if entry.strip()]
    # EC2 writes instance types in lower case: a capital letter would match nothing.
    if not entries or not all(re.fullmatch(r"[a-z0-9.*?-]+", entry) for entry in entries):
        raise field_error(name, "instance types in lower case, separated by commas", desired)
    return entries


def build_annotation(
    compliance_type: str, configuration_item: JsonObject, rule_parameters: JsonObject
) -> str:
    """Return the sentence that AWS Config shows beside the compliance type."""
    if compliance_type == "NOT_APPLICABLE":
        return f"Not evaluated: {configuration_item['resourceType']} is not AWS::EC2::Instance."
    instance_type = configuration_item["configuration"]["instanceType"]
    verb = "matches" if compliance_type == "COMPLIANT" else "does not match"
    desired = ",".join(list_desired_types(rule_parameters))
    return f"Instance type {instance_type} {verb} the desired types: {desired}."


def lambda_handler(event: JsonObject, context: object) -> list[JsonObject]:
    """Evaluate the resource that changed; return the evaluations sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken`, `eventLeftScope` and, to assume a role,
    `executionRoleArn` (guide: Example Events for AWS Config Rules). ValueError: invalid input.
    RuntimeError: the history lags, or AWS Config rejected the evaluation.
    """
    invoking_event, rule_parameters = parse_event(event)
    client = get_client("config", event)
    item = get_configuration_item(invoking_event, client)
    if is_applicable(item, event):
        compliance_type = evaluate_change_notification_compliance(item, rule_parameters)
        annotation = build_annotation(compliance_type, item, rule_parameters)
    else:
        compliance_type = "NOT_APPLICABLE"
        annotation = build_not_applicable_annotation(item, event)
    evaluation = {
        "ComplianceResourceType": item["resourceType"],
        "ComplianceResourceId": item["resourceId"],
        "ComplianceType": compliance_type,
        "Annotation": annotation,
        "OrderingTimestamp": item["configurationItemCaptureTime"],
    }
    return report_evaluations([evaluation], event, client)
