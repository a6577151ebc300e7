"""What people hold: every form is read, nothing in a folder is left out without a word."""

import codecs
import gzip
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
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

VOLUME = "AWS::EC2::Volume"
ONE, OTHER = "123456789012", "111122223333"


def list_ids(*paths: Path) -> list[str]:
    """Return the ids of the resources that the files tell of."""
    return [item["resourceId"] for item in list_items(Record(paths, None))]


# The forms, as AWS Config writes them


def history_export(
    *items: JsonObject, time: Any = "2026-11-05T09:15:27.482000+00:00"
) -> JsonObject:
    return {"configurationItems": [name_as_api(item) | {CAPTURED: time} for item in items]}


def select_rows(*items: JsonObject) -> list[JsonObject]:
    tags = [{"key": "Name", "value": "data", "tag": "Name=data"}]
    return [name_as_api(item, is_text=False) | {"tags": tags} for item in items]


def print_select(*items: JsonObject) -> JsonObject:
    results = [json.dumps(row) for row in select_rows(*items)]
    return {"Results": results, "QueryInfo": {"SelectFields": []}}


def notify(
    item: JsonObject | None, kind: str = "ConfigurationItemChangeNotification"
) -> JsonObject:
    return {"configurationItemDiff": None, "configurationItem": item, "messageType": kind}


def wrap_in_sns(message: JsonObject) -> JsonObject:
    return {"Type": "Notification", "Message": json.dumps(message)}


def wrap_in_eventbridge(detail: JsonObject, source: str = "aws.config") -> JsonObject:
    return {"version": "0", "source": source, "detail-type": "Config", "detail": detail}


def wrap_in_lambda(message: JsonObject) -> JsonObject:
    event = {"version": "1.0", "invokingEvent": json.dumps(message), "accountId": ONE}
    return event | {"ruleParameters": '{"limit": "0"}', "resultToken": "TESTMODE"}


