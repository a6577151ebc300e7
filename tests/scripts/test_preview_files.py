"""What AWS Config exports: every form is read, and the newest item of each resource counts."""

import codecs
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.preview.files import NEEDED
from scripts.preview.record import Record
from scripts.recorded_items import CAPTURED
from scripts.template import JsonObject
from tests.helpers import ABSENT
from tests.scripts.helpers import (
    Project,
    make_history,
    make_snapshot,
    make_volume,
    name_as_api,
)

VOLUME = "AWS::EC2::Volume"
ONE, OTHER = "123456789012", "111122223333"


# The forms, as AWS Config writes them


def print_history(*items: JsonObject, time: Any = "2026-11-05T09:15:27.482000+00:00") -> JsonObject:
    return {"configurationItems": [name_as_api(item) | {CAPTURED: time} for item in items]}


def print_select(*items: JsonObject) -> JsonObject:
    tags = [{"key": "Name", "value": "data", "tag": "Name=data"}]
    selected = [name_as_api(item, is_text=False) | {"tags": tags} for item in items]
    return {"Results": [json.dumps(each) for each in selected], "QueryInfo": {"SelectFields": []}}


FORMS: dict[str, Any] = {
    "snapshot": make_snapshot,
    "history file": make_history,
    "get-resource-config-history": print_history,
    "the same of CLI 1, with numbers": lambda item: print_history(item, time=1793870127.482),
    "select-resource-config": print_select,
    "batch-get-resource-config": lambda item: {"baseConfigurationItems": [name_as_api(item)]},
    "its aggregate": lambda item: {"BaseConfigurationItems": [name_as_api(item)]},
    "get-aggregate-resource-config": lambda item: {"ConfigurationItem": name_as_api(item)},
    "an item": lambda item: item,
    "a list of items": lambda item: [item],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_every_form_is_recognised_by_its_content_and_gets_the_form_of_events(
    form: Any, zipped: bool, project: Project
) -> None:
    supplementary = {"Attributes": {"autoEnable": True}, "Text": "plain"}
    more = {"ARN": "arn:aws:ec2:us-east-1:1:volume/vol-1", "configurationItemVersion": "1.3"}
    volume = make_volume("vol-1", 9, supplementaryConfiguration=supplementary, **more)
    path = project.write("items", form(volume))
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    (item,) = Record([path], {VOLUME}).list_changes([VOLUME])
    assert item == volume


def test_relationship_gets_the_name_that_events_have(project: Project) -> None:
    related = [{"resourceId": "i-1", "relationshipName": "Is attached to"}]
    volume = make_volume("vol-1", 1, relationships=related)
    path = project.write("items.json", print_history(volume))
    (item,) = Record([path], None).list_changes([])
    assert item["relationships"] == [related[0] | {"name": "Is attached to"}]


def test_tags_of_other_services_answers_are_read(project: Project) -> None:
    volume = make_volume("vol-1", 1, tags=[{"Key": "Name", "Value": "data"}])
    (item,) = Record([project.write("items.json", [volume])], None).list_changes([])
    assert item["tags"] == {"Name": "data"}


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
    ids=["UTF-16, as PowerShell", "a byte order mark", "CRLF"],
)
def test_file_of_another_system_is_read(encode: Any, project: Project) -> None:
    text = json.dumps(make_snapshot(make_volume("vol-ä", 1)), indent=1, ensure_ascii=False)
    path = project.root / "items.json"
    path.write_bytes(encode(text))
    assert [item["resourceId"] for item in Record([path], None).list_changes([])] == ["vol-ä"]


def test_folder_is_read_with_every_file_below_it(project: Project) -> None:
    project.write("day/22/a.json", make_history(make_volume("vol-1", 1)))
    zipped = project.write("day/23/b.json.gz", make_history(make_volume("vol-2", 1)))
    zipped.write_bytes(gzip.compress(zipped.read_bytes()))
    project.write("day/notes.txt", "none")
    empty = project.write("day/ConfigWritabilityCheckFile", "")
    record = Record([project.root / "day", empty], None)
    assert [item["resourceId"] for item in record.list_changes([])] == ["vol-1", "vol-2"]


