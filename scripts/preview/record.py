"""The record: the newest item of each resource, of all files together."""

import json
import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from scripts.preview.files import NotExportError, find_files, is_regular
from scripts.preview.forms import AWS_NAME, OTHER_FORM, OTHER_KIND, Export, read_exports
from scripts.preview.items import (
    IDENTITY,
    NEEDED,
    OPTIONAL,
    SELECT,
    STATUS,
    find_missing,
    find_state_problem,
    list_odd_fields,
    parse_time,
    to_event_form,
)
from scripts.sample_items import API_NAMES, CAPTURED
from scripts.template import JsonObject

NAMES_SHOWN = 3
# An origin is a snapshot's account and Region: `named` is the time in its file's name, `newest`
# that of its newest item, `time` what counts, and nothing of a snapshot that is not the newest.
TABLES = """
CREATE TABLE item (
    export, account, region, type, id, captured, state, time, is_there, problem, body);
CREATE TABLE origin (export, account, region, snapshot, named, newest, time);
CREATE INDEX by_account_region ON origin (account, region);
"""
ADD_ITEM = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
# An item of all Regions (IAM's) belongs to the Region of its file, or of the event that it is in;
# of a snapshot that AWS did not name, to the Region of its other items.
REGION_OF_SNAPSHOT = """
UPDATE item SET region = :region
WHERE export = :export AND account = :account AND region = 'global'
"""
# Files with one snapshot id are parts or copies of one snapshot.
SNAPSHOT_TIMES = """
UPDATE origin SET time = coalesce(named, (SELECT coalesce(max(named), max(newest))
    FROM origin AS part WHERE part.snapshot = origin.snapshot
    AND part.account = origin.account AND part.region = origin.region))
"""
OLDER_SNAPSHOTS = """
UPDATE origin SET time = NULL WHERE time < (SELECT max(time) FROM origin AS other
    WHERE other.account = origin.account AND other.region = origin.region)
"""
# Of two items of one moment the one with the greater configurationStateId is the later one. An
# item whose time nobody can read may be the newest, so its error must show.
NEWEST_ITEMS = """
CREATE TABLE resource AS
SELECT account, region, type, id, captured, is_there, problem, item, is_in_snapshot FROM (
    SELECT account, region, type, id, captured, is_there, problem, rowid AS item,
        max(export IN (SELECT export FROM origin WHERE time)) OVER same AS is_in_snapshot,
        row_number() OVER (same ORDER BY captured IS NULL DESC, captured DESC, state DESC) AS rank
    FROM item WINDOW same AS (PARTITION BY account, region, type, id))
WHERE rank = 1
"""
# Without a file's Region an item stays global; it says nothing new if a Region has a later one.
SUPERSEDED = """
DELETE FROM resource WHERE region = 'global' AND EXISTS (SELECT 1 FROM resource AS other
    WHERE other.account = resource.account AND other.type = resource.type
    AND other.id = resource.id AND other.region != 'global' AND other.captured >= resource.captured)
"""
# So what is left may be news that a Region's row lacks.
LATER_GLOBAL = """
SELECT DISTINCT resource.id, resource.account FROM resource JOIN resource AS other
    ON other.account = resource.account AND other.type = resource.type AND other.id = resource.id
WHERE resource.region = 'global' AND other.region != 'global' ORDER BY 2, 1
"""
# What the newest snapshot does not hold counts as deleted, unless it was captured later. A global
# resource counts as deleted if it is older than all snapshots of its account.
GONE = """
DELETE FROM resource WHERE NOT is_in_snapshot AND captured < (SELECT min(time) FROM origin
    WHERE origin.account = resource.account AND resource.region IN (origin.region, 'global'))
RETURNING type, id, account, region
"""
CHANGES = """
SELECT resource.account, resource.region, resource.type, resource.id, time, body, item.problem
FROM resource JOIN item ON item.rowid = resource.item
WHERE body IS NOT NULL
ORDER BY resource.account, resource.region, resource.type, resource.id
"""
# A global resource belongs to every Region, unless a Region's file tells of it.
LISTED_IDS = """
SELECT id, is_there, problem FROM resource
WHERE account = :account AND type = :type AND (region = :region OR region = 'global'
    AND NOT EXISTS (SELECT 1 FROM resource AS other WHERE other.account = resource.account
    AND other.type = resource.type AND other.id = resource.id AND other.region != 'global'))
ORDER BY id
"""


