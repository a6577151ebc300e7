"""AWS Config rule: is an EC2 instance of a wanted type.

Trigger    configuration changes, oversized ones too; scope AWS::EC2::Instance
Parameter  desiredInstanceType: wanted types with commas between, * and ? as wildcards;
           for example {"desiredInstanceType": "t3.*, m5.large"}
Verdicts   COMPLIANT: the instance type is wanted; NON_COMPLIANT: it is not;
           NOT_APPLICABLE: deleted, not recorded, out of scope, or no EC2 instance

The README lists where it differs from the change-triggered example of AWS's developer guide.
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
from reprlib import Repr
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import ClientError

Object = dict[str, Any]
Evaluation = dict[str, str]

CHANGE = "ConfigurationItemChangeNotification"
OVERSIZED_CHANGE = f"Oversized{CHANGE}"
INSTANCE = "AWS::EC2::Instance"
APPLICABLE = ("OK", "ResourceDiscovered")
STATUSES = (*APPLICABLE, "ResourceDeleted", "ResourceNotRecorded", "ResourceDeletedNotRecorded")
EVENT_NAMES = {
    "accountId": "awsAccountId",
    "arn": "ARN",
    "configurationItemMD5Hash": "configurationStateMd5Hash",
    "version": "configurationItemVersion",
}
# An empty page need not be the last, but pages span days and we ask for three seconds.
MAX_HISTORY_PAGES = 5


def lambda_handler(event: Object, context: object) -> list[Evaluation]:
    """Judge the instance of one notification; return the evaluation sent to AWS Config.

    Reads `invokingEvent`, `ruleParameters`, `resultToken`, `eventLeftScope`; to assume a role
    `executionRoleArn`, `accountId` (guide: Example Events for AWS Config Rules). ValueError: bad
    input. RuntimeError: AWS Config lags or took no evaluation. ClientError: AWS's own.
    """
    invoking_event, rule_parameters = parse_event(event)
    item = get_configuration_item(invoking_event, event)
    compliance_type = "NOT_APPLICABLE"
    if is_applicable(item, event):
        compliance_type = evaluate_change_notification_compliance(item, rule_parameters)
    evaluation = {
        "ComplianceResourceType": item["resourceType"],
        "ComplianceResourceId": item["resourceId"],
        "ComplianceType": compliance_type,
        "Annotation": annotate(explain(compliance_type, item, event, rule_parameters)),
        "OrderingTimestamp": item["configurationItemCaptureTime"],
    }
    return report(event, [evaluation])


def get_configuration_item(invoking_event: Object, event: Object | None = None) -> Object:
    """Return the configuration item notified, or a summary that settles the verdict alone."""
    if not is_oversized_changed_notification(invoking_event.get("messageType")):
        return check_configuration_item(invoking_event, "configurationItem")
    summary = check_configuration_item(invoking_event, "configurationItemSummary")
    if not is_applicable(summary, event or {}):
        return summary
    capture_time = summary["configurationItemCaptureTime"]
    return get_configuration(summary["resourceType"], summary["resourceId"], capture_time, event)


def is_oversized_changed_notification(message_type: str | None) -> bool:
    """Return whether the event holds a summary alone; ValueError if it is no change."""
    if message_type not in (CHANGE, OVERSIZED_CHANGE):
        raise bad_input("messageType", f"{CHANGE} or {OVERSIZED_CHANGE}", message_type)
    return message_type == OVERSIZED_CHANGE


def check_configuration_item(invoking_event: Object, name: str) -> Object:
    """Return the item or summary in field `name`, what we need of it checked."""
    item: Object = check_defined(invoking_event.get(name), name, dict)
    for field, longest in (("resourceType", 256), ("resourceId", 768)):
        if len(check_defined(item.get(field), field, str)) > longest:
            raise bad_input(field, f"at most {longest} characters", item[field])
    check_time(item.get("configurationItemCaptureTime"), "configurationItemCaptureTime")
    if (status := item.get("configurationItemStatus")) not in STATUSES:
        raise bad_input("configurationItemStatus", f"one of {', '.join(STATUSES)}", status)
    return item


def get_configuration(
    resource_type: str, resource_id: str, capture_time: str, event: Object | None = None
) -> Object:
    """Return the configuration captured then or later; RuntimeError if there is none yet.

    Source: API GetResourceConfigHistory.
    """
    # botocore before 1.43 cuts times to whole seconds: these are whole, and wide enough.
    notified = check_time(capture_time, "configurationItemCaptureTime").replace(microsecond=0)
    pages = (
        get_client("config", event or {})
        .get_paginator("get_resource_config_history")
        .paginate(
            resourceType=resource_type,
            resourceId=resource_id,
            earlierTime=notified - timedelta(seconds=1),
            laterTime=notified + timedelta(seconds=2),
            chronologicalOrder="Reverse",
        )
    )
    for page in islice(pages, MAX_HISTORY_PAGES):
        for item in page["configurationItems"]:
            if item["configurationItemCaptureTime"] >= notified:
                return convert_api_configuration(item)
    raise RuntimeError(
        f"AWS Config has not caught up: no configuration of {resource_id} from {capture_time} on."
    )


def convert_api_configuration(configuration_item: Any) -> Object:
    """Return a copy of the API's configuration item in the form that events have."""
    item: Object = json.loads(json.dumps(configuration_item, default=format_time))
    for api_name, event_name in EVENT_NAMES.items():
        if api_name in item:
            item[event_name] = item[api_name]
    if item.get("configuration"):
        item["configuration"] = json.loads(item["configuration"])
    supplements = item.get("supplementaryConfiguration") or {}
    for name, text in supplements.items():
        with suppress(ValueError):  # plain text stays as it is
            supplements[name] = json.loads(text)
    for relationship in item.get("relationships") or []:
        if "relationshipName" in relationship:
            relationship["name"] = relationship["relationshipName"]
    return item