# Which items count


def at(time: str, resource_id: str = "vol-1", size: int = 1, **fields: Any) -> JsonObject:
    """Return an item that was captured on 5 November at that time."""
    return make_volume(resource_id, size, **{CAPTURED: f"2026-11-05T{time}Z", **fields})


def name_snapshot(time: str, account: str = ONE, region: str = "us-east-1") -> str:
    return f"{account}_Config_{region}_ConfigSnapshot_20261105T{time.replace(':', '')}Z_4f2.json"


HISTORY = f"{ONE}_Config_us-east-1_ConfigHistory_AWS::EC2::Volume_20261105T010203Z_1.json"
NINE, TEN = name_snapshot("09:00:00"), name_snapshot("10:00:00")


WEST = name_snapshot("07:00:00", region="eu-west-1")
GLOBAL: JsonObject = {"awsRegion": "global"}
DELETED: JsonObject = {"configurationItemStatus": "ResourceDeleted"}
CASES: dict[str, tuple[dict[str, list[JsonObject]], dict[str, int], int]] = {
    "the newest item counts": (
        {"a": [at("08:00:00", size=7), at("09:00:00", size=8)]},
        {"vol-1": 8},
        0,
    ),
    "times are compared as times": (
        {"a": [at("09:00:00.500", size=8), at("09:00:00", size=9)]},
        {"vol-1": 8},
        0,
    ),
    "what the older snapshot alone holds is gone": (
        {NINE: [at("08:00:00"), at("08:00:00", "vol-2")], TEN: [at("08:00:00")]},
        {"vol-1": 1},
        1,
    ),
    "so is what was captured before and is not held": (
        {TEN: [at("08:00:00")], HISTORY: [at("09:59:59", "vol-2")]},
        {"vol-1": 1},
        1,
    ),
    "a deleted resource too": ({TEN: [], HISTORY: [at("09:59:59", **DELETED)]}, {}, 1),
    "but not what was captured at that time or later": (
        {TEN: [at("08:00:00")], HISTORY: [at("10:00:00", "vol-2", 2)]},
        {"vol-1": 1, "vol-2": 2},
        0,
    ),
    "a newer item replaces the snapshot's": (
        {TEN: [at("08:00:00")], HISTORY: [at("11:00:00", size=5)]},
        {"vol-1": 5},
        0,
    ),
    "an older one does not": (
        {TEN: [at("08:00:00", size=4)], HISTORY: [at("07:00:00", size=5)]},
        {"vol-1": 4},
        0,
    ),
    "a Region without a snapshot counts": (
        {TEN: [], "b": [at("08:00:00", awsRegion="eu-west-1")]},
        {"vol-1": 1},
        0,
    ),
    "each account has its own newest snapshot": (
        {TEN: [], name_snapshot("09:00:00", OTHER): [at("08:00:00", awsAccountId=OTHER)]},
        {"vol-1": 1},
        0,
    ),
    "a global resource that no snapshot holds is gone": (
        {TEN: [], "b": [at("08:00:00", **GLOBAL)]},
        {},
        1,
    ),
    "unless it is newer than one of them": (
        {TEN: [], WEST: [], "b": [at("08:00:00", **GLOBAL)]},
        {"vol-1": 1},
        0,
    ),
    "or one of them holds it": (
        {TEN: [at("05:00:00", **GLOBAL)], WEST: [], "b": [at("04:00:00", **GLOBAL)]},
        {"vol-1": 1},
        0,
    ),
}


@pytest.mark.parametrize(("files", "counted", "gone"), CASES.values(), ids=CASES)
def test_resource_counts_once_as_it_is_and_not_if_it_is_gone(
    files: dict[str, list[JsonObject]], counted: dict[str, int], gone: int, project: Project
) -> None:
    paths = []
    for name, items in files.items():
        form = make_snapshot if "Snapshot" in name else make_history
        paths.append(project.write(name, form(*items)))
    for order in (paths, paths[::-1]):
        record = Record(order, {VOLUME})
        items = list(record.list_changes([]))
        found = {item["resourceId"]: item["configuration"]["size"] for item in items}
        assert (found, record.gone) == (counted, gone)


