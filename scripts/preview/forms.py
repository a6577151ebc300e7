"""The forms in which people hold configuration items, known by what a JSON text begins with."""

import json
import re
from collections import Counter, deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from scripts.preview.files import NotExportError, read_chunks
from scripts.sample_items import CAPTURED
from scripts.template import JsonObject

FORMS = (
    "a configuration snapshot, a history file, a configuration item, a change notification, or "
    "what `aws configservice` prints for get-resource-config-history, batch-get-resource-config, "
    "select-resource-config or their aggregate forms"
)
LOOKAHEAD = 16  # chunks in which a text shows what it is
# The lists that are read element by element, by their top-level field; "" is a list without one.
ITEM_LISTS = ("configurationItems", "baseConfigurationItems", "BaseConfigurationItems")
RESULTS = "Results"  # of a query
MESSAGE_LISTS = ("Records", "Messages")  # of SQS: as Lambda gets them, and as the CLI prints them
LISTS = (*ITEM_LISTS, RESULTS, *MESSAGE_LISTS, "")
# What an item is wrapped in, one in another: a notification, a Lambda event, EventBridge, SNS, SQS.
NOTIFIED = ("configurationItem", "ConfigurationItem", "invokingEvent")
WRAPPERS = (*NOTIFIED, "detail", "Sns", "Message", "body", "Body")
ITEM_FIELDS = {"awsAccountId", "resourceType", "resourceId", "configurationItemStatus", CAPTURED}
MESSAGE_FIELDS = {*ITEM_FIELDS, *WRAPPERS, "messageType"}
OWN_FIELDS = {*LISTS[:-1], *MESSAGE_FIELDS, "fileVersion", "configSnapshotId"}
POWERSHELL = (
    "is what PowerShell's cmdlets print, whose fields have other names: export with the AWS CLI "
    "(aws configservice select-resource-config)"
)
OTHER_FORM = f"is of another form: it must be {FORMS}"
OTHER_KIND = "of another kind"
UNREAD = "?"  # in place of a list's name: of a text of another form nothing is read
UNPROCESSED = ("unprocessedResourceKeys.item", "UnprocessedResourceIdentifiers.item")
# ACCOUNT_Config_REGION_ConfigSnapshot_20261105T091527Z_ID.json.gz, ..._ConfigHistory_TYPE_...
AWS_NAME = re.compile(
    r"(\d{12})_Config_([a-z0-9-]+)_(?:ConfigSnapshot_(\d{8}T\d{6}Z)|ConfigHistory|ChangeNotif)"
)


@dataclass
class Export:
    """A JSON text with a list of items, or all texts of a file that are an item or a message."""

    path: Path
    account_region: tuple[str, str] | None = None  # account and Region, if AWS named the file
    time: float | None = None  # of a snapshot that AWS named
    top_level: JsonObject = field(default_factory=dict)  # complete when the items have been read
    is_query: bool = False
    has_lambda_event: bool = False
    messages: Counter[str] = field(default_factory=Counter)  # those without an item, by their kind
    item_fields: set[str] = field(default_factory=set)  # of the items that are kept
    has_items: bool = False
    item_region: str = ""  # of the item that was read last: what it is wrapped in tells it
    items: Iterator[JsonObject] = field(default_factory=lambda: iter(()))

    @property
    def snapshot_id(self) -> str:
        """Return what AWS Config calls the snapshot; nothing if it is none."""
        return str(self.top_level.get("configSnapshotId") or "")

    @property
    def is_page(self) -> bool:
        """Return whether the answer goes on."""
        return bool(self.top_level.get("nextToken") or self.top_level.get("NextToken"))

    @property
    def is_part(self) -> bool:
        """Return whether AWS Config did not answer for all resources that were asked for."""
        return not self.top_level.keys().isdisjoint(UNPROCESSED)


class TopLevel:
    """The fields of a JSON text, or of the elements of a list.

    A field has its string or number, True for anything else, and None for null.
    """

    def __init__(self) -> None:
        """Begin a text."""
        self.fields: JsonObject = {}
        self.lists: list[str] = []  # those that are read element by element
        self.events = ijson.sendable_list()
        self.parser = ijson.parse_coro(self.events)

    def send(self, chunk: bytes) -> None:
        """Read on. ijson.JSONError: the chunk is no JSON, or it begins the next text."""
        try:
            self.parser.send(chunk)
        finally:
            for prefix, event, value in self.events:
                self.note(prefix, event, value)
            self.events.clear()

    def note(self, prefix: str, event: str, value: Any) -> None:
        """Note what the parser came to."""
        if event == "start_array" and prefix in LISTS:
            self.lists.append(prefix)
        if "" in self.lists:
            prefix = "" if prefix == "item" else prefix.removeprefix("item.")
        if event == "map_key" and not prefix:
            self.fields.setdefault(value, None)
        elif event != "null" and (prefix in UNPROCESSED or prefix in self.fields):
            self.fields[prefix] = value if event in ("string", "number") else True