def format_time(time: datetime) -> str:
    """Return the time as events write it: 2016-10-06T16:46:16.261Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_applicable(configuration_item: Object, event: Object) -> bool:
    """Return whether the resource exists, is recorded and is in the rule's scope."""
    check_defined(configuration_item, "configurationItem", dict)
    status = configuration_item.get("configurationItemStatus")
    return status in APPLICABLE and not has_left_scope(event)


def has_left_scope(event: Object) -> bool:
    """Return the event's `eventLeftScope`, false where it is absent."""
    left_scope = event.get("eventLeftScope", False)
    if not isinstance(left_scope, bool):
        raise bad_input("eventLeftScope", "true or false", left_scope)
    return left_scope


def evaluate_change_notification_compliance(
    configuration_item: Object, rule_parameters: Object
) -> str:
    """Return the verdict on a resource that exists and is in scope."""
    if configuration_item["resourceType"] != INSTANCE:
        return "NOT_APPLICABLE"
    configuration = check_defined(configuration_item.get("configuration"), "configuration", dict)
    instance_type = check_defined(configuration.get("instanceType"), "instanceType", str)
    desired = check_defined(rule_parameters.get("desiredInstanceType"), "desiredInstanceType", str)
    # fnmatch knows one wildcard more than the rule: brackets.
    entries = [entry.strip().replace("[", "[[]") for entry in desired.split(",") if entry.strip()]
    if not entries:
        raise bad_input("desiredInstanceType", "a list of instance types", desired)
    wanted = any(fnmatchcase(instance_type, entry) for entry in entries)
    return "COMPLIANT" if wanted else "NON_COMPLIANT"


def explain(compliance_type: str, item: Object, event: Object, parameters: Object) -> str:
    """Return the sentence that says what was found and what was wanted."""
    if compliance_type == "NOT_APPLICABLE":
        scope = "out of" if has_left_scope(event) else "in"
        found = (
            f"{item['resourceType']} {scope} scope with status {item['configurationItemStatus']}"
        )
        return f"Not judged: {found}; the rule judges each recorded {INSTANCE} in its scope."
    found, wanted = item["configuration"]["instanceType"], parameters["desiredInstanceType"]
    verb = "is" if compliance_type == "COMPLIANT" else "is not"
    return f"Instance type {found} {verb} among those wanted: {wanted}."


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
