"""Run Lambda events through the built functions on this machine; print what AWS Config is sent.

Usage: python -m scripts.run_events [--rule FOLDER] [--log] [EVENT.json ...]
Without a file it runs the events of the rule, or of all rules.
"""

import signal

# An interrupt ends the process at once, during the imports too; the emulators end with it.
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import json
import os
import re
import shutil
import sys
import textwrap
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lambda_runtime import Function, find_emulator, load_function, start_function
from scripts.local_aws import ITEMS, LocalAws, read_items, read_json, start_local_aws
from scripts.stack import ROOT, list_rules

COLOURS = {"COMPLIANT": 32, "NON_COMPLIANT": 33, "NOT_APPLICABLE": 2, "ERROR": 31}
EMULATOR_LINE = re.compile(
    r"(START|END|REPORT) RequestId|\d\d \w{3} \d{4} [\d:,]+ \[\w+\] \(rapid\)"
)


@dataclass
class Case:
    """One event and the rule whose function gets it."""

    rule: str
    path: Path
    event: dict[str, Any]

    @property
    def name(self) -> str:
        """Return what the event is called in the output."""
        return f"{self.rule}/{self.path.stem}"


@dataclass
class Outcome:
    """What came of one event: the evaluations that AWS Config was sent, or an error."""

    evaluations: list[dict[str, Any]]
    error: str
    frames: list[str]
    log: list[str]
    calls: list[str]


def list_events(rule: str) -> list[Path]:
    """Return the files of the rule's sample events."""
    return sorted(path for path in (ROOT / "events" / rule).glob("*.json") if path.name != ITEMS)


def load_case(path: Path, rule: str | None) -> Case:
    """Return the event of a file, its rule named by `rule` or by its folder.

    `invokingEvent` and `ruleParameters` may be plain objects: they become the text that they are
    in AWS Config's events.
    """
    event = read_json(path)
    for name in ("invokingEvent", "ruleParameters"):
        if isinstance(event.get(name), dict):
            event[name] = json.dumps(event[name])
    folder = path.resolve().parent.name
    if not rule and folder not in list_rules():
        choice = " or ".join(f"RULE={name}" for name in list_rules())
        raise ValueError(f"{path}: the folder is not named after a rule; add {choice}.")
    return Case(rule or folder, path, event)


def run_case(case: Case, runtime: Any, aws: LocalAws) -> Outcome:
    """Invoke the function with the event, AWS Config's record being what lies beside it."""
    aws.record.items[:] = read_items(case.path.parent)
    aws.record.evaluations.clear()
    aws.calls.clear()
    answer = runtime.invoke(case.event)
    log = list(filter(None, map(format_line, runtime.read_log().splitlines())))
    error, frames = "", []
    if isinstance(answer, dict) and "errorType" in answer:
        error = f"{answer['errorType']}: {answer.get('errorMessage')}"
        frames = find_own_frames(answer.get("stackTrace") or [], runtime.function, case.rule)
    elif not aws.record.evaluations:
        error = f"The function sent no evaluation; it returned {answer!r:.100}."
    return Outcome(list(aws.record.evaluations), error, frames, log, list(aws.calls))


def format_line(line: str) -> str:
    """Return a line of the log for a person; empty for the emulator's and the SDK's lines."""
    if EMULATOR_LINE.match(line):
        return ""
    try:
        record = json.loads(line)
        level, message = record.pop("level"), record.pop("message")
    except (AttributeError, KeyError, TypeError, ValueError):
        return "" if '"errorMessage"' in line else line  # printed; the error is shown already
    if message.startswith("LAMBDA_WARNING") or record.get("logger", "").startswith("boto"):
        return ""
    usual = ("timestamp", "logger", "requestId")
    more = {name: value for name, value in record.items() if name not in usual}
    return f"{level} {message} {json.dumps(more) if more else ''}".rstrip()


def find_own_frames(stack_trace: list[str], function: Function, rule: str) -> list[str]:
    """Return the stack frames in the function's own code, with the paths of its source."""
    own = [frame for frame in stack_trace if str(function.folder) in frame]
    lines = "".join(own).replace(str(function.folder), rule).splitlines()
    return [line for line in lines if line.strip(" ^~")]


