"""`make preview`: what the rules would say of each form of recorded configuration."""

import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts import preview
from scripts.local_aws import CAPTURED, invoke, start_local_aws
from scripts.run_events import list_events
from scripts.stack import ROOT, load_template, read_rule
from tests.conftest import ABSENT, RULES, Json, Project, make_volume, read_event

NEEDS_SNAPSHOT = (
    "volumes: needs a configuration snapshot: a part of an account would certify the whole."
)
API_NAMES = {event_name: api_name for api_name, event_name in preview.EVENT_NAMES.items()}
README = (ROOT / "README.md").read_text()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
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


def print_history(*items: Json, time: Any = "2026-11-05T09:15:27.482000+00:00") -> Json:
    """Return what get-resource-config-history prints of the items."""
    texts = ({"configuration": json.dumps(item["configuration"])} for item in items)
    printed = [name_as_api(item) | text for item, text in zip(items, texts, strict=True)]
    return {"configurationItems": [each | {CAPTURED: time} for each in printed]}


def print_history_v1(*items: Json) -> Json:
    """Return what version 1 of AWS CLI prints: times are numbers."""
    return print_history(*items, time=1793870127.482)


def print_select(*items: Json) -> Json:
    """Return what select-resource-config prints of the items."""
    tags = [{"key": "Name", "value": "data", "tag": "Name=data"}]
    results = [json.dumps(name_as_api(item) | {"tags": tags}) for item in items]
    return {"Results": results, "QueryInfo": {"SelectFields": [{"Name": "resourceId"}]}}


