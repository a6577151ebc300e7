"""What template.yaml says of the rules."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

JsonObject = dict[str, Any]
ROOT = Path(__file__).parent.parent
# A word of a command line with its quotes.
WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])+""")


class TemplateLoader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    """Reads CloudFormation's short forms as its long ones: !Ref Name is {"Ref": "Name"}."""


def construct_function(loader: TemplateLoader, name: str, node: yaml.Node) -> JsonObject:
    """Return the long form of an intrinsic function."""
    if isinstance(node, yaml.ScalarNode):
        text = loader.construct_scalar(node)
        value = text.split(".", 1) if name == "GetAtt" else text
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


TemplateLoader.add_multi_constructor("!", construct_function)


@cache
def load_template() -> JsonObject:
    """Return the template as written, its functions in their long forms."""
    template: JsonObject = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)  # noqa: S506
    return template


def list_rules() -> list[str]:
    """Return the folders that the template's functions name in CodeUri: one for each rule."""
    resources = load_template()["Resources"].values()
    folders = [resource["Properties"].get("CodeUri", "").strip("/") for resource in resources]
    return [folder for folder in folders if folder]


def find_extra_code(rule: str) -> Iterator[str]:
    """Yield a sentence for whatever the rule's folder has besides app.py and Lambda does not."""
    what = "a rule is one app.py, which needs only what Lambda has"
    known = {"app.py", "requirements.txt", "__pycache__"}
    for path in sorted((ROOT / rule).iterdir()):
        if path.name not in known and not path.name.startswith("."):
            yield f"{rule}/{path.name}: move it elsewhere, because {what}."
    requirements = ROOT / rule / "requirements.txt"
    lines = requirements.read_text().splitlines() if requirements.exists() else []
    for line in lines:
        if line.strip() and not line.startswith("#"):
            yield f"{rule}/requirements.txt: remove {line.strip()}, because {what}."


def get_name(rule: str) -> str:
    """Return what the rule's resources are called: S3BucketVersioning of s3_bucket_versioning."""
    return "".join(word.capitalize() for word in rule.split("_"))


@dataclass
class ConfigRule:
    """A rule as the template configures it."""

    name: str
    message_types: list[str]
    scope: JsonObject
    resource_types: list[str]  # of the scope; none means any type
    parameters: dict[str, str]
    optional: set[str]  # the parameters that are absent when they are empty
    config_rule_name: str  # in AWS Config; empty: CloudFormation makes one up

    @property
    def is_periodic(self) -> bool:
        """Return whether AWS Config invokes the rule on a schedule."""
        return "ScheduledNotification" in self.message_types


def read_rule(rule: str, parameters: dict[str, str] | None = None) -> ConfigRule:
    """Return the rule with these values of the stack's parameters, the others at their defaults."""
    template, name = load_template(), f"{get_name(rule)}Rule"
    if name not in template["Resources"]:
        raise ValueError(f"template.yaml has no {name}: each rule needs one.")
    properties = template["Resources"][name]["Properties"]
    values = {name: each.get("Default", "") for name, each in template["Parameters"].items()}
    values |= parameters or {}
    message_types = [each.get("MessageType") for each in properties["Source"]["SourceDetails"]]
    given, optional = {}, set()
    for key, value in properties.get("InputParameters", {}).items():
        reference = find_optional(value)
        if reference:
            optional.add(key)
        text = values.get((reference or value).get("Ref")) if isinstance(value, dict) else value
        if text is None:
            forms = "a text, !Ref X or !If [HasX, !Ref X, !Ref AWS::NoValue] of a parameter X"
            raise ValueError(f"template.yaml: {key} of {rule} must be {forms}.")
        if text != "" or not reference:
            given[key] = str(text)
    scope = properties.get("Scope", {})
    resource_types = list(scope.get("ComplianceResourceTypes", []))
    config_rule_name = fill_in(properties.get("ConfigRuleName", ""), values)
    return ConfigRule(rule, message_types, scope, resource_types, given, optional, config_rule_name)


def fill_in(value: Any, values: dict[str, Any]) -> str:
    """Return a text or a !Sub with these values of the stack's parameters."""
    text = value.get("Fn::Sub", "") if isinstance(value, dict) else value
    return re.sub(r"\${(\w+)}", lambda match: str(values.get(match[1], match[0])), str(text))


def find_optional(value: Any) -> JsonObject | None:
    """Return the !Ref of a value that is left out if the stack's parameter is empty."""
    if not isinstance(value, dict) or "Fn::If" not in value:
        return None
    condition, reference, otherwise = value["Fn::If"]
    is_given = load_template().get("Conditions", {}).get(condition)
    is_known = is_given == {"Fn::Not": [{"Fn::Equals": [reference, ""]}]}
    return reference if is_known and otherwise == {"Ref": "AWS::NoValue"} else None


def parse_parameters(text: str) -> dict[str, str]:
    """Return the stack's parameters, written as for `sam deploy --parameter-overrides`.

    ValueError: one is unknown, or the template does not accept its value.
    """
    known = load_template()["Parameters"]
    parameters = {}
    try:
        shlex.split(text)
    except ValueError as ex:
        raise ValueError(f"PARAMETERS cannot be read: {ex}.") from None
    for written in WORD.findall(text):
        word = "".join(shlex.split(written))
        name, equals, value = word.partition("=")
        if not equals or name not in known:
            choice = ", ".join(known)
            raise ValueError(f"PARAMETERS must be Key=Value of {choice}, not {word!r}.")
        if written.endswith(f"{name}="):  # SAM refuses it, or drops it if there are others
            raise ValueError(f'PARAMETERS: write {name}="" for an empty value.')
        if not accepts(known[name], value):
            hint = known[name].get("ConstraintDescription", "")
            raise ValueError(f"The template does not accept {word!r}. {hint}".strip())
        parameters[name] = value
    return parameters


def accepts(parameter: JsonObject, value: str) -> bool:
    """Return whether a parameter of the template accepts the value."""
    if "AllowedValues" in parameter:
        return value in [str(each) for each in parameter["AllowedValues"]]
    fits = len(value) <= parameter.get("MaxLength", len(value))
    return fits and re.fullmatch(parameter.get("AllowedPattern", ".*"), value) is not None
