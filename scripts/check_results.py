"""What sample events give: each in a new module, and all of them in one, as Lambda reuses it."""

import json
from collections.abc import Iterator
from pathlib import Path

from scripts.events import find_item, find_region
from scripts.invocation import Outcome
from scripts.local_aws import LocalAws, run_rule, start_local_aws
from scripts.sample_items import CAPTURED, read_seconds
from scripts.template import ROOT, JsonObject

CREATED = "notificationCreationTime"


def run_samples(rule: str, events: dict[Path, JsonObject]) -> tuple[dict[Path, Outcome], list[str]]:
    """Return what came of each event, and what is wrong with the results, in sentences.

    ValueError: the rule's state.py or its recorded items cannot be used.
    """
    outcomes: dict[Path, Outcome] = {}
    problems: list[str] = []
    by_region: dict[str, dict[Path, JsonObject]] = {}
    for path, event in events.items():
        by_region.setdefault(find_region(event), {})[path] = event
    for region, events_there in by_region.items():
        with start_local_aws() as aws:
            aws.enter_region(region)
            aws.load_sample_state(ROOT / "events" / rule)
            timely = {}  # the events whose results have a time that does not change by itself
            for path, event in events_there.items():
                aws.modules.clear()
                outcomes[path] = run_rule(rule, event, aws)
                if is_timely(event, outcomes[path], aws):
                    timely[path] = event
            problems += check_times(rule, [path for path in events_there if path not in timely])
            problems += check_earlier_results(rule, [outcomes[path] for path in events_there], aws)
            problems += check_one_module(rule, timely, outcomes, aws)
    return outcomes, problems


def check_earlier_results(rule: str, outcomes: list[Outcome], aws: LocalAws) -> Iterator[str]:
    """Ask for a new result for each earlier one that a state.py has reported."""
    if any(outcome.error for outcome in outcomes):  # it may have had the result to report
        return
    evaluations = [each for outcome in outcomes for each in outcome.evaluations]
    reported = {
        (each["ComplianceResourceType"], each["ComplianceResourceId"]) for each in evaluations
    }
    for resource_type, resource_id in sorted(aws.results.keys() - reported):
        yield (
            f"events/{rule}/state.py: no event reports the earlier result of {resource_type} "
            f"{resource_id} again: let {rule}/app.py report it, NOT_APPLICABLE if it is deleted."
        )


def check_one_module(
    rule: str, events: dict[Path, JsonObject], outcomes: dict[Path, Outcome], aws: LocalAws
) -> Iterator[str]:
    """Ask for the same result of an event after all others, in one module as Lambda reuses it."""
    aws.modules.clear()
    for event in events.values():
        run_rule(rule, event, aws)
    for path, event in events.items():
        again, alone = run_rule(rule, event, aws), outcomes[path]
        if (again.evaluations, again.error) != (alone.evaluations, alone.error):
            yield (
                f"{rule}/app.py: {path.name} gives another result after other events: keep "
                "nothing of an event in the module, neither in a list nor in a cache."
            )


def check_times(rule: str, paths: list[Path]) -> Iterator[str]:
    """Ask for the time of the event or of the item: with another an old event wins over a new."""
    if paths:
        names = ", ".join(path.name for path in paths)
        yield (
            f"{rule}/app.py: the OrderingTimestamp of {names} is neither the event's {CREATED} nor "
            f"the item's {CAPTURED}: report one of them."
        )


def is_timely(event: JsonObject, outcome: Outcome, aws: LocalAws) -> bool:
    """Return whether each evaluation has the time of the event, or of an item of its resource."""
    created = json.loads(event["invokingEvent"]).get(CREATED)
    for each in outcome.evaluations:
        items = [
            item.get(CAPTURED)
            for item in (find_item(event), *aws.items)
            if item.get("resourceId") == each["ComplianceResourceId"]
        ]
        known = [read_seconds(CAPTURED, time) for time in (created, *items) if time]
        if not any(abs(each["OrderingTimestamp"] - time) < 1 for time in known):
            return False
    return True