FORMS = [make_snapshot, make_history, print_history, print_history_v1, print_select]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzipped"])
def test_every_form_is_recognised_by_its_content(
    form: Any, zipped: bool, project: Project, run: Any
) -> None:
    path = project.write("items", form(make_volume("vol-1", 9), make_volume("vol-2", 1)))
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    code, lines = run(path)
    assert code == 0
    result = "1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 0 errors"
    assert lines == [
        "NON_COMPLIANT   vol-1",
        "    Size 9, limit 3.",
        "sizes: 2 evaluations: 1 compliant, 1 non-compliant, 0 not applicable, 0 errors",
        f"volumes: {result}" if form is make_snapshot else NEEDS_SNAPSHOT,
    ]
    assert run(path, RULE="sizes", ALL="1")[1][2:4] == [
        "COMPLIANT       vol-2",
        "    Size 1, limit 3.",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_rule_gets_the_event_that_aws_config_would_send(
    form: Any, project: Project, run: Any
) -> None:
    seen = project.root / "seen.json"
    app = "import json, pathlib\ndef lambda_handler(event, context):\n {}"
    keep = f"pathlib.Path({str(seen)!r}).write_text(json.dumps(event))"
    project.write("sizes/app.py", app.format(keep))
    is_event = form in (make_snapshot, make_history)
    relationship = {"resourceId": "i-1", "name": "Is attached to Instance"}
    volume = make_volume(
        "vol-1",
        1,
        ARN="arn:aws:ec2:us-east-1:123456789012:volume/vol-1",
        configurationItemVersion="1.3",
        relationships=[
            relationship
            if is_event
            else {"resourceId": "i-1", "relationshipName": relationship["name"]}
        ],
    )
    run(project.write("items.json", form(volume)), RULE="sizes")
    event = json.loads(seen.read_text())
    invoking_event = json.loads(event["invokingEvent"])
    assert invoking_event["messageType"] == "ConfigurationItemChangeNotification"
    assert json.loads(event["ruleParameters"]) == {"limit": "3", "unit": "GiB"}
    assert event["accountId"] == "123456789012"
    assert event["eventLeftScope"] is False
    item = invoking_event["configurationItem"]
    assert relationship.items() <= item["relationships"][0].items()
    assert item == volume | {"relationships": item["relationships"]}


def test_newest_item_of_a_resource_is_evaluated(project: Project, run: Any) -> None:
    times = {
        7: "2026-11-05T09:15:27.482Z",
        8: "2026-11-05T09:15:28.482Z",
        9: "2026-11-05T09:15:28Z",
    }
    items = [make_volume("vol-1", each, **{CAPTURED: time}) for each, time in times.items()]
    _, lines = run(project.write("items.json", make_history(*items)), RULE="sizes")
    assert lines[1] == "    Size 8, limit 3."
    assert lines[2].startswith("sizes: 1 evaluation: 0 compliant, 1 non-compliant")


@pytest.mark.parametrize("configuration", ["", "null"])
def test_deleted_resource_needs_no_configuration(configuration: str, project: Project) -> None:
    deleted = make_volume("vol-1", 1, configurationItemStatus="ResourceDeleted")
    path = project.write("items.json", make_history(deleted | {"configuration": configuration}))
    ((_, _, _, content, _),) = preview.list_changes(read_rule("sizes"), [preview.read_export(path)])
    assert content["configurationItem"]["configuration"] is None


def test_several_accounts_and_regions_are_told_apart(project: Project, run: Any) -> None:
    first = make_snapshot(make_volume("vol-1", 9), make_volume("vol-2", 1, awsRegion="eu-west-1"))
    others = [make_volume(f"vol-{each}", 1, awsAccountId="111122223333") for each in range(3)]
    paths = project.write("a.json", first), project.write("b.json", make_snapshot(*others))
    assert run(*paths)[1] == [
        "NON_COMPLIANT   vol-1  123456789012 us-east-1",
        "    Size 9, limit 3.",
        "NON_COMPLIANT   111122223333  111122223333 us-east-1",
        "    Volumes: 3.",
        "sizes: 5 evaluations: 4 compliant, 1 non-compliant, 0 not applicable, 0 errors",
        "volumes: 3 evaluations: 2 compliant, 1 non-compliant, 0 not applicable, 0 errors",
    ]
    with pytest.raises(ValueError, match=r"b\.json is a second snapshot of 111122223333 in us-ea"):
        run(*paths, paths[1])


def test_global_resources_belong_to_the_snapshots_region(project: Project, run: Any) -> None:
    items = [make_volume(f"vol-{each}", 1) for each in range(2)]
    items.append(make_volume("vol-3", 9, awsRegion="global"))
    _, lines = run(project.write("items.json", make_snapshot(*items)))
    assert lines[:4:2] == ["NON_COMPLIANT   vol-3", "NON_COMPLIANT   123456789012"]
    assert lines[3] == "    Volumes: 3."


def test_what_a_file_does_not_hold_is_told(project: Project, run: Any) -> None:
    bucket = make_volume(
        "b-1", 1, resourceType="AWS::S3::Bucket", tags=ABSENT, relationships=ABSENT
    )
    path = project.write("items.json", make_history(bucket))
    assert run(path) == (
        0,
        [
            f"{path} has no tags: a rule that reads them finds none.",
            f"{path} has no relationships: a rule that reads them finds none.",
            "sizes: no resource of its scope (AWS::EC2::Volume).",
            NEEDS_SNAPSHOT,
        ],
    )
    _, lines = run(project.write("empty.json", make_snapshot()))
    assert lines[1] == "volumes: the snapshot is empty."


@pytest.mark.parametrize("parameters", ["Limit=9", " Limit=9  Frequency=Six_Hours", 'Limit="9"'])
def test_parameters_are_those_of_the_stack(parameters: str, project: Project, run: Any) -> None:
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
    parameters: str, message: str, project: Project, run: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        run(project.write("items.json", make_snapshot()), PARAMETERS=parameters)


def test_errors_are_shown_and_counted_and_csv_has_every_result(project: Project, run: Any) -> None:
    items = make_volume("vol-1", 1), make_volume("vol-2", 1, configuration={"sizes": 1})
    path = project.root / "report.csv"
    code, lines = run(
        project.write("items.json", make_snapshot(*items)), RULE="sizes", CSV=str(path)
    )
    assert code == 1
    assert lines == [
        "ERROR           vol-2",
        "    KeyError: 'size'",
        "sizes: 1 evaluation: 1 compliant, 0 non-compliant, 0 not applicable, 1 errors",
    ]
    header, *rows = csv.reader(path.read_text().splitlines())
    assert header[:5] == ["rule", "account", "Region", "resource type", "resource id"]
    assert header[5:] == ["compliance type", "annotation", "time"]
    evaluated = ["COMPLIANT", "Size 1, limit 3.", "2026-11-05T09:15:27.482Z"]
    place = ["sizes", "123456789012", "us-east-1"]
    assert rows == [
        [*place, "AWS::EC2::Volume", "vol-1", *evaluated],
        [*place, "", "vol-2", "ERROR", "KeyError: 'size'", ""],
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
    rule: str, call: str, named: str, project: Project, run: Any
) -> None:
    app, begin = (
        (project.root / rule / "app.py").read_text(),
        "def lambda_handler(event, context):\n",
    )
    project.write(f"{rule}/app.py", app.replace(begin, f"{begin}    {call}\n"))
    path = project.write("items.json", make_snapshot(make_volume("vol-1", 1)))
    code, lines = run(path, RULE=rule)
    assert (code, lines[1]) == (1, f"    RuntimeError: A preview has no answer to {named}.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (print_select() | {"NextToken": "2"}, " has a nextToken: it holds one page of several."),
        (make_history() | {"nextToken": "2"}, " has a nextToken: it holds one page of several."),
        ({"resourceIdentifiers": []}, " must be a configuration snapshot, a history file, or"),
        (make_snapshot() | {"configurationItems": None}, " must be a configuration snapshot, a"),
        ({"configurationItems": ["x"]}, " must be a configuration snapshot, a history file, or"),
        ({"Results": [{}]}, " must be a configuration snapshot, a history file, or"),
        ({"Results": ["{"]}, ": Expecting property name enclosed in double quotes: line 1"),
        ("[]", " must hold a JSON object, not a list."),
        *(
            (
                make_snapshot(make_volume("vol-1", 1, **{name: ABSENT})),
                f": item vol-1 has no {name}.",
            )
            for name in (*preview.NEEDED, "configuration")
            if name != "resourceId"
        ),
        (make_snapshot(make_volume("", 1)), ": item  has no resourceId."),
    ],
)
def test_file_that_would_give_a_wrong_answer_is_an_error(
    content: Any, message: str, project: Project, run: Any
) -> None:
    path = project.write("items.json", content)
    with pytest.raises(ValueError, match=re.escape(f"{path}{message}")):
        run(path)