def test_snapshot_without_awss_name_has_the_time_of_its_newest_item(project: Project) -> None:
    snapshot = project.write("mine.json", make_snapshot(at("08:00:00"), at("10:00:00", "vol-2")))
    others = [at("09:00:00", "vol-3"), at("10:00:00", "vol-4")]
    record = Record([snapshot, project.write("others.json", make_history(*others))], None)
    ids = [item["resourceId"] for item in record.list_changes([])]
    assert ids == ["vol-1", "vol-2", "vol-4"]
    note = "Left out because they are not in the newest snapshot of their account and Region: 1."
    assert next(record.list_notes()) == note


@pytest.mark.parametrize("other", ["other.json", TEN])
def test_two_snapshots_of_which_one_has_no_time_are_an_error(other: str, project: Project) -> None:
    paths = [project.write(name, make_snapshot(at("08:00:00"))) for name in ("mine.json", other)]
    message = re.escape(f"{paths[0]} and {paths[1]} are snapshots of one account and Region: keep")
    with pytest.raises(ValueError, match=f"^{message}"):
        Record(paths, None)


def test_ids_are_those_that_a_rule_would_list(project: Project) -> None:
    west = name_snapshot("10:00:00", region="eu-west-1")
    deleted = at("11:00:00", "vol-2", configurationItemStatus="ResourceDeleted")
    user: JsonObject = {"resourceType": "AWS::IAM::User", "awsRegion": "global"}
    record = Record(
        [
            project.write(TEN, make_snapshot(at("08:00:00"), at("08:00:00", "vol-2"))),
            project.write(west, make_snapshot(at("08:00:00", "ann", **user))),
            project.write(HISTORY, make_history(deleted, at("11:00:00", "vol-3"))),
            project.write("b.json", make_history(at("11:00:00", "bob", **user))),
        ],
        set(),
    )
    assert [place[:2] for place in record.list_accounts()] == [
        (ONE, "eu-west-1"),
        (ONE, "us-east-1"),
    ]
    assert record.list_ids(ONE, "us-east-1", VOLUME) == ["vol-1", "vol-3"]
    assert record.list_ids(ONE, "eu-west-1", VOLUME) == []
    # Global ones belong to the Regions whose snapshots hold them; of others nobody knows.
    assert record.list_ids(ONE, "eu-west-1", "AWS::IAM::User") == ["ann", "bob"]
    assert record.list_ids(ONE, "us-east-1", "AWS::IAM::User") == ["bob"]
    assert list(record.list_changes([])) == [], "of no type is a configuration kept"


# What cannot be used


PAGE = {"nextToken": "2"}
NEWEST_FIRST = [at("09:00:00"), at("08:00:00")]