FORMS: dict[str, Callable[[JsonObject], Any]] = {
    "a snapshot": make_snapshot,
    "a history file": make_history,
    "get-resource-config-history": history_export,
    "the same of CLI 1, with numbers": lambda item: history_export(item, time=1793870127.482),
    "select-resource-config": print_select,
    "its rows as objects": lambda item: {"Results": select_rows(item)},
    "the same with --query Results": lambda item: print_select(item)["Results"],
    "a list of a query's rows": select_rows,
    "batch-get-resource-config": lambda item: {"baseConfigurationItems": [name_as_api(item)]},
    "its aggregate": lambda item: {"BaseConfigurationItems": [name_as_api(item)]},
    "get-aggregate-resource-config": lambda item: {"ConfigurationItem": name_as_api(item)},
    "an item": lambda item: item,
    "a list of items": lambda item: [item],
    "a notification": notify,
    "a list of notifications": lambda item: [notify(item)],
    "a message of SNS": lambda item: wrap_in_sns(notify(item)),
    "an event of EventBridge": lambda item: wrap_in_eventbridge(notify(item)),
    "a message of SQS": lambda item: {"body": json.dumps(notify(item))},
    "SNS in SQS": lambda item: {"body": json.dumps(wrap_in_sns(notify(item)))},
    "SQS as its CLI prints it": lambda item: {"Messages": [{"Body": json.dumps(notify(item))}]},
    "SQS as Lambda gets it": lambda item: {"Records": [{"body": json.dumps(notify(item))}]},
    "SNS as Lambda gets it": lambda item: {"Records": [{"Sns": wrap_in_sns(notify(item))}]},
    "an event of Lambda": lambda item: wrap_in_lambda(notify(item)),
    "an event with plain objects": lambda item: {"invokingEvent": notify(item)},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_every_form_is_known_by_its_content(form: Any, zipped: bool, project: Project) -> None:
    supplementary = {"Attributes": {"autoEnable": True}, "Text": "plain"}
    more = {"ARN": "arn:aws:ec2:us-east-1:1:volume/vol-1", "configurationItemVersion": "1.3"}
    volume = make_volume("vol-1", 9, supplementaryConfiguration=supplementary, **more)
    path = project.write("items", form(volume))
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert list_items(Record([path], {VOLUME})) == [volume]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("separator", ["\n", "", " \n\n "], ids=["lines", "nothing", "blanks"])
def test_file_may_hold_several_texts(form: Any, separator: str, project: Project) -> None:
    texts = [json.dumps(form(make_volume(f"vol-{each}", 1))) for each in range(3)]
    path = project.write("items.jsonl", separator.join(texts))
    assert list_ids(path) == ["vol-0", "vol-1", "vol-2"]


def test_texts_of_one_file_may_be_of_several_forms(project: Project) -> None:
    forms = (
        "a snapshot",
        "select-resource-config",
        "a list of items",
        "a message of SNS",
        "an item",
    )
    texts = [json.dumps(FORMS[name](make_volume(name, 1))) for name in forms]
    path = project.write("items.jsonl", "\n".join(texts))
    assert set(list_ids(path)) == set(forms)


def test_list_after_a_message_is_an_error(project: Project) -> None:
    texts = [json.dumps(each) for each in (make_volume("vol-1", 1), make_history())]
    path = project.write("items.jsonl", "\n".join(texts))
    with pytest.raises(ValueError, match="mixes items and lists of them: give each a file"):
        Record([path], None)


def test_string_like_the_end_of_a_text_is_none(project: Project) -> None:
    volume = make_volume("vol-1", 1, tags={"script": '{ } {"a": []} [ ] [' * 50})
    path = project.write("items.json", make_snapshot(volume, volume | {"resourceId": "vol-2"}))
    first, second = list_items(Record([path], None))
    assert first == volume
    assert second["resourceId"] == "vol-2"


def test_pipe_is_read_once(project: Project) -> None:
    content = json.dumps(make_snapshot(*(make_volume(f"vol-{each}", 1) for each in range(900))))
    pipe = project.root / "pipe"
    os.mkfifo(pipe)
    if (writer := os.fork()) == 0:
        pipe.write_text(content)
        os._exit(0)
    assert len(list_ids(pipe)) == 900
    os.waitpid(writer, 0)


def test_relationship_gets_the_name_that_events_have(project: Project) -> None:
    related = [{"resourceId": "i-1", "relationshipName": "Is attached to"}]
    volume = make_volume("vol-1", 1, relationships=related)
    path = project.write("items.json", history_export(volume))
    (item,) = list_items(Record([path], None))
    assert item["relationships"] == [related[0] | {"name": "Is attached to"}]


def test_tags_of_other_services_answers_are_read(project: Project) -> None:
    volume = make_volume("vol-1", 1, tags=[{"Key": "Name", "Value": "data"}])
    (item,) = list_items(Record([project.write("items.json", [volume])], None))
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
    volumes = [make_volume(f"vol-ä{each:04}", 1) for each in range(900)]  # many chunks
    text = json.dumps(make_snapshot(*volumes), indent=1, ensure_ascii=False)
    path = project.root / "items.json"
    path.write_bytes(encode(text))
    assert list_ids(path) == [volume["resourceId"] for volume in volumes]


# Folders


def test_folder_is_read_by_content_whatever_the_names(project: Project) -> None:
    project.write("bucket/22/a.json", make_history(make_volume("vol-1", 1)))
    zipped = project.write("bucket/23/b.json.gz", make_history(make_volume("vol-2", 1)))
    zipped.write_bytes(gzip.compress(zipped.read_bytes()))
    project.write("bucket/c.JSON", make_history(make_volume("vol-3", 1)))
    project.write("bucket/d", make_history(make_volume("vol-4", 1)))
    project.write("bucket/.hidden", make_history(make_volume("vol-5", 1)))
    record = Record([project.root / "bucket"], None)
    assert len(list_items(record)) == 5
    assert list(record.list_notes()) == []


def test_linked_folders_and_files_are_read_once(project: Project) -> None:
    project.write("elsewhere/a.json", make_history(make_volume("vol-1", 1)))
    file = project.write("bucket/b.json", make_history(make_volume("vol-2", 1)))
    (project.root / "bucket/linked").symlink_to(project.root / "elsewhere")
    (project.root / "bucket/itself").symlink_to(project.root / "bucket")
    (project.root / "bucket/again.json").symlink_to(file)
    record = Record([project.root / "bucket", file, project.root / "bucket"], None)
    assert len(record.exports) == 2
    assert [item["resourceId"] for item in list_items(record)] == ["vol-1", "vol-2"]


def test_link_that_leads_nowhere_is_an_error(project: Project) -> None:
    project.write("bucket/a.json", make_history())
    (project.root / "bucket/b.json").symlink_to("missing")
    with pytest.raises(FileNotFoundError, match=r"b\.json"):
        Record([project.root / "bucket"], None)


def test_folder_that_cannot_be_listed_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("bucket/a.json", make_history(make_volume("vol-1", 1)))
    project.write("bucket/closed/b.json", make_history(make_volume("vol-2", 1)))
    list_folder = os.scandir

    def refuse(path: Any) -> Any:  # root may list every folder
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="bucket/closed"):
        Record([project.root / "bucket"], None)


