"""The results of a preview as a file: for a spreadsheet, and for a later comparison."""

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from scripts.local_aws import COMPLIANCE_TYPES
from scripts.preview.evaluation import Row

CSV_HEADER = [name.replace("_", " ") for name in Row._fields[:-1]]
RESULT_KINDS = (*COMPLIANCE_TYPES, "ERROR")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def choose_files(path: Path) -> tuple[Path, Path]:
    """Return the file that a path leads to, and the one beside it that is written first."""
    if path.exists() and not path.is_file():  # a device or a pipe cannot be replaced
        return path, path
    target = path.resolve()
    return target, target.with_name(f".{target.name}.{os.getpid()}")


def check_writable(path: Path) -> None:
    """Raise an OSError if the CSV file cannot be written; nothing is changed or left behind."""
    for each in choose_files(path):
        is_new = not each.exists()
        with each.open("a"):
            pass
        if is_new:
            each.unlink()


def write_csv(path: Path, rows: list[Row]) -> None:
    """Write every row to the file, which keeps its content if that fails."""
    target, unfinished = choose_files(path)
    if unfinished == target:
        write_rows(target, rows)
        return
    try:
        write_rows(unfinished, rows)
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write every row to a file that a spreadsheet opens; no cell of it is a formula."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file)
        table.writerow(CSV_HEADER)
        for row in rows:
            table.writerow(f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row[:-1])


def read_csv(path: Path) -> Iterator[list[str]]:
    """Yield the rows as they were before they were written.

    ValueError: the file was written by something else, or changed.
    """
    fix = "use the file as the preview wrote it (CSV=)"
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        table = csv.reader(file)
        if next(table, None) != CSV_HEADER:
            raise ValueError(f"{path} does not begin as the CSV file of a preview: {fix}.")
        for row in table:
            where = f"{path}, line {table.line_num}"
            if len(row) != len(CSV_HEADER) or row[5] not in RESULT_KINDS:
                raise ValueError(f"{where} is no result of a preview: {fix}.")
            if len(row[1]) != 12:  # a spreadsheet writes 1.23E+11, or drops a zero
                raise ValueError(
                    f"{where}: the account must have 12 digits, not {row[1]!r}: {fix}."
                )
            yield [cell.removeprefix("'") for cell in row]
