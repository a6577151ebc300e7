"""Run Lambda events through the rules on this machine; print what AWS Config is sent."""

import signal

# An interrupt ends the process at once and without a traceback, during the imports too.
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import os
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from itertools import groupby
from pathlib import Path

from scripts.local_aws import ITEMS, Outcome, invoke, parse_json, start_local_aws
from scripts.stack import ROOT, Json, list_rules

COLOURS = {"COMPLIANT": 32, "NON_COMPLIANT": 33, "NOT_APPLICABLE": 2, "ERROR": 31}


def list_events(rule: str) -> list[Path]:
    """Return the files of the rule's sample events."""
    return sorted(path for path in (ROOT / "events" / rule).glob("*.json") if path.name != ITEMS)


def choose_rules(rule: str | None) -> list[str]:
    """Return the rule that was named, or all; ValueError if there is no such rule."""
    if rule and rule not in list_rules():
        raise ValueError(f"RULE must be one of {', '.join(list_rules())}, not {rule!r}.")
    return [rule] if rule else list_rules()


def find_rule(path: Path) -> str:
    """Return the rule that the file's folder is named after; ValueError if there is none."""
    folder = path.resolve().parent.name
    if folder not in list_rules():
        choice = " or ".join(f"RULE={name}" for name in list_rules())
        raise ValueError(f"{path}: the folder is not named after a rule; add {choice}.")
    return folder


def load_event(path: Path) -> Json:
    """Return the event of a file, plain objects in it as the JSON texts that AWS Config sends."""
    event = parse_json(path.read_bytes(), path)
    for name in ("invokingEvent", "ruleParameters"):
        if isinstance(event.get(name), dict):
            event[name] = json.dumps(event[name])
    return event


def count(results: Counter[str]) -> str:
    """Return how many evaluations there were of each compliance type, and how many errors."""
    return (
        f"{results['COMPLIANT']} compliant, {results['NON_COMPLIANT']} non-compliant, "
        f"{results['NOT_APPLICABLE']} not applicable, {results['ERROR']} errors"
    )


class Printer:
    """Prints results for a person: as wide as the terminal, plain and of one width in a pipe."""

    def __init__(self, names: list[str]) -> None:
        """Measure the terminal and the longest name."""
        terminal = sys.stdout.isatty()
        self.width = max(shutil.get_terminal_size().columns if terminal else 120, 40)
        self.coloured = terminal and not os.environ.get("NO_COLOR")
        self.column = max(map(len, names)) + 2

    def print_outcome(self, outcome: Outcome, *, show_log: bool) -> None:
        """End the line; print why below it."""
        names = Counter(call.partition(":")[2] for call in outcome.calls)
        calls = ", ".join(
            f"{number} {name}" if number > 1 else name for name, number in names.items()
        )
        indent = ""
        for evaluation in outcome.evaluations:
            resource = evaluation["ComplianceResourceId"]
            self.print_result(indent, evaluation["ComplianceType"], resource, calls)
            self.print_text(evaluation.get("Annotation", "(no annotation)"))
            indent = " " * self.column
        if outcome.error:
            self.print_result(indent, "ERROR", calls)
            self.print_text(outcome.error)
            print("".join(f"    {line}\n" for line in outcome.frames), end="")
        elif not outcome.evaluations:
            self.print_result(indent, "no evaluations", calls)
        if outcome.log and (outcome.error or show_log):
            print("".join(f"    | {line}\n" for line in outcome.log), end="")

    def print_result(self, indent: str, result: str, *details: str) -> None:
        """Print the result, and as many of the details as there is room for."""
        fields = [f"{result:<14}", *filter(None, details)]
        while len(fields) > 1 and self.column + len("  ".join(fields)) > self.width:
            fields.pop()
        line = indent + "  ".join(fields).rstrip()
        if self.coloured and result in COLOURS:
            line = line.replace(result, f"\x1b[{COLOURS[result]}m{result}\x1b[0m", 1)
        print(line)

    def print_text(self, text: str) -> None:
        """Print a sentence below its line."""
        print(textwrap.indent(textwrap.fill(text, self.width - 4), "    "))


def main() -> int:
    """Run the events that the environment names; return the exit code."""
    rule = os.environ.get("RULE")
    rules = choose_rules(rule)
    paths = [Path(name) for name in shlex.split(os.environ.get("EVENT", ""))]
    paths = paths or [path for each in rules for path in list_events(each)]
    events = {path: load_event(path) for path in paths}
    cases = [(rule or find_rule(path), path, event) for path, event in events.items()]
    if not cases:
        raise ValueError(f"There is no event in events/ for {' or '.join(rules)}.")
    results: Counter[str] = Counter()
    printer = Printer([f"{name}/{path.stem}" for name, path, _ in cases])
    for (name, folder), group in groupby(cases, lambda case: (case[0], case[1].parent)):
        with start_local_aws() as aws:
            aws.prepare(folder)
            for _, path, event in group:
                print(f"{name}/{path.stem}".ljust(printer.column), end="", flush=True)
                outcome = invoke(name, event, aws)
                printer.print_outcome(outcome, show_log=bool(os.environ.get("LOG")))
                results.update(each["ComplianceType"] for each in outcome.evaluations)
                results["ERROR"] += bool(outcome.error)
    print(f"\n{len(cases)} event{'s' if len(cases) > 1 else ''}: {count(results)}")
    return 1 if results["ERROR"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as ex:
        sys.exit(f"make run: {ex}")
