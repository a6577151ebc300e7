"""What a change would change: a preview compared with an earlier one, or the deployed rule."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.preview import __main__ as preview
from scripts.template import JsonObject
from tests.scripts.helpers import Project, make_history, make_snapshot, make_volume

OTHER = "111122223333"
TIME = 1_793_959_200  # 2026-11-06 10:00 UTC
Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that previews files and returns exit code and output lines."""

    def call(*arguments: object) -> tuple[int, list[str]]:
        code = preview.main([str(each) for each in arguments])
        return code, capsys.readouterr().out.splitlines()

    return call


def write_volumes(project: Project, *sizes: int | None, name: str = "items.json") -> Path:
    """Write a snapshot with a volume of each size; None is a deleted volume."""
    volumes = [
        make_volume(f"vol-{number}", size)
        if size is not None
        else make_volume(f"vol-{number}", 0, configurationItemStatus="ResourceDeleted")
        for number, size in enumerate(sizes)
    ]
    return project.write(name, make_snapshot(*volumes))


def list_changes(lines: list[str]) -> list[str]:
    """Return what follows the table, up to the last line."""
    return lines[lines.index("sizes") + 5 : -1]


@pytest.fixture
def before(project: Project, run: Run) -> Path:
    """The results for volumes of 1, 2, 9 and 9 GiB, and a deleted one, as a CSV file."""
    path = project.root / "before.csv"
    run(write_volumes(project, 1, 2, 9, 9, None), "--rule=sizes", "--csv", path)
    os.utime(path, (TIME, TIME))
    return path


def test_comparison_shows_kinds_then_resources(project: Project, run: Run, before: Path) -> None:
    items = write_volumes(project, 1, 8, 2, None, None, 7, 1)
    code, lines = run(items, "--rule=sizes", "--compare", before)
    assert code == 0
    assert lines[0] == f"Compared with {before} (file of 2026-11-06 10:00 UTC)."
    assert list_changes(lines) == [
        "COMPLIANT to NON_COMPLIANT: 1",
        "NON_COMPLIANT to COMPLIANT: 1",
        "new, NON_COMPLIANT: 1",
        "new, COMPLIANT: 1",
        "not evaluated any more, was NON_COMPLIANT: 1",
        "",
        "COMPLIANT to NON_COMPLIANT  vol-1  Size 8, limit 3.",
        "NON_COMPLIANT to COMPLIANT  vol-2  Size 2, limit 3.",
        "new, NON_COMPLIANT  vol-5  Size 7, limit 3.",
        "new, COMPLIANT  vol-6  Size 1, limit 3.",
        "not evaluated any more, was NON_COMPLIANT  vol-3  The volume is deleted.",
    ]


def test_same_results_are_nothing_changed(project: Project, run: Run, before: Path) -> None:
    # Another size of the same compliance type, and NOT_APPLICABLE that is absent now.
    items = write_volumes(project, 2, 1, 8, 7)
    assert list_changes(run(items, "--rule=sizes", "--compare", before)[1]) == ["nothing changed"]


def test_changed_parameter_shows_what_flips(project: Project, run: Run, before: Path) -> None:
    items = write_volumes(project, 1, 2, 9, 9, None)
    arguments = ("--rule=sizes", "--parameters=Limit=1", "--compare", before)
    assert list_changes(run(items, *arguments)[1]) == [
        "COMPLIANT to NON_COMPLIANT: 1",
        "",
        "COMPLIANT to NON_COMPLIANT  vol-1  Size 2, limit 1.",
    ]


def test_error_is_a_kind_of_result(project: Project, run: Run, before: Path) -> None:
    project.replace(
        "sizes/app.py", "    size = item", "    size = 5 // (item['resourceId'] > 'vol-0') and item"
    )
    items = write_volumes(project, 1, 2, 9, 9)
    code, lines = run(items, "--rule=sizes", "--compare", before, "--csv", project.root / "now.csv")
    assert code == 1
    assert list_changes(lines)[0] == "COMPLIANT to ERROR: 1"
    assert "COMPLIANT to ERROR  vol-0  ZeroDivisionError: integer division or modulo" in lines[9]
    _, lines = run(items, "--rule=sizes", "--compare", project.root / "now.csv")
    assert list_changes(lines)[0] == "nothing changed"


