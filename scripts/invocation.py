"""A rule's handler, invoked as Lambda would, and what came of it."""

import importlib.util
import io
import json
import logging
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

from scripts.output import count, format_result
from scripts.template import ROOT, JsonObject

RESULTS_SHOWN = 10  # results of one event


@dataclass
class Outcome:
    """What came of one event: evaluations that AWS Config accepted, an error, or both."""

    evaluations: list[JsonObject]
    calls: list[str]
    error: str
    frames: list[str]  # those of the rule's own code
    log: list[str]  # what the rule logged and printed


class LogFormatter(logging.Formatter):
    """Writes a record as a line for a person, its fields as JSON."""

    def format(self, record: logging.LogRecord) -> str:  # noqa: D102
        usual = logging.makeLogRecord({}).__dict__.keys() | {"message"}
        fields = {name: each for name, each in record.__dict__.items() if name not in usual}
        text = f"{record.levelname} {super().format(record)}"
        return f"{text} {json.dumps(fields)}" if fields else text


def load_rule(rule: str) -> Any:
    """Return the rule's app.py as a module, loaded again."""
    spec: Any = importlib.util.spec_from_file_location(f"{rule}.app", ROOT / rule / "app.py")
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(sys, "dont_write_bytecode", new=True):  # the folder gets deployed
        spec.loader.exec_module(module)
    return module


def invoke(
    rule: str,
    load: Callable[[], Any],
    event: JsonObject,
    calls: list[str],
    evaluations: list[JsonObject],
) -> Outcome:
    """Invoke the handler of the rule's module, which `load` returns, with an event.

    `calls` and `evaluations` are noted there by whoever sees the calls while the handler runs.
    """
    calls.clear()
    evaluations.clear()
    written, root = io.StringIO(), logging.getLogger()
    log = logging.StreamHandler(written)
    log.setFormatter(LogFormatter())
    log.addFilter(lambda record: not record.name.startswith(("boto", "urllib3")))
    error, frames = "", list[str]()
    root.addHandler(log)
    root.setLevel(logging.INFO)
    try:
        with redirect_stdout(written):
            answer = load().lambda_handler(event, None)
        if "config:PutEvaluations" not in calls:
            error = f"The function sent no evaluation; it returned {answer!r:.100}."
    except (Exception, SystemExit) as ex:  # noqa: BLE001  # Lambda too reports whatever is raised
        error = f"{type(ex).__name__}: {ex}"
        stack = traceback.extract_tb(ex.__traceback__)
        own = [frame for frame in stack if frame.filename.startswith(f"{ROOT / rule}{os.sep}")]
        text = "".join(traceback.format_list(own)).replace(f"{ROOT}{os.sep}", "")
        frames = [line for line in text.splitlines() if line.strip(" ^~")]
    finally:
        root.removeHandler(log)
    return Outcome(list(evaluations), list(calls), error, frames, written.getvalue().splitlines())


def summarize(outcomes: list[Outcome]) -> str:
    """Return how many events there were, and what came of them."""
    results = Counter(each["ComplianceType"] for one in outcomes for each in one.evaluations)
    results["ERROR"] = sum(bool(one.error) for one in outcomes)
    return f"{len(outcomes)} event{'s' if len(outcomes) > 1 else ''}: {count(results)}"


def print_outcome(outcome: Outcome, indent: str, *, show_all: bool, show_log: bool) -> None:
    """End the event's line with the first result and the calls; print the rest below it."""
    names = Counter(call.partition(":")[2] for call in outcome.calls)
    calls = ", ".join(f"{number} {name}" if number > 1 else name for name, number in names.items())
    evaluations = outcome.evaluations if show_all else outcome.evaluations[:RESULTS_SHOWN]
    lines = []
    for each in evaluations:
        text = each.get("Annotation", "(no annotation)")
        lines.append((each["ComplianceType"], each["ComplianceResourceId"], text))
    if more := len(outcome.evaluations) - len(evaluations):
        lines.append((f"and {more:,} more (ALL=1)", "", ""))
    if outcome.error:
        lines.append(("ERROR", "", outcome.error))
    for position, (result, resource, text) in enumerate(lines or [("no evaluations", "", "")]):
        line = format_result(result, resource, "" if position else calls)
        print(f"{indent}{line}" if position else line)
        print(f"    {text}\n" if text else "", end="")
    print("".join(f"    {line}\n" for line in outcome.frames), end="")
    if outcome.log and (outcome.error or show_log):
        print("".join(f"    | {line}\n" for line in outcome.log), end="")
