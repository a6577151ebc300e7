"""Run Lambda events through the built functions on this machine and print what comes of them.

Usage: python -m scripts.run_events [--rule FOLDER] [EVENT.json ...]
Without a file it runs all of events/. The rule is the folder that the event lies in, or --rule.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.lambda_runtime import ROOT, Runtime, find_emulator, load_function, start_function
from scripts.local_aws import INSTANCE, LocalAws, launch, start_local_aws

COLOURS = {"COMPLIANT": "green", "NON_COMPLIANT": "yellow", "NOT_APPLICABLE": "dim"}


@dataclass
class Case:
    """One event and the rule whose function takes it."""

    rule: str
    name: str
    event: dict[str, Any]


@dataclass
class Outcome:
    """What came of one event: the function's answer and the calls it made."""

    case: Case
    answer: Any
    calls: list[str]
    milliseconds: float

    @property
    def error(self) -> str | None:
        """Return the function's own error, None if it answered."""
        if not isinstance(self.answer, dict):
            return None
        return f"{self.answer.get('errorType')}: {self.answer.get('errorMessage')}"


def load_cases(paths: list[Path], rule: str | None) -> list[Case]:
    """Return the events of the files; each file's folder names the rule unless `rule` does."""
    return [
        Case(rule or path.resolve().parent.name, path.stem, json.loads(path.read_text()))
        for path in paths
    ]


def find_instance(event: dict[str, Any]) -> tuple[str, str] | None:
    """Return id and type of the EC2 instance that an event says to exist, else None."""
    try:
        content = json.loads(event["invokingEvent"])
        item = content.get("configurationItem") or content["configurationItemSummary"]
        exists = item["configurationItemStatus"] in ("OK", "ResourceDiscovered")
        if not exists or item["resourceType"] != INSTANCE:
            return None
        # A summary does not tell the type: that is what its function has to find out.
        configuration = item.get("configuration") or {"instanceType": "t3.large"}
        return item["resourceId"], configuration["instanceType"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # no such event, or a broken one: the function says what is wrong with it


def run_case(case: Case, runtime: Runtime, aws: LocalAws) -> Outcome:
    """Invoke the function with the event."""
    aws.forget_calls()
    start = time.perf_counter()
    answer = runtime.invoke(case.event)
    milliseconds = (time.perf_counter() - start) * 1000
    return Outcome(case, answer, aws.get_calls(), milliseconds)


def run_cases(
    cases: list[Case], aws: LocalAws, emulator: Path | None
) -> tuple[list[Outcome], dict[str, str]]:
    """Launch the events' instances, run the events; return the outcomes and each rule's log."""
    instances = dict(filter(None, (find_instance(case.event) for case in cases)))
    for instance_id, instance_type in instances.items():
        launch(aws.endpoint, instance_id, instance_type)
    with ExitStack() as stack:
        runtimes = {
            rule: stack.enter_context(
                start_function(load_function(rule), aws.endpoint, emulator=emulator)
            )
            for rule in dict.fromkeys(case.rule for case in cases)
        }
        outcomes = [run_case(case, runtimes[case.rule], aws) for case in cases]
        logs = {rule: runtime.read_log() for rule, runtime in runtimes.items()}
    return outcomes, logs


def build_table(outcomes: list[Outcome]) -> Table:
    """Return the table that a person reads: a row for each evaluation sent."""
    table = Table("event", "result", "resource", "annotation", "AWS calls", box=None)
    table.add_column("ms", justify="right")
    for outcome in outcomes:
        event = f"{outcome.case.rule}/{outcome.case.name}"
        calls = ", ".join(
            f"{outcome.calls.count(call)} {call}" for call in dict.fromkeys(outcome.calls)
        )
        milliseconds = f"{outcome.milliseconds:.0f}"
        if outcome.error:
            table.add_row(event, Text("ERROR", "red"), "", outcome.error, calls, milliseconds)
            continue
        for evaluation in outcome.answer:
            result = evaluation["ComplianceType"]
            table.add_row(
                event,
                Text(result, COLOURS[result]),
                evaluation["ComplianceResourceId"],
                evaluation["Annotation"],
                calls,
                milliseconds,
            )
    return table


def print_outcomes(outcomes: list[Outcome]) -> None:
    """Print the table, then the stack trace of each function that failed."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(build_table(outcomes))
    for outcome in filter(lambda outcome: outcome.error, outcomes):
        print(f"\n{outcome.case.rule}/{outcome.case.name} failed with {outcome.error}")
        print("".join(outcome.answer.get("stackTrace") or []))


def main(arguments: list[str] | None = None) -> int:
    """Run the events named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.splitlines()[0])
    parser.add_argument("events", nargs="*", type=Path, help="files with one Lambda event each")
    parser.add_argument("--rule", help="folder of the function, if the event lies elsewhere")
    options = parser.parse_args(arguments)
    cases = load_cases(options.events or sorted(ROOT.glob("events/*/*.json")), options.rule)
    emulator = find_emulator()
    if emulator is None:
        print("AWS's Lambda emulator does not run here (it needs Linux): plain Python instead.")
    with start_local_aws() as aws:
        outcomes, _ = run_cases(cases, aws, emulator)
    print_outcomes(outcomes)
    return 1 if any(outcome.error for outcome in outcomes) else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError) as ex:
        sys.exit(f"make run: {ex}")
