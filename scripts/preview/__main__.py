"""Print what the rules would report about recorded configuration that AWS Config exported."""

import argparse
from pathlib import Path

from scripts.command_line import run_command, split_paths
from scripts.events import choose_rules
from scripts.local_aws import clean_environment
from scripts.preview.compare import DEPLOYED, Comparison
from scripts.preview.csv_file import check_writable, write_csv
from scripts.preview.evaluation import Preview, Row, preview
from scripts.preview.forms import FORMS
from scripts.preview.record import Record
from scripts.preview.report import print_differences, print_preview
from scripts.template import ConfigRule, parse_parameters, read_rule

BEFORE = f"a file that --csv wrote, or with --rule {DEPLOYED}"


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, list[ConfigRule]]:
    """Return the command's arguments, and the rules with the parameters that they give."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.preview",
        description=__doc__,
        epilog="Exit code: 0; 1 an error; 2 usage; 3 NON_COMPLIANT, with --fail.",
    )
    parser.add_argument("items", nargs="*", help=f"files, or folders of them: {FORMS}")
    parser.add_argument("--rule", help="a rule's folder; without it, all rules")
    parser.add_argument("--parameters", default="", help="as for sam deploy: 'Key=Value Key=Value'")
    parser.add_argument("--all", action="store_true", help="list every result")
    parser.add_argument("--csv", type=Path, help="write every result to this file")
    parser.add_argument(
        "--compare", type=Path, metavar="BEFORE", help=f"print what changes: {BEFORE}"
    )
    parser.add_argument(
        "--fail", action="store_true", help="end with 3 if one (becomes) NON_COMPLIANT"
    )
    chosen = parser.parse_args(arguments)
    try:
        chosen.items = [path for text in chosen.items for path in split_paths(text)]
        if not chosen.items:
            raise ValueError("ITEMS must name files or folders that AWS Config exported.")
        if chosen.csv and chosen.compare and chosen.csv.resolve() == chosen.compare.resolve():
            raise ValueError("CSV and COMPARE must be two files.")
        parameters = parse_parameters(chosen.parameters)
        return chosen, [read_rule(name, parameters) for name in choose_rules(chosen.rule)]
    except ValueError as ex:
        parser.error(str(ex))


def find_types(rules: list[ConfigRule]) -> set[str] | None:
    """Return the types in the scopes of the change-triggered rules; None if that is any type.

    ValueError: a scope that an export does not tell, as one by tag.
    """
    triggered = [rule for rule in rules if not rule.is_periodic]
    for rule in triggered:
        if unknown := rule.scope.keys() - {"ComplianceResourceTypes"}:
            raise ValueError(f"template.yaml: the scope of {rule.name} has {', '.join(unknown)}.")
    if not all(rule.resource_types for rule in triggered):
        return None
    return {each for rule in triggered for each in rule.resource_types}


def check_not_read(csv: Path, record: Record) -> None:
    """Raise a ValueError if the CSV file is one of those that were read."""
    paths = {export.path for export in record.exports}
    if csv.is_file() and any(map(csv.samefile, paths)):
        raise ValueError(f"CSV must not be one of the files of ITEMS, as {csv} is.")


def main(arguments: list[str] | None = None) -> int:
    """Print what the rules would report, or what differs; return the exit code."""
    clean_environment()
    chosen, rules = parse_arguments(arguments)
    comparison = Comparison(chosen.compare, chosen.rule) if chosen.compare else None
    if chosen.csv:
        check_writable(chosen.csv)  # before the work begins
    record = Record(chosen.items, find_types(rules))
    if chosen.csv:
        check_not_read(chosen.csv, record)
    print("".join(f"{note}\n" for note in record.list_notes()), end="")
    if comparison:
        comparison.check_account_regions(
            [*record.list_account_regions(), *(each[:2] for each in record.list_snapshots())]
        )
        print(f"Compared with {comparison.path} ({comparison.age}).\n")
    rows: list[Row] = []
    missing: list[str] = []  # the rules that were not previewed
    for number, rule in enumerate(rules):
        result = preview(rule, record)
        print("\n" if number and rows else "", end="")
        print_result(rule, result, comparison, show_all=chosen.all)
        rows += result.rows
        missing += [] if result.is_previewed else [rule.name]
    if chosen.csv:
        write_csv(chosen.csv, rows)
    return find_exit_code(chosen, rows, missing, comparison)


def find_exit_code(
    chosen: argparse.Namespace, rows: list[Row], missing: list[str], comparison: Comparison | None
) -> int:
    """Return 1 if something is missing or wrong, 3 if --fail asks for it, and else 0."""
    was_there = comparison is not None and any(map(comparison.has_rule, missing))
    is_expected = chosen.rule or chosen.fail or was_there
    results = {row.compliance_type for row in rows}
    if (missing and is_expected) or "ERROR" in results or not results:
        return 1
    is_worse = comparison.is_worse() if comparison else "NON_COMPLIANT" in results
    return 3 if chosen.fail and is_worse else 0


def print_result(
    rule: ConfigRule, result: Preview, comparison: Comparison | None, *, show_all: bool
) -> None:
    """Print what a rule would report, or what differs."""
    if comparison and result.is_previewed:
        comparison.add(result.rows)
        print_differences(rule, result, comparison, show_all=show_all)
    elif result.rows:
        print_preview(rule, result, show_all=show_all)
    else:
        print(f"{rule.name}: {result.note}")


if __name__ == "__main__":
    run_command("python -m scripts.preview", main)
