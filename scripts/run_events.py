"""Run Lambda events through the rules on this machine; print what AWS Config is sent."""

import argparse
from collections import Counter
from itertools import groupby

from scripts.command_line import run_command
from scripts.formatting import count
from scripts.invocation import print_outcome
from scripts.local_aws import clean_environment, run_rule, start_local_aws
from scripts.sample_events import choose_events, choose_rules, find_region


def main(arguments: list[str] | None = None) -> int:
    """Run the events; return the exit code."""
    clean_environment()
    parser = argparse.ArgumentParser(
        prog="python -m scripts.run_events",
        description="Run Lambda events through the rules on this machine.",
        epilog="Exit code: 0; 1 an error; 2 usage.",
    )
    parser.add_argument("events", nargs="*", help="files; without any, those of events/")
    parser.add_argument("--rule", help="a rule's folder; without it, the one that holds the event")
    parser.add_argument("--all", action="store_true", help="list every result of an event")
    parser.add_argument("--log", action="store_true", help="show what the functions log")
    chosen = parser.parse_args(arguments)
    try:
        choose_rules(chosen.rule)
    except ValueError as ex:
        parser.error(str(ex))
    cases = [
        (rule, path, event, find_region(event))
        for rule, path, event in choose_events(chosen.events, chosen.rule)
    ]
    results: Counter[str] = Counter()
    width = max(len(f"{name}/{path.stem}") for name, path, *_ in cases) + 2
    # Each rule, folder and Region has an AWS of its own, which its state.py prepares.
    for key, group in groupby(cases, lambda case: (case[0], case[1].parent, case[3])):
        name, folder, region = key
        with start_local_aws() as aws:
            aws.enter_region(region)
            aws.load_sample_state(folder)
            for _, path, event, _ in group:
                print(f"{name}/{path.stem}".ljust(width), end="", flush=True)
                outcome = run_rule(name, event, aws)
                print_outcome(outcome, " " * width, show_all=chosen.all, show_log=chosen.log)
                results.update(each["ComplianceType"] for each in outcome.evaluations)
                results["ERROR"] += bool(outcome.error)
    print(f"\n{len(cases)} event{'s' if len(cases) > 1 else ''}: {count(results)}")
    return 1 if results["ERROR"] else 0


if __name__ == "__main__":
    run_command("python -m scripts.run_events", main)
