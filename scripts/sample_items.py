"""The configuration items that AWS Config has recorded for the sample events, read from a file."""

import json
from pathlib import Path
from typing import Any

from botocore.utils import parse_timestamp

from scripts.events import RECORDED_ITEMS_FILE, read_json
from scripts.template import JsonObject

CAPTURED = "configurationItemCaptureTime"
API_NAMES = {  # of the fields that events call otherwise
    "awsAccountId": "accountId",
    "ARN": "arn",
    "configurationStateMd5Hash": "configurationItemMD5Hash",
    "configurationItemVersion": "version",
}
FIELD_KINDS: dict[str, tuple[type, str]] = {
    "resourceType": (str, "a string"),
    "resourceId": (str, "a string"),
    "configurationItemStatus": (str, "a string"),
    "supplementaryConfiguration": (dict, "an object"),
    "tags": (dict, "an object"),
}


def read_recorded_items(folder: Path) -> list[JsonObject]:
    """Return what the folder's configuration_items.json holds, if it exists, as the API answers it.

    The file is an answer of GetResourceConfigHistory; an item may have the form of an event's too.
    ValueError: one sentence that names the file and the item.
    """
    path = folder / RECORDED_ITEMS_FILE
    if not path.exists():
        return []
    items = read_json(path).get("configurationItems")
    if not isinstance(items, list):
        raise ValueError(f"{path} must hold the list configurationItems.")
    read = []
    for number, item in enumerate(items, 1):
        try:
            read.append(to_api_form(item))
        except ValueError as ex:
            name = item.get("resourceId") if isinstance(item, dict) else None
            raise ValueError(f"{path}: item {number} ({name or 'no resourceId'}): {ex}.") from ex
    return read


def to_api_form(given: Any) -> JsonObject:
    """Return an item, the API's or an event's, as the API answers it; ValueError if it cannot be.

    The API has configuration and each value of supplementaryConfiguration as a JSON string.
    """
    if not isinstance(given, dict):
        raise ValueError(f"it must be an object, not {given!r:.100}")
    item: JsonObject = {}
    for name, value in given.items():
        if value is not None:  # the API leaves out what is null in events
            item[API_NAMES.get(name, str(name))] = value
    check_fields(item)
    is_event_form = isinstance(item.get("configuration"), dict)
    if is_event_form:
        item["configuration"] = json.dumps(item["configuration"])
    supplementary = item.get("supplementaryConfiguration", {})
    for name, value in supplementary.items():
        if is_event_form or not isinstance(value, str):
            supplementary[name] = json.dumps(value)
    for relationship in item.get("relationships", []):
        if "name" in relationship:
            relationship["relationshipName"] = relationship.pop("name")
    for name in (CAPTURED, "resourceCreationTime"):
        if name in item:
            item[name] = read_seconds(name, item[name])
    return item


def check_fields(item: JsonObject) -> None:
    """Raise a ValueError if a field is missing or of a kind that nobody can use."""
    for name in ("resourceType", "resourceId", CAPTURED):
        if not item.get(name):
            raise ValueError(f"{name} is missing")
    for name, (kind, noun) in FIELD_KINDS.items():
        if name in item and not isinstance(item[name], kind):
            raise ValueError(f"{name} must be {noun}, not {item[name]!r:.100}")
    relationships = item.get("relationships", [])
    if not isinstance(relationships, list) or not all(isinstance(x, dict) for x in relationships):
        raise ValueError(f"relationships must be a list of objects, not {relationships!r:.100}")
    configuration = item.get("configuration", {})
    if not isinstance(configuration, dict) and not is_json(configuration):
        noun = "an object or its JSON string"
        raise ValueError(f"configuration must be {noun}, not {configuration!r:.100}")


def is_json(text: Any) -> bool:
    """Return whether a value is a JSON string, or an empty one, which stands for nothing."""
    try:
        json.loads(text or "null")
    except (TypeError, ValueError):
        return False
    return True


def read_seconds(name: str, value: Any) -> float:
    """Return the seconds of a time, an ISO string or a number; ValueError if nobody can read it."""
    try:
        return float(parse_timestamp(value).timestamp())
    except (RuntimeError, TypeError, ValueError):
        raise ValueError(f"{name} must be a time, not {value!r:.100}") from None