class Change(NamedTuple):
    """The newest item of a resource."""

    account: str
    region: str  # of its file, if the item is of all Regions
    resource_type: str
    resource_id: str
    time: str  # when it was captured
    item: str  # as JSON
    problem: str | None  # why nobody can tell its state, or when it had it


class Record:
    """The newest item of each resource, in a temporary database: exports can be of any size."""

    def __init__(self, paths: Iterable[Path], resource_types: set[str] | None) -> None:
        """Read the files; keep the items of these types, or of all, and of others what lists need.

        ValueError: a file that was named is no export, one is damaged, two contradict each other,
        or nobody can tell which resource an item is of.
        """
        self.resource_types = resource_types
        self.database = sqlite3.connect("")
        weakref.finalize(self, self.database.close)
        self.database.executescript(TABLES)
        self.exports: list[Export] = []
        self.others: dict[Path, str] = {}  # the files that are no export, and what they are
        self.odd_fields = Counter[str]()  # those of another kind, by their name
        self.odd_examples: dict[str, str] = {}  # what is wrong with the first one
        paths = list(paths)
        for path, is_named in find_files(paths).items():
            self.read_file(path, is_named=is_named)
        if not self.exports:
            names = " and ".join(map(str, paths))
            raise ValueError(
                f"{names} holds no export of AWS Config, only {self.describe_others()}."
            )
        self.choose_snapshots()
        self.choose_items()

    # Reading

    def read_file(self, path: Path, *, is_named: bool) -> None:
        """Read what a file holds; NotExportError if nothing, unless it only lies in a folder."""
        first = len(self.exports)
        try:
            if not is_named and not is_regular(path):
                raise NotExportError("is no regular file")
            for export in read_exports(path):
                self.read_export(export)
            check_messages(self.exports[first:])
        except NotExportError as ex:
            if is_named:
                raise NotExportError(f"{path} {ex}.") from ex
            if any(export.has_items for export in self.exports[first:]):
                raise ValueError(f"{path}: after an export it {ex}.") from ex
            reason = str(ex).partition(":")[0]
            if AWS_NAME.match(path.name):
                fix = "unpack it, copy it again, or leave it out"
                raise ValueError(
                    f"{path} {reason}, but AWS Config names its files so: {fix}."
                ) from ex
            del self.exports[first:]
            self.others[path] = reason

    def read_export(self, export: Export) -> None:
        """Read the items of an export."""
        number = len(self.exports)
        self.exports.append(export)
        rows = self.build_item_rows(number, export)
        self.database.executemany(ADD_ITEM, rows)
        if export.is_query:
            check_query(export)
        if export.is_page:
            self.check_page(number, export)
        if export.snapshot_id:
            self.note_snapshot(number, export)

    def build_item_rows(self, number: int, export: Export) -> Iterator[tuple[Any, ...]]:
        """Yield a row for each item of an export."""
        bar = tqdm(export.items, export.path.name, delay=1, disable=None, leave=False)
        for position, raw in enumerate(bar, 1):
            resource_type = raw.get("resourceType")
            is_kept = self.resource_types is None or (
                isinstance(resource_type, str) and resource_type in self.resource_types
            )
            item = to_event_form(raw) if is_kept or "awsAccountId" not in raw else raw
            try:
                account, region, *resource = read_identity(item, export)
            except ValueError as ex:
                raise ValueError(f"{locate(export, position, raw)}{ex}") from None
            if region == "global" and export.account_region:
                region = export.account_region[1]
            elif region == "global" and export.item_region:
                region = export.item_region
            captured = parse_time(item.get(CAPTURED))
            if problem := find_state_problem(item, captured):
                problem = f"{locate(export, position, raw)}: {problem}"
            body = self.write_item(item, export, position) if is_kept else None
            export.has_items = True
            yield (
                number,
                account,
                region,
                *resource,
                captured.timestamp() if captured else None,
                read_state(item),
                str(item.get(CAPTURED) or ""),
                "Deleted" not in str(item.get(STATUS)),
                problem,
                body,
            )

    def write_item(self, item: JsonObject, export: Export, position: int) -> str:
        """Return the item as JSON; note the fields that it has, and those of another kind."""
        export.item_fields |= item.keys()
        for name, reason in list_odd_fields(item):
            self.odd_fields[name] += 1
            self.odd_examples.setdefault(name, f"{locate(export, position, item)}: {reason}")
        return json.dumps(item, default=float)

    def check_page(self, number: int, export: Export) -> None:
        """Raise a ValueError unless the page is the first one of a resource's history."""
        query = "SELECT type, id, captured FROM item WHERE export = ? ORDER BY rowid"
        items = self.database.execute(query, [number]).fetchall()
        resources = {(resource_type, name) for resource_type, name, _captured in items}
        times = [captured or 0 for _type, _name, captured in items]
        is_newest_first = all(later > earlier for later, earlier in pairwise(times))
        if export.is_query or len(resources) != 1 or len(times) < 2 or not is_newest_first:
            fix = "get all of them, without --limit and --max-items"
            raise ValueError(f"{export.path} has a nextToken, so it is one page of several: {fix}.")

    def note_snapshot(self, number: int, export: Export) -> None:
        """Note the account and the Region of a snapshot: those of its name, or of its items."""
        query = "SELECT account, region, max(captured) FROM item WHERE export = ? GROUP BY 1, 2"
        found = self.database.execute(query, [number]).fetchall()
        if export.account_region:
            newest = max((captured for *_rest, captured in found if captured), default=0)
            origins = [(*export.account_region, newest)]
        else:
            origins = [each for each in found if each[1] != "global"] or found
        for account in {account for account, *_rest in origins}:
            regions = [region for other, region, _newest in origins if other == account]
            if len(regions) == 1:
                values = {"export": number, "account": account, "region": regions[0]}
                self.database.execute(REGION_OF_SNAPSHOT, values)
        rows = [
            (number, *origin[:2], export.snapshot_id, export.time, origin[2]) for origin in origins
        ]
        self.database.executemany("INSERT INTO origin VALUES (?, ?, ?, ?, ?, ?, NULL)", rows)

    # Choosing

    def choose_snapshots(self) -> None:
        """Let the newest snapshot of each account and Region count.

        ValueError: nobody can tell which of several it is.
        """
        self.database.execute(SNAPSHOT_TIMES)
        query = (
            "SELECT account, region, snapshot, max(named), min(export) FROM origin GROUP BY 1, 2, 3"
        )
        known: dict[tuple[str, str], tuple[float | None, int]] = {}
        for account, region, _snapshot, named, export in self.database.execute(query):
            other = known.setdefault((account, region), (named, export))
            if other[1] != export and None in (named, other[0]):
                paths = sorted(str(self.exports[number].path) for number in (other[1], export))
                fix = "keep the names that AWS gives, or leave one out"
                snapshots = f"different snapshots of {account} in {region}"
                raise ValueError(f"{' and '.join(paths)} are {snapshots}: {fix}.")
        self.database.execute(OLDER_SNAPSHOTS)

    def choose_items(self) -> None:
        """Let the newest item of each resource count, unless the newest snapshot lacks it."""
        self.database.execute(NEWEST_ITEMS)
        self.database.execute("CREATE INDEX by_type ON resource (account, type, id)")
        self.database.execute(SUPERSEDED)
        self.gone = 0
        self.gone_examples: list[str] = []
        for resource_type, resource_id, account, region in self.database.execute(GONE):
            if self.resource_types is None or resource_type in self.resource_types:
                self.gone += 1
                if self.gone <= NAMES_SHOWN:
                    self.gone_examples.append(f"{show(resource_id)} of {account} in {region}")
        query = "SELECT type, count(*) FROM resource GROUP BY type ORDER BY type"
        self.types: dict[str, int] = dict(self.database.execute(query).fetchall())

    # Telling

    def describe_others(self) -> str:
        """Return how many files are no export, and what the first ones are."""
        number = len(self.others)
        names = name_first((f"{path} {reason}" for path, reason in self.others.items()), number)
        return f"{number:,} other file{'' if number == 1 else 's'}{f' ({names})' if names else ''}"

    def list_others(self) -> Iterator[str]:
        """Yield a sentence for each reason for which files were not read."""
        for reason, number in Counter(self.others.values()).items():
            names = name_first(
                (str(path) for path in self.others if self.others[path] == reason), number
            )
            which = "it" if number == 1 else "each"
            files = f"{number:,} file{'' if number == 1 else 's'}"
            yield f"Not read, because {which} {reason}: {files} ({names})."

    def list_notes(self) -> Iterator[str]:
        """Yield what was left out, and what a rule may read and no item of a file has."""
        yield from self.list_others()
        for export in self.exports:
            if number := export.messages.total():
                kinds = ", ".join(map(show, sorted(export.messages)))
                messages = f"{number:,} message{'' if number == 1 else 's'}"
                yield f"{export.path} has {messages} without a configuration item ({kinds})."
        if events := [export.path for export in self.exports if export.has_lambda_event]:
            only = "only its configuration item is previewed"
            yield f"{name_paths(events)}: {only} (make run EVENT={events[0]} runs the event)."
        if number := self.gone:
            names = name_first(self.gone_examples, number)
            where = "in the newest snapshot of their account and Region"
            yield f"Left out because they are not {where}: {number:,} ({names})."
        if later := self.database.execute(LATER_GLOBAL).fetchall():
            names = name_first(
                (f"{show(name)} of {account}" for name, account in later), len(later)
            )
            what = "A later item tells no Region, so the earlier one of a Region may be old"
            yield f"{what}: {len(later):,} ({names})."
        for export in self.exports:
            if export.is_part:
                fix = "it names some that AWS Config did not process"
                yield f"{export.path} lacks resources: {fix}."
        for name in OPTIONAL:
            known = [export for export in self.exports if export.item_fields]
            lacking = [export for export in known if name not in export.item_fields]
            if lacking:
                fix = f"; add {name} to the SELECT" if lacking[0].is_query else ""
                paths = name_paths([export.path for export in lacking])
                yield f"No {name} in {paths}: a rule that reads them finds none{fix}."
        for name, number in self.odd_fields.items():
            more = f", as in {number - 1:,} more items" if number > 1 else ""
            yield f"{self.odd_examples[name]}{more}: a rule that reads it may fail."

    def list_changes(self, resource_types: list[str]) -> Iterator[Change]:
        """Yield the newest item of each resource of these types; of all, if there are none."""
        for change in map(Change._make, self.database.execute(CHANGES)):
            if not resource_types or change.resource_type in resource_types:
                yield change

    def list_snapshots(self) -> list[tuple[str, str, float]]:
        """Return the account, the Region and the time of each newest snapshot."""
        query = """SELECT account, region, max(time) FROM origin WHERE time
            GROUP BY account, region ORDER BY account, region"""
        return self.database.execute(query).fetchall()

    def list_account_regions(self) -> list[tuple[str, str]]:
        """Return the accounts and Regions of all resources."""
        query = "SELECT DISTINCT account, region FROM resource ORDER BY account, region"
        return self.database.execute(query).fetchall()

    def list_ids(self, account: str, region: str, resource_type: str) -> list[str]:
        """Return the ids of an account's resources; ValueError if an item lacks what this needs."""
        values = {"account": account, "region": region, "type": resource_type}
        ids = []
        for resource_id, is_there, problem in self.database.execute(LISTED_IDS, values):
            if problem:
                raise ValueError(f"{problem}.")
            if is_there:
                ids.append(resource_id)
        return ids