class Reader:
    """A file for ijson, of which the next chunks can be looked at, and the last one read again."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Read these chunks; a JSON text begins with a chunk."""
        self.chunks = chunks
        self.next_chunks: deque[bytes] = deque()
        self.last_chunk = b""
        self.number = 0  # of the chunks of a text that were read
        self.top_level: TopLevel | None = None  # is sent what ijson reads

    def look_ahead(self) -> Iterator[bytes]:
        """Yield chunks that are to be read."""
        yield from list(self.next_chunks)
        for chunk in self.chunks:
            self.next_chunks.append(chunk)
            yield chunk

    def read(self, size: int) -> bytes:
        """Return the next chunk, whatever its size; nothing if nothing is asked for."""
        if not size:
            return b""
        self.last_chunk = self.next_chunks.popleft() if self.next_chunks else next(self.chunks, b"")
        self.number += 1
        if self.top_level and self.last_chunk:
            self.top_level.send(self.last_chunk)
        return self.last_chunk


def read_exports(path: Path) -> Iterator[Export]:
    """Yield what a file holds, in one pass: its items have to be read before the next.

    NotExportError: nothing that AWS Config exports. ValueError: a file that is damaged, or a form
    that is not read.
    """
    reader = Reader(read_chunks(path))
    is_empty = True
    export = begin_export(path)
    while next(reader.look_ahead(), b"").strip():
        is_empty = False
        if find_form(export, reader):
            yield export
            export = begin_export(path)
    if is_empty:
        raise NotExportError("is empty")
    if export.messages:
        yield export


def begin_export(path: Path) -> Export:
    """Return an export with what the file's name tells."""
    export = Export(path)
    if named := AWS_NAME.match(path.name):
        export.account_region = named[1], named[2]
        with suppress(TypeError, ValueError):  # no snapshot, or a name that tells no time
            time = datetime.strptime(f"{named[3]}+0000", "%Y%m%dT%H%M%SZ%z")
            export.time = time.timestamp()
    return export


def find_form(export: Export, reader: Reader) -> bool:
    """Let the export have its items, by what the next text begins with.

    Return whether it has any; a text of another form is passed over, and counted.
    """
    beginning = TopLevel()
    try:
        look_at(beginning, reader)
    except ijson.JSONError as ex:
        if not is_after_text(ex):
            raise explain_error(export.path, beginning, ex) from ex
    name = beginning.lists[0] if beginning.lists else None
    reader.number, reader.top_level = 0, None
    if name is None and MESSAGE_FIELDS.isdisjoint(beginning.fields):
        check_cmdlet_names(beginning.fields)
        export.messages[OTHER_KIND] += 1
        deque(stream_items(export, reader, UNREAD, beginning), maxlen=0)
        return False
    export.top_level = beginning.fields
    if name and "fileVersion" not in beginning.fields:
        reader.top_level = TopLevel()  # in answers of the API the other fields stand last
        export.top_level = reader.top_level.fields
    export.items = stream_items(export, reader, name, beginning)
    return True


def look_at(beginning: TopLevel, reader: Reader) -> None:
    """Read ahead until the text shows its form; ijson.JSONError as of TopLevel.send."""
    for chunk in islice(reader.look_ahead(), LOOKAHEAD):
        beginning.send(chunk)
        if any(beginning.lists) or not MESSAGE_FIELDS.isdisjoint(beginning.fields):
            return
    if len(reader.next_chunks) < LOOKAHEAD:  # the file has ended
        beginning.parser.close()


def is_after_text(error: ijson.JSONError) -> bool:
    """Return whether the text is whole, and only something after it is wrong."""
    return "trailing garbage" in str(error)


def explain_error(path: Path, beginning: TopLevel, error: ijson.JSONError) -> ValueError:
    """Return the error of a damaged export, or of a file that is none; it shows no raw bytes."""
    said = error.args[0]
    said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    reason = said.partition("\n")[0].removeprefix("parse error: ")
    if OWN_FIELDS.isdisjoint(beginning.fields):
        return NotExportError(f"is not JSON: {reason}")
    return ValueError(
        f"{path} is damaged, its JSON breaks off ({reason}): export or copy it again."
    )