CLOUDTRAIL = {"Records": [{"eventVersion": "1.08", "eventSource": "ec2.amazonaws.com"}]}
NO_EXPORTS: dict[str, Any] = {
    "CloudTrail": CLOUDTRAIL,
    "a snapshot that was delivered": {
        "messageType": "ConfigurationSnapshotDeliveryCompleted",
        "s3ObjectKey": "AWSLogs/x",
    },
    "compliance that changed": {
        "messageType": "ComplianceChangeNotification",
        "resourceType": VOLUME,
        "resourceId": "vol-1",
        "awsAccountId": ONE,
    },
    "another service's event": wrap_in_eventbridge({"resourceId": "i-1"}, "aws.ec2"),
    "a periodic event of Lambda": wrap_in_lambda({"messageType": "ScheduledNotification"}),
    "an empty file": "",
    "a note": "to do: tidy up",
    "settings": "[section]\nname = 1",
    "numbers": [1, 2],
    "another list": [{"name": 1}],
    "another tool's results": {"Results": [{"Target": "x"}]},
    "another object": {"resourceIdentifiers": []},
    "an object that breaks off": '{"a": 1',
    "a string": '"text"',
    "an unrelated large file": json.dumps({"a": ["x" * 100] * 20_000}),
}


@pytest.mark.parametrize("content", NO_EXPORTS.values(), ids=NO_EXPORTS)
def test_file_of_another_kind_is_noted_in_a_folder(content: Any, project: Project) -> None:
    project.write("bucket/a.json", make_snapshot(make_volume("vol-1", 1)))
    path = project.write("bucket/b", content)
    record = Record([project.root / "bucket"], None)
    assert len(list_items(record)) == 1
    (note,) = record.list_notes()
    what = re.fullmatch(
        rf"Not read, because it ((is|holds) .+): 1 file \({re.escape(str(path))}\)\.", note
    )
    assert what
    with pytest.raises(ValueError, match=f"^{re.escape(f'{path} {what[1]}')}"):
        Record([path], None)


def test_note_has_the_number_and_first_names(project: Project) -> None:
    project.write("bucket/a.json", make_snapshot())
    for number in range(12):
        project.write(f"bucket/{number:02}.txt", "x")
    project.write("bucket/99.zip", "PK\x03\x04")
    several, one = Record([project.root / "bucket"], None).list_notes()
    assert several.startswith("Not read, because each is not JSON: 12 files (")
    assert several.endswith("/02.txt and 9 more).")
    assert one.startswith("Not read, because it is a zip archive: 1 file (")


AWS_FILES = {
    "empty": b"",
    "refused by S3": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "cut after some bytes": b'{"fil',
    "an archive": b"PK\x03\x04",
    "another object": b'{"a": 1}',
    "another list": b'[{"a": 1}]',
    "messages": b'{"messageType": "ScheduledNotification"}',
}
AWS_NAMES = {
    "a snapshot": f"{ONE}_Config_us-east-1_ConfigSnapshot_20261105T091527Z_4f2.json.gz",
    "a history": f"{ONE}_Config_us-east-1_ConfigHistory_{VOLUME}_20261105T091527Z_1.json.gz",
}


