"""`make preview`: what the rules would say of each form of recorded configuration."""

from __future__ import annotations

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts import preview
from scripts.local_aws import invoke, start_local_aws
from scripts.run_events import list_events
from scripts.stack import ROOT, read_rule
from tests.conftest import ABSENT, RULES, Json, Project, make_volume, read_event

NEEDS_SNAPSHOT = (
    "volumes: needs a configuration snapshot: a part of an account would certify the whole."
)
API_NAMES = {event_name: api_name for api_name, event_name in preview.EVENT_NAMES.items()}


@pytest.fixture
def run(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return a function that previews files and returns exit code and output lines."""

    def call(*paths: Path, **settings: str) -> tuple[int, list[str]]:
        for name, value in {"ITEMS": " ".join(map(str, paths)), **settings}.items():
            monkeypatch.setenv(name, value)
        code = preview.main()
        printed = capsys.readouterr()
        assert printed.err == "", "no progress bar in a pipe"
        return code, printed.out.splitlines()

    return call


# The forms, as AWS Config writes them


def make_snapshot(*items: Json) -> Json:
    return {"fileVersion": "1.0", "configSnapshotId": "4f2", "configurationItems": items}


def make_history(*items: Json) -> Json:
    return {"fileVersion": "1.0", "configurationItems": items}


def name_as_api(item: Json) -> Json:
    return {API_NAMES.get(name, name): value for name, value in item.items()}


def print_history(*items: Json) -> Json:
    """Return what get-resource-config-history prints of the items."""
    times = {"configurationItemCaptureTime": "2026-11-05T09:15:27.482000+00:00"}
    texts = ({"configuration": json.dumps(item["configuration"])} for item in items)
    printed = [name_as_api(item) | times | text for item, text in zip(items, texts, strict=True)]
    return {"configurationItems": printed}


def print_history_v1(*items: Json) -> Json:
    """Return what version 1 of AWS CLI prints: times are numbers."""
    printed = print_history(*items)
    for item in printed["configurationItems"]:
        item["configurationItemCaptureTime"] = 1793870127.482
    return printed


def print_select(*items: Json) -> Json:
    """Return what select-resource-config prints of the items."""
    tags = [{"key": "Name", "value": "data", "tag": "Name=data"}]
    results = [json.dumps(name_as_api(item) | {"tags": tags}) for item in items]
    return {"Results": results, "QueryInfo": {"SelectFields": [{"Name": "resourceId"}]}}


FORMS = [make_snapshot, make_history, print_history, print_history_v1, print_select]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_every_form_is_recognised_by_its_content(
    form: Any, zipped: bool, run: Any, project: Project
) -> None:
    path = project.write("items", form(make_volume("vol-1", 9), make_volume("vol-2", 1)))
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    code, lines = run(path)
    assert code == 0
    assert lines == [
        "NON_COMPLIANT   vol-1",
        "    Size 9, limit 3.",
        "sizes: 2 evaluations: 1 compliant, 1 non-compliant, 0 not applicable, 0 errors",
        "volumes: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 0 errors"
        if form is make_snapshot
        else NEEDS_SNAPSHOT,
    ]


@pytest.mark.parametrize("form", FORMS)
def test_rule_gets_the_event_that_aws_config_would_send(
    form: Any, run: Any, project: Project
) -> None:
    app = "import pprint\nfrom pathlib import Path\n" + (project.root / "sizes/app.py").read_text()
    seen = project.root / "seen.json"
    project.write(
        "sizes/app.py",
        app.replace(
            "    item = ", f"    Path({str(seen)!r}).write_text(json.dumps(event))\n    item = "
        ),
    )
    relationships = [{"resourceId": "i-1", "relationshipName": "Is attached to Instance"}]
    if form in (make_snapshot, make_history):
        relationships = [{"resourceId": "i-1", "name": "Is attached to Instance"}]
    volume = make_volume(
        "vol-1",
        1,
        ARN="arn:aws:ec2:us-east-1:123456789012:volume/vol-1",
        configurationItemVersion="1.3",
        relationships=relationships,
    )
    run(project.write("items.json", form(volume)), RULE="sizes")
    event = json.loads(seen.read_text())
    invoking_event = json.loads(event["invokingEvent"])
    assert invoking_event["messageType"] == "ConfigurationItemChangeNotification"
    assert json.loads(event["ruleParameters"]) == {"limit": "3", "unit": "GiB"}
    assert event["accountId"] == "123456789012"
    assert event["eventLeftScope"] is False
    item = invoking_event["configurationItem"]
    relationship = {"resourceId": "i-1", "name": "Is attached to Instance"}
    assert relationship.items() <= item.pop("relationships")[0].items()
    expected = {name: value for name, value in volume.items() if name != "relationships"}
    assert item == expected


def test_newest_item_of_a_resource_is_evaluated(run: Any, project: Project) -> None:
    times = ["2026-11-05T09:15:27.482Z", "2026-11-07T09:15:27.482Z", "2026-11-06T09:15:27.482Z"]
    items = [
        make_volume("vol-1", 7 + number, configurationItemCaptureTime=time)
        for number, time in enumerate(times)
    ]
    _, lines = run(project.write("items.json", make_history(*items)), RULE="sizes")
    assert lines[:2] == ["NON_COMPLIANT   vol-1", "    Size 8, limit 3."]
    assert lines[2].startswith("sizes: 1 evaluation: 0 compliant, 1 non-compliant")


def test_several_accounts_and_regions_are_told_apart(run: Any, project: Project) -> None:
    first = make_snapshot(make_volume("vol-1", 9), make_volume("vol-2", 1, awsRegion="eu-west-1"))
    others = [make_volume(f"vol-{each}", 1, awsAccountId="111122223333") for each in range(3)]
    paths = project.write("a.json", first), project.write("b.json", make_snapshot(*others))
    _, lines = run(*paths)
    assert lines == [
        "NON_COMPLIANT   vol-1  123456789012 us-east-1",
        "    Size 9, limit 3.",
        "NON_COMPLIANT   111122223333  111122223333 us-east-1",
        "    Volumes: 3.",
        "sizes: 5 evaluations: 4 compliant, 1 non-compliant, 0 not applicable, 0 errors",
        "volumes: 3 evaluations: 2 compliant, 1 non-compliant, 0 not applicable, 0 errors",
    ]


def test_rule_without_a_resource_of_its_scope_says_so(run: Any, project: Project) -> None:
    bucket = make_volume("bucket-1", 1, resourceType="AWS::S3::Bucket")
    code, lines = run(project.write("items.json", make_snapshot(bucket)))
    assert lines[0] == "sizes: no resource of its scope (AWS::EC2::Volume)."
    assert code == 0
    _, lines = run(project.write("empty.json", make_snapshot()))
    assert lines[1] == "volumes: the snapshot is empty."


def test_form_without_tags_or_relationships_is_told(run: Any, project: Project) -> None:
    volume = make_volume("vol-1", 1, tags=ABSENT, relationships=ABSENT)
    path = project.write("items.json", make_history(volume))
    _, lines = run(path)
    assert lines[:2] == [
        f"{path} has no tags: a rule that reads them finds none.",
        f"{path} has no relationships: a rule that reads them finds none.",
    ]


# Options


def test_all_shows_the_other_results_too(run: Any, project: Project) -> None:
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    assert len(run(path)[1]) == 2
    assert run(path, ALL="1")[1][:2] == ["COMPLIANT       vol-1", "    Size 1, limit 3."]


@pytest.mark.parametrize("parameters", ["Limit=9", " Limit=9  Frequency=Six_Hours", 'Limit="9"'])
def test_parameters_are_those_of_the_stack(parameters: str, run: Any, project: Project) -> None:
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 9)))
    assert "1 compliant" in run(path, RULE="sizes", PARAMETERS=parameters)[1][0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("Size=9", "PARAMETERS must be Key=Value of Limit, Frequency, not 'Size=9'."),
        ("Limit", "PARAMETERS must be Key=Value of Limit, Frequency, not 'Limit'."),
        ("Limit=ten", "The template does not accept 'Limit=ten'. Give a number."),
        ("Frequency=Daily", "The template does not accept 'Frequency=Daily'."),
    ],
)
def test_parameter_that_the_template_refuses_is_an_error(
    parameters: str, message: str, run: Any, project: Project
) -> None:
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 9)))
    with pytest.raises(ValueError, match=parameters) as caught:
        run(path, PARAMETERS=parameters)
    assert str(caught.value) == message


def test_csv_has_every_evaluation_and_error(run: Any, project: Project) -> None:
    broken = make_volume("vol-2", 1, configuration={})
    snapshot = project.write("items.json", make_snapshot(make_volume("vol-1", 1), broken))
    path = project.root / "report.csv"
    code, _ = run(snapshot, RULE="sizes", CSV=str(path))
    assert code == 1
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    place = ["sizes", "123456789012", "us-east-1"]
    assert rows == [
        [
            *("rule", "account", "Region", "resource type", "resource id"),
            *("compliance type", "annotation", "time"),
        ],
        [
            *(*place, "AWS::EC2::Volume", "vol-1"),
            *("COMPLIANT", "Size 1, limit 3.", "2026-11-05T09:15:27.482Z"),
        ],
        [*place, "", "vol-2", "ERROR", "KeyError: 'size'", ""],
    ]


# Errors


def test_error_is_shown_counted_and_the_exit_code(run: Any, project: Project) -> None:
    broken = make_volume("vol-2", 1, configuration={})
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1), broken))
    code, lines = run(path, RULE="sizes")
    assert code == 1
    assert lines == [
        "ERROR           vol-2",
        "    KeyError: 'size'",
        "sizes: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 1 errors",
    ]


@pytest.mark.parametrize(
    ("rule", "call", "named"),
    [
        ("volumes", "boto3.client('iam').list_users()", "iam:ListUsers"),
        ("volumes", "boto3.client('config').describe_config_rules()", "config:DescribeConfigRules"),
        (
            "sizes",
            "boto3.client('config').list_discovered_resources(resourceType='AWS::EC2::Volume')",
            "config:ListDiscoveredResources",
        ),
    ],
)
def test_call_that_a_preview_cannot_answer_is_named(
    rule: str, call: str, named: str, run: Any, project: Project
) -> None:
    app = (project.root / rule / "app.py").read_text()
    begin = "def lambda_handler(event, context):\n"
    project.write(f"{rule}/app.py", app.replace(begin, f"{begin}    {call}\n"))
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    code, lines = run(path, RULE=rule)
    assert code == 1
    assert lines[1] == f"    RuntimeError: A preview has no answer to {named}."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (print_select() | {"NextToken": "2"}, "has a nextToken: it holds one page of several."),
        (make_history() | {"nextToken": "2"}, "has a nextToken: it holds one page of several."),
        ({"resourceIdentifiers": []}, "must be a configuration snapshot, a history file, or"),
        (make_snapshot() | {"configurationItems": None}, "must be a configuration snapshot, a"),
        ({"configurationItems": ["x"]}, "must be a configuration snapshot, a history file, or"),
        ({"Results": [{}]}, "must be a configuration snapshot, a history file, or"),
        ({"Results": ["{"]}, ", line 1: Expecting property name"),
        ("{", ", line 1: Expecting property name"),
        ("[]", "must hold a JSON object, not a list."),
    ],
)
def test_file_of_no_known_form_is_an_error(
    content: Any, message: str, run: Any, project: Project
) -> None:
    path = project.write("items.json", content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run(path)
    assert str(caught.value).startswith(str(path))


def test_cut_gzip_file_is_an_error(run: Any, project: Project) -> None:
    path = project.write("items.json.gz", make_snapshot())
    path.write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(ValueError, match=r"items\.json\.gz is not a whole gzip file\."):
        run(path)


@pytest.mark.parametrize(
    "field",
    [
        *("resourceType", "resourceId", "awsAccountId", "awsRegion", "configurationItemStatus"),
        *("configurationItemCaptureTime", "configuration"),
    ],
)
def test_item_without_a_field_that_the_answer_needs_is_an_error(
    field: str, run: Any, project: Project
) -> None:
    volume = make_volume("vol-1", 1, **{field: ABSENT})
    path = project.write("items.json", make_snapshot(volume))
    shown = None if field == "resourceId" else "vol-1"
    with pytest.raises(ValueError, match=re.escape(f"{path}: item {shown} has no {field}.")):
        run(path)


def test_two_snapshots_of_one_account_and_region_are_an_error(run: Any, project: Project) -> None:
    paths = [
        project.write(name, make_snapshot(make_volume("vol-1", 1))) for name in ("a.json", "b.json")
    ]
    with pytest.raises(ValueError, match=r"b\.json is a second snapshot of 123456789012 in us-ea"):
        run(*paths, RULE="volumes")


def test_no_file_is_an_error_that_lists_the_forms(run: Any) -> None:
    with pytest.raises(ValueError, match=r"^ITEMS must name a file: a configuration snapshot, a"):
        run()


def test_scope_that_a_preview_cannot_tell_is_an_error(run: Any, project: Project) -> None:
    template = (project.root / "template.yaml").read_text()
    project.write("template.yaml", template.replace("Scope: {", "Scope: { TagKey: Name,"))
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    with pytest.raises(ValueError, match=r"template\.yaml: the scope of sizes has TagKey\."):
        run(path)


# The documents


@pytest.mark.parametrize("rule", [rule for rule in RULES if not read_rule(rule).is_periodic])
def test_query_of_the_readme_gives_every_field_that_the_rule_needs(
    rule: str, tmp_path: Path
) -> None:
    query = re.search(r"SELECT (.+?) WHERE", (ROOT / "README.md").read_text())
    assert query
    fields = query[1].split(", ")
    for path in list_events(rule):
        event = read_event(rule, path.stem)
        item = json.loads(event["invokingEvent"]).get("configurationItem", {})
        if item.get("configurationItemStatus") == "OK":
            selected = {name: name_as_api(item)[name] for name in fields}
            exported = tmp_path / "items.json"
            exported.write_text(json.dumps({"Results": [json.dumps(selected)]}))
            (read,) = preview.read_export(exported).items
            content = json.loads(event["invokingEvent"]) | {"configurationItem": read}
            with start_local_aws() as aws:
                expected = invoke(rule, event, aws)
                found = invoke(rule, {**event, "invokingEvent": json.dumps(content)}, aws)
            assert found.evaluations == expected.evaluations != []


def test_readme_shows_what_a_preview_of_the_sample_instances_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    block = r'make preview ITEMS=snapshot.json.gz RULE=(\w+) PARAMETERS="(.+?)"\n(.+?\n)```'
    shown = re.search(block, (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown
    rule, parameters, output = shown.groups()
    if rule not in RULES:
        pytest.skip(f"the rule {rule} was removed")
    contents = [
        json.loads(read_event(rule, case)["invokingEvent"])
        for case in ("compliant", "non_compliant", "left_scope")
    ]
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(make_snapshot(*(each["configurationItem"] for each in contents))))
    settings = {"ITEMS": str(path), "RULE": rule, "PARAMETERS": parameters}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    preview.main()
    assert capsys.readouterr().out == output
