"""AWS Config rule: the account holds at most the allowed number of resources of a type.

Trigger         periodic
Scope           the account (AWS::::Account) in one Region
Parameters      applicableResourceType: the type to count, as AWS Config writes it
                maxCount: the number allowed, a whole number; 0 if absent;
                for example {"applicableResourceType": "AWS::EC2::Instance", "maxCount": "50"}
COMPLIANT       AWS Config has discovered at most maxCount resources of the type
NON_COMPLIANT   AWS Config has discovered more
NOT_APPLICABLE  never: the account always has a count

The periodic example of AWS's developer guide, with its functions in its order:
https://docs.aws.amazon.com/config/latest/developerguide/evaluate-config_develop-rules_lambda-functions.html
Where it differs: more than 100 resources are counted, a maxCount that is not a whole number and a
type that AWS Config is not recording are errors, and so is a lost result (docs/differences.md).
"""

import json
import logging
import os
import re
import time
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
DEFAULT_RESOURCE_TYPE = "AWS::::Account"
# Those that a recorder includes or leaves out by includeGlobalResourceTypes.
GLOBAL_RESOURCE_TYPES = ("AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::Role", "AWS::IAM::Policy")

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


def is_scheduled_notification(message_type: str | None) -> bool:
    """Return whether the notification is a periodic one."""
    return message_type == "ScheduledNotification"


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


def count_resource_types(
    applicable_resource_type: str, next_token: str, count: int, client: Any, max_count: int
) -> int:
    """Return `count` plus the resources listed from `next_token` on (the guide's name).

    Stops as soon as the sum is over `max_count` (API: ListDiscoveredResources).
    """
    request = {"resourceType": applicable_resource_type}
    while True:
        if next_token:
            request["nextToken"] = next_token
        page = client.list_discovered_resources(**request)
        count += len(page["resourceIdentifiers"])
        next_token = page.get("nextToken", "")
        if not next_token or count > max_count:
            return count


def check_recorded(resource_type: str, client: Any) -> None:
    """Raise a RuntimeError unless AWS Config is recording the type: without that, its list is old.

    (API: DescribeConfigurationRecorderStatus, DescribeConfigurationRecorders.)
    """
    not_recording = f"AWS Config is not recording {resource_type}"
    statuses = client.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    if not any(status.get("recording") for status in statuses):
        raise RuntimeError(f"{not_recording}: start the recorder.")
    for status in statuses:
        if status.get("lastStatus", "").lower() == "failure":  # AWS prints both Success and SUCCESS
            code = status.get("lastErrorCode", "no error code")
            raise RuntimeError(f"{not_recording}: the recorder fails ({code}).")
    for recorder in client.describe_configuration_recorders()["ConfigurationRecorders"]:
        if not is_in_recording_group(resource_type, recorder.get("recordingGroup", {})):
            raise RuntimeError(f"{not_recording}: add the type to what the recorder records.")


def is_in_recording_group(resource_type: str, recording_group: JsonObject) -> bool:
    """Return whether a recorder with these settings records the type (API: RecordingGroup)."""
    strategy = recording_group.get("recordingStrategy", {}).get("useOnly")
    if strategy == "EXCLUSION_BY_RESOURCE_TYPES":
        excluded = recording_group.get("exclusionByResourceTypes", {}).get("resourceTypes", [])
        return resource_type not in excluded
    if recording_group.get("allSupported"):
        with_global_types = recording_group.get("includeGlobalResourceTypes", False)
        return with_global_types or resource_type not in GLOBAL_RESOURCE_TYPES
    return resource_type in recording_group.get("resourceTypes", [])


def evaluate_compliance(max_count: int | str, actual_count: int | str) -> str:
    """Return the compliance type of an account that holds `actual_count` resources."""
    return "NON_COMPLIANT" if int(actual_count) > int(max_count) else "COMPLIANT"


def evaluate_parameters(rule_parameters: JsonObject) -> JsonObject:
    """Return the rule parameters, `maxCount` as a number; ValueError if one is invalid."""
    resource_type = rule_parameters.get("applicableResourceType")
    if not isinstance(resource_type, str) or not resource_type.strip():
        raise field_error("applicableResourceType", "a resource type", resource_type)
    max_count = rule_parameters.get("maxCount", 0)
    if not re.fullmatch(r"\s*[0-9]+\s*", str(max_count)):
        raise field_error("maxCount", "a whole number of 0 or more", max_count)
    checked = {"applicableResourceType": resource_type.strip(), "maxCount": int(max_count)}
    return rule_parameters | checked


def build_annotation(resource_type: str, max_count: int, count: int, client: Any) -> str:
    """Return the sentence that AWS Config shows beside the compliance type."""
    found = str(count)
    if count > max_count:
        found = f"at least {count}"  # the listing stops when the limit is passed
    elif count == 0 and not is_known_type(resource_type, client):
        found = "0 (does AWS Config know this type?)"
    return f"Resources of type {resource_type} found: {found}; at most {max_count} allowed."


def is_known_type(resource_type: str, client: Any) -> bool:
    """Return whether the SDK in use names the type (API: ResourceType); AWS may know newer ones."""
    return resource_type in client.meta.service_model.shape_for("ResourceType").enum


def build_evaluation(
    resource_id: str,
    compliance_type: str,
    event: JsonObject,
    resource_type: str = DEFAULT_RESOURCE_TYPE,
    annotation: str | None = None,
) -> JsonObject:
    """Return the evaluation of a resource, at the time of the event's notification."""
    created = json.loads(event["invokingEvent"]).get("notificationCreationTime")
    evaluation = {
        "ComplianceResourceType": resource_type,
        "ComplianceResourceId": resource_id,
        "ComplianceType": compliance_type,
        "OrderingTimestamp": check_defined(created, "notificationCreationTime", str),
    }
    if annotation:
        evaluation["Annotation"] = annotation
    return evaluation


def lambda_handler(event: JsonObject, context: object) -> list[JsonObject]:
    """Evaluate the account; return the evaluations sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken`, `accountId` and, to assume a role,
    `executionRoleArn` (guide: Example Events for AWS Config Rules). ValueError: invalid input.
    RuntimeError: AWS Config is not recording the type, or rejected the evaluation.
    """
    invoking_event, rule_parameters = parse_event(event)
    if not is_scheduled_notification(invoking_event.get("messageType")):
        raise field_error("messageType", "ScheduledNotification", invoking_event.get("messageType"))
    account_id = check_defined(event.get("accountId"), "accountId", str)
    parameters = evaluate_parameters(rule_parameters)
    resource_type, max_count = parameters["applicableResourceType"], parameters["maxCount"]
    client = get_client("config", event)
    check_recorded(resource_type, client)
    count = count_resource_types(resource_type, "", 0, client, max_count)
    compliance_type = evaluate_compliance(max_count, count)
    annotation = build_annotation(resource_type, max_count, count, client)
    evaluation = build_evaluation(account_id, compliance_type, event, annotation=annotation)
    return report_evaluations([evaluation], event, client)