class Printer:
    """Prints outcomes for a person: as wide as the terminal, plain and of one width in a pipe."""

    def __init__(self, cases: list[Case], *, show_log: bool) -> None:
        """Measure the terminal and the longest name."""
        terminal = sys.stdout.isatty()
        self.width = max(shutil.get_terminal_size().columns if terminal else 120, 40)
        self.coloured = terminal and not os.environ.get("NO_COLOR")
        self.column = max(len(case.name) for case in cases) + 2
        self.show_log = show_log

    def print_name(self, case: Case) -> None:
        """Begin the event's line, so that it shows while the event runs."""
        print(f"{case.name:<{self.column}}", end="", flush=True)

    def print_outcome(self, outcome: Outcome) -> None:
        """End the event's line; print why below it."""
        calls = ", ".join(
            name if number == 1 else f"{number} {name}"
            for name, number in Counter(outcome.calls).items()
        )
        for number, evaluation in enumerate(outcome.evaluations):
            indent = " " * self.column if number else ""
            resource = evaluation["ComplianceResourceId"]
            self.print_result(indent, evaluation["ComplianceType"], resource, calls)
            self.print_text(evaluation.get("Annotation", "(no annotation)"))
        if outcome.error:
            self.print_result(" " * self.column if outcome.evaluations else "", "ERROR", calls)
            self.print_text(outcome.error)
            print("".join(f"    {line}\n" for line in outcome.frames), end="")
        if outcome.log and (outcome.error or self.show_log):
            print("".join(f"    | {line}\n" for line in outcome.log), end="")

    def print_result(self, indent: str, result: str, *details: str) -> None:
        """Print the result, and as many of the details as there is room for."""
        fields = [f"{result:<14}", *filter(None, details)]
        while len(fields) > 1 and self.column + len("  ".join(fields)) > self.width:
            fields.pop()
        line = indent + "  ".join(fields).rstrip()
        if self.coloured:
            line = line.replace(result, f"\x1b[{COLOURS[result]}m{result}\x1b[0m", 1)
        print(line)

    def print_text(self, text: str) -> None:
        """Print a sentence below its line."""
        print(textwrap.indent(textwrap.fill(text, self.width - 4), "    "))


def main(arguments: list[str] | None = None) -> int:
    """Run the events named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.splitlines()[0])
    parser.add_argument("events", nargs="*", type=Path, help="files with one Lambda event each")
    parser.add_argument("--rule", help="folder of the function, if the event lies elsewhere")
    parser.add_argument("--log", action="store_true", help="show what the functions log and print")
    options = parser.parse_args(arguments)
    if options.rule and options.rule not in list_rules():
        raise ValueError(f"RULE must be one of {', '.join(list_rules())}, not {options.rule!r}.")
    rules = [options.rule] if options.rule else list_rules()
    paths = options.events or [path for rule in rules for path in list_events(rule)]
    cases = [load_case(path, options.rule) for path in paths]
    if not cases:
        raise ValueError(f"There is no event in events/ for {' or '.join(rules)}.")
    if find_emulator() is None:
        print("AWS's Lambda emulator does not run here (it needs Linux): plain Python instead.")
    results: Counter[str] = Counter()
    printer = Printer(cases, show_log=options.log)
    with start_local_aws() as aws, ExitStack() as stack:
        runtimes = {
            rule: stack.enter_context(start_function(load_function(rule), aws.endpoint))
            for rule in dict.fromkeys(case.rule for case in cases)
        }
        for case in cases:
            printer.print_name(case)
            outcome = run_case(case, runtimes[case.rule], aws)
            printer.print_outcome(outcome)
            results.update(evaluation["ComplianceType"] for evaluation in outcome.evaluations)
            results["ERROR"] += bool(outcome.error)
    print(
        f"\n{len(cases)} event{'s' if len(cases) > 1 else ''}: {results['COMPLIANT']} compliant, "
        f"{results['NON_COMPLIANT']} non-compliant, {results['NOT_APPLICABLE']} not applicable, "
        f"{results['ERROR']} errors"
    )
    return 1 if results["ERROR"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, ValueError) as ex:
        sys.exit(f"make run: {ex}")
