"""Write organization.json: template.yaml as plain CloudFormation with the code inside."""

import argparse
import json
from copy import deepcopy

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from scripts.command_line import run_command
from scripts.template import ROOT, JsonObject, find_extra_code, list_rules, load_template


def translate() -> JsonObject:
    """Return the template without its transform, with each function's code inside.

    ValueError: a rule has more than app.py, and its function would run without it.
    """
    for rule in list_rules():
        for problem in find_extra_code(rule):
            raise ValueError(problem)
    template = deepcopy(load_template())
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        if "CodeUri" in properties:
            # CloudFormation writes inline code to index.py.
            properties["Handler"] = "index.lambda_handler"
            properties["InlineCode"] = (ROOT / properties.pop("CodeUri") / "app.py").read_text()
    # Without a session the translator would read this machine's Region, and write its partition.
    session = boto3.Session(region_name="us-east-1")
    translated: JsonObject = Translator({}, Parser(), boto_session=session).translate(template, {})
    for resource in translated["Resources"].values():
        if arns := resource["Properties"].get("ManagedPolicyArns"):
            arns[:] = [{"Fn::Sub": arn.replace(":aws:", ":${AWS::Partition}:", 1)} for arn in arns]
    return translated


def main(arguments: list[str] | None = None) -> None:
    """Write the file; ValueError if CloudFormation would refuse it."""
    command = argparse.ArgumentParser(prog="python -m scripts.organization", description=__doc__)
    command.parse_args(arguments)
    text = json.dumps(translate(), separators=(",", ":"))
    (ROOT / "organization.json").write_text(text)
    print(f"Wrote organization.json: {len(text):,} bytes.")
    if len(text) > 1_000_000:
        raise ValueError("CloudFormation accepts at most 1 MB: use fewer rules.")
    if len(text) > 51_200:
        print(
            "Over 51,200 bytes: upload it to S3, and use --template-url instead of --template-body."
        )


if __name__ == "__main__":
    run_command("python -m scripts.organization", main)
