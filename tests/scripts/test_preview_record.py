"""Which items count: the newest of each resource, in its account and Region, if it is there."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.preview.record import Record
from scripts.sample_items import CAPTURED
from scripts.template import JsonObject
from tests.helpers import ABSENT
from tests.scripts.helpers import (
    Project,
    list_items,
    make_history,
    make_snapshot,
    make_volume,
    name_as_api,
)

VOLUME, ROLE = "AWS::EC2::Volume", "AWS::IAM::Role"
ONE, OTHER = "123456789012", "111122223333"


def at(time: str, resource_id: str = "vol-1", size: int = 1, **fields: Any) -> JsonObject:
    """Return an item that was captured on 5 November at that time."""
    return make_volume(resource_id, size, **{CAPTURED: f"2026-11-05T{time}Z", **fields})


def name_file(kind: str, time: str, account: str = ONE, region: str = "us-east-1") -> str:
    return f"{account}_Config_{region}_{kind}_20261105T{time.replace(':', '')}Z_4f2.json"


def name_snapshot(time: str, account: str = ONE, region: str = "us-east-1") -> str:
    return name_file("ConfigSnapshot", time, account, region)


HISTORY = name_file("ConfigHistory_AWS::EC2::Volume", "01:02:03")
CHANGE = name_file("ChangeNotification_AWS::EC2::Volume_vol-1", "11:00:00")
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
    "an older one is the same resource that one of them holds": (
        {TEN: [at("05:00:00", **GLOBAL)], WEST: [], "b": [at("04:00:00", **GLOBAL)]},
        {"vol-1": 1},
        0,
    ),
}


@pytest.mark.parametrize(("files", "counted", "gone"), CASES.values(), ids=CASES)
def test_resource_counts_once_and_not_after_its_deletion(
    files: dict[str, list[JsonObject]], counted: dict[str, int], gone: int, project: Project
) -> None:
    paths = []
    for name, items in files.items():
        form = make_snapshot if "Snapshot" in name else make_history
        paths.append(project.write(name, form(*items)))
    for order in (paths, paths[::-1]):
        record = Record(order, {VOLUME})
        items = list_items(record)
        found = {item["resourceId"]: item["configuration"]["size"] for item in items}
        assert (found, record.gone) == (counted, gone)


def test_unnamed_snapshot_has_the_time_of_its_newest_item(project: Project) -> None:
    snapshot = project.write("mine.json", make_snapshot(at("08:00:00"), at("10:00:00", "vol-2")))
    others = [at("09:00:00", "vol-3"), at("10:00:00", "vol-4")]
    record = Record([snapshot, project.write("others.json", make_history(*others))], None)
    ids = [item["resourceId"] for item in list_items(record)]
    assert ids == ["vol-1", "vol-2", "vol-4"]
    left_out = "Left out because they are not in the newest snapshot of their account and Region"
    assert next(record.list_notes()) == f"{left_out}: 1 (vol-3 of {ONE} in us-east-1)."


def with_id(content: JsonObject, snapshot_id: str) -> JsonObject:
    return content | {"configSnapshotId": snapshot_id}


@pytest.mark.parametrize("other", ["other.json", TEN])
def test_two_snapshots_one_without_a_time_are_an_error(other: str, project: Project) -> None:
    mine = project.write("mine.json", with_id(make_snapshot(at("08:00:00")), "1"))
    paths = [mine, project.write(other, with_id(make_snapshot(at("08:00:00")), "2"))]
    names = " and ".join(map(str, sorted(paths)))
    message = re.escape(f"{names} are different snapshots of {ONE} in us-east-1: keep the names")
    with pytest.raises(ValueError, match=f"^{message}"):
        Record(paths, None)


@pytest.mark.parametrize("copy", [f"copy/{TEN}", f"{TEN}.gz", "mine.json"])
def test_copy_of_a_snapshot_is_the_same_snapshot(copy: str, project: Project) -> None:
    content = make_snapshot(at("08:00:00"), at("08:00:00", "vol-2"))
    older = project.write(NINE, make_snapshot(at("08:00:00", "vol-9")) | {"configSnapshotId": "0"})
    record = Record([older, *(project.write(name, content) for name in (TEN, copy))], None)
    assert len(record.list_snapshots()) == 1
    assert record.list_ids(ONE, "us-east-1", VOLUME) == ["vol-1", "vol-2"]
    assert record.gone == 1


def test_parts_of_one_snapshot_are_one_snapshot(project: Project) -> None:
    parts = make_snapshot(at("08:00:00")), make_snapshot(at("09:00:00", "vol-2"))
    record = Record(
        [project.write(f"{number}.json", part) for number, part in enumerate(parts)], None
    )
    ((account, region, _time),) = record.list_snapshots()
    assert record.list_ids(account, region, VOLUME) == ["vol-1", "vol-2"]


@pytest.mark.parametrize("is_turned", [False, True], ids=["in order", "turned"])
@pytest.mark.parametrize("states", [(1, 2), ("9", "10"), (None, 1), ("x", 1.5)], ids=str)
def test_greater_state_id_counts_of_two_items_of_a_moment(
    states: tuple[Any, Any], is_turned: bool, project: Project
) -> None:
    sizes = zip((7, 8), states, strict=True)
    items = [at("08:00:00", size=size, configurationStateId=state) for size, state in sizes]
    path = project.write("items.json", items[::-1] if is_turned else items)
    (item,) = list_items(Record([path], None))
    assert item["configuration"]["size"] == 8


def test_oversized_notification_of_the_bucket_is_a_later_item(project: Project) -> None:
    message = {"messageType": "ConfigurationItemChangeNotification"}
    project.write(f"bucket/{TEN}", make_snapshot(at("08:00:00"), at("08:00:00", "vol-2")))
    changed = message | {"configurationItem": at("11:00:00", size=9)}
    project.write(f"bucket/OversizedChangeNotification/{CHANGE}", changed)
    record = Record([project.root / "bucket"], None)
    assert [item["configuration"]["size"] for item in list_items(record)] == [9, 1]
    assert record.list_ids(ONE, "us-east-1", VOLUME) == ["vol-1", "vol-2"]


def make_role(time: str, status: str = "OK", **fields: Any) -> JsonObject:
    fields |= {"resourceType": ROLE, "awsRegion": "global", "configurationItemStatus": status}
    return at(time, "one", **fields)


REGIONS: dict[str, tuple[dict[str, JsonObject], dict[str, str]]] = {
    "what one Region stopped recording another still records": (
        {
            NINE: make_snapshot(make_role("08:00:00")),
            name_file("ConfigHistory_AWS::IAM::Role", "10:00:00", region="eu-west-1"): (
                make_history(make_role("09:30:00", "ResourceNotRecorded"))
            ),
        },
        {"us-east-1": "OK", "eu-west-1": "ResourceNotRecorded"},
    ),
    "a Region's snapshot deletes it only there": (
        {
            NINE: make_snapshot(make_role("08:00:00")),
            name_snapshot("10:00:00", region="eu-west-1"): make_snapshot(),
            name_file("ConfigHistory_AWS::IAM::Role", "09:00:00", region="eu-west-1"): (
                make_history(make_role("08:30:00"))
            ),
        },
        {"us-east-1": "OK"},
    ),
    "an unnamed snapshot is of its other items' Region": (
        {"mine.json": make_snapshot(make_role("08:00:00"), at("09:00:00", awsRegion="eu-west-1"))},
        {"eu-west-1": "OK"},
    ),
    "without a file's Region it stays global": (
        {"items.json": make_history(make_role("08:00:00"))},
        {"global": "OK"},
    ),
    "a later item without a Region too": (
        {
            NINE: make_snapshot(make_role("08:00:00")),
            "items.json": make_history(make_role("10:00:00", "ResourceDeleted")),
        },
        {"us-east-1": "OK", "global": "ResourceDeleted"},
    ),
}


CHANGED = {"configurationItem": make_role("10:00:00", "ResourceDeleted")}
EVENTBRIDGE = {"source": "aws.config", "region": "us-east-1", "detail": CHANGED}
LAMBDA = {
    "invokingEvent": json.dumps(CHANGED),
    "configRuleArn": f"arn:aws:config:us-east-1:{ONE}:config-rule/config-rule-1",
}
EVENTS: dict[str, Any] = {
    "an event of EventBridge": EVENTBRIDGE,
    "the same in SQS": {"Records": [{"body": json.dumps(EVENTBRIDGE)}]},
    "an event of Lambda": LAMBDA,
    "a list of events": [EVENTBRIDGE],
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_global_resource_is_of_the_region_of_its_event(event: Any, project: Project) -> None:
    paths = [project.write(name, make_snapshot(make_role("08:00:00"))) for name in (NINE, WEST)]
    record = Record([*paths, project.write("event.json", event)], None)
    changes = {change.region: json.loads(change.item) for change in record.list_changes([ROLE])}
    assert changes.keys() == {"us-east-1", "eu-west-1"}
    assert changes["us-east-1"]["configurationItemStatus"] == "ResourceDeleted"
    assert record.list_ids(ONE, "us-east-1", ROLE) == []
    assert record.list_ids(ONE, "eu-west-1", ROLE) == ["one"]
    assert not [note for note in record.list_notes() if note.startswith("A later")]


@pytest.mark.parametrize(
    "form", [dict, lambda item: name_as_api(item, is_text=False)], ids=["an item", "a row"]
)
def test_item_after_an_event_is_not_of_its_region(form: Any, project: Project) -> None:
    role = make_role("10:00:00") | {"resourceId": "two"}
    path = project.write("items.json", [EVENTBRIDGE, form(role)])
    record = Record([path], None)
    places = {change.resource_id: change.region for change in record.list_changes([])}
    assert places == {"one": "us-east-1", "two": "global"}


@pytest.mark.parametrize(("time", "is_noted"), [("07:00:00", False), ("10:00:00", True)])
def test_later_item_of_no_region_is_noted(time: str, is_noted: bool, project: Project) -> None:
    paths = (
        project.write(NINE, make_snapshot(make_role("08:00:00"))),
        project.write("items.json", [make_role(time, "ResourceDeleted")]),
    )
    note = "A later item tells no Region, so the earlier one of a Region may be old: 1 (one of "
    notes = list(Record(paths, None).list_notes())
    assert notes == ([f"{note}{ONE})."] if is_noted else [])


@pytest.mark.parametrize(("files", "expected"), REGIONS.values(), ids=REGIONS)
def test_global_resource_is_of_the_region_of_its_file(
    files: dict[str, JsonObject], expected: dict[str, str], project: Project
) -> None:
    record = Record([project.write(name, content) for name, content in files.items()], None)
    changes = list(record.list_changes([ROLE]))
    items = [item for item in list_items(record) if item["resourceType"] == ROLE]
    statuses = [item["configurationItemStatus"] for item in items]
    assert dict(zip([change.region for change in changes], statuses, strict=True)) == expected
    assert {item["awsRegion"] for item in items} == {"global"}, "as AWS Config sends it"
    for region in ("us-east-1", "eu-west-1"):
        is_counted = region in expected or set(expected) == {"global"}
        assert record.list_ids(ONE, region, ROLE) == (["one"] if is_counted else [])


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
    assert [place[:2] for place in record.list_snapshots()] == [
        (ONE, "eu-west-1"),
        (ONE, "us-east-1"),
    ]
    assert record.list_ids(ONE, "us-east-1", VOLUME) == ["vol-1", "vol-3"]
    assert record.list_ids(ONE, "eu-west-1", VOLUME) == []
    # Global ones belong to the Regions whose snapshots hold them; of others nobody knows.
    assert record.list_ids(ONE, "eu-west-1", "AWS::IAM::User") == ["ann", "bob"]
    assert record.list_ids(ONE, "us-east-1", "AWS::IAM::User") == ["bob"]
    assert list(record.list_changes([])) == [], "of no type is a configuration kept"


def test_only_resources_in_the_rules_scopes_are_noted_as_gone(project: Project) -> None:
    bucket = at("08:00:00", "b", resourceType="AWS::S3::Bucket")
    project.write(f"bucket/{NINE}", make_snapshot(at("08:00:00"), at("08:00:00", "vol-2"), bucket))
    project.write(f"bucket/{TEN}", make_snapshot(at("08:00:00")))
    for types, gone in ((None, 2), ({VOLUME}, 1), ({"AWS::S3::Bucket", VOLUME}, 2), (set(), 0)):
        record = Record([project.root / "bucket"], types)
        assert record.gone == gone
        assert len(list(record.list_notes())) == bool(gone)


def test_whole_bucket_is_previewed_as_its_newest_items_say(project: Project) -> None:
    for account in (ONE, OTHER):
        for region in ("us-east-1", "eu-west-1"):
            where: JsonObject = {"awsAccountId": account, "awsRegion": region}
            items = at("08:00:00", **where), at("08:00:00", "vol-2", **where)
            gone = at("07:00:00", "vol-9", **where)
            deleted = at("11:00:00", "vol-2", **where, configurationItemStatus="ResourceDeleted")
            changed = at("10:30:00", size=9, **where)
            notification = {"messageType": "ConfigurationItemChangeNotification"}
            files: dict[str, Any] = {
                name_snapshot("09:00:00", account, region): make_snapshot(*items, gone),
                name_snapshot("10:00:00", account, region): make_snapshot(*items),
                name_file("ConfigHistory_AWS::EC2::Volume", "12:00:00", account, region): (
                    make_history(deleted, at("11:00:00", "vol-3", **where))
                ),
                name_file("ChangeNotification_vol-1", "10:30:00", account, region): (
                    notification | {"configurationItem": changed}
                ),
                f"{account}_CloudTrail_{region}.json": {"Records": [{"eventVersion": "1.08"}]},
            }
            for name, content in files.items():
                project.write(f"bucket/AWSLogs/{account}/Config/{region}/{name}", content)
        project.write(f"bucket/AWSLogs/{account}/Config/ConfigWritabilityCheckFile", "")
    record = Record([project.root / "bucket"], {VOLUME})
    found = [
        (item["resourceId"], item["configuration"]["size"], item["configurationItemStatus"])
        for item in list_items(record)
    ]
    deleted_one = ("vol-2", 1, "ResourceDeleted")
    assert found == [("vol-1", 9, "OK"), deleted_one, ("vol-3", 1, "OK")] * 4
    places = [place[:2] for place in record.list_snapshots()]
    assert places == [
        (each, region) for each in (OTHER, ONE) for region in ("eu-west-1", "us-east-1")
    ]
    assert [record.list_ids(*place, VOLUME) for place in places] == [["vol-1", "vol-3"]] * 4
    not_read, left_out = record.list_notes()
    assert not_read.startswith("Not read, because each is of another form: 4 files (")
    first = [f"vol-9 of {account} in {region}" for account, region in places[:3]]
    assert left_out.endswith(f"of their account and Region: 4 ({', '.join(first)} and 1 more).")


# What cannot be used


@pytest.mark.parametrize("types", [None, {VOLUME}], ids=["every type", "one type"])
@pytest.mark.parametrize("form", [make_snapshot, lambda *items: list(items)], ids=["file", "list"])
@pytest.mark.parametrize("name", ["awsAccountId", "awsRegion", "resourceType", "resourceId"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (ABSENT, "is missing, which a configuration item must have."),
        (None, "is missing, which a configuration item must have."),
        ("", "is missing, which a configuration item must have."),
        (5, "must be a string, not 5."),
        (["x"], "must be a string, not ['x']."),
    ],
    ids=["absent", "null", "empty", "a number", "a list"],
)
def test_item_of_nobody_knows_which_resource_stops_the_preview(
    value: Any, problem: str, name: str, form: Any, types: set[str] | None, project: Project
) -> None:
    item = make_volume("vol-2", 1, **{name: value})
    path = project.write("items.json", form(make_volume("vol-1", 1), item))
    with pytest.raises(ValueError, match=re.escape(f"{name} {problem}")) as caught:
        Record([path], types)
    assert str(caught.value).startswith(f"{path}: item 2 (")


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (at("08:00:00", awsAccountId=OTHER), f"{OTHER} in us-east-1"),
        (at("08:00:00", awsRegion="eu-west-1"), f"{ONE} in eu-west-1"),
    ],
    ids=["account", "Region"],
)
@pytest.mark.parametrize("name", [TEN, HISTORY, CHANGE])
def test_item_and_file_of_different_accounts_are_an_error(
    name: str, item: JsonObject, found: str, project: Project
) -> None:
    path = project.write(name, make_history(at("08:00:00", **GLOBAL), at("08:00:00"), item))
    message = f"item 3 (vol-1) is of {found}, but the file's name says {ONE} in us-east-1."
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path}: {message}')}$"):
        Record([path], None)


@pytest.mark.parametrize("name", ["awsAccountId", "awsRegion", "resourceType"])
def test_name_that_moves_the_cursor_is_an_error(name: str, project: Project) -> None:
    path = project.write("items.json", [make_volume("vol-1", 1, **{name: "a\x1b[1A"})])
    message = re.escape(f"{name} must be printable, not 'a\\x1b[1A'.")
    with pytest.raises(ValueError, match=message):
        Record([path], None)


UNUSABLE: dict[str, tuple[str, Any, str]] = {
    "no time": (CAPTURED, ABSENT, "is missing"),
    "a time that is none": (CAPTURED, "noon", "must be a time, not 'noon'"),
    "a list for a time": (CAPTURED, ["x"], "must be a time, not ['x']"),
    "a time before all": (CAPTURED, "0001-01-01T00:00:00+10:00", "must be a time, not '0001-01-"),
    "no status": ("configurationItemStatus", ABSENT, "is missing"),
    "a number for a status": ("configurationItemStatus", 5, "must be a string, not 5"),
}


@pytest.mark.parametrize("types", [{VOLUME}, set[str]()], ids=["kept", "only listed"])
@pytest.mark.parametrize(("name", "value", "problem"), UNUSABLE.values(), ids=UNUSABLE)
def test_item_without_a_time_stops_lists_of_its_type(
    name: str, value: Any, problem: str, types: set[str], project: Project
) -> None:
    role = make_role("08:00:00", awsRegion="us-east-1")
    item = at("08:00:00.000", **{name: value})
    path = project.write(TEN, make_snapshot(at("07:00:00"), role, item))
    record = Record([path], types)
    if types:
        (kept,) = list_items(record)
        assert kept == item
    assert record.list_ids(ONE, "us-east-1", ROLE) == ["one"]
    with pytest.raises(ValueError, match=re.escape(f"{path}: item 3 (vol-1): {name} {problem}")):
        record.list_ids(ONE, "us-east-1", VOLUME)


def as_api(**fields: Any) -> JsonObject:
    return {"configurationItems": [name_as_api(make_volume("vol-1", 1)) | fields]}


ODD: dict[str, tuple[Any, str, Any]] = {
    "supplementaryConfiguration": (as_api(supplementaryConfiguration="[1]"), "an object", [1]),
    "tags": (as_api(tags=["Name=a"]), "an object", ["Name=a"]),
    "relationships": (as_api(relationships=[1]), "a list of objects", [1]),
    "resourceCreationTime": (
        [make_volume("vol-1", 1, resourceCreationTime="2026/11/05")],
        "a time",
        "2026/11/05",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_field_of_another_kind_is_kept_and_noted(name: str, project: Project) -> None:
    content, kind, value = ODD[name]
    path = project.write("items.json", content)
    record = Record([path], None)
    assert list_items(record)[0][name] == value
    problem = f"{name} must be {kind}, not {value!r}: a rule that reads it may fail."
    assert f"{path}: item 1 (vol-1): {problem}" in list(record.list_notes())


def test_supplementary_configuration_as_json_is_read(project: Project) -> None:
    path = project.write("items.json", as_api(supplementaryConfiguration='{"a": "1"}'))
    assert list_items(Record([path], None))[0]["supplementaryConfiguration"] == {"a": 1}


def test_query_may_lack_fields_in_some_rows(project: Project) -> None:
    def list_rows() -> Iterator[JsonObject]:
        for number, configuration in enumerate(({"size": 1}, ABSENT)):
            volume = make_volume(f"vol-{number}", 1, configuration=configuration)
            yield name_as_api(volume, is_text=False)

    path = project.write("items.json", {"Results": list(list_rows())})
    first, second = list_items(Record([path], None))
    assert "configuration" in first
    assert "configuration" not in second, "the rule says that it is missing"
