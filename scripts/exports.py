"""Read what AWS Config exports, in any of its forms: the newest item of each resource."""

import codecs
import gzip
import json
import re
import sqlite3
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import ijson
from tqdm import tqdm

from scripts.local_aws import CAPTURED
from scripts.stack import Json

FORMS = (
    "a configuration snapshot, a history file, a configuration item, or what `aws configservice` "
    "prints for get-resource-config-history, batch-get-resource-config, select-resource-config or "
    "their aggregate forms"
)
# Where ijson finds the items of a form, by the top-level field that the form is known by.
ITEMS, QUERY = "configurationItems", "Results.item"
PREFIXES = {
    ITEMS: f"{ITEMS}.item",
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

# A place is a file's account and Region, with a time if the file is their newest snapshot.
TABLES = """
CREATE TABLE item (file, account, region, type, id, captured, is_there, body);
CREATE TABLE place (file, account, region, time);
"""
OLDER_SNAPSHOTS = """
UPDATE place SET time = NULL WHERE time < (SELECT max(time) FROM place AS other
    WHERE other.account = place.account AND other.region = place.region)
"""
NEWEST_ITEMS = """
CREATE TABLE resource AS
SELECT item.account, item.region, type, id, max(captured) AS captured, is_there, item.rowid AS item,
    count(time) AS is_in_snapshot,
    coalesce(group_concat(DISTINCT iif(time, place.region, NULL)), place.region) AS regions
FROM item LEFT JOIN place ON place.file = item.file AND place.account = item.account
    AND item.region IN (place.region, 'global')
GROUP BY item.account, item.region, type, id
"""
# What the newest snapshot does not hold is gone, unless it was captured later. A global resource
# is gone if no snapshot of its account holds it and it is older than all of them.
GONE_RESOURCES = """
DELETE FROM resource WHERE NOT is_in_snapshot AND captured < (
    SELECT min(time) FROM place WHERE place.account = resource.account
    AND resource.region IN (place.region, 'global'))
"""
CHANGES = """
SELECT resource.type, body FROM resource JOIN item ON item.rowid = resource.item
WHERE body IS NOT NULL
ORDER BY resource.account, resource.region, resource.type, resource.id
"""
IDS = """
SELECT id FROM resource WHERE account = ? AND type = ? AND is_there AND (region = ?
    OR region = 'global' AND (regions IS NULL OR ',' || regions || ',' LIKE '%,' || ? || ',%'))
ORDER BY id
"""


# Files


@dataclass
class Export:
    """One file: what its top-level fields and its name say."""

    path: Path
    prefix: str  # where ijson finds the items
    is_snapshot: bool
    is_page: bool  # it has a nextToken
    place: tuple[str, str] | None = None  # account and Region, if AWS named the file
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
    fields: Json = {}  # the top-level ones; of lists and objects that they are there
    with open_export(path) as file:
        for prefix, event, value in ijson.parse(file):
            is_scalar = event in ("string", "number") and prefix != ""
            is_one = event == "start_map" and prefix in ("ConfigurationItem", *UNPROCESSED)
            if is_one or ("." not in prefix and (is_scalar or event == "start_array")):
                fields.setdefault(prefix, value)
            if fields.keys() >= {"configSnapshotId", ITEMS}:
                break
    prefixes = [prefix for name, prefix in PREFIXES.items() if name in fields]
    if not prefixes:
        raise ValueError(f"{path} must be {FORMS}.")
    is_page = bool(fields.get("nextToken") or fields.get("NextToken"))
    export = Export(path, prefixes[0], "configSnapshotId" in fields, is_page)
    export.is_part = not fields.keys().isdisjoint(UNPROCESSED)
    if named := AWS_NAME.match(path.name):
        export.place = named[1], named[2]
        with suppress(TypeError, ValueError):  # a history, or a name that tells no time
            export.time = datetime.strptime(named[3] + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
    return export


def read_items(export: Export) -> Iterator[Json]:
    """Yield the items of a file as they stand there."""
    with open_export(export.path) as file:
        for item in ijson.items(file, export.prefix):
            value = parse(item) if export.prefix == QUERY else item
            if not isinstance(value, dict):
                raise ValueError(f"{export.path} must be {FORMS}.")
            yield value


# Items


def to_event_form(item: Json) -> Json:
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


def check_item(item: Json, raw: Json, names: Iterable[str], *, is_query: bool) -> None:
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


# The record


class Record:
    """The newest item of each resource, in a temporary database: exports can be of any size."""

    def __init__(self, paths: Iterable[Path], resource_types: set[str] | None) -> None:
        """Read the files; keep the items of these types, or of all, and of others what lists need.

        ValueError: a file is no export, or an item of these types cannot be evaluated.
        """
        self.resource_types = resource_types
        self.incomplete: dict[str, str] = {}  # of another type, what is wrong with an item
        self.database = sqlite3.connect("")
        weakref.finalize(self, self.database.close)
        self.database.executescript(TABLES)
        self.exports = [read_form(path) for path in find_files(paths)]
        for number, export in enumerate(self.exports):
            rows = self.make_rows(number, export)
            self.database.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if export.is_page:
                self.check_page(number, export)
            places = self.find_places(number, export)
            self.database.executemany("INSERT INTO place VALUES (?, ?, ?, ?)", places)
        self.check_snapshots()
        self.database.execute(OLDER_SNAPSHOTS)
        self.database.execute(NEWEST_ITEMS)
        self.database.execute("CREATE INDEX by_type ON resource (account, type, id)")
        self.gone = self.database.execute(GONE_RESOURCES).rowcount

    def make_rows(self, number: int, export: Export) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each item of a file."""
        bar = tqdm(read_items(export), export.path.name, delay=1, disable=None, leave=False)
        for position, raw in enumerate(bar, 1):
            resource_type, item = str(raw.get("resourceType", "")), raw
            is_kept = self.resource_types is None or resource_type in self.resource_types
            try:
                if is_kept or "awsAccountId" not in raw:
                    item = to_event_form(raw)
                check_item(item, raw, NEEDED, is_query=export.prefix == QUERY)
                if is_kept and item["configurationItemStatus"] in ("OK", "ResourceDiscovered"):
                    check_item(item, raw, ["configuration"], is_query=export.prefix == QUERY)
                captured = parse_time(CAPTURED, item[CAPTURED]).timestamp()
            except (AttributeError, TypeError, ValueError) as ex:
                problem = f"{export.path}: item {position} ({raw.get('resourceId')}): {ex}."
                if is_kept or not resource_type:
                    raise ValueError(problem) from None
                self.incomplete[resource_type] = problem
                continue
            if is_kept:
                export.fields |= item.keys()
            is_there = "Deleted" not in item["configurationItemStatus"]
            body = json.dumps(item, default=float) if is_kept else None
            yield (number, *(item[name] for name in IDENTITY), captured, is_there, body)

    def check_page(self, number: int, export: Export) -> None:
        """Raise a ValueError unless the page is the first one of a resource's history."""
        query = "SELECT type, id, captured FROM item WHERE file = ? ORDER BY rowid"
        items = self.database.execute(query, [number]).fetchall()
        resources = {(resource_type, name) for resource_type, name, _captured in items}
        times = [captured for _type, _name, captured in items]
        is_newest_first = all(later > earlier for later, earlier in pairwise(times))
        if export.prefix == QUERY or len(resources) != 1 or len(times) < 2 or not is_newest_first:
            fix = "get all of them, without --limit and --max-items"
            raise ValueError(f"{export.path} has a nextToken, so it is one page of several: {fix}.")

    def find_places(self, number: int, export: Export) -> list[tuple[Any, ...]]:
        """Return the account and Region of a file, with a snapshot's time: of its name or items."""
        if export.place:
            return [(number, *export.place, export.time if export.is_snapshot else None)]
        if not export.is_snapshot:
            return []
        query = "SELECT file, account, region, max(captured) FROM item WHERE file = ? GROUP BY 2, 3"
        found = self.database.execute(query, [number]).fetchall()
        # IAM's items, for example, are of all Regions: global.
        return [place for place in found if place[2] != "global"] or found

    def check_snapshots(self) -> None:
        """Raise a ValueError if nobody can tell which snapshot of a place is the newest."""
        query = "SELECT group_concat(file) FROM place WHERE time GROUP BY account, region"
        for (numbers,) in self.database.execute(query):
            several = [self.exports[int(number)] for number in numbers.split(",")]
            if len(several) > 1 and not all(export.time for export in several):
                names = " and ".join(str(export.path) for export in several)
                fix = "keep the names that AWS gives, or leave one out"
                raise ValueError(f"{names} are snapshots of one account and Region: {fix}.")

    def list_notes(self) -> Iterator[str]:
        """Yield what was left out, and what a rule may read and no item of a file has."""
        if self.gone:
            where = "in the newest snapshot of their account and Region"
            yield f"Left out because they are not {where}: {self.gone}."
        for path in [each.path for each in self.exports if each.is_part]:
            yield f"{path} lacks resources: it names some that AWS Config did not process."
        for name in ("relationships", "supplementaryConfiguration", "tags"):
            paths = [each.path for each in self.exports if each.fields and name not in each.fields]
            if paths:
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                yield f"No {name} in {paths[0]}{more}: a rule that reads them finds none."

    def list_changes(self, resource_types: list[str]) -> Iterator[Json]:
        """Yield the newest item of each resource of these types; of all, if there are none."""
        for resource_type, body in self.database.execute(CHANGES):
            if not resource_types or resource_type in resource_types:
                yield json.loads(body)

    def list_accounts(self) -> list[tuple[str, str, float]]:
        """Return the account, Region and time of each newest snapshot."""
        query = "SELECT account, region, time FROM place WHERE time ORDER BY account, region"
        return self.database.execute(query).fetchall()

    def list_ids(self, account: str, region: str, resource_type: str) -> list[str]:
        """Return the ids of an account's resources; ValueError if an item lacks what this needs."""
        if problem := self.incomplete.get(resource_type):
            raise ValueError(problem)
        values = (account, resource_type, region, region)
        return [name for (name,) in self.database.execute(IDS, values)]