def test_twenty_resources_of_each_kind_are_listed(project: Project, run: Run) -> None:
    csv_file = project.root / "before.csv"
    run(write_volumes(project, *[1] * 25), "--rule=sizes", "--csv", csv_file)
    items = write_volumes(project, *[9] * 25, *[1] * 21)
    arguments = (items, "--rule=sizes", "--compare", csv_file)
    lines = list_changes(run(*arguments)[1])
    assert len(lines) == 3 + 20 + 20 + 1
    assert lines[-1] == "and 6 more (ALL=1)"
    assert len(list_changes(run(*arguments, "--all")[1])) == 3 + 25 + 21


def test_each_account_and_region_is_compared_with_itself(project: Project, run: Run) -> None:
    def write(**regions: int) -> Path:
        volumes = [
            make_volume("vol-1", size, awsRegion=region.replace("_", "-"))
            for region, size in regions.items()
        ]
        return project.write("items.json", make_history(*volumes, make_volume("=1", 1)))

    csv_file = project.root / "before.csv"
    run(write(us_east_1=1, eu_west_1=9), "--rule=sizes", "--csv", csv_file)
    _, lines = run(write(us_east_1=9, eu_west_1=9), "--rule=sizes", "--compare", csv_file)
    assert list_changes(lines)[1:] == [
        "COMPLIANT to NON_COMPLIANT: 1",
        "",
        "COMPLIANT to NON_COMPLIANT  vol-1  123456789012  us-east-1  Size 9, limit 3.",
    ]


@pytest.mark.parametrize("resource_id", ["=1+1", "'=1+1", "'vol", "-1", '"a", b'])
def test_id_is_compared_without_its_quote(resource_id: str, project: Project, run: Run) -> None:
    items = project.write("items.json", make_history(make_volume(resource_id, 1)))
    csv_file = project.root / "before.csv"
    run(items, "--rule=sizes", "--csv", csv_file)
    _, lines = run(items, "--rule=sizes", "--compare", csv_file)
    assert list_changes(lines) == ["nothing changed"]


def test_rules_are_compared_each_with_itself(project: Project, run: Run) -> None:
    csv_file = project.root / "before.csv"
    run(write_volumes(project, 1, 9), "--csv", csv_file)
    _, lines = run(write_volumes(project, 1, 9, 1), "--compare", csv_file)
    assert [line for line in lines if ": 1" in line and " evaluation" not in line] == [
        "new, COMPLIANT: 1",
        "COMPLIANT to NON_COMPLIANT: 1",
    ]
    assert "COMPLIANT to NON_COMPLIANT  123456789012  Volumes: 3." in lines


@pytest.mark.parametrize(
    ("earlier", "options", "code"),
    [
        ("--rule=sizes", (), 0),
        ("--rule=sizes", ("--fail",), 1),
        ("--rule=volumes", (), 1),
        ("--rule=volumes", ("--fail",), 1),
        ("--rule=volumes", ("--rule=volumes",), 1),
    ],
    ids=[
        "no results before",
        "no results before, in a pipeline",
        "results before",
        "results before, in a pipeline",
        "named",
    ],
)
def test_comparison_without_an_expected_rule_is_an_error(
    earlier: str, options: tuple[str, ...], code: int, project: Project, run: Run
) -> None:
    csv_file = project.root / "before.csv"
    run(write_volumes(project, 1), earlier, "--csv", csv_file)
    items = project.write("items.json", make_history(make_volume("vol-0", 1)))
    assert run(items, "--compare", csv_file, *options)[0] == code


def test_rule_that_is_not_previewed_is_not_compared(project: Project, run: Run) -> None:
    csv_file = project.root / "before.csv"
    run(write_volumes(project, 1), "--csv", csv_file)
    items = project.write("items.json", make_history(make_volume("vol-0", 1)))
    _, lines = run(items, "--compare", csv_file)
    assert lines[-1].startswith("volumes: needs a configuration snapshot")
    assert not [line for line in lines if "any more" in line]