def stream_items(
    export: Export, reader: Reader, name: str | None, beginning: TopLevel
) -> Iterator[JsonObject]:
    """Yield the items of a list, or without a name those of all texts to the file's end."""
    prefix = {None: "", "": "item"}.get(name, f"{name}.item")
    try:
        values = ijson.items(reader, prefix, multiple_values=name is None)
        for position, value in enumerate(values, 1):
            item = read_value(export, name, value, position)
            if item is not None:
                yield item
    except ijson.JSONError as ex:
        begins_text = reader.number > 1 and reader.last_chunk.lstrip().startswith((b"{", b"["))
        if not (is_after_text(ex) and begins_text):
            raise explain_error(export.path, beginning, ex) from ex
        reader.next_chunks.appendleft(reader.last_chunk)
    if name:
        check_one_list(export.path, reader.top_level or beginning)


def check_one_list(path: Path, text: TopLevel) -> None:
    """Raise a ValueError if a text has more than the list that is read."""
    names = {*text.lists, *(name for name in NOTIFIED if text.fields.get(name))}
    if len(names) > 1:
        fix = "give each a JSON text of its own"
        raise ValueError(f"{path} has {' and '.join(sorted(names))} in one JSON text: {fix}.")


def read_value(export: Export, name: str | None, value: Any, position: int) -> JsonObject | None:
    """Return the item that an element of the list is or holds; None if it is another message."""
    export.item_region = ""
    if name in ITEM_LISTS:
        if not isinstance(value, dict):
            raise ValueError(f"{export.path}: {name} must be objects, not {value!r:.100}.")
        return value
    row = parse(value) if name in (RESULTS, "") else value
    if isinstance(row, dict) and (isinstance(value, str) or is_row(row, name)):
        export.is_query = True
        return row
    check_lists(export.path, name, row)
    item = unwrap_item(export, row)
    if item is None and isinstance(row, dict):
        check_cmdlet_names(row)
        # Whoever writes such a list wraps every message; CloudTrail's logs are long.
        if name in MESSAGE_LISTS and position == 1 and MESSAGE_FIELDS.isdisjoint(row):
            raise NotExportError(OTHER_FORM)
    return item


def is_row(value: JsonObject, name: str | None) -> bool:
    """Return whether a query selected these fields: by the API's names, none of them as text."""
    if ITEM_FIELDS.isdisjoint(value):
        return False
    return name == RESULTS or (
        "accountId" in value and not isinstance(value.get("configuration"), str)
    )


def unwrap_item(export: Export, value: Any) -> JsonObject | None:
    """Return the item in a message, however wrapped; None, and counted, without one."""
    kind = OTHER_KIND
    while isinstance(value := parse(value), dict):
        if isinstance(value.get("messageType"), str):
            kind = value["messageType"]
        elif not ITEM_FIELDS.isdisjoint(value):
            return value
        if "invokingEvent" in value:
            export.has_lambda_event = True
        elif value.get("source", "aws.config") != "aws.config":  # EventBridge's, of other services
            break
        export.item_region = find_wrapper_region(value) or export.item_region
        wrapper = next((name for name in WRAPPERS if name in value), None)
        value = value[wrapper] if wrapper else None
    export.messages[kind] += 1
    return None


def find_wrapper_region(message: JsonObject) -> str:
    """Return the Region that an event of EventBridge, or of Lambda, tells; nothing without one."""
    region = message.get("region") if "detail" in message else None
    if isinstance(arn := message.get("configRuleArn"), str):
        region = next(islice(arn.split(":"), 3, None), None)
    return region if isinstance(region, str) else ""


def check_lists(path: Path, name: str | None, value: Any) -> None:
    """Raise a ValueError if lists of items stand where an item or a message does."""
    fields = value.keys() if isinstance(value, dict) else ()
    found = next((each for each in (*ITEM_LISTS, RESULTS) if each in fields), None)
    if name == "" and found:
        fix = f"jq '{{{found}: map(.{found}[])}}' {path} > items.json"
        raise ValueError(f"{path} is a list of pages: put their lists into one ({fix}).")
    if name is None and (found or isinstance(value, list)):
        raise ValueError(f"{path} mixes items and lists of them: give each a file of its own.")


def check_cmdlet_names(fields: Collection[str]) -> None:
    """Raise a NotExportError if the fields have the names that AWS's cmdlets give them."""
    if len({"AccountId", "ResourceId", "ResourceType"}.intersection(fields)) > 1:
        raise NotExportError(POWERSHELL)


def parse(text: Any) -> Any:
    """Return what a JSON text says; any other value as it is."""
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
