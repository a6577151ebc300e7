"""Check what can be said without a test, and run each sample event once."""

# A check yields a sentence for each problem, with the file and what to do about it. To add one,
# write a function like those below and name it in CHECKS_OF_ALL_RULES or CHECKS_OF_ONE_RULE.

import argparse
import ast
import json
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import botocore.session
import yaml

from scripts.check_results import run_samples
from scripts.command_line import run_command
from scripts.events import list_sample_events, load_event
from scripts.local_aws import clean_environment
from scripts.template import (
    ROOT,
    ConfigRule,
    JsonObject,
    accepts,
    find_extra_code,
    get_name,
    list_rules,
    load_template,
    read_rule,
)

CHANGE = "ConfigurationItemChangeNotification"
OVERSIZED = "OversizedConfigurationItemChangeNotification"
LIBRARIES = {*sys.stdlib_module_names, "boto3", "botocore"}  # what Lambda's Python has
OWN_HEADING = "# ----- This rule"
# What can go wrong with a template that lacks a section or has one of another kind.
LACKS = (AttributeError, KeyError, TypeError)


def find_problems() -> Iterator[str]:
    """Yield every problem of the project, each as a sentence."""
    unreadable = list(check_template())
    yield from unreadable
    if unreadable:  # nothing else can be checked
        return
    rules = []
    for rule in list_rules():
        unreadable = [*check_rule_section(rule), *check_code(rule)]
        yield from unreadable
        if not unreadable:
            rules.append(rule)
    for check_all in CHECKS_OF_ALL_RULES:
        yield from check_all(rules)
    for rule in rules:
        for check in CHECKS_OF_ONE_RULE:
            yield from check(rule)


# What has to be readable before anything else can be checked


def check_template() -> Iterator[str]:
    """Ask for a template that can be read."""
    try:
        load_template()["Parameters"].values()
        list_rules()
    except yaml.YAMLError as ex:
        yield f"template.yaml cannot be read: {' '.join(str(ex).split())}: correct it."
    except LACKS as ex:
        yield f"template.yaml lacks what the rules need ({ex!r}): add it."


def check_rule_section(rule: str) -> Iterator[str]:
    """Ask for the rule's section of the template."""
    try:
        read_rule(rule)
    except ValueError as ex:
        yield str(ex)
    except LACKS as ex:
        yield f"template.yaml: {get_name(rule)}Rule lacks what each rule needs ({ex!r}): add it."


def check_code(rule: str) -> Iterator[str]:
    """Ask for a function that Lambda can call."""
    path = ROOT / rule / "app.py"
    if not path.exists():
        yield (
            f"template.yaml: CodeUri names {rule}/, but there is no {rule}/app.py: "
            "write it, or remove the rule's section."
        )
        return
    try:
        handlers = [each for each in list_functions(rule) if each.name == "lambda_handler"]
    except SyntaxError as ex:
        yield f"{rule}/app.py, line {ex.lineno}: {ex.msg}: correct it."
        return
    if not handlers:
        yield f"{rule}/app.py has no lambda_handler(event, context): write it."


# Code


def read_code(rule: str) -> str:
    """Return the text of the rule's code."""
    return (ROOT / rule / "app.py").read_text()


def list_functions(rule: str) -> list[ast.FunctionDef]:
    """Return the functions of the rule's code."""
    return [each for each in ast.parse(read_code(rule)).body if isinstance(each, ast.FunctionDef)]


def read_shared_text(rule: str) -> dict[str, str]:
    """Return the text of the functions and constants above the rule's own heading, by name."""
    shared, _heading, _own = read_code(rule).partition(f"\n{OWN_HEADING}")
    found = {}
    for each in ast.parse(shared).body:
        names = [each.name] if isinstance(each, ast.FunctionDef) else []
        if isinstance(each, ast.Assign):
            names = [target.id for target in each.targets if isinstance(target, ast.Name)]
        found.update(dict.fromkeys(names, str(ast.get_source_segment(shared, each))))
    return found


def get_docstring(rule: str) -> str:
    """Return the docstring of the rule's code."""
    return ast.get_docstring(ast.parse(read_code(rule))) or ""


