"""Run Lambda events through the rules on this machine; print what AWS Config is sent."""

from itertools import groupby

from scripts.command_line import run_command
from scripts.events import choose_events, find_region, parse_arguments
from scripts.invocation import Outcome, print_outcome, summarize
from scripts.local_aws import clean_environment, run_rule, start_local_aws


def main(arguments: list[str] | None = None) -> int:
    """Run the events; return the exit code."""
    clean_environment()
    chosen = parse_arguments("python -m scripts.run_events", __doc__, arguments)
    cases = [
        (rule, path, event, find_region(event))
        for rule, path, event in choose_events(chosen.events, chosen.rule)
    ]
    outcomes: list[Outcome] = []
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
                outcomes.append(outcome)
    print(f"\n{summarize(outcomes)}")
    return 1 if any(each.error for each in outcomes) else 0


if __name__ == "__main__":
    run_command("python -m scripts.run_events", main)
