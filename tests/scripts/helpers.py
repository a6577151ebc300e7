"""What the tests of the commands share: recorded volumes, exports, and a small project."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts import check
from scripts.preview.record import Record
from scripts.sample_items import API_NAMES
from scripts.template import JsonObject, load_template
from tests.helpers import ABSENT


def make_volume(resource_id: str, size: int, **fields: Any) -> JsonObject:
    """Return a configuration item as snapshots have it."""
    item = {
        "resourceType": "AWS::EC2::Volume",
        "resourceId": resource_id,
        "awsAccountId": "123456789012",
        "awsRegion": "us-east-1",
        "configurationItemStatus": "OK",
        "configurationItemCaptureTime": "2026-11-05T09:15:27.482Z",
        "configuration": {"size": size},
        "tags": {"Name": "data"},
        "relationships": [],
        "supplementaryConfiguration": {},
    }
    return {name: value for name, value in {**item, **fields}.items() if value is not ABSENT}


def make_snapshot(*items: JsonObject) -> JsonObject:
    return {"fileVersion": "1.0", "configSnapshotId": "4f2", "configurationItems": items}


def make_history(*items: JsonObject) -> JsonObject:
    return {"fileVersion": "1.0", "configurationItems": items}


def name_as_api(item: JsonObject, *, is_text: bool = True) -> JsonObject:
    """Return the item with the names of the API, whose answers have texts and queries objects."""
    item = {API_NAMES.get(name, name): value for name, value in item.items()}
    if is_text:
        supplementary = item.get("supplementaryConfiguration", {})
        texts = {name: json.dumps(value) for name, value in supplementary.items()}
        item |= {"configuration": json.dumps(item["configuration"])}
        item |= {"supplementaryConfiguration": texts}
    return item


def list_items(record: Record) -> list[JsonObject]:
    """Return the items that a preview evaluates."""
    return [json.loads(change.item) for change in record.list_changes([])]


@dataclass
class Project:
    """A folder that the scripts take for the repository."""

    root: Path

    def write(self, name: str, content: Any) -> Path:
        """Write a file: text as it is, anything else as JSON."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text that the file has; without one, write the file anew."""
        before = (self.root / name).read_text() if old else ""
        assert old in before, f"{name} has no {old!r}"
        self.write(name, before.replace(old, new, 1) if old else new)

    def write_size_event(self, name: str, size: int) -> Path:
        """Write an event of a volume, its JSON texts as plain objects."""
        change = {"messageType": "ConfigurationItemChangeNotification"}
        event = {"invokingEvent": change | {"configurationItem": make_volume("vol-1", size)}}
        return self.write(name, event | {"ruleParameters": {"limit": 3}, "resultToken": "real"})


def find_problems(project: Project) -> Iterator[str]:
    """Yield what python -m scripts.check finds; whoever waits for one sentence stops there."""
    load_template.cache_clear()
    return (each.replace(f"{project.root}/", "") for each in check.find_problems())