def check_shared_text(rules: list[str]) -> Iterator[str]:
    """Ask for the same text of what two rules share."""
    for rule, other in combinations(rules, 2):
        own, others = read_shared_text(rule), read_shared_text(other)
        for name in own.keys() & others.keys():
            if own[name] != others[name]:
                yield (
                    f"{other}/app.py: {name} differs from the one in {rule}/app.py: above the "
                    f"heading {OWN_HEADING!r} write the same text in both, or rename one."
                )


def check_heading(rule: str) -> Iterator[str]:
    """Ask for the heading between what is shared and what is the rule's own."""
    shared, heading, _own = read_code(rule).partition(f"\n{OWN_HEADING}")
    if not heading or "\ndef report_evaluations(" not in shared:
        yield f"{rule}/app.py needs the heading {OWN_HEADING!r} after report_evaluations: add it."


def check_imports(rule: str) -> Iterator[str]:
    """Ask for a function that runs with what Lambda has."""
    for node in ast.walk(ast.parse(read_code(rule))):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        for name in names:
            if name.partition(".")[0] not in LIBRARIES:
                yield (
                    f"{rule}/app.py imports {name}: use only the standard library, boto3 and "
                    "botocore, which Lambda has."
                )


def check_docstring(rule: str) -> Iterator[str]:
    """Ask for a docstring that tells every parameter."""
    configured, docstring = read_rule(rule), get_docstring(rule)
    for name in sorted(configured.parameters.keys() | configured.optional):
        if not re.search(rf"\b{name}\b", docstring):
            yield f"{rule}/app.py: say in the docstring what the parameter {name} is."


def check_parameters_are_read(rule: str) -> Iterator[str]:
    """Ask for code that reads every parameter."""
    _shared, _heading, own = read_code(rule).partition(f"\n{OWN_HEADING}")
    configured = read_rule(rule)
    for name in sorted(configured.parameters.keys() | configured.optional):
        if f'"{name}"' not in own:
            yield (
                f"{rule}/app.py does not read the parameter {name}: read it, or remove it from "
                "InputParameters in template.yaml."
            )


# Files


def check_folders(_rules: list[str]) -> Iterator[str]:
    """Ask for a function in the template for each folder with an app.py."""
    folders = {path.parent.name for path in ROOT.glob("*/app.py")}
    for folder in sorted(folders - set(list_rules())):
        yield f"template.yaml has no function with CodeUri: {folder}/: add one, or move the folder."


def check_files(rule: str) -> Iterator[str]:
    """Ask for a rule that is one file, and for its tests and events."""
    yield from find_extra_code(rule)
    if not (ROOT / "tests" / f"test_{rule}.py").exists():
        yield f"There is no tests/test_{rule}.py: write the rule's own tests."
    if not list_sample_events(rule):
        yield f"There is no event in events/{rule}/: write one for each result."


def check_readme_links(_rules: list[str]) -> Iterator[str]:
    """Ask for a link to each rule in the README."""
    linked = set(re.findall(r"\]\((\w+)/app\.py\)", (ROOT / "README.md").read_text()))
    rules = set(list_rules())
    for rule in sorted(rules - linked):
        yield f"README.md has no link to {rule}/app.py: add a row to the table of rules."
    for rule in sorted(linked - rules):
        yield f"README.md: remove the row of {rule}/app.py, which does not exist."


def check_readme_parameters(_rules: list[str]) -> Iterator[str]:
    """Ask for the template's parameters in the README's table, in their order."""
    row = r"^\| `(\w+)` \| (?:`(.+?)`|empty) \| (.+) \|$"
    shown = re.findall(row, (ROOT / "README.md").read_text(), re.MULTILINE)
    expected = [
        (name, str(parameter.get("Default", "")), parameter.get("Description"))
        for name, parameter in load_template()["Parameters"].items()
    ]
    wrong = sorted({name for name, *_rest in set(shown) ^ set(expected)})
    if wrong:
        yield f"README.md: correct the rows of {wrong} to what template.yaml says of them."
    elif shown != expected:
        yield "README.md: put the parameters' rows in the order of template.yaml."