@pytest.mark.parametrize(
    ("content", "is_accepted"),
    [
        (make_history(*NEWEST_FIRST) | PAGE, True),
        (make_history(*NEWEST_FIRST) | {"NextToken": "2"}, True),
        (make_history(*NEWEST_FIRST[::-1]) | PAGE, False),
        (make_history(NEWEST_FIRST[0]) | PAGE, False),
        (make_history(at("09:00:00"), at("08:00:00", "vol-2")) | PAGE, False),
        (print_select(*NEWEST_FIRST) | {"NextToken": "2"}, False),
    ],
    ids=["a history", "by its CLI", "oldest first", "one item", "two resources", "a query"],
)
def test_page_is_read_if_it_has_a_resources_newest_item(
    content: JsonObject, is_accepted: bool, project: Project
) -> None:
    path = project.write("items.json", content)
    if is_accepted:
        assert len(list(Record([path], None).list_changes([]))) == 1
    else:
        message = re.escape(f"{path} has a nextToken, so it is one page of several: get all")
        with pytest.raises(ValueError, match=f"^{message}"):
            Record([path], None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"resourceIdentifiers": []}, " must be a configuration snapshot, a history file, a conf"),
        ({"configurationItems": None}, " must be a configuration snapshot, a history file, a con"),
        ({"configurationItems": ["x"]}, " must be a configuration snapshot, a history file, a co"),
        ({"Results": ["{"]}, " must be a configuration snapshot, a history file, a configuration"),
        ('"text"', " must be a configuration snapshot, a history file, a configuration item, or"),
        (make_history(make_volume("v", 1, tags=["x"])), ": item 1 (v): 'str' object has no attr"),
        (make_history(at("08:00:00", resourceType=["x"])), "resourceType must be a text, not "),
        (make_history(at("08:00:00") | {CAPTURED: "0001-01-01T00:00:00+10:00"}), "must be a time"),
        (
            {"configurationItems": [{"version": "1", "resourceType": VOLUME}]},
            "accountId is missing",
        ),
        ("", " is not JSON: parse error: premature EOF"),
        ('{"configurationItems": [{]}', " is not JSON: "),
        *(
            (make_snapshot(make_volume("vol-1", 1, **{name: ABSENT})), f"{name} is missing.")
            for name in (*NEEDED, "configuration")
        ),
        (make_snapshot(make_volume("", 1)), ": item 1 (): resourceId is missing."),
        (make_snapshot(make_volume("v", 1, resourceId=5)), ": item 1 (5): resourceId must be a te"),
        (make_history(at("08:00:00"), at("noon")), ": item 2 (vol-1): configurationItemCaptureTim"),
        (make_history(make_volume("v", 1, configuration="{")), "configuration must be an object, "),
        (
            print_select(make_volume("vol-1", 1, awsAccountId=ABSENT)),
            ": item 1 (vol-1): accountId is missing: add accountId to the SELECT.",
        ),
    ],
)
def test_file_that_would_give_a_wrong_answer_is_an_error_that_names_file_item_and_field(
    content: Any, message: str, project: Project
) -> None:
    path = project.write("items.json", content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Record([path], {VOLUME} if "resourceType" not in message else None)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:20] + b"x" * 99])
def test_damaged_gzip_file_and_empty_folder_are_named(damage: Any, project: Project) -> None:
    path = project.write("items.json.gz", make_snapshot(make_volume("vol-1", 1)))
    path.write_bytes(damage(gzip.compress(path.read_bytes())))
    with pytest.raises(ValueError, match=r"items\.json\.gz is not a whole gzip file\."):
        Record([path], None)
    (project.root / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has no \.json or \.json\.gz file in it\."):
        Record([project.root / "empty"], None)


def test_incomplete_item_of_another_type_stops_the_lists_of_that_type_alone(
    project: Project,
) -> None:
    bucket = make_volume("b", 1, resourceType="AWS::S3::Bucket", configurationItemStatus=ABSENT)
    path: Path = project.write("items.json", make_snapshot(bucket, make_volume("vol-1", 1)))
    record = Record([path], {VOLUME})
    assert record.list_ids(ONE, "us-east-1", VOLUME) == ["vol-1"]
    with pytest.raises(ValueError, match=r"item 1 \(b\): configurationItemStatus is missing\."):
        record.list_ids(ONE, "us-east-1", "AWS::S3::Bucket")


@pytest.mark.parametrize("name", ["unprocessedResourceKeys", "UnprocessedResourceIdentifiers"])
def test_resources_that_were_not_processed_are_noted(name: str, project: Project) -> None:
    content = {"baseConfigurationItems": [name_as_api(make_volume("vol-1", 1))]}
    whole = project.write("a.json", content | {name: []})
    part = project.write("b.json", content | {name: [{"resourceId": "vol-2"}]})
    first, *_more = Record([whole, part], None).list_notes()
    assert first == f"{part} lacks resources: it names some that AWS Config did not process."


def test_fields_that_no_item_has_are_noted(project: Project) -> None:
    plain = make_volume("vol-1", 1, tags=ABSENT, supplementaryConfiguration={})
    paths = [project.write(f"{name}.json", make_history(plain)) for name in "ab"]
    bucket = make_volume("b", 1, resourceType="AWS::S3::Bucket", relationships=ABSENT)
    paths.append(project.write("c.json", make_history(bucket)))
    note = f"No tags in {paths[0]} and 1 more: a rule that reads them finds none."
    assert list(Record(paths, {VOLUME}).list_notes()) == [note]