def test_cut_gzip_file_is_an_error(project: Project, run: Any) -> None:
    path = project.write("items.json.gz", make_snapshot())
    path.write_bytes(gzip.compress(path.read_bytes())[:-9])
    with pytest.raises(ValueError, match=r"items\.json\.gz is not a whole gzip file\."):
        run(path)


def test_no_file_or_a_scope_that_a_preview_cannot_tell_is_an_error(
    project: Project, run: Any
) -> None:
    with pytest.raises(ValueError, match=r"^ITEMS must name a file: a configuration snapshot, a"):
        run()
    template = (project.root / "template.yaml").read_text()
    project.write("template.yaml", template.replace("Scope: {", "Scope: { TagKey: Name,"))
    load_template.cache_clear()
    with pytest.raises(ValueError, match=r"template\.yaml: the scope of sizes has TagKey\."):
        run(project.write("items.json", make_snapshot()))
    project.write("template.yaml", template.replace("!Ref Limit", "!Sub Limit"))
    load_template.cache_clear()
    with pytest.raises(ValueError, match=r"limit of sizes must be a text or a !Ref to a parameter"):
        run(project.write("items.json", make_snapshot()))


# The shipped rules


@pytest.mark.parametrize("rule", [rule for rule in RULES if read_rule(rule).is_periodic])
def test_periodic_rule_is_previewed_as_if_every_type_were_recorded(
    rule: str, tmp_path: Path, run: Any
) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(make_snapshot(make_volume("vol-1", 1))))
    code, lines = run(path, RULE=rule)
    assert code == 0, lines
    assert lines[-1].startswith(f"{rule}: 1 evaluation: 1 compliant, ")
    told = f"{rule}: previewed as if AWS Config recorded every type: an export does not say it."
    assert (told in lines) is ("check_recorded" in (ROOT / rule / "app.py").read_text())


# The README


@pytest.mark.parametrize("rule", [rule for rule in RULES if not read_rule(rule).is_periodic])
def test_query_of_the_readme_gives_every_field_that_the_rule_needs(
    rule: str, tmp_path: Path
) -> None:
    (query,) = re.findall(r"SELECT (.+?) WHERE", README)
    for path in list_events(rule):
        event = read_event(rule, path.stem)
        content = json.loads(event["invokingEvent"])
        item = content.get("configurationItem", {})
        if item.get("configurationItemStatus") == "OK":
            selected = {name: name_as_api(item)[name] for name in query.split(", ")}
            exported = tmp_path / "items.json"
            exported.write_text(json.dumps({"Results": [json.dumps(selected)]}))
            content["configurationItem"] = preview.read_export(exported).items[0]
            with start_local_aws() as aws:
                expected = invoke(rule, event, aws)
                found = invoke(rule, {**event, "invokingEvent": json.dumps(content)}, aws)
            assert found.evaluations == expected.evaluations != []


def test_readme_shows_what_a_preview_of_the_sample_instances_prints(
    tmp_path: Path, run: Any
) -> None:
    block = r'make preview ITEMS=snapshot.json.gz RULE=(\w+) PARAMETERS="(.+?)"\n(.+?)\n```'
    ((rule, parameters, output),) = re.findall(block, README, re.DOTALL)
    if rule not in RULES:
        pytest.skip(f"the rule {rule} was removed")
    cases = ("compliant", "non_compliant", "left_scope")
    contents = [json.loads(read_event(rule, case)["invokingEvent"]) for case in cases]
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps(make_snapshot(*(each["configurationItem"] for each in contents))))
    assert run(path, RULE=rule, PARAMETERS=parameters)[1] == output.splitlines()
