"""template.yaml as plain data: its rules, and what its resources are with given parameters."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

Json = dict[str, Any]

ROOT = Path(__file__).parent.parent
REGION = "us-east-1"
ACCOUNT_ID = "123456789012"
NO_VALUE = object()
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT_ID,
    "AWS::NoValue": NO_VALUE,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "config-rules",
}


@cache
def load_template(path: Path = ROOT / "template.yaml") -> Json:
    """Return the template as written."""
    template: Json = yaml_parse(path.read_text())
    return template


def list_rules() -> list[str]:
    """Return the folders that the template's functions name in CodeUri: one a rule."""
    resources = load_template()["Resources"].values()
    folders = [resource["Properties"].get("CodeUri", "").strip("/") for resource in resources]
    return [folder for folder in folders if (ROOT / folder / "app.py").is_file()]


def get_name(rule: str) -> str:
    """Return what the rule's resources are called: S3BucketVersioning of s3_bucket_versioning."""
    return "".join(word.capitalize() for word in rule.split("_"))


def resolve_stack(path: Path = ROOT / "template.yaml", /, **parameters: Any) -> dict[str, Json]:
    """Return the resources that the template creates with these parameters, by logical name.

    Conditions and intrinsic functions are resolved, SAM's Globals merged into the functions. A
    resource's reference is its logical name, its attribute an ARN that ends in that name.
    """
    template = load_template(path)
    values = PSEUDO_PARAMETERS | {
        name: parameter.get("Default", "") for name, parameter in template["Parameters"].items()
    }
    scope = Scope(template, values | parameters)
    resources = {
        name: scope.resolve(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or scope.resolve({"Condition": resource["Condition"]})
    }
    for resource in resources.values():
        if resource["Type"] == "AWS::Serverless::Function":
            defaults = scope.resolve(template["Globals"]["Function"])
            resource["Properties"] = merge(defaults, resource["Properties"])
    return resources


def merge(defaults: Json, settings: Json) -> Json:
    """Return the settings over the defaults, objects within them likewise."""
    inner = {
        name: merge(defaults[name], value)
        for name, value in settings.items()
        if isinstance(value, dict) and name in defaults
    }
    return defaults | settings | inner


class Scope:
    """A template and the values of its parameters: enough to tell what its parts mean."""

    def __init__(self, template: Json, values: Json) -> None:
        """Keep both."""
        self.template, self.values = template, values

    def resolve(self, part: Any) -> Any:  # noqa: PLR0911  # one return for each intrinsic function
        """Return what a part of the template means."""
        match part:
            case {"Ref": name}:
                return self.values.get(name, name)
            case {"Condition": str(name), **rest} if not rest:
                return self.resolve(self.template["Conditions"][name])
            case {"Fn::GetAtt": [name, _]}:
                service = self.template["Resources"][name]["Type"].split("::")[1].lower()
                return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{name}"
            case {"Fn::If": [name, chosen, otherwise]}:
                return self.resolve(chosen if self.resolve({"Condition": name}) else otherwise)
            case {"Fn::Equals": [left, right]}:
                return self.resolve(left) == self.resolve(right)
            case {"Fn::Not": [condition]}:
                return not self.resolve(condition)
            case {"Fn::Or": conditions}:
                return any(self.resolve(condition) for condition in conditions)
            case {"Fn::Join": [separator, parts]}:
                return separator.join(self.resolve(parts))
            case {"Fn::Sub": text}:
                return re.sub(r"\$\{([\w:]+)\}", lambda found: str(self.values[found[1]]), text)
            case dict():
                found = {name: self.resolve(value) for name, value in part.items()}
                return {name: value for name, value in found.items() if value is not NO_VALUE}
            case list():
                values = [self.resolve(value) for value in part]
                return [value for value in values if value is not NO_VALUE]
        return part
