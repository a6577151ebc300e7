"""Read what AWS Config exports, in any of its forms: the newest item of each resource."""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import ijson

from scripts.recorded_items import CAPTURED
from scripts.template import JsonObject

FORMS = (
    "a configuration snapshot, a history file, a configuration item, or what `aws configservice` "
    "prints for get-resource-config-history, batch-get-resource-config, select-resource-config or "
    "their aggregate forms"
)
# Where ijson finds the items of a form, by the top-level field that the form is known by.
ITEMS_FIELD, QUERY = "configurationItems", "Results.item"
PREFIXES = {
    ITEMS_FIELD: f"{ITEMS_FIELD}.item",
    "baseConfigurationItems": "baseConfigurationItems.item",
    "BaseConfigurationItems": "BaseConfigurationItems.item",
    "ConfigurationItem": "ConfigurationItem",
    "Results": QUERY,
    "resourceId": "",  # an item alone
    "": "item",  # a list of items
}
UNPROCESSED = ("unprocessedResourceKeys.item", "UnprocessedResourceIdentifiers.item")
EVENT_NAMES = {
    "accountId": "awsAccountId",
    "arn": "ARN",
    "configurationItemMD5Hash": "configurationStateMd5Hash",
    "version": "configurationItemVersion",
}
API_NAMES = {event_name: api_name for api_name, event_name in EVENT_NAMES.items()}
IDENTITY = ("awsAccountId", "awsRegion", "resourceType", "resourceId")
NEEDED = (*IDENTITY, "configurationItemStatus", CAPTURED)
# ACCOUNT_Config_REGION_ConfigSnapshot_20261105T091527Z_ID.json.gz, ..._ConfigHistory_TYPE_...
AWS_NAME = re.compile(r"(\d{12})_Config_([a-z0-9-]+)_Config(?:Snapshot_(\d{8}T\d{6}Z)|History)_")

# Files