def show(value: Any) -> str:
    """Return a resource id as it can be printed."""
    text = str(value)
    return text if text.isprintable() and len(text) < 100 else f"{value!r:.100}"


def name_first(names: Iterable[str], number: int) -> str:
    """Return the first of so many names, and how many more there are."""
    first = ", ".join(islice(names, NAMES_SHOWN))
    return f"{first} and {number - NAMES_SHOWN:,} more" if number > NAMES_SHOWN else first


def name_paths(paths: list[Path]) -> str:
    """Return the first path, and how many more there are."""
    return f"{paths[0]} and {len(paths) - 1:,} more" if len(paths) > 1 else str(paths[0])


def locate(export: Export, position: int, item: JsonObject) -> str:
    """Return where an item stands, and the resource's id as it can be printed."""
    return f"{export.path}: item {position} ({show(item.get('resourceId'))})"


def describe_query(missing: list[str]) -> str:
    """Return what a query has to select, and did not."""
    names = ", ".join(API_NAMES.get(name, name) for name in missing)
    return f": the query did not select {names}: use SELECT {SELECT}."


def check_messages(exports: list[Export]) -> None:
    """Raise a NotExportError if a file holds messages, and none has a configuration item."""
    messages = sum((export.messages for export in exports), Counter[str]())
    if messages and not any(export.has_items for export in exports):
        is_event = any(export.has_lambda_event for export in exports)
        advice = f" (make run EVENT={exports[0].path} runs it)" if is_event else ""
        if messages.keys() == {OTHER_KIND} and not is_event:
            raise NotExportError(OTHER_FORM)
        kinds = ", ".join(map(show, sorted(messages)))
        raise NotExportError(f"holds no configuration item, only messages: {kinds}{advice}")