@pytest.mark.parametrize("name", AWS_NAMES.values(), ids=AWS_NAMES)
@pytest.mark.parametrize("content", AWS_FILES.values(), ids=AWS_FILES)
def test_unreadable_file_of_aws_is_an_error_in_folders(
    content: bytes, name: str, project: Project
) -> None:
    project.write("bucket/a.json", make_snapshot(make_volume("vol-1", 1)))
    path = project.root / "bucket" / name
    path.write_bytes(content)
    message = rf"^{re.escape(str(path))} (is|holds) .+, but AWS Config names its files so: unpack"
    with pytest.raises(ValueError, match=message):
        Record([project.root / "bucket"], None)


LATE: dict[str, str] = {
    "a list": json.dumps([{"name": 1}, 5, ["x"], make_volume("vol-1", 1)]),
    "a list of a query": json.dumps(
        {"Results": [{"name": 1}, *print_select(make_volume("vol-1", 1))["Results"]]}
    ),
    "a line": '{"name": 1}\n{"name": 2}\n' + json.dumps(make_volume("vol-1", 1)),
    "a long line": json.dumps({"name": ["x" * 99] * 20_000})
    + "\n"
    + json.dumps([make_volume("vol-1", 1)]),
    "a line before a snapshot": '{"name": 1}\n'
    + json.dumps(make_snapshot(make_volume("vol-1", 1))),
    "a line after an item's list": json.dumps([make_volume("vol-1", 1)]) + '\n{"name": 1}',
}


@pytest.mark.parametrize("content", LATE.values(), ids=LATE)
def test_items_are_read_though_something_else_stands_there(content: str, project: Project) -> None:
    path = project.write("bucket/items.json", content)
    record = Record([project.root / "bucket"], {VOLUME})
    assert [item["resourceId"] for item in list_items(record)] == ["vol-1"]
    (note,) = record.list_notes()
    assert note.startswith(f"{path} has ")
    assert note.endswith(" without a configuration item (of another kind).")


def test_powershell_rows_after_an_item_are_an_error(project: Project) -> None:
    rows = [make_volume("vol-1", 1), {"AccountId": ONE, "ResourceId": "i-1"}]
    project.write("bucket/items.json", rows)
    with pytest.raises(ValueError, match="after an export it is what PowerShell's cmdlets print"):
        Record([project.root / "bucket"], None)


def test_what_macos_and_aws_config_leave_is_not_noted(project: Project) -> None:
    project.write("bucket/a.json", make_snapshot(make_volume("vol-1", 1)))
    for name in ("._a.json", ".DS_Store", "ConfigWritabilityCheckFile"):
        project.write(f"bucket/__MACOSX/{name}", "")
    assert list(Record([project.root / "bucket"], None).list_notes()) == []


def test_folder_without_an_export_is_an_error(project: Project) -> None:
    folder = project.root / "bucket"
    folder.mkdir()
    with pytest.raises(ValueError, match="bucket holds no export of AWS Config, only 0 other"):
        Record([folder], None)
    project.write("bucket/a.json", CLOUDTRAIL)
    with pytest.raises(ValueError, match=r"only 1 other file \(.*a\.json is of another form\)"):
        Record([folder], None)


def test_messages_without_an_item_are_noted(project: Project) -> None:
    messages = [notify(make_volume("vol-1", 1)), {"messageType": "ComplianceChangeNotification"}]
    path = project.write("items.jsonl", "\n".join(map(json.dumps, messages)))
    note = "has 1 message without a configuration item (ComplianceChangeNotification)."
    assert list(Record([path], None).list_notes()) == [f"{path} {note}"]


def test_batch_of_messages_without_an_item_is_noted(project: Project) -> None:
    batches = [
        {"Records": [{"body": json.dumps(message)}]}
        for message in ({"messageType": "ComplianceChangeNotification"}, make_volume("vol-1", 1))
    ]
    path = project.write("items.jsonl", "\n".join(map(json.dumps, batches)))
    assert list_ids(path) == ["vol-1"]
    (note,) = Record([path], None).list_notes()
    assert "has 1 message without a configuration item" in note


def test_something_else_after_an_export_is_an_error(project: Project) -> None:
    texts = [json.dumps(each) for each in (make_snapshot(make_volume("vol-1", 1)), CLOUDTRAIL)]
    path = project.write("bucket/items.json", "\n".join(texts))
    with pytest.raises(
        ValueError, match=re.escape(f"{path}: after an export it is of another form")
    ):
        Record([project.root / "bucket"], None)


