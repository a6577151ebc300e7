"""Run Lambda events through the rules on this machine; print what AWS Config is sent."""

import argparse
import json
from collections import Counter
from itertools import groupby
from pathlib import Path

from scripts.command_line import run_command
from scripts.formatting import count, format_result
from scripts.local_aws import (
    RECORDED_ITEMS_FILE,
    Outcome,
    clean_environment,
    parse_json,
    run_rule,
    start_local_aws,
)
from scripts.template import ROOT, JsonObject, list_rules

RESULTS_SHOWN = 10  # results of one event


def list_sample_events(rule: str) -> list[Path]:
    """Return the files of the rule's sample events."""
    return sorted(
        path for path in (ROOT / "events" / rule).glob("*.json") if path.name != RECORDED_ITEMS_FILE
    )


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


def load_event(path: Path) -> JsonObject:
    """Return the event of a file, plain objects in it as the JSON texts that AWS Config sends."""
    event = parse_json(path.read_bytes(), path)
    for name in ("invokingEvent", "ruleParameters"):
        if isinstance(event.get(name), dict):
            event[name] = json.dumps(event[name])
    return event


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


def main(arguments: list[str] | None = None) -> int:
    """Run the events; return the exit code."""
    clean_environment()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.run_events",
        description="Run Lambda events through the rules on this machine.",
        epilog="Exit code: 0; 1 an error; 2 usage.",
    )
    parser.add_argument("events", nargs="*", type=Path, help="files; without any, those of events/")
    parser.add_argument("--rule", help="a rule's folder; without it, the one that holds the event")
    parser.add_argument("--all", action="store_true", help="list every result of an event")
    parser.add_argument("--log", action="store_true", help="show what the functions log")
    chosen = parser.parse_args(arguments)
    try:
        rules = choose_rules(chosen.rule)
    except ValueError as ex:
        parser.error(str(ex))
    paths = chosen.events or [path for rule in rules for path in list_sample_events(rule)]
    events = {path: load_event(path) for path in paths}
    cases = [(chosen.rule or find_rule(path), path, event) for path, event in events.items()]
    if not cases:
        raise ValueError(f"There is no event in events/ for {' or '.join(rules)}.")
    results: Counter[str] = Counter()
    width = max(len(f"{name}/{path.stem}") for name, path, _ in cases) + 2
    for (name, folder), group in groupby(cases, lambda case: (case[0], case[1].parent)):
        with start_local_aws() as aws:
            aws.load_sample_state(folder)
            for _, path, event in group:
                print(f"{name}/{path.stem}".ljust(width), end="", flush=True)
                outcome = run_rule(name, event, aws)
                print_outcome(outcome, " " * width, show_all=chosen.all, show_log=chosen.log)
                results.update(each["ComplianceType"] for each in outcome.evaluations)
                results["ERROR"] += bool(outcome.error)
    print(f"\n{len(cases)} event{'s' if len(cases) > 1 else ''}: {count(results)}")
    return 1 if results["ERROR"] else 0


if __name__ == "__main__":
    run_command("python -m scripts.run_events", main)