def check_query(export: Export) -> None:
    """Raise a ValueError if a query did not select what the rules need."""
    missing = [name for name in NEEDED if name not in export.item_fields]
    if export.item_fields and missing:
        raise ValueError(f"{export.path}{describe_query(missing)}")


def read_identity(item: JsonObject, export: Export) -> list[str]:
    """Return the account, Region, type and id of an item.

    ValueError, to be continued after where the item stands: nobody can tell which resource it is
    of, or the file's name tells another account or Region.
    """
    identity: list[str] = []
    for name in IDENTITY:
        value = item.get(name)
        if not value:
            raise explain_missing(item, export)
        if not isinstance(value, str):
            raise ValueError(f": {name} must be a string, not {value!r:.100}.")
        if name != "resourceId" and not value.isprintable():
            raise ValueError(f": {name} must be printable, not {value!r:.100}.")
        identity.append(value)
    if export.account_region:
        account, region = export.account_region
        if identity[0] != account or identity[1] not in (region, "global"):
            found = f"{identity[0]} in {identity[1]}"
            said = f"the file's name says {account} in {region}"
            raise ValueError(f" is of {found}, but {said}.")
    return identity


def explain_missing(item: JsonObject, export: Export) -> ValueError:
    """Return the error that names all fields that are missing."""
    if export.is_query:
        return ValueError(describe_query(find_missing(item, NEEDED)))
    missing = find_missing(item, IDENTITY)
    verb = "is" if len(missing) == 1 else "are"
    fields = ", ".join(missing)
    return ValueError(f": {fields} {verb} missing, which a configuration item must have.")


def read_state(item: JsonObject) -> float:
    """Return the configurationStateId, which grows from item to item; 0 if there is none."""
    try:
        return float(item.get("configurationStateId") or 0)
    except (TypeError, ValueError, OverflowError):
        return 0
