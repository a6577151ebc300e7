"""What the commands print: whole lines that grep can use, with colors on a terminal."""

import os
import sys
from collections import Counter
from collections.abc import Iterable

COLOURS = {"COMPLIANT": 32, "NON_COMPLIANT": 33, "NOT_APPLICABLE": 2, "ERROR": 31}
ROW = "{:<12}  {:<14}  {:>9}  {:>13}  {:>14}  {:>6}"
HEADER = ("account", "Region", "compliant", "non-compliant", "not applicable", "errors")


def count(results: Counter[str]) -> str:
    """Return how many evaluations there were of each compliance type, and how many errors."""
    nouns = (*HEADER[2:5], "error" if results["ERROR"] == 1 else "errors")
    return ", ".join(f"{results[name]} {noun}" for name, noun in zip(COLOURS, nouns, strict=True))


def format_result(result: str, *details: str) -> str:
    """Return a line: the result in a column of its own, then the details."""
    texts = [" ".join(detail.split()) for detail in details if detail]
    line = "  ".join([f"{result:<14}", *texts]).rstrip()
    if result in COLOURS and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        line = line.replace(result, f"\x1b[{COLOURS[result]}m{result}\x1b[0m", 1)
    return line


def format_table(results: dict[tuple[str, str], Counter[str]]) -> Iterable[str]:
    """Yield the lines of a table: how many results of each kind there are by account and Region."""
    yield ROW.format(*HEADER)
    for account_region, found in sorted(results.items()):
        yield ROW.format(*account_region, *(found[name] for name in COLOURS))
