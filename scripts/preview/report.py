"""What a preview prints, and the table it writes."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

from scripts.formatting import count, format_result, format_table
from scripts.local_aws import COMPLIANCE_TYPES
from scripts.preview.evaluation import Row
from scripts.template import ConfigRule

RESOURCES_SHOWN = 20  # of a rule
ANNOTATIONS_SHOWN = 5


def print_preview(rule: ConfigRule, rows: list[Row], note: str, *, show_all: bool) -> None:
    """Print a table, the most frequent annotations, the resources and a line that sums them up."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.account, row.region][row.compliance_type] += 1
    print(f"{rule.name}\n", *format_table(counts), "", sep="\n")
    kinds = COMPLIANCE_TYPES if show_all or rule.is_periodic else ("NON_COMPLIANT",)
    shown = [row for row in rows if row.compliance_type in kinds]
    frequent = Counter(row.annotation for row in shown).most_common(ANNOTATIONS_SHOWN)
    if frequent and frequent[0][1] > 1:
        print(*(f"{number:>7,} x  {text}" for text, number in frequent), "", sep="\n")
    listed = shown if show_all else shown[:RESOURCES_SHOWN]
    for row in listed:
        where = (row.account, row.region) if len(counts) > 1 else ()
        print(format_result(row.compliance_type, row.resource_id, *where, row.annotation))
    if len(shown) > len(listed):
        print(f"and {len(shown) - len(listed):,} more (ALL=1, or CSV=file)")
    errors: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.compliance_type == "ERROR":
            errors[row.annotation.partition(":")[0], *row.frames].append(row)
    for (_kind, *frames), same in errors.items():
        more = f"and {len(same) - 1:,} more" if len(same) > 1 else ""
        print(format_result("ERROR", same[0].resource_id, more, same[0].annotation))
        print("".join(f"    {line}\n" for line in frames), end="")
    if note:
        print(note)
    found = sum(counts.values(), Counter[str]())
    number = found.total() - found["ERROR"]
    print(f"{rule.name}: {number} evaluation{'' if number == 1 else 's'}: {count(found)}")


def make_safe(cell: str) -> str:
    """Return the cell so that a spreadsheet shows it and runs no formula in it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write every row to a file that a spreadsheet opens."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(name.replace("_", " ") for name in Row._fields[:-1])
        table.writerows([make_safe(cell) for cell in row[:-1]] for row in rows)