def check_version(_rules: list[str]) -> Iterator[str]:
    """Ask for the same version in the two files that have one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text()).get("project", {})
    deployed = load_template().get("Outputs", {}).get("Version", {}).get("Value")
    if deployed and "version" in project and str(deployed) != project["version"]:
        yield (
            f"template.yaml: the output Version must be {project['version']}, the version in "
            f"pyproject.toml, not {deployed}."
        )


# Template


def get_properties(name: str) -> JsonObject:
    """Return the properties of a resource in the template; none if it is not there."""
    properties: JsonObject = load_template()["Resources"].get(name, {}).get("Properties", {})
    return properties


def check_blanks(_rules: list[str]) -> Iterator[str]:
    """Ask for patterns that refuse a blank: SAM CLI ends a value at the first one."""
    for name, parameter in load_template()["Parameters"].items():
        default = parameter.get("Default", "")
        values = ("a b", "1 2", f"{default} {default}")
        if parameter.get("Type") == "String" and any(accepts(parameter, each) for each in values):
            yield (
                f"template.yaml: {name} accepts a value with a blank, where SAM CLI would cut it: "
                "give it an AllowedPattern without one."
            )


def check_unused(_rules: list[str]) -> Iterator[str]:
    """Ask for parameters and conditions that something uses."""
    template = load_template()
    names = ("Conditions", "Globals", "Resources", "Outputs")
    text = json.dumps([template.get(name) for name in names])
    for name in template["Parameters"]:
        if f'{{"Ref": "{name}"}}' not in text and f"${{{name}}}" not in text:
            yield f"template.yaml: nothing uses the parameter {name}: use it, or remove it."
    for name in template.get("Conditions", {}):
        if f'["{name}", ' not in text and f'"Condition": "{name}"' not in text:
            yield f"template.yaml: nothing uses the condition {name}: use it, or remove it."


def check_descriptions(rules: list[str]) -> Iterator[str]:
    """Ask for descriptions that tell one rule from another."""
    for rule, other in combinations(rules, 2):
        for suffix in ("Function", "Rule"):
            first, second = (
                get_properties(f"{get_name(each)}{suffix}").get("Description")
                for each in (rule, other)
            )
            if first == second:
                yield (
                    f"template.yaml: {get_name(other)}{suffix} has the Description of "
                    f"{get_name(rule)}{suffix}: say what the rule is about."
                )
        if get_docstring(rule).partition("\n")[0] == get_docstring(other).partition("\n")[0]:
            yield (
                f"{other}/app.py: the docstring begins as in {rule}/app.py: say what the rule is "
                "about."
            )


def check_rule_names(rules: list[str]) -> Iterator[str]:
    """Ask for a name of its own for each rule."""
    for rule, other in combinations(rules, 2):
        name = read_rule(rule).config_rule_name
        if name and name == read_rule(other).config_rule_name:
            yield (
                f"template.yaml: {get_name(other)}Rule has the ConfigRuleName of "
                f"{get_name(rule)}Rule, {name}: give it another."
            )


def check_resource_names(_rules: list[str]) -> Iterator[str]:
    """Ask for one resource or output of each name: of two, YAML keeps the last one silently."""
    for section in re.split(r"^(?=\w)", (ROOT / "template.yaml").read_text(), flags=re.MULTILINE):
        for name, number in Counter(re.findall(r"^  (\w+):", section, re.MULTILINE)).items():
            if number > 1:
                yield f"template.yaml: {name} is there {number} times: rename or remove one."


def check_outputs(_rules: list[str]) -> Iterator[str]:
    """Ask for outputs of what there is."""
    template = load_template()
    known = {*template["Resources"], *template["Parameters"]}
    for name, output in template.get("Outputs", {}).items():
        value = output.get("Value")
        reference = value.get("Ref") if isinstance(value, dict) else None
        if reference and reference not in known and not reference.startswith("AWS::"):
            yield f"template.yaml: the output {name} is of no resource: correct or remove it."


def check_defaults(_rules: list[str]) -> Iterator[str]:
    """Ask for defaults that the template itself accepts."""
    for name, parameter in load_template()["Parameters"].items():
        default = parameter.get("Default")
        if default is not None and not accepts(parameter, str(default)):
            yield (
                f"template.yaml: {name} does not accept its own Default, {default!r}: correct it, "
                "or AllowedPattern, AllowedValues or MaxLength."
            )


def check_resources(rule: str) -> Iterator[str]:
    """Ask for a function that AWS Config of this account, and nobody else, may invoke."""
    name = get_name(rule)
    arn = {"Fn::GetAtt": [f"{name}Function", "Arn"]}
    if get_properties(f"{name}Function").get("CodeUri", "").strip("/") != rule:
        yield f"template.yaml: {name}Function needs CodeUri: {rule}/."
    source = get_properties(f"{name}Rule")["Source"]
    if (source.get("Owner"), source.get("SourceIdentifier")) != ("CUSTOM_LAMBDA", arn):
        yield (
            f"template.yaml: {name}Rule needs Owner: CUSTOM_LAMBDA and SourceIdentifier: !GetAtt "
            f"{name}Function.Arn."
        )
    permission = get_properties(f"{name}Permission")
    if (permission.get("Action"), permission.get("FunctionName")) != ("lambda:InvokeFunction", arn):
        yield (
            f"template.yaml: {name}Permission needs Action: lambda:InvokeFunction and "
            f"FunctionName: !GetAtt {name}Function.Arn."
        )
    who = permission.get("Principal"), permission.get("SourceAccount")
    if who != ("config.amazonaws.com", {"Ref": "AWS::AccountId"}):
        yield (
            f"template.yaml: {name}Permission needs Principal: config.amazonaws.com and "
            "SourceAccount: !Ref AWS::AccountId, or others may invoke the function."
        )
    waits_for = load_template()["Resources"][f"{name}Rule"].get("DependsOn", [])
    needed = [f"{name}Permission", f"{name}FunctionEventInvokeConfig"]
    if not set(needed) <= {*([waits_for] if isinstance(waits_for, str) else waits_for)}:
        yield f"template.yaml: {name}Rule needs DependsOn: [{', '.join(needed)}]."


def check_trigger(rule: str) -> Iterator[str]:
    """Ask for every message type of the rule's trigger, and for a scope."""
    configured, name = read_rule(rule), f"{get_name(rule)}Rule"
    if configured.is_periodic:
        if set(configured.message_types) != {"ScheduledNotification"}:
            yield f"template.yaml: {name} is periodic: leave one MessageType in its SourceDetails."
        if configured.scope:
            yield f"template.yaml: {name} is periodic: remove its Scope."
        return
    if set(configured.message_types) != {CHANGE, OVERSIZED}:
        yield (
            f"template.yaml: {name} needs the MessageTypes {CHANGE} and {OVERSIZED}, "
            "or ScheduledNotification."
        )
    if not configured.scope:
        yield f"template.yaml: {name} needs a Scope, or every type of resource invokes it."
    for unknown in find_unknown_types(configured.resource_types):
        yield (
            f"template.yaml: the Scope of {name} has {unknown}, which is no resource type of AWS "
            "Config: correct it."
        )


