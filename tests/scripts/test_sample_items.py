"""configuration_items.json: in which forms it is read, and what is said of the rest."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.sample_items import read_recorded_items
from scripts.template import JsonObject
from tests.scripts.helpers import make_volume, name_as_api

EVENT_ITEM = make_volume(
    "vol-1",
    1,
    ARN="arn:aws:ec2:us-east-1:123456789012:volume/vol-1",
    configurationStateMd5Hash="8f1e",
    configurationItemVersion="1.3",
    resourceCreationTime="2026-11-05T09:15:27.482Z",
    resourceName=None,
    supplementaryConfiguration={"Policy": {"a": 1}, "Text": "plain"},
    relationships=[{"resourceId": "i-1", "name": "Is attached to"}],
)
API_ITEM = name_as_api(EVENT_ITEM) | {
    "relationships": [{"resourceId": "i-1", "relationshipName": "Is attached to"}]
}


def write_items(folder: Path, *items: Any) -> Path:
    path = folder / "configuration_items.json"
    path.write_text(json.dumps({"configurationItems": items}))
    return path


@pytest.mark.parametrize("item", [EVENT_ITEM, API_ITEM], ids=["an event's", "the API's"])
@pytest.mark.parametrize("is_zipped", [False, True], ids=["plain", "gzip"])
def test_item_is_read_in_either_form(item: JsonObject, is_zipped: bool, tmp_path: Path) -> None:
    path = write_items(tmp_path, item)
    if is_zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    seconds = 1793870127.482
    (read,) = read_recorded_items(tmp_path)
    assert read == {
        "resourceType": "AWS::EC2::Volume",
        "resourceId": "vol-1",
        "accountId": "123456789012",
        "awsRegion": "us-east-1",
        "arn": "arn:aws:ec2:us-east-1:123456789012:volume/vol-1",
        "configurationItemMD5Hash": "8f1e",
        "version": "1.3",
        "configurationItemStatus": "OK",
        "configurationItemCaptureTime": seconds,
        "resourceCreationTime": seconds,
        "configuration": '{"size": 1}',
        "supplementaryConfiguration": {"Policy": '{"a": 1}', "Text": '"plain"'},
        "tags": {"Name": "data"},
        "relationships": [{"resourceId": "i-1", "relationshipName": "Is attached to"}],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resourceType": None}, "resourceType is missing"),
        ({"resourceId": ""}, "resourceId is missing"),
        ({"configurationItemCaptureTime": None}, "configurationItemCaptureTime is missing"),
        (
            {"configurationItemCaptureTime": "yesterday"},
            "configurationItemCaptureTime must be a time, not 'yesterday'",
        ),
        ({"configurationItemCaptureTime": [1]}, "configurationItemCaptureTime must be a time"),
        ({"resourceCreationTime": {"at": 1}}, "resourceCreationTime must be a time, not {'at': 1}"),
        ({"resourceType": 5}, "resourceType must be a string, not 5"),
        ({"configurationItemStatus": ["OK"]}, "configurationItemStatus must be a string"),
        ({"configuration": [1]}, "configuration must be an object or its JSON string, not [1]"),
        ({"configuration": "{"}, "configuration must be an object or its JSON string, not '{'"),
        ({"supplementaryConfiguration": "x"}, "supplementaryConfiguration must be an object"),
        ({"tags": [{"key": "a"}]}, "tags must be an object, not [{'key': 'a'}]"),
        ({"relationships": {"a": 1}}, "relationships must be a list of objects, not {'a': 1}"),
        ({"relationships": ["i-1"]}, "relationships must be a list of objects, not ['i-1']"),
    ],
)
def test_item_that_cannot_be_read_is_named_in_one_sentence(
    changes: JsonObject, message: str, tmp_path: Path
) -> None:
    item = EVENT_ITEM | changes
    path = write_items(tmp_path, EVENT_ITEM, item)
    name = item["resourceId"] or "no resourceId"
    with pytest.raises(ValueError, match="item 2") as caught:
        read_recorded_items(tmp_path)
    assert str(caught.value).startswith(f"{path}: item 2 ({name}): {message}")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\xff\xfe\x80", " is neither JSON nor gzip."),
        (gzip.compress(b"{}")[:-9], ": Compressed file ended before"),
        (b"", ": Expecting value: line 1 column 1 (char 0)."),
        (b'{"configurationItems": {}}', " must hold the list configurationItems."),
        (
            b'{"configurationItems": ["x"]}',
            ": item 1 (no resourceId): it must be an object, not 'x'.",
        ),
    ],
    ids=["an archive", "half a file", "nothing", "no list", "no object"],
)
def test_file_of_items_that_cannot_be_read_is_named(
    content: bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "configuration_items.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}{message}')}"):
        read_recorded_items(tmp_path)