@dataclass
class Export:
    """One file: what its top-level fields and its name say."""

    path: Path
    prefix: str  # where ijson finds the items
    is_snapshot: bool
    is_page: bool  # it has a nextToken
    account_region: tuple[str, str] | None = None  # account and Region, if AWS named the file
    time: float | None = None  # of a snapshot that AWS named
    is_part: bool = False  # AWS Config did not answer for all resources that were asked for
    fields: set[str] = field(default_factory=set)  # of the items whose configuration is kept


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and of a folder every .json and .json.gz below it."""
    files: list[Path] = []
    for path in paths:
        below = [*path.rglob("*.json"), *path.rglob("*.json.gz")]
        found = sorted(each for each in below if each.is_file())
        if not found and path.is_dir():
            raise ValueError(f"{path} has no .json or .json.gz file in it.")
        found = found or [path]
        # AWS Config leaves the empty file in a bucket to see whether it may write there.
        files += [each for each in found if each.name != "ConfigWritabilityCheckFile"]
    return list(dict.fromkeys(files))


@contextmanager
def open_export(path: Path) -> Iterator[Any]:
    """Open a file for ijson: unzipped, in UTF-8, without a byte order mark."""
    try:
        with path.open("rb") as raw:
            file: Any = raw
            if raw.peek(2).startswith(b"\x1f\x8b"):
                file = gzip.GzipFile(fileobj=raw)
            start = file.peek(3)
            if start.startswith(codecs.BOM_UTF8):
                file.read(3)
            if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # PowerShell's
                chunks = iter(partial(file.read, 65_536), b"")
                text = codecs.iterdecode(chunks, "utf-16")
                file = ijson.from_iter(codecs.iterencode(text, "utf-8"))
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as ex:
        raise ValueError(f"{path} is not a whole gzip file.") from ex
    except (ijson.JSONError, UnicodeError) as ex:
        told = ex.args[0].decode(errors="replace") if isinstance(ex.args[0], bytes) else str(ex)
        raise ValueError(f"{path} is not JSON: {' '.join(told.split())}.") from ex


def read_form(path: Path) -> Export:
    """Return what kind of export the file is; of a snapshot only the beginning is read."""
    fields: JsonObject = {}  # the top-level ones; of lists and objects that they are there
    with open_export(path) as file:
        for prefix, event, value in ijson.parse(file):
            is_scalar = event in ("string", "number") and prefix != ""
            is_one = event == "start_map" and prefix in ("ConfigurationItem", *UNPROCESSED)
            if is_one or ("." not in prefix and (is_scalar or event == "start_array")):
                fields.setdefault(prefix, value)
            if fields.keys() >= {"configSnapshotId", ITEMS_FIELD}:
                break
    prefixes = [prefix for name, prefix in PREFIXES.items() if name in fields]
    if not prefixes:
        raise ValueError(f"{path} must be {FORMS}.")
    is_page = bool(fields.get("nextToken") or fields.get("NextToken"))
    export = Export(path, prefixes[0], "configSnapshotId" in fields, is_page)
    export.is_part = not fields.keys().isdisjoint(UNPROCESSED)
    if named := AWS_NAME.match(path.name):
        export.account_region = named[1], named[2]
        with suppress(TypeError, ValueError):  # a history, or a name that tells no time
            export.time = datetime.strptime(named[3] + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
    return export


def stream_items(export: Export) -> Iterator[JsonObject]:
    """Yield the items of a file as they stand there."""
    with open_export(export.path) as file:
        for item in ijson.items(file, export.prefix):
            value = parse(item) if export.prefix == QUERY else item
            if not isinstance(value, dict):
                raise ValueError(f"{export.path} must be {FORMS}.")
            yield value


# Items


def to_event_form(item: JsonObject) -> JsonObject:
    """Return the item with the names that events have, its configuration an object."""
    item = {EVENT_NAMES.get(name, name): value for name, value in item.items()}
    if isinstance(item.get("configuration"), str):  # the API's form: what it holds is text too
        item["configuration"] = parse(item["configuration"] or "null")
        texts = item.get("supplementaryConfiguration") or {}
        item["supplementaryConfiguration"] = {name: parse(texts[name]) for name in texts}
    for name in (CAPTURED, "resourceCreationTime"):
        if item.get(name):
            item[name] = format_time(parse_time(name, item[name]))
    if isinstance(item.get("tags"), list):  # a query's; other services write Key and Value
        tags = [{name.lower(): value for name, value in tag.items()} for tag in item["tags"]]
        item["tags"] = {tag.get("key"): tag.get("value") for tag in tags}
    for relationship in item.get("relationships") or []:
        if "relationshipName" in relationship:
            relationship["name"] = relationship["relationshipName"]
    return item


def parse(text: Any) -> Any:
    """Return what a JSON text says; any other value as it is."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def parse_time(name: str, value: Any) -> datetime:
    """Return the time of a field, an ISO text or a number; ValueError if nobody can read it."""
    try:
        if not isinstance(value, str):
            return datetime.fromtimestamp(float(value), UTC)
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be a time, not {value!r}") from None


def format_time(time: datetime) -> str:
    """Return the time as events have it: 2016-10-06T16:46:16.261Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def check_item(item: JsonObject, raw: JsonObject, names: Iterable[str], *, is_query: bool) -> None:
    """Raise a ValueError, in the words of the file's form, if one of the fields cannot be used."""
    is_api = is_query or not raw.keys().isdisjoint(EVENT_NAMES)
    for name in names:
        own_name = API_NAMES.get(name, name) if is_api else name
        if item.get(name) in (None, ""):
            fix = f": add {own_name} to the SELECT" if is_query else ""
            raise ValueError(f"{own_name} is missing{fix}")
        kind, noun = (dict, "an object") if name == "configuration" else (str, "a text")
        if not isinstance(item[name], kind):
            raise ValueError(f"{own_name} must be {noun}, not {item[name]!r:.100}")
