"""Configuration items: the form that events have, and what an item must have to be used."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from scripts.preview.forms import parse
from scripts.sample_items import API_NAMES, CAPTURED
from scripts.template import JsonObject

EVENT_NAMES = {api_name: event_name for event_name, api_name in API_NAMES.items()}
STATUS = "configurationItemStatus"
IDENTITY = ("awsAccountId", "awsRegion", "resourceType", "resourceId")
NEEDED = (*IDENTITY, STATUS, CAPTURED, "configuration")
OPTIONAL = ("supplementaryConfiguration", "tags", "relationships")
SELECT = ", ".join(API_NAMES.get(name, name) for name in (*NEEDED, *OPTIONAL))


def to_event_form(item: JsonObject) -> JsonObject:
    """Return the item with the names and forms that events have; what cannot be told is kept."""
    item = {EVENT_NAMES.get(name, name): value for name, value in item.items()}
    if isinstance(item.get("configuration"), str):  # the API's form: what it holds is text too
        item["configuration"] = parse(item["configuration"] or "null")
        held = parse(item.get("supplementaryConfiguration") or {})
        if isinstance(held, dict):
            held = {name: parse(text) for name, text in held.items()}
        item["supplementaryConfiguration"] = held
    for name in (CAPTURED, "resourceCreationTime"):
        if time := parse_time(item.get(name)):
            item[name] = format_time(time)
    if isinstance(item.get("tags"), list):
        item["tags"] = convert_tags(item["tags"])
    if isinstance(item.get("relationships"), list):
        for each in item["relationships"]:
            if isinstance(each, dict) and "relationshipName" in each:
                each["name"] = each["relationshipName"]
    return item


def convert_tags(tags: list[Any]) -> Any:
    """Return a query's list of tags as an object; other services write Key and Value."""
    if not all(isinstance(tag, dict) for tag in tags):
        return tags
    pairs = [{name.lower(): value for name, value in tag.items()} for tag in tags]
    return {tag.get("key"): tag.get("value") for tag in pairs}


def parse_time(value: Any) -> datetime | None:
    """Return the time that a string or a number tells; None if nobody can read it."""
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(float(value), UTC)
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """Return the time as events have it: 2016-10-06T16:46:16.261Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def find_missing(item: JsonObject, names: Iterable[str]) -> list[str]:
    """Return those of the fields that are absent or empty."""
    return [name for name in names if not item.get(name)]


def find_state_problem(item: JsonObject, captured: datetime | None) -> str | None:
    """Return why nobody can tell the resource's state, or when it had it; None if one can."""
    if not isinstance(item.get(STATUS), str) or not item[STATUS]:
        return describe(item, STATUS, "a string")
    return None if captured else describe(item, CAPTURED, "a time")


def list_odd_fields(item: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the fields of another kind that only some rules read, with what is wrong with each."""
    for name in ("supplementaryConfiguration", "tags"):
        if not isinstance(item.get(name) or {}, dict):
            yield name, describe(item, name, "an object")
    related = item.get("relationships") or []
    if not isinstance(related, list) or not all(isinstance(each, dict) for each in related):
        yield "relationships", describe(item, "relationships", "a list of objects")
    created = item.get("resourceCreationTime")
    if created is not None and not parse_time(created):
        yield "resourceCreationTime", describe(item, "resourceCreationTime", "a time")


def describe(item: JsonObject, name: str, kind: str) -> str:
    """Return what is wrong with a field."""
    if item.get(name) in (None, ""):
        return f"{name} is missing"
    return f"{name} must be {kind}, not {item[name]!r:.100}"