def test_saved_lambda_event_is_noted_with_its_command(project: Project) -> None:
    path = project.write("event.json", wrap_in_lambda(notify(make_volume("vol-1", 1))))
    advice = f"only its configuration item is previewed (make run EVENT={path} runs the event)."
    assert list(Record([path], None).list_notes()) == [f"{path}: {advice}"]
    project.write("event.json", wrap_in_lambda({"messageType": "ScheduledNotification"}))
    with pytest.raises(ValueError, match=re.escape(f"(make run EVENT={path} runs it)")):
        Record([path], None)


# What cannot be used


def cut(content: Any, kept: float) -> str:
    text = json.dumps(content)
    return text[: int(len(text) * kept)]


DAMAGED = {
    "a snapshot without its end": cut(make_snapshot(make_volume("vol-1", 1)), 0.9),
    "a snapshot of which a few fields are left": '{"fileVersion": "1.0", "configSnap',
    "a list without its end": cut([make_volume("vol-1", 1)], 0.9),
    "an item without its end": cut(make_volume("vol-1", 1), 0.9),
    "a message without its end": cut(wrap_in_sns(notify(make_volume("vol-1", 1))), 0.9),
    "an answer without its end": cut(print_select(make_volume("vol-1", 1)), 0.9),
    "a snapshot with a stray character": '{"configurationItems": [{]}',
    "rubbish after a list": json.dumps(make_snapshot(make_volume("vol-1", 1))) + " x",
    "rubbish after an answer": json.dumps(print_select(make_volume("vol-1", 1))) + "]",
    "rubbish after a long list": json.dumps(make_snapshot(*[make_volume("vol-1", 1)] * 999))
    + "\n}",
    "rubbish after an item": json.dumps(make_volume("vol-1", 1)) + "\n{x",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_export_that_breaks_off_is_an_error_in_folders(content: str, project: Project) -> None:
    project.write("bucket/a.json", make_snapshot())
    path = project.write("bucket/b.json", content)
    with pytest.raises(
        ValueError, match=f"^{re.escape(str(path))} is damaged, its JSON breaks off"
    ):
        Record([project.root / "bucket"], None)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:20] + b"x" * 99])
def test_damaged_gzip_file_is_an_error_in_a_folder_too(damage: Any, project: Project) -> None:
    path = project.write("bucket/items.gz", make_snapshot(make_volume("vol-1", 1)))
    path.write_bytes(damage(gzip.compress(path.read_bytes())))
    with pytest.raises(ValueError, match=r"items\.gz is damaged, its gzip data is not whole"):
        Record([project.root / "bucket"], None)


