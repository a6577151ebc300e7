"""The tests of the commands run on a project of two small rules, in place of the repository."""

from pathlib import Path
from typing import Any

import pytest

from scripts import local_aws, make_rule, run_events, template
from tests.scripts.helpers import Project, make_volume

PROJECT_TEMPLATE = """
Parameters:
  Limit: { Default: "3", AllowedPattern: "[0-9]+", ConstraintDescription: Give a number. }
  Frequency: { Default: One_Hour, AllowedValues: [One_Hour, Six_Hours] }
  Owner: { Default: "" }
Conditions:
  HasOwner: !Not [!Equals [!Ref Owner, ""]]
Resources:
  # ----- sizes -----
  SizesFunction:
    Properties: { CodeUri: sizes/, Description: Sizes., Policies: [] }
  SizesRule:
    Properties:
      Description: Sizes.
      InputParameters:
        { limit: !Ref Limit, unit: GiB, owner: !If [HasOwner, !Ref Owner, !Ref AWS::NoValue] }
      Scope: { ComplianceResourceTypes: [AWS::EC2::Volume] }
      Source: { SourceDetails: [{ MessageType: ConfigurationItemChangeNotification }] }

  # ----- volumes -----
  VolumesFunction:
    Properties:
      CodeUri: volumes/
      Description: Volumes.
      Policies: []
  VolumesRule:
    Properties:
      ConfigRuleName: !Sub ${RuleNamePrefix}volumes
      Description: Volumes.
      Source: { SourceDetails: [{ MessageType: ScheduledNotification }] }

Outputs:
  # ----- sizes -----
  SizesRuleName:
    Value: !Ref SizesRule

  # ----- volumes -----
  VolumesFunctionName:
    Value: !Ref VolumesFunction
  VolumesRuleName:
    Value: !Ref VolumesRule
"""
REPORT = """
def report(event, resource_type, resource_id, size, limit, time, annotation):
    evaluation = {"ComplianceResourceType": resource_type, "ComplianceResourceId": resource_id,
                  "ComplianceType": "COMPLIANT" if size <= limit else "NON_COMPLIANT",
                  "Annotation": annotation, "OrderingTimestamp": time}
    token = event["resultToken"]
    boto3.client("config").put_evaluations(Evaluations=[evaluation], ResultToken=token)
"""
SIZES = f"""
import json, logging, boto3
{REPORT}
def lambda_handler(event, context):
    item = json.loads(event["invokingEvent"])["configurationItem"]
    limit = json.loads(event["ruleParameters"])["limit"]
    size = item["configuration"]["size"]
    print("measured")
    logging.getLogger(__name__).info("found", extra={{"size": size}})
    report(event, item["resourceType"], item["resourceId"], size, int(limit),
           item["configurationItemCaptureTime"], f"Size {{size}}, limit {{limit}}.")
"""
VOLUMES = f"""\"\"\"The card: count.\"\"\"
import json, boto3
{REPORT}
# ----- This rulethe same.
def lambda_handler(event, context):
    time = json.loads(event["invokingEvent"])["notificationCreationTime"]
    client, resource_type = boto3.client("config"), "AWS::EC2::Volume"
    found = client.list_discovered_resources(resourceType=resource_type)["resourceIdentifiers"]
    report(event, "AWS::::Account", event["accountId"], len(found), 2, time,
           f"Volumes: {{len(found)}}.")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project of two small rules, in place of the repository."""
    made = Project(tmp_path)
    made.write("template.yaml", PROJECT_TEMPLATE)
    made.write("sizes/app.py", SIZES)
    made.write("volumes/app.py", VOLUMES)
    made.write_size_event("events/sizes/large.json", 9)
    made.write_size_event("events/sizes/small.json", 1)
    notification = {"notificationCreationTime": "2026-11-06T09:15:28.107Z"}
    notification["messageType"] = "ScheduledNotification"
    event = {"invokingEvent": notification, "accountId": "123456789012", "resultToken": "real"}
    event["configRuleName"] = "config-rules-volumes"
    for rule in ("sizes", "volumes"):
        made.write(f"tests/test_{rule}.py", f'RULE = "{rule}"')
    made.write("events/volumes/count.json", event)
    items = {"configurationItems": [make_volume("vol-1", 1), make_volume("vol-2", 1)]}
    made.write("events/volumes/configuration_items.json", items)
    for module in (template, local_aws, run_events, make_rule):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    template.load_template.cache_clear()
    yield made
    template.load_template.cache_clear()
