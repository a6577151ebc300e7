"""`make preview`: what the rules would report of recorded configuration, as people read it."""

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.command_line import split_paths
from scripts.events import list_sample_events
from scripts.local_aws import run_rule, start_local_aws
from scripts.preview import __main__ as preview
from scripts.preview.csv_file import write_csv
from scripts.preview.evaluation import Row, build_events
from scripts.preview.evaluation import preview as preview_rule
from scripts.preview.items import SELECT
from scripts.preview.record import Record
from scripts.sample_items import CAPTURED
from scripts.template import ROOT, JsonObject, load_template, read_rule
from tests.helpers import RULES, read_event
from tests.scripts.helpers import (
    Project,
    list_items,
    make_history,
    make_snapshot,
    make_volume,
    name_as_api,
)

NEEDS_SNAPSHOT = (
    "volumes: needs a configuration snapshot: a part of an account would certify the whole."
)
HEADER = "account       Region          compliant  non-compliant  not applicable  errors"
TIME = 1_793_959_200  # 2026-11-06 10:00 UTC
DOCUMENT = (ROOT / "docs" / "preview.md").read_text()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that previews files and returns exit code and output lines."""

    def call(*arguments: object) -> tuple[int, list[str]]:
        code = preview.main([str(each) for each in arguments])
        printed = capsys.readouterr()
        assert printed.err == "", "no progress bar in a pipe"
        return code, printed.out.splitlines()

    return call


def test_each_rule_gets_a_table_and_its_resources(project: Project, run: Any) -> None:
    items = make_volume("vol-1", 9), make_volume("vol-2", 1)
    path = project.write("items.json", make_snapshot(*items))
    assert run(path) == (
        0,
        [
            "sizes",
            "",
            HEADER,
            "123456789012  us-east-1               1              1               0       0",
            "",
            "NON_COMPLIANT   vol-1  Size 9, limit 3.",
            "sizes: 2 evaluations: 1 compliant, 1 non-compliant, 0 not applicable, 0 errors",
            "",
            "volumes",
            "",
            HEADER,
            "123456789012  us-east-1               1              0               0       0",
            "",
            "COMPLIANT       123456789012  Volumes: 2.",
            "volumes: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 0 errors",
        ],
    )
    _, lines = run(path, "--rule=sizes", "--all")
    assert lines[5:7] == [
        "NON_COMPLIANT   vol-1  Size 9, limit 3.",
        "COMPLIANT       vol-2  Size 1, limit 3.",
    ]


def test_many_resources_are_summed_up_by_their_annotations(project: Project, run: Any) -> None:
    items = [make_volume(f"vol-{each:02}", 9 if each < 24 else 8) for each in range(25)]
    path = project.write("items.json", make_history(*items))
    _, lines = run(path, "--rule=sizes")
    assert lines[5:8] == ["     24 x  Size 9, limit 3.", "      1 x  Size 8, limit 3.", ""]
    assert lines[8] == "NON_COMPLIANT   vol-00  Size 9, limit 3."
    assert lines[27:29] == [
        "NON_COMPLIANT   vol-19  Size 9, limit 3.",
        "and 5 more (ALL=1, or CSV=file)",
    ]
    assert lines[29].startswith("sizes: 25 evaluations: 0 compliant, 25 non-compliant, ")
    assert len(run(path, "--rule=sizes", "--all")[1]) == 8 + 25 + 1


def test_several_accounts_and_regions_are_told_apart(project: Project, run: Any) -> None:
    first = make_snapshot(make_volume("vol-1", 9), make_volume("vol-2", 1, awsRegion="eu-west-1"))
    others = [make_volume(f"vol-{each}", 1, awsAccountId="111122223333") for each in range(3)]
    paths = project.write("a.json", first), project.write("b.json", make_snapshot(*others))
    _, lines = run(*paths)
    assert lines[2:8] == [
        HEADER,
        "111122223333  us-east-1               3              0               0       0",
        "123456789012  eu-west-1               1              0               0       0",
        "123456789012  us-east-1               0              1               0       0",
        "",
        "NON_COMPLIANT   vol-1  123456789012  us-east-1  Size 9, limit 3.",
    ]
    assert "NON_COMPLIANT   111122223333  111122223333  us-east-1  Volumes: 3." in lines


def test_rule_gets_the_event_that_aws_config_would_send(project: Project, run: Any) -> None:
    seen = project.root / "seen.json"
    app = "import json, pathlib\ndef lambda_handler(event, context):\n {}"
    keep = f"pathlib.Path({str(seen)!r}).write_text(json.dumps(event))"
    project.write("sizes/app.py", app.format(keep))
    volume = make_volume("vol-1", 1)
    run(project.write("items.json", make_history(volume)), "--rule=sizes")
    event = json.loads(seen.read_text())
    invoking_event = json.loads(event["invokingEvent"])
    assert invoking_event["messageType"] == "ConfigurationItemChangeNotification"
    assert invoking_event["configurationItem"] == volume
    assert json.loads(event["ruleParameters"]) == {"limit": "3", "unit": "GiB"}
    assert event["accountId"] == "123456789012"
    assert event["eventLeftScope"] is False
    assert event["configRuleName"] == "config-rules-sizes"


def test_rule_without_anything_to_evaluate_says_why(project: Project, run: Any) -> None:
    bucket = make_volume("b-1", 1, resourceType="AWS::S3::Bucket")
    path = project.write("items.json", make_history(bucket))
    found = "no resource of its scope (AWS::EC2::Volume); the files hold AWS::S3::Bucket (1)."
    assert run(path) == (1, [f"sizes: {found}", NEEDS_SNAPSHOT])
    empty = project.write("empty.json", make_snapshot())
    assert run(empty, "--rule=volumes") == (1, ["volumes: the snapshot is empty."])
    volumes = project.write("volumes.json", make_history(make_volume("vol-1", 1)))
    assert run(volumes)[0] == 0, "one of all rules could be evaluated"
    assert run(volumes, "--fail")[0] == 1, "a pipeline needs all of them"
    assert run(volumes, "--rule=volumes") == (1, [NEEDS_SNAPSHOT])


@pytest.mark.parametrize("parameters", ["Limit=9", " Limit=9  Frequency=Six_Hours", 'Limit="9"'])
def test_parameters_are_those_of_the_stack(parameters: str, project: Project, run: Any) -> None:
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 9)))
    _, lines = run(path, "--rule=sizes", "--parameters", parameters)
    assert "1 compliant" in lines[-1]


def test_optional_parameter_is_absent_when_it_is_empty(project: Project) -> None:
    assert "owner" not in read_rule("sizes").parameters
    assert read_rule("sizes", {"Owner": "team"}).parameters["owner"] == "team"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--parameters", "Size=9"],
            "PARAMETERS must be Key=Value of Limit, Frequency, Owner, RuleNamePrefix, "
            "not 'Size=9'.",
        ),
        (
            ["--parameters", "Limit"],
            "PARAMETERS must be Key=Value of Limit, Frequency, Owner, RuleNamePrefix, not 'Limit'.",
        ),
        (["--parameters", "Limit=ten"], "The template does not accept 'Limit=ten'. Give a number."),
        (["--parameters", "Frequency=Daily"], "The template does not accept 'Frequency=Daily'."),
        (["--parameters", "Limit='9"], "PARAMETERS cannot be read: No closing quotation."),
        (["--rule", "other"], "RULE must be one of sizes, volumes, not 'other'."),
    ],
)
def test_argument_that_cannot_be_is_an_error_of_usage(
    arguments: list[str], message: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        preview.main(["items.json", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {message}\n")


def test_same_error_is_shown_once_with_its_line(project: Project, run: Any) -> None:
    broken = [make_volume(f"vol-{each}", 1, configuration={"sizes": 1}) for each in range(3)]
    path = project.write("items.json", make_snapshot(*broken, make_volume("vol-9", 1)))
    code, lines = run(path, "--rule=sizes")
    assert code == 1
    assert lines[5:] == [
        "ERROR           vol-0  and 2 more  KeyError: 'size'",
        '      File "sizes/app.py", line 46, in lambda_handler',
        '        size = item["configuration"]["size"]',
        "sizes: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 3 errors",
    ]


def test_one_error_is_counted_in_the_singular(project: Project, run: Any) -> None:
    broken = make_volume("vol-1", 1, configuration=None)
    _, lines = run(project.write("items.json", make_history(broken)), "--rule=sizes")
    assert lines[-1].endswith(" 0 not applicable, 1 error")


def test_csv_has_every_result_and_no_formula(project: Project, run: Any) -> None:
    items = [make_volume("=1+1", 1), make_volume("vol-2", 1, configuration={"sizes": 1})]
    path = project.root / "report.csv"
    run(project.write("items.json", make_snapshot(*items)), "--rule=sizes", "--csv", path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfrule,account,region,resource type,resource")
    _header, *rows = csv.reader(path.read_text("utf-8-sig").splitlines())
    place = ["sizes", "123456789012", "us-east-1"]
    evaluated = ["COMPLIANT", "Size 1, limit 3.", "2026-11-05T09:15:27.482Z"]
    assert rows == [
        [*place, "AWS::EC2::Volume", "'=1+1", *evaluated],
        [*place, "AWS::EC2::Volume", "vol-2", "ERROR", "KeyError: 'size'", ""],
    ]


@pytest.mark.parametrize("is_linked", [False, True], ids=["itself", "by a link"])
@pytest.mark.parametrize("is_named", [False, True], ids=["in a folder", "named"])
def test_csv_is_none_of_the_files_that_are_read(
    is_linked: bool, is_named: bool, project: Project, run: Any
) -> None:
    path = project.write("bucket/items.json", make_history(make_volume("vol-1", 1)))
    content = path.read_text()
    csv_file = project.root / "report.csv" if is_linked else path
    if is_linked:
        csv_file.symlink_to(path)
    with pytest.raises(ValueError, match=r"^CSV must not be one of the files of ITEMS, as .+ is\."):
        run(path if is_named else path.parent, "--csv", csv_file)
    assert path.read_text() == content


def test_csv_in_the_folder_of_the_exports_can_be_replaced(project: Project, run: Any) -> None:
    path = project.write("bucket/items.json", make_history(make_volume("vol-1", 1)))
    for _again in range(2):
        assert run(path.parent, "--rule=sizes", "--csv", path.parent / "report.csv")[0] == 0


HOSTILE = "v\x1b[2K\x1b[1A\x1b[32mCOMPLIANT\u202e"
PRINTED: dict[str, tuple[JsonObject, list[str]]] = {
    "listed": ({"configuration": {"size": 9}}, ["--rule=sizes"]),
    "an error": ({"configuration": {}}, ["--rule=sizes"]),
    "compared": ({"configuration": {"size": 9}}, ["--rule=sizes", "--compare"]),
}


@pytest.mark.parametrize(("fields", "arguments"), PRINTED.values(), ids=PRINTED)
def test_id_does_not_reach_the_terminal_as_it_is(
    fields: JsonObject, arguments: list[str], project: Project, run: Any
) -> None:
    items = [make_volume(HOSTILE, 1, **fields), make_volume("vol-1", 1)]
    path = project.write("items.json", make_history(*items))
    before = project.root / "before.csv"
    run(project.write("before.json", make_history(items[1])), "--rule=sizes", "--csv", before)
    _, lines = run(path, *arguments, *([before] if "--compare" in arguments else []))
    assert all(map(str.isprintable, lines))
    assert any(r"v\x1b[2K\x1b[1A\x1b[32mCOMPLIANT\u202e" in line for line in lines)


def test_annotation_does_not_reach_the_terminal_as_it_is(project: Project, run: Any) -> None:
    project.replace("sizes/app.py", 'f"Size ', 'f"\\x1b[1A\\nSize ')
    items = [make_volume(f"vol-{each}", 9) for each in range(2)]
    _, lines = run(project.write("items.json", make_history(*items)), "--rule=sizes")
    assert lines[5] == r"      2 x  \x1b[1A Size 9, limit 3."
    assert all(map(str.isprintable, lines))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/report.csv", "No such file or directory"), ("", "Is a directory")],
    ids=["its folder is missing", "it is a folder"],
)
def test_unwritable_csv_is_an_error_before_the_work(
    name: str, reason: str, project: Project, run: Any
) -> None:
    path = project.root / name
    with pytest.raises(OSError, match=f"{reason}: {re.escape(repr(str(path)))}$"):
        run("no.json", "--csv", path)


@pytest.mark.parametrize("content", [None, "results"], ids=["a new file", "an earlier file"])
def test_failed_preview_leaves_the_csv_as_it_was(
    content: str | None, project: Project, run: Any
) -> None:
    path = project.root / "csv" / "report.csv"
    path.parent.mkdir()
    if content:
        path.write_text(content)
    with pytest.raises(ValueError, match="is damaged"):
        run(project.write("items.json", '{"fileVersion": "1.0", '), "--csv", path)
    assert [each.read_text() for each in path.parent.iterdir()] == ([content] if content else [])


def test_csv_that_breaks_off_leaves_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    path.write_text("results")
    row = Row(
        "sizes", "123456789012", "us-east-1", "AWS::EC2::Volume", "\ud800", "COMPLIANT", "", ""
    )
    with pytest.raises(UnicodeEncodeError):
        write_csv(path, [row])
    assert [each.read_text() for each in tmp_path.iterdir()] == ["results"]


def test_csv_can_be_a_link_or_a_pipe(project: Project, run: Any) -> None:
    items = project.write("items.json", make_history(make_volume("vol-1", 1)))
    target = project.write("target.csv", "")
    target.chmod(0o600)
    link = project.root / "link.csv"
    link.symlink_to(target)
    run(items, "--rule=sizes", "--csv", link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_text("utf-8-sig").startswith("rule,account,")
    read_end, write_end = os.pipe()
    run(items, "--rule=sizes", "--csv", f"/dev/fd/{write_end}")
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        assert pipe.read() == target.read_bytes()


@pytest.mark.parametrize(("size", "code"), [(9, 3), (1, 0)])
def test_pipeline_fails_on_request(size: int, code: int, project: Project, run: Any) -> None:
    path = project.write("items.json", make_history(make_volume("vol-1", size)))
    assert run(path, "--rule=sizes", "--fail")[0] == code


MISSING: dict[str, tuple[list[JsonObject], str]] = {
    "one Region": ([{"awsRegion": "eu-west-1"}], "123456789012 in eu-west-1"),
    "another account": ([{"awsAccountId": "111122223333"}], "111122223333 in us-east-1"),
    "the first three": (
        [{"awsRegion": region} for region in ("eu-south-1", "eu-west-1", "eu-west-2", "sa-east-1")],
        "123456789012 in eu-south-1, 123456789012 in eu-west-1, 123456789012 in eu-west-2 "
        "and 1 more",
    ),
    "not the global one": ([{"awsRegion": "global"}], ""),
}


@pytest.mark.parametrize(("places", "named"), MISSING.values(), ids=MISSING)
def test_periodic_rule_names_where_a_snapshot_is_missing(
    places: list[JsonObject], named: str, project: Project, run: Any
) -> None:
    later = [make_volume("vol-2", 1, **place) for place in places]
    paths = (
        project.write("a.json", make_snapshot(make_volume("vol-1", 1))),
        project.write("b.json", make_history(*later)),
    )
    code, lines = run(*paths, "--rule=volumes")
    notes = [line for line in lines if line.startswith("No snapshot")]
    assert code == 0
    assert notes == ([f"No snapshot of {named}: it is not previewed there."] if named else [])


CALLS = {
    "volumes": {
        "iam:ListUsers": "boto3.client('iam').list_users()",
        "config:DescribeConfigRules": "boto3.client('config').describe_config_rules()",
    },
    "sizes": {
        "config:ListDiscoveredResources": "boto3.client('config').list_discovered_resources("
        "resourceType='AWS::EC2::Volume')"
    },
}


@pytest.mark.parametrize(
    ("rule", "named"), [(rule, named) for rule, calls in CALLS.items() for named in calls]
)
@pytest.mark.parametrize("swallow", [False, True], ids=["raised", "swallowed"])
def test_rule_that_an_export_cannot_answer_is_not_previewed(
    rule: str, named: str, swallow: bool, project: Project, run: Any
) -> None:
    begin = "def lambda_handler(event, context):\n"
    call = f"    {CALLS[rule][named]}\n"
    if swallow:
        call = f"    try:\n    {call}    except Exception: pass\n"
    app = (project.root / rule / "app.py").read_text().replace(begin, begin + call)
    project.write(f"{rule}/app.py", app)
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    reason = f"it calls {named}, which an export cannot answer (use make run)"
    assert run(path, "--rule", rule) == (1, [f"{rule}: not previewed: {reason}."])
    assert run(path)[0] == 0, "the other rule is previewed"


def test_unanswered_call_is_told_before_the_missing_snapshot(project: Project, run: Any) -> None:
    project.replace(
        "volumes/app.py", "    time =", f"    {CALLS['volumes']['iam:ListUsers']}\n    time ="
    )
    path = project.write("items.json", make_history(make_volume("vol-1", 1)))
    reason = "it calls iam:ListUsers, which an export cannot answer (use make run)"
    assert run(path, "--rule=volumes") == (1, [f"volumes: not previewed: {reason}."])


def test_refused_item_is_an_error_of_its_resource(project: Project, run: Any) -> None:
    items = (
        make_volume("vol-1", 1),
        make_volume("vol-2", 1, configuration=None),
        make_volume("vol-3", 9),
    )
    code, lines = run(project.write("items.json", make_snapshot(*items)), "--rule=sizes", "--all")
    assert code == 1
    assert [line.split()[:2] for line in lines if line.startswith(("COMPL", "NON_", "ERROR"))] == [
        ["COMPLIANT", "vol-1"],
        ["NON_COMPLIANT", "vol-3"],
        ["ERROR", "vol-2"],
    ]


UNREADABLE: dict[str, tuple[JsonObject, str]] = {
    "an American time": ({CAPTURED: "11/5/2026 9:15:00 AM"}, f"{CAPTURED} must be a time, not '11"),
    "slashes": ({CAPTURED: "2026/11/05 09:14:58"}, f"{CAPTURED} must be a time, not '2026/11"),
    "a number as a string": ({CAPTURED: "1793870100"}, f"{CAPTURED} must be a time, not '17938"),
    "a day of one digit": ({CAPTURED: "2026-11-5T9:15:00Z"}, f"{CAPTURED} must be a time, not '20"),
    "no time": ({CAPTURED: None}, f"{CAPTURED} is missing"),
    "no status": (
        {CAPTURED: "2026-11-30T00:00:00Z", "configurationItemStatus": None},
        "configurationItemStatus is missing",
    ),
}


@pytest.mark.parametrize(("fields", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_item_that_may_be_old_hides_no_newer_one(
    fields: JsonObject, problem: str, project: Project, run: Any
) -> None:
    newer = make_volume("vol-1", 9, **{CAPTURED: "2026-11-20T00:00:00Z"})
    path = project.write("items.json", [make_volume("vol-1", 1, **fields), newer])
    code, lines = run(path, "--rule=sizes")
    assert code == 1
    assert lines[5].startswith(f"ERROR           vol-1  {path}: item 1 (vol-1): {problem}")
    assert lines[6].startswith("sizes: 0 evaluations: 0 compliant, ")


def test_unknown_type_without_items_is_noted(project: Project, run: Any) -> None:
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    for name in ("template.yaml", "volumes/app.py"):
        text = (project.root / name).read_text()
        project.write(name, text.replace("AWS::EC2::Volume", "AWS::EC2::Vloume"))
    load_template.cache_clear()
    question = "Is AWS::EC2::Vloume the right type? The SDK does not name it, and the files hold"
    _, lines = run(path)
    assert lines[0].endswith("(AWS::EC2::Vloume); the files hold AWS::EC2::Volume (1).")
    assert f"{question} AWS::EC2::Volume (1)." in lines


def test_type_that_the_sdk_names_is_not_noted(project: Project, run: Any) -> None:
    path = project.write(
        "items.json", make_snapshot(make_volume("b", 1, resourceType="AWS::S3::Bucket"))
    )
    assert not [line for line in run(path)[1] if "right type" in line]


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-west-1", "arn:aws:config:eu-west-1:"),
        ("cn-north-1", "arn:aws-cn:config:cn-north-1:"),
        ("us-gov-west-1", "arn:aws-us-gov:config:us-gov-west-1:"),
        ("global", "arn:aws:config:us-east-1:"),
        ("xx", "arn:aws:config:xx:"),
    ],
)
def test_event_is_of_the_region_and_partition_of_the_item(
    region: str, expected: str, project: Project
) -> None:
    path = project.write("items.json", [make_volume("vol-1", 1, awsRegion=region)])
    (sent,) = build_events(read_rule("sizes"), Record([path], None))
    assert sent.event["configRuleArn"].startswith(expected)
    partition = expected.split(":")[1]
    assert sent.event["executionRoleArn"].startswith(f"arn:{partition}:iam::123456789012:role/")


@pytest.mark.parametrize("name", ["items (1).json", "my items.json", "it's.json", "[a]*.json"])
def test_name_with_blanks_and_brackets_is_one_file(
    name: str, project: Project, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(name, make_history(make_volume("vol-1", 1)))
    monkeypatch.chdir(project.root)
    assert run(name, "--rule=sizes")[0] == 0


@pytest.mark.parametrize(
    "items",
    ["a.json 'b c.json'", "'*.json'", "?*.json", "~/a.json b\\ c.json", "  a.json  *c.json "],
)
def test_items_are_split_as_a_shell_would(
    items: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.json", "b c.json"):
        project.write(name, "")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("HOME", str(project.root))
    assert [path.name for path in split_paths(items)] == ["a.json", "b c.json"]


def test_items_that_are_missing_are_named(project: Project, run: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"no\.json"):
        run("no.json")
    with pytest.raises(SystemExit):
        run("")
    with pytest.raises(SystemExit):
        run("'a.json")


def test_what_aws_config_refuses_is_the_rules_error(project: Project, run: Any) -> None:
    app = (project.root / "sizes/app.py").read_text()
    project.write("sizes/app.py", app.replace('"COMPLIANT" if', '"FINE" if'))
    path = project.write("items.json", make_history(make_volume("vol-1", 1)))
    code, lines = run(path, "--rule=sizes")
    assert code == 1
    assert "vol-1  InvalidParameterValueException: An error occurred" in lines[5]
    assert "one of COMPLIANT, NON_COMPLIANT, NOT_APPLICABLE, not FINE." in lines[5]


FAULTS: dict[str, tuple[str, str]] = {
    "no list": ("Evaluations=[evaluation]", "Evaluations=evaluation"),
    "no object": ("Evaluations=[evaluation]", "Evaluations=[5]"),
    "no time": ('        "OrderingTimestamp": time,\n', ""),
    "a time that is none": ('"OrderingTimestamp": time', '"OrderingTimestamp": "noon"'),
    "a time that is null": ('"OrderingTimestamp": time', '"OrderingTimestamp": None'),
    "another field": ('"OrderingTimestamp": time', '"OrderingTimestamp": time, "Reason": ""'),
}


@pytest.mark.parametrize(("right", "wrong"), FAULTS.values(), ids=FAULTS)
def test_what_the_sdk_refuses_is_refused_as_in_a_run(
    right: str, wrong: str, project: Project
) -> None:
    project.replace("sizes/app.py", right, wrong)
    path = project.write("items.json", [make_volume("vol-1", 1)])
    record, rule = Record([path], None), read_rule("sizes")
    (sent,) = build_events(rule, record)
    with start_local_aws() as aws:
        expected = run_rule("sizes", sent.event, aws)
    (row,) = preview_rule(rule, record).rows
    assert row.annotation == expected.error != ""


def test_times_of_other_forms_are_the_same_time(project: Project, run: Any) -> None:
    project.replace(
        "sizes/app.py", '"OrderingTimestamp": time', '"OrderingTimestamp": 1793870127.482'
    )
    path = project.root / "report.csv"
    run(project.write("items.json", [make_volume("vol-1", 1)]), "--rule=sizes", "--csv", path)
    assert path.read_text("utf-8-sig").splitlines()[1].endswith(",2026-11-05T09:15:27.482Z")


def test_rule_without_a_scope_gets_every_type(project: Project, run: Any) -> None:
    project.replace(
        "template.yaml", "      Scope: { ComplianceResourceTypes: [AWS::EC2::Volume] }\n", ""
    )
    load_template.cache_clear()
    bucket = make_volume("b-1", 1, resourceType="AWS::S3::Bucket")
    path = project.write("items.json", [make_volume("vol-1", 1), bucket])
    assert run(path, "--rule=sizes")[1][-1].startswith("sizes: 2 evaluations: 2 compliant")


def test_scope_that_an_export_does_not_tell_is_an_error(project: Project, run: Any) -> None:
    path = project.write("items.json", make_snapshot())
    template = (project.root / "template.yaml").read_text()
    project.write("template.yaml", template.replace("Scope: {", "Scope: { TagKey: Name,"))
    load_template.cache_clear()
    with pytest.raises(ValueError, match=r"template\.yaml: the scope of sizes has TagKey\."):
        run(path)
    project.write("template.yaml", template.replace("!Ref Limit", "!Sub Limit"))
    load_template.cache_clear()
    with pytest.raises(SystemExit):
        run(path)


def test_reader_that_stops_ends_the_command_without_a_traceback(
    project_copy: Path, project: Project
) -> None:
    items = [make_volume(f"i-{each}", 1, resourceType="AWS::EC2::Instance") for each in range(999)]
    path = project.write("items.json", make_history(*items))
    command = f"{sys.executable} -m scripts.preview {path} | head -n 1"
    done = subprocess.run(command, shell=True, cwd=project_copy, capture_output=True, check=False)  # noqa: S602
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


# The shipped rules and the document


@pytest.mark.skipif("resource_count_limit" not in RULES, reason="the rule was removed")
def test_periodic_rule_is_previewed_as_if_all_is_recorded(tmp_path: Path, run: Any) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(make_snapshot(make_volume("vol-1", 1))))
    code, lines = run(path, "--rule=resource_count_limit")
    assert code == 0
    assert lines[5].endswith("found: 0; at most 50 allowed.")
    assert lines[6:] == [
        "Previewed as if AWS Config recorded every type: an export does not say it.",
        "resource_count_limit: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, "
        "0 errors",
    ]


@pytest.mark.parametrize("rule", [rule for rule in RULES if not read_rule(rule).is_periodic])
def test_query_of_the_document_selects_every_needed_field(rule: str, tmp_path: Path) -> None:
    (query,) = re.findall(r"SELECT (.+?) WHERE", DOCUMENT.replace("\\\n", ""))
    assert query == SELECT, "what an error tells to select is the same"
    for path in list_sample_events(rule):
        event = read_event(rule, path.stem)
        content = json.loads(event["invokingEvent"])
        item = content.get("configurationItem", {})
        if item.get("configurationItemStatus") == "OK":
            named = name_as_api(item, is_text=False)
            selected = {name: named.get(name, {}) for name in query.split(", ")}
            exported = tmp_path / "items.json"
            exported.write_text(json.dumps({"Results": [json.dumps(selected)]}))
            (content["configurationItem"],) = list_items(Record([exported], None))
            with start_local_aws() as aws:
                expected = run_rule(rule, event, aws)
                found = run_rule(rule, {**event, "invokingEvent": json.dumps(content)}, aws)
            assert found.evaluations == expected.evaluations != []


def test_document_shows_what_a_preview_and_a_comparison_print(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    unwrapped = DOCUMENT.replace("\\\n", "")
    commands = re.findall(r"^make preview ITEMS=snapshots (RULE=.+PARAMETERS=.+)$", unwrapped, re.M)
    preview_of_one, before, after = map(shlex.split, commands)
    rule = before[0].removeprefix("RULE=")
    if rule not in RULES:
        pytest.skip(f"the rule {rule} was removed")
    cases = ("compliant", "non_compliant", "left_scope")
    contents = [json.loads(read_event(rule, case)["invokingEvent"]) for case in cases]
    items: list[JsonObject] = [each["configurationItem"] for each in contents]
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/a.json").write_text(json.dumps(make_snapshot(*items)))
    monkeypatch.chdir(tmp_path)
    printed = []
    for words in (preview_of_one, before, after):
        pairs = [word.partition("=") for word in words]
        _, lines = run("snapshots", *(f"--{name.lower()}={value}" for name, _, value in pairs))
        printed.append(lines)
        if (tmp_path / "before.csv").exists():
            os.utime("before.csv", (TIME, TIME))
    first, second = re.findall(r"```text\n(.+?)\n```", DOCUMENT, re.DOTALL)
    assert printed[0] == printed[1] == first.splitlines()
    assert printed[2] == second.splitlines()