@cache
def list_resource_types() -> set[str]:
    """Return the types that AWS Config can report on."""
    model: Any = botocore.session.get_session().get_service_model("config")
    return {*model.shape_for("ResourceType").enum, "AWS::::Account"}


def find_unknown_types(names: Iterable[str]) -> list[str]:
    """Return those of AWS's resource types that the SDK does not name; other types can be yours."""
    return sorted(name for name in {*names} - list_resource_types() if name.startswith("AWS::"))


# Sample events


def open_event(path: Path) -> tuple[JsonObject, JsonObject, JsonObject]:
    """Return the event, its invoking event and its rule parameters; ValueError if one is bad."""
    event = load_event(path)
    return (
        event,
        open_object(event, "invokingEvent", path),
        open_object(event, "ruleParameters", path),
    )


def open_object(event: JsonObject, name: str, path: Path) -> JsonObject:
    """Return the object in a field that is a string of JSON; ValueError if there is none."""
    try:
        value = json.loads(event.get(name, "{}"))
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {name} must be an object, or a string that holds one as JSON.")
    return value


def check_events(rule: str) -> Iterator[str]:
    """Ask for events that AWS Config would send for the rule as the template configures it."""
    configured = read_rule(rule)
    for path in list_sample_events(rule):
        try:
            event, invoking_event, parameters = open_event(path)
        except ValueError as ex:
            yield f"{str(ex).rstrip('.')}: correct it."
        else:
            for problem in check_event(configured, event, invoking_event, parameters):
                yield f"{path}: {problem}"


