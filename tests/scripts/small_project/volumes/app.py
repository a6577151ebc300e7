"""A periodic rule of the tests: the account has few volumes; a count decides.

Parameter: atMost.
"""

import json

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


def lambda_handler(event, context):
    time = json.loads(event["invokingEvent"])["notificationCreationTime"]
    client, resource_type = boto3.client("config"), "AWS::EC2::Volume"
    found = client.list_discovered_resources(resourceType=resource_type)["resourceIdentifiers"]
    at_most = int(json.loads(event["ruleParameters"])["atMost"])
    compliance_type = "COMPLIANT" if len(found) <= at_most else "NON_COMPLIANT"
    annotation = f"Volumes: {len(found)}."
    account = "AWS::::Account", event["accountId"]
    report_evaluations(event, *account, compliance_type, time, annotation)