@pytest.mark.parametrize(
    ("number", "is_noted"),
    [(0, False), (4, False), (5, True)],
    ids=["common", "common, deleted before", "another"],
)
def test_results_of_other_resources_are_noted(
    number: int, is_noted: bool, project: Project, run: Run, before: Path
) -> None:
    items = project.write("items.json", make_history(make_volume(f"vol-{number}", 1)))
    lines = run(items, "--rule=sizes", "--compare", before)[1]
    note = f"{before} and this preview have no resource in common."
    assert (note in lines) == is_noted
    assert any(line.startswith("Is it of the same rule, ") for line in lines) == is_noted


def test_rule_without_results_before_is_noted(project: Project, run: Run, before: Path) -> None:
    lines = run(write_volumes(project, 1), "--rule=volumes", "--compare", before)[1]
    assert f"{before} has no result of volumes." in lines
    assert "new, COMPLIANT: 1" in lines


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ((1, 2, 9, 9), 0),
        ((1, 2, 2, 9), 0),
        ((1, 9, 9, 9), 3),
        ((1, 2, 9, 9, 9), 3),
    ],
    ids=["nothing", "better", "one is worse", "a new one"],
)
def test_pipeline_fails_on_request_if_something_gets_worse(
    sizes: tuple[int, ...], code: int, project: Project, run: Run, before: Path
) -> None:
    items = write_volumes(project, *sizes)
    assert run(items, "--rule=sizes", "--fail", "--compare", before)[0] == code


# What AWS Config reports of the deployed rule


def report(*results: tuple[str, str], **more: Any) -> JsonObject:
    """Return what get-compliance-details-by-config-rule prints."""
    qualifier = {"ConfigRuleName": "of-another-name", "ResourceType": "AWS::EC2::Volume"}
    return {
        "EvaluationResults": [
            {
                "EvaluationResultIdentifier": {
                    "EvaluationResultQualifier": qualifier | {"ResourceId": name} | more,
                    "OrderingTimestamp": "2026-11-05T09:15:27.482000+00:00",
                },
                "ComplianceType": result,
                "ResultRecordedTime": "2026-11-05T09:16:00+00:00",
            }
            for name, result in results
        ]
    }


def test_deployed_rule_can_be_what_a_preview_is_compared_with(project: Project, run: Run) -> None:
    deployed = report(("vol-0", "COMPLIANT"), ("vol-1", "COMPLIANT"), ("vol-7", "NON_COMPLIANT"))
    path = project.write("deployed.json", deployed)
    items = write_volumes(project, 1, 9, None)
    _, lines = run(items, "--rule=sizes", "--compare", path)
    assert list_changes(lines) == [
        "COMPLIANT to NON_COMPLIANT: 1",
        "not evaluated any more, was NON_COMPLIANT: 1",
        "",
        "COMPLIANT to NON_COMPLIANT  vol-1  Size 9, limit 3.",
        "not evaluated any more, was NON_COMPLIANT  vol-7",
    ]


@pytest.mark.parametrize(
    ("times", "age"),
    [
        (["2026-11-05T09:16:00+00:00", "2026-11-04T09:00:00+00:00"], "2026-11-05 09:16 UTC"),
        (["2026-11-05T01:00:00-10:00", "2026-11-05T10:00:00+00:00"], "2026-11-05 11:00 UTC"),
        ([1793870160.5, None], "2026-11-05 09:16 UTC"),
    ],
    ids=["the first", "of another time zone", "a number"],
)
def test_deployed_results_have_the_time_of_the_newest(
    times: list[Any], age: str, project: Project, run: Run
) -> None:
    deployed = report(("vol-0", "COMPLIANT"), ("vol-1", "COMPLIANT"))
    for result, time in zip(deployed["EvaluationResults"], times, strict=True):
        result["ResultRecordedTime"] = time
    path = project.write("deployed.json", deployed)
    _, lines = run(write_volumes(project, 1), "--rule=sizes", "--compare", path)
    assert lines[0] == f"Compared with {path} (newest result of {age})."


