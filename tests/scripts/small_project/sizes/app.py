"""A rule of the tests that changes trigger: no volume has more GiB than the limit.

Parameters: limit, unit (GiB), owner (optional).
"""

import json
import logging

import boto3

# ----- Shared: the same text in both rules -----


def report_evaluations(event, resource_type, resource_id, compliance_type, time, annotation):
    evaluation = {
        "ComplianceResourceType": resource_type,
        "ComplianceResourceId": resource_id,
        "ComplianceType": compliance_type,
        "Annotation": annotation,
        "OrderingTimestamp": time,
    }
    token = event["resultToken"]
    boto3.client("config").put_evaluations(Evaluations=[evaluation], ResultToken=token)


# ----- This rule -----


def get_configuration_item(content):
    if "configurationItem" in content:
        return content["configurationItem"]
    item = content["configurationItemSummary"]
    resource = {name: item[name] for name in ("resourceType", "resourceId")}
    (found,) = boto3.client("config").get_resource_config_history(**resource)["configurationItems"]
    return item | {"configuration": json.loads(found["configuration"])}


def lambda_handler(event, context):
    item = get_configuration_item(json.loads(event["invokingEvent"]))
    resource = item["resourceType"], item["resourceId"]
    time = item["configurationItemCaptureTime"]
    if item["configurationItemStatus"] != "OK":
        report_evaluations(event, *resource, "NOT_APPLICABLE", time, "The volume is deleted.")
        return
    parameters = json.loads(event["ruleParameters"])
    size = item["configuration"]["size"]
    limit, unit = int(parameters["limit"]), parameters.get("unit")
    print("measured")  # noqa: T201  # what a function prints is logged, too
    logging.getLogger(__name__).info("found", extra={"size": size, "unit": unit})
    compliance_type = "COMPLIANT" if size <= limit else "NON_COMPLIANT"
    ask = f" Ask {parameters['owner']}." if "owner" in parameters else ""
    annotation = f"Size {size}, limit {limit}.{ask}"
    report_evaluations(event, *resource, compliance_type, time, annotation)
