"""AWS Config rule: the account holds at most the allowed number of resources of a type.

Trigger        periodic; the account is evaluated (AWS::::Account)
Parameters     applicableResourceType: the type to count, as AWS Config writes it
               maxCount: the number allowed, a whole number; 0 if absent
               for example {"applicableResourceType": "AWS::EC2::Instance", "maxCount": "50"}
COMPLIANT      AWS Config has discovered at most maxCount resources in this account and Region
NON_COMPLIANT  it has discovered more

The periodic example of AWS's developer guide, in its order, fixed: it counts past 100, refuses a
maxCount that is not a whole number and a type that is not recorded, and loses no result (README).
https://docs.aws.amazon.com/config/latest/developerguide/evaluate-config_develop-rules_lambda-functions.html
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
# A call that is retried to its end takes at most 40 s: 3 x (2 + 7) s, and 13 s between.
RETRIES = {"mode": "standard", "total_max_attempts": 3}
CLIENT_CONFIG = Config(connect_timeout=2, read_timeout=7, retries=RETRIES)
LOGGER = logging.getLogger(__name__)
logging.getLogger("botocore").setLevel(logging.WARNING)  # its debug log shows result tokens
DEFAULT_RESOURCE_TYPE = "AWS::::Account"
GLOBAL_RESOURCE_TYPES = ("AWS::IAM::User", "AWS::IAM::Group", "AWS::IAM::Role", "AWS::IAM::Policy")

# ----- Shared: the same text in every rule that has the function -----


def get_client(service: str, event: JsonObject) -> Any:
    """Return the client of a service, in assume-role mode with a role in the event's account."""
    if not ASSUME_ROLE_MODE:
        return build_client(service)
    role_arn = check_defined(event.get("executionRoleArn"), "executionRoleArn", str)
    account_arn, separator, role_name = role_arn.partition(":role/")
    role_name = EXECUTION_ROLE_NAME or role_name
    if not separator or role_name.startswith("aws-service-role/"):  # nobody can assume those
        expected = "the ARN of a role that is not service-linked (or set EXECUTION_ROLE_NAME)"
        raise field_error("executionRoleArn", expected, role_arn)
    # Assumed credentials last an hour; a client with them serves for this half hour at most.
    return build_client(service, f"{account_arn}:role/{role_name}", int(time.time() // 1800))


@lru_cache(maxsize=50)  # over TLS a client takes about 1.2 MB
def build_client(service: str, role_arn: str = "", half_hour: int = 0) -> Any:
    """Return a client, kept across invocations, of `role_arn` or of the function's own role."""
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
    noun = {"str": "string", "dict": "object"}.get(kind.__name__, "value")
    raise field_error(reference_name, f"a non-empty {noun}", reference)


def field_error(name: str, expected: str, value: object) -> ValueError:
    """Return the error that says what a field must be; it shows no event and no result token."""
    shown = "" if name in ("event", "resultToken") else f", not {value!r:.100}"
    return ValueError(f"{name} must be {expected}{shown}.")


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
        raise field_error(name, "the text of a JSON object", text)
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
        raise RuntimeError(f"AWS Config rejected {len(rejected)} evaluations: {rejected!r:.200}.")
    return evaluations


def shorten_annotation(evaluation: JsonObject) -> JsonObject:
    """Return the evaluation, a longer annotation cut to the 256 characters of the API."""
    annotation = evaluation.get("Annotation", "")
    if len(annotation) <= 256:
        return evaluation
    return evaluation | {"Annotation": annotation[:255] + "…"}


# ----- This rule -----


def count_resource_types(
    applicable_resource_type: str, next_token: str, count: int, client: Any, max_count: int
) -> int:
    """Return `count` and what is listed from `next_token` on, until that passes `max_count`."""
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
    statuses = client.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    if not any(status.get("recording") for status in statuses):
        raise RuntimeError(f"AWS Config is not recording {resource_type}: start the recorder.")
    for recorder in client.describe_configuration_recorders()["ConfigurationRecorders"]:
        if not is_in_recording_group(resource_type, recorder["recordingGroup"]):
            fix = "add the type to what the recorder records"
            raise RuntimeError(f"AWS Config is not recording {resource_type}: {fix}.")


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


def build_annotation(resource_type: str, max_count: int, count: int) -> str:
    """Return the sentence that AWS Config shows beside the compliance type."""
    found = str(count) if count else "0 (is the type recorded?)"
    if count > max_count:
        found = f"at least {count}"  # the listing stops when the limit is passed
    return f"Resources of type {resource_type} found: {found}; at most {max_count} allowed."


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
    RuntimeError: AWS Config does not record the type, or rejected the evaluation.
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
    annotation = build_annotation(resource_type, max_count, count)
    evaluation = build_evaluation(account_id, compliance_type, event, annotation=annotation)
    return report_evaluations([evaluation], event, client)
