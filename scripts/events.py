"""The events in files: which there are, whose they are, and what they hold."""

import argparse
import gzip
import json
import re
import zlib
from functools import cache
from pathlib import Path

import boto3
from botocore.exceptions import UnknownRegionError

from scripts.command_line import split_paths
from scripts.template import ROOT, JsonObject, list_rules

RECORDED_ITEMS_FILE = "configuration_items.json"
DEFAULT_REGION = "us-east-1"
# Where global resources are, by partition.
HOME_REGIONS = {"aws": DEFAULT_REGION, "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
ARN = re.compile(r"arn:(?P<partition>[^:]*):[^:]*:(?P<region>[^:]*):")


def list_sample_events(rule: str) -> list[Path]:
    """Return the files of the rule's sample events."""
    return sorted(
        path for path in (ROOT / "events" / rule).glob("*.json") if path.name != RECORDED_ITEMS_FILE
    )


def parse_arguments(
    command: str, description: str | None, arguments: list[str] | None
) -> argparse.Namespace:
    """Return which events a command is to run, and what it shows of them."""
    parser = argparse.ArgumentParser(
        prog=command,
        description=description,
        epilog="Exit code: 0; 1 an error; 2 usage.",
    )
    parser.add_argument("events", nargs="*", help="files; without any, those of events/")
    parser.add_argument("--rule", help="a rule's folder; without it, the one that holds the event")
    parser.add_argument("--all", action="store_true", help="list every result of an event")
    parser.add_argument("--log", action="store_true", help="show what the functions log")
    chosen = parser.parse_args(arguments)
    try:
        choose_rules(chosen.rule)
    except ValueError as ex:
        parser.error(str(ex))
    chosen.events = [path for text in chosen.events for path in split_paths(text)]
    return chosen


def choose_rules(rule: str | None) -> list[str]:
    """Return the rule that was named, or all; ValueError if there is no such rule."""
    if rule and rule not in list_rules():
        raise ValueError(f"RULE must be one of {', '.join(list_rules())}, not {rule!r}.")
    return [rule] if rule else list_rules()


def choose_events(paths: list[Path], rule: str | None) -> list[tuple[str, Path, JsonObject]]:
    """Return rule, file and event of these files, or of the rule's sample events, or of all."""
    rules = choose_rules(rule)
    paths = paths or [path for name in rules for path in list_sample_events(name)]
    if not paths:
        raise ValueError(f"There is no event in events/ for {' or '.join(rules)}.")
    events = {path: load_event(path) for path in paths}
    return [(rule or find_rule(path), path, event) for path, event in events.items()]


def find_rule(path: Path) -> str:
    """Return the rule that the file's folder is named after; ValueError if there is none."""
    folder = path.resolve().parent.name
    if folder not in list_rules():
        choice = " or ".join(f"RULE={name}" for name in list_rules())
        raise ValueError(f"{path}: the folder is not named after a rule; add {choice}.")
    return folder


def load_event(path: Path) -> JsonObject:
    """Return the event of a file, plain objects in it as the JSON strings that AWS Config sends."""
    event = read_json(path)
    if "invokingEvent" not in event:
        has = "that has invokingEvent, ruleParameters and resultToken"
        raise ValueError(f"{path} is not an event of an AWS Config rule: {has}.")
    for name in ("invokingEvent", "ruleParameters"):
        if isinstance(event.get(name), dict):
            event[name] = json.dumps(event[name])
    return event


def read_json(path: Path) -> JsonObject:
    """Return the JSON object in a file, a gzip file too; ValueError that names the file."""
    content = path.read_bytes()
    try:
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        value = json.loads(content)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is neither JSON nor gzip.") from None
    except (EOFError, OSError, ValueError, zlib.error) as ex:
        raise ValueError(f"{path}: {ex}.") from ex
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(value).__name__}.")
    return value


def find_region(event: JsonObject) -> str:
    """Return the Region where AWS Config invokes the function: the rule's, or else the item's.

    A global item is in the home Region of its partition.
    """
    rule_arn = ARN.match(str(event.get("configRuleArn")))
    item = {} if rule_arn else find_item(event)
    item_arn = ARN.match(str(item.get("ARN")))
    region = rule_arn["region"] if rule_arn else item.get("awsRegion")
    if isinstance(region, str) and region not in ("", "global"):
        return region
    arn = rule_arn or item_arn
    return HOME_REGIONS.get(arn["partition"] if arn else "", DEFAULT_REGION)


@cache
def find_partition(region: str) -> str:
    """Return the partition of a Region: aws, aws-cn, aws-us-gov or another."""
    try:
        partition: str = boto3.Session().get_partition_for_region(region)
    except UnknownRegionError:
        return "aws"
    return partition


def find_item(event: JsonObject) -> JsonObject:
    """Return the item of an event or its summary; nothing if the event has none, or is invalid."""
    try:
        content = json.loads(event["invokingEvent"])
        return dict(content.get("configurationItem") or content["configurationItemSummary"])
    except (AttributeError, KeyError, TypeError, ValueError):  # the rule says what is wrong
        return {}