QUERY = [json.dumps({"resourceId": "i-1"})]
REFUSED: dict[str, tuple[Any, str]] = {
    "a list of pages": (
        [{"Results": QUERY}, {"Results": QUERY}],
        " is a list of pages: put their lists into one (jq '{Results: map(.Results[])}' ",
    ),
    "PowerShell's list": (
        [{"AccountId": ONE, "ResourceId": "i-1", "ResourceType": {"Value": VOLUME}}],
        " is what PowerShell's cmdlets print, whose fields have other names: export with the AWS ",
    ),
    "PowerShell's object": ({"AccountId": ONE, "ResourceId": "i-1"}, " is what PowerShell's cmdl"),
    "an empty file": ("", " is empty."),
    "blanks": (" \n", " is empty."),
    "an archive": ("PK\x03\x04\x1b]0;title\x07\x1b[2J", " is a zip archive: unpack it first."),
    "no JSON": (
        "\x1b]0;title\x07\x1b[2J",
        " is not JSON: lexical error: invalid char in json text.",
    ),
    "a list of something": ({"configurationItems": ["x"]}, "configurationItems must be objects, n"),
    "no list": ({"configurationItems": None}, " must be a configuration snapshot, a history file"),
    "rows that are none": ({"Results": ["{"]}, " must be a configuration snapshot, a history fi"),
    "rows of too few fields": (
        {"Results": QUERY},
        ": item 1 (i-1): the query did not select accountId, awsRegion, resourceType, "
        "configurationItemStatus, configurationItemCaptureTime, configuration: use SELECT ",
    ),
    "only the rows of too few fields": (QUERY, "the query did not select accountId, awsRegion"),
    "rows without a configuration": (
        print_select(make_volume("vol-1", 1, configuration=ABSENT)),
        ": the query did not select configuration: use SELECT accountId, awsRegion, ",
    ),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refusal_says_what_the_file_is_and_what_to_do(
    content: Any, message: str, project: Project
) -> None:
    path = project.write("items.json", content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Record([path], None)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


def test_pipe_in_a_folder_is_noted(project: Project) -> None:
    project.write("bucket/a.json", make_snapshot())
    os.mkfifo(project.root / "bucket/pipe")
    (note,) = Record([project.root / "bucket"], None).list_notes()
    assert note.endswith("/bucket/pipe).")


PAGE = {"nextToken": "2"}
LATER, EARLIER = (
    make_volume("vol-1", 1, **{CAPTURED: f"2026-11-05T0{hour}:00:00Z"}) for hour in (9, 8)
)


@pytest.mark.parametrize(
    ("content", "is_accepted"),
    [
        (make_history(LATER, EARLIER) | PAGE, True),
        (make_history(LATER, EARLIER) | {"NextToken": "2"}, True),
        (make_history(EARLIER, LATER) | PAGE, False),
        (make_history(LATER) | PAGE, False),
        (make_history(LATER, EARLIER | {"resourceId": "vol-2"}) | PAGE, False),
        (print_select(LATER, EARLIER) | {"NextToken": "2"}, False),
        ({"NextToken": None} | print_select(LATER, EARLIER), True),
        (print_select(LATER, EARLIER) | {"NextToken": None}, True),
        (make_history(LATER) | {"nextToken": None, "configSnapshotId": None}, True),
    ],
    ids=[
        "a history",
        "by its CLI",
        "oldest first",
        "one item",
        "two resources",
        "a query",
        "null before a query",
        "null after a query",
        "null after a history",
    ],
)
def test_page_is_read_if_it_has_a_resources_newest_item(
    content: JsonObject, is_accepted: bool, project: Project
) -> None:
    content.pop("fileVersion", None)  # only a delivered file has it
    path = project.write("items.json", content)
    if is_accepted:
        assert list_ids(path) == ["vol-1"]
    else:
        message = re.escape(f"{path} has a nextToken, so it is one page of several: get all")
        with pytest.raises(ValueError, match=f"^{message}"):
            Record([path], None)


def test_null_for_a_snapshots_id_makes_no_snapshot(project: Project) -> None:
    content = {"configSnapshotId": None, "configurationItems": [LATER]}
    record = Record([project.write("items.json", content)], None)
    assert record.list_snapshots() == []


SEVERAL_LISTS: dict[str, JsonObject] = {
    "two lists of items": {"configurationItems": [LATER], "baseConfigurationItems": [LATER]},
    "the first is empty": {"configurationItems": [], "BaseConfigurationItems": [LATER]},
    "a file of AWS": make_snapshot(LATER) | {"baseConfigurationItems": [LATER]},
    "rows and items": print_select(LATER) | {"configurationItems": [LATER]},
    "messages and items": {"Records": [{"body": json.dumps(LATER)}], "configurationItems": [LATER]},
    "a long list before": {
        "configurationItems": [LATER] * 999,
        "baseConfigurationItems": [LATER],
    },
    "an item after a list": {"configurationItems": [LATER] * 999, "configurationItem": LATER},
}


@pytest.mark.parametrize("content", SEVERAL_LISTS.values(), ids=SEVERAL_LISTS)
def test_text_with_several_lists_is_an_error(content: JsonObject, project: Project) -> None:
    path = project.write("bucket/items.json", content)
    with pytest.raises(
        ValueError, match=rf"^{re.escape(str(path))} has \w+ and \w+ in one JSON text"
    ):
        Record([project.root / "bucket"], None)


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


def test_unselected_field_is_noted_with_the_fix(project: Project) -> None:
    row = select_rows(make_volume("vol-1", 1))[0]
    del row["tags"]
    path = project.write("rows.json", {"Results": [json.dumps(row)]})
    note = f"No tags in {path}: a rule that reads them finds none; add tags to the SELECT."
    assert list(Record([path], None).list_notes()) == [note]
