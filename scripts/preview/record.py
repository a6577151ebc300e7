"""The record: the newest item of each resource, of all files together."""

import json
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from tqdm import tqdm

from scripts.preview.files import (
    IDENTITY,
    NEEDED,
    QUERY,
    Export,
    check_item,
    find_files,
    parse_time,
    read_form,
    stream_items,
    to_event_form,
)
from scripts.recorded_items import CAPTURED
from scripts.template import JsonObject

# A file's account and Region, with a time if the file is their newest snapshot.
TABLES = """
CREATE TABLE item (file, account, region, type, id, captured, is_there, body);
CREATE TABLE origin (file, account, region, time);
"""
OLDER_SNAPSHOTS = """
UPDATE origin SET time = NULL WHERE time < (SELECT max(time) FROM origin AS other
    WHERE other.account = origin.account AND other.region = origin.region)
"""
NEWEST_ITEMS = """
CREATE TABLE resource AS
SELECT item.account, item.region, type, id, max(captured) AS captured, is_there, item.rowid AS item,
    count(time) AS is_in_snapshot,
    coalesce(group_concat(DISTINCT iif(time, origin.region, NULL)), origin.region) AS regions
FROM item LEFT JOIN origin ON origin.file = item.file AND origin.account = item.account
    AND item.region IN (origin.region, 'global')
GROUP BY item.account, item.region, type, id
"""
# What the newest snapshot does not hold is gone, unless it was captured later. A global resource
# is gone if no snapshot of its account holds it and it is older than all of them.
GONE_RESOURCES = """
DELETE FROM resource WHERE NOT is_in_snapshot AND captured < (
    SELECT min(time) FROM origin WHERE origin.account = resource.account
    AND resource.region IN (origin.region, 'global'))
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
            rows = self.build_item_rows(number, export)
            self.database.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            if export.is_page:
                self.check_page(number, export)
            found = self.find_account_regions(number, export)
            self.database.executemany("INSERT INTO origin VALUES (?, ?, ?, ?)", found)
        self.check_snapshots()
        self.database.execute(OLDER_SNAPSHOTS)
        self.database.execute(NEWEST_ITEMS)
        self.database.execute("CREATE INDEX by_type ON resource (account, type, id)")
        self.gone = self.database.execute(GONE_RESOURCES).rowcount

    def build_item_rows(self, number: int, export: Export) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each item of a file."""
        bar = tqdm(stream_items(export), export.path.name, delay=1, disable=None, leave=False)
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

    def find_account_regions(self, number: int, export: Export) -> list[tuple[Any, ...]]:
        """Return the account and Region of a file, with a snapshot's time: of its name or items."""
        if export.account_region:
            return [(number, *export.account_region, export.time if export.is_snapshot else None)]
        if not export.is_snapshot:
            return []
        query = "SELECT file, account, region, max(captured) FROM item WHERE file = ? GROUP BY 2, 3"
        found = self.database.execute(query, [number]).fetchall()
        # IAM's items, for example, are of all Regions: global.
        return [each for each in found if each[2] != "global"] or found

    def check_snapshots(self) -> None:
        """Raise a ValueError if nobody can tell which of several snapshots is the newest."""
        query = "SELECT group_concat(file) FROM origin WHERE time GROUP BY account, region"
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

    def list_changes(self, resource_types: list[str]) -> Iterator[JsonObject]:
        """Yield the newest item of each resource of these types; of all, if there are none."""
        for resource_type, body in self.database.execute(CHANGES):
            if not resource_types or resource_type in resource_types:
                yield json.loads(body)

    def list_accounts(self) -> list[tuple[str, str, float]]:
        """Return the account, Region and time of each newest snapshot."""
        query = "SELECT account, region, time FROM origin WHERE time ORDER BY account, region"
        return self.database.execute(query).fetchall()

    def list_ids(self, account: str, region: str, resource_type: str) -> list[str]:
        """Return the ids of an account's resources; ValueError if an item lacks what this needs."""
        if problem := self.incomplete.get(resource_type):
            raise ValueError(problem)
        values = (account, resource_type, region, region)
        return [name for (name,) in self.database.execute(IDS, values)]