def check_event(
    rule: ConfigRule, event: JsonObject, invoking_event: JsonObject, parameters: JsonObject
) -> Iterator[str]:
    """Ask for fields that fit the template."""
    if invoking_event.get("messageType") not in rule.message_types:
        yield f"messageType must be one of {rule.message_types}, as in template.yaml."
    if event.get("resultToken") != "TESTMODE":
        yield "resultToken must be TESTMODE, a dry run."
    required = rule.parameters.keys() - rule.optional
    if not required <= parameters.keys() <= required | rule.optional:
        yield (
            f"ruleParameters must have {', '.join(sorted(required)) or 'nothing'}, and may have "
            f"{', '.join(sorted(rule.optional)) or 'nothing'} besides: the InputParameters of "
            "template.yaml."
        )
    item = invoking_event.get("configurationItem") or invoking_event.get("configurationItemSummary")
    types = rule.resource_types
    resource_type = item.get("resourceType") if isinstance(item, dict) else None
    if resource_type and types and resource_type not in types:
        yield f"resourceType must be one of {types}, the scope in template.yaml."
    name = rule.config_rule_name
    if name and event.get("configRuleName") != name:
        yield f"configRuleName must be {name}, the ConfigRuleName in template.yaml."


def check_results(rule: str) -> Iterator[str]:
    """Ask for sample events that run, and that show every message and compliance type."""
    events, shown = {}, set()
    for path in list_sample_events(rule):
        try:
            events[path], invoking_event, _parameters = open_event(path)
        except ValueError:
            return  # check_events says why
        shown.add(invoking_event.get("messageType"))
    try:
        outcomes, problems = run_samples(rule, events)
    except ValueError as ex:
        yield f"{str(ex).rstrip('.')}: correct it."
        return
    errors: dict[str, list[str]] = {}
    for path, outcome in outcomes.items():
        if outcome.error:
            errors.setdefault(outcome.error.rstrip("."), []).append(path.name)
    for error, names in errors.items():
        yield f"events/{rule}/{', '.join(names)}: correct the event or {rule}/app.py: {error}."
    yield from problems
    if not errors:
        yield from check_evaluations(
            rule, [each for outcome in outcomes.values() for each in outcome.evaluations]
        )
        missing = set(read_rule(rule).message_types) - shown
        yield from (f"events/{rule}/ has no {each}: add one." for each in sorted(missing))


def check_evaluations(rule: str, evaluations: list[JsonObject]) -> Iterator[str]:
    """Ask for evaluations that an auditor understands, and for one of each compliance type."""
    expected = {"COMPLIANT", "NON_COMPLIANT"}
    if not read_rule(rule).is_periodic:
        expected.add("NOT_APPLICABLE")
    for missing in sorted(expected - {each["ComplianceType"] for each in evaluations}):
        yield f"events/{rule}/ has no event that is {missing}: add one, or correct {rule}/app.py."
    if not all(each.get("Annotation") for each in evaluations):
        yield f"{rule}/app.py reports without an annotation: say why in a sentence."
    for unknown in find_unknown_types(each["ComplianceResourceType"] for each in evaluations):
        yield (
            f"{rule}/app.py reports {unknown}, which is no resource type of AWS Config: correct it."
        )


CHECKS_OF_ALL_RULES: tuple[Callable[[list[str]], Iterable[str]], ...] = (
    check_folders,
    check_shared_text,
    check_descriptions,
    check_rule_names,
    check_resource_names,
    check_outputs,
    check_defaults,
    check_version,
    check_readme_links,
    check_blanks,
    check_unused,
    check_readme_parameters,
)
CHECKS_OF_ONE_RULE: tuple[Callable[[str], Iterable[str]], ...] = (
    check_files,
    check_heading,
    check_imports,
    check_docstring,
    check_parameters_are_read,
    check_resources,
    check_trigger,
    check_events,
    check_results,
)


def main(arguments: list[str] | None = None) -> int:
    """Print every problem; return the exit code."""
    command = argparse.ArgumentParser(prog="python -m scripts.check", description=__doc__)
    command.parse_args(arguments)
    clean_environment()
    problems = [each.replace(f"{ROOT}{os.sep}", "") for each in find_problems()]
    for problem in problems:
        print(problem)
    if not problems:
        print(f"Nothing to correct in {', '.join(list_rules())}.")
    return 1 if problems else 0


if __name__ == "__main__":
    run_command("python -m scripts.check", main)
