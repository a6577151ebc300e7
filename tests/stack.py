"""The template as AWS would see it: translated by SAM's own translator, created in moto."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from moto.iam.models import iam_backends
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from scripts.local_aws import CREDENTIALS, start_session
from tests.conftest import ROOT

if TYPE_CHECKING:
    import boto3

    from scripts.local_aws import LocalAws

BUCKET = "artifacts"


class NoManagedPolicies:
    """What SAM's translator asks for the names of managed policies: the template uses none."""

    def load(self) -> dict[str, str]:
        return {}


@dataclass
class Stack:
    """A stack created in moto."""

    template: dict[str, Any]
    outputs: dict[str, str]
    session: boto3.Session
    endpoint: str

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.endpoint)  # type: ignore[call-overload]

    def get_function(self, name: str) -> dict[str, Any]:
        """Return the configuration that Lambda holds of the function."""
        function: dict[str, Any] = self.client("lambda").get_function_configuration(
            FunctionName=self.outputs[f"{name}FunctionName"]
        )
        return function

    def get_statements(self, name: str) -> list[dict[str, Any]]:
        """Return the statements of the function's role."""
        role = self.outputs[f"{name}RoleArn"].split("/")[-1]
        policy = self.client("iam").get_role_policy(RoleName=role, PolicyName="function")
        statements: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
        return statements

    def get_actions(self, name: str) -> set[str]:
        """Return the actions that the function's role grants."""
        actions: set[str] = set()
        for statement in self.get_statements(name):
            granted = statement["Action"]
            actions |= {granted} if isinstance(granted, str) else set(granted)
        return actions


def translate() -> dict[str, Any]:
    """Return the CloudFormation template that SAM makes of ours."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{BUCKET}/{name}.zip"
    translated: dict[str, Any] = transform(template, {}, NoManagedPolicies())
    return translated


def create_stack(aws: LocalAws, **parameters: str) -> Stack:
    """Create the stack in moto's CloudFormation, in account 123456789012."""
    session = start_session(CREDENTIALS)
    template = translate()
    s3 = session.client(
        "s3", endpoint_url=aws.endpoint, config=Config(s3={"addressing_style": "path"})
    )
    s3.create_bucket(Bucket=BUCKET)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            artifact = io.BytesIO()
            with zipfile.ZipFile(artifact, "w") as archive:
                archive.writestr("app.py", "")
            s3.put_object(Bucket=BUCKET, Key=f"{name}.zip", Body=artifact.getvalue())
    outputs = deploy(session, aws, json.dumps(template), "config-rules", **parameters)
    return Stack(template, outputs, session, aws.endpoint)


def deploy(
    session: boto3.Session, aws: LocalAws, template: str, name: str, **parameters: str
) -> dict[str, str]:
    """Create a stack of a template; return its outputs."""
    cloudformation = session.client("cloudformation", endpoint_url=aws.endpoint)
    with warnings.catch_warnings():
        # moto's CloudFormation leaves out alarms, Config rules and invoke settings.
        warnings.filterwarnings("ignore", "Tried to parse")
        cloudformation.create_stack(
            StackName=name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
        )
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    mend_policies()
    return {
        output["OutputKey"]: output["OutputValue"]
        for output in stack.get("Outputs", [])
        if "OutputValue" in output
    }


def mend_policies() -> None:
    """Turn inline policies into the JSON text that moto's IAM reads; its CloudFormation keeps them
    as dictionaries."""
    for account in iam_backends.values():
        for backend in account.values():
            for role in backend.roles.values():
                for name, document in role.policies.items():
                    if isinstance(document, dict):
                        role.policies[name] = json.dumps(document)
