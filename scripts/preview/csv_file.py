"""The results of a preview as a file: for a spreadsheet, and for a later comparison."""

import csv
from collections.abc import Iterator
from pathlib import Path

from scripts.local_aws import COMPLIANCE_TYPES
from scripts.preview.evaluation import Row

HEADER = [name.replace("_", " ") for name in Row._fields[:-1]]
RESULTS = (*COMPLIANCE_TYPES, "ERROR")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write every row to a file that a spreadsheet opens; no cell of it is a formula."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for row in rows:
            table.writerow(f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row[:-1])


def read_csv(path: Path) -> Iterator[list[str]]:
    """Yield the rows as they were before they were written.

    ValueError: the file was written by something else, or changed.
    """
    fix = "use the file as the preview wrote it (CSV=)"
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        table = csv.reader(file)
        if next(table, None) != HEADER:
            raise ValueError(f"{path} does not begin as the CSV file of a preview: {fix}.")
        for row in table:
            where = f"{path}, line {table.line_num}"
            if len(row) != len(HEADER) or row[5] not in RESULTS:
                raise ValueError(f"{where} is no result of a preview: {fix}.")
            if len(row[1]) != 12:  # a spreadsheet writes 1.23E+11, or drops a zero
                raise ValueError(
                    f"{where}: the account must have 12 digits, not {row[1]!r}: {fix}."
                )
            yield [cell.removeprefix("'") for cell in row]