def test_deployed_results_without_a_time_have_the_files(project: Project, run: Run) -> None:
    path = project.write("deployed.json", report())
    os.utime(path, (TIME, TIME))
    _, lines = run(write_volumes(project, 1), "--rule=sizes", "--compare", path)
    assert lines[0] == f"Compared with {path} (file of 2026-11-06 10:00 UTC)."


def test_deployed_results_may_tell_that_no_page_follows(project: Project, run: Run) -> None:
    path = project.write("deployed.json", report(("vol-0", "COMPLIANT")) | {"NextToken": None})
    _, lines = run(write_volumes(project, 1), "--rule=sizes", "--compare", path)
    assert list_changes(lines) == ["nothing changed"]


def test_proactive_results_are_of_no_resource(project: Project, run: Run) -> None:
    path = project.write("deployed.json", report(("x", "COMPLIANT"), EvaluationMode="PROACTIVE"))
    lines = run(write_volumes(project), "--rule=sizes", "--compare", path)[1]
    assert not [line for line in lines if "any more" in line]


def test_deployed_rule_is_of_one_account_and_region(project: Project, run: Run) -> None:
    path = project.write("deployed.json", report(("vol-0", "COMPLIANT")))
    items = write_volumes(project, 1)
    other = project.write("other.json", [make_volume("vol-1", 1, awsAccountId=OTHER)])
    with pytest.raises(ValueError, match="of one account and Region, but the exports are of"):
        run(items, other, "--rule=sizes", "--compare", path)
    with pytest.raises(ValueError, match="is of one rule: add RULE="):
        run(items, "--compare", path)


# What cannot be compared


NO_RESULTS: dict[str, tuple[str, str]] = {
    "an empty file": ("", "is empty."),
    "another table": ("a,b\n1,2\n", "does not begin as the CSV file of a preview"),
    "an export": (json.dumps(make_history()), "must be the CSV file of a preview, or what `aws"),
    "one page": (json.dumps(report() | {"NextToken": "2"}), "is one page: leave out --max-items"),
    "half an answer": (
        json.dumps(report(("v", "COMPLIANT")))[:-9],
        "is damaged, its JSON breaks o",
    ),
    "other results": (
        '{"EvaluationResults": [{"a": 1}]}',
        "result 1 lacks 'EvaluationResultIdentif",
    ),
    "null for a result": ('{"EvaluationResults": [null]}', "result 1 is no evaluation result."),
    "a number for an id": (
        json.dumps(report(("v", "COMPLIANT"), ResourceId=5)),
        "result 1 is no evaluation result.",
    ),
    "null for the results": (
        '{"EvaluationResults": null}',
        "must be the CSV file of a preview, or",
    ),
}


@pytest.mark.parametrize(("content", "message"), NO_RESULTS.values(), ids=NO_RESULTS)
def test_file_without_results_is_an_error(
    content: str, message: str, project: Project, run: Run
) -> None:
    path = project.write("before", content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        run(write_volumes(project, 1), "--rule=sizes", "--compare", path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("123456789012", "1.23457E+11", "the account must have 12 digits, not '1.23457E+11'"),
        (",NON_COMPLIANT,", ",Nope,", "line 4 is no result of a preview"),
    ],
    ids=["an account", "a result"],
)
def test_csv_that_a_spreadsheet_changed_is_an_error(
    old: str, new: str, message: str, project: Project, run: Run, before: Path
) -> None:
    before.write_text(before.read_text("utf-8-sig").replace(old, new), "utf-8-sig")
    with pytest.raises(ValueError, match=re.escape(message)):
        run(write_volumes(project, 1), "--rule=sizes", "--compare", before)


def test_folder_is_no_file_of_results(project: Project, run: Run) -> None:
    with pytest.raises(ValueError, match="is a folder"):
        run(write_volumes(project, 1), "--rule=sizes", "--compare", project.root)


def test_results_before_are_not_overwritten(project: Project, run: Run, before: Path) -> None:
    with pytest.raises(SystemExit):
        run(write_volumes(project, 1), "--compare", before, "--csv", before)
    assert before.stat().st_size
