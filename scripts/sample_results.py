"""What sample events give: each in a new module, and all of them in one, as Lambda reuses it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.invocation import Outcome
from scripts.local_aws import LocalAws, run_rule, start_local_aws
from scripts.recorded_items import CAPTURED, parse_time
from scripts.sample_events import find_item, find_region
from scripts.template import ROOT, JsonObject

CREATED = "notificationCreationTime"


@contextmanager
def start_sample_aws(rule: str, region: str) -> Iterator[LocalAws]:
    """Start the local AWS in a Region, with what the rule's sample events need."""
    with start_local_aws() as aws:
        aws.enter_region(region)
        aws.load_sample_state(ROOT / "events" / rule)
        yield aws


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
        for path, event in events_there.items():
            with start_sample_aws(rule, region) as aws:
                outcomes[path] = run_rule(rule, event, aws)
                problems += check_times(rule, path, event, outcomes[path], aws)
        problems += check_one_module(rule, region, events_there, outcomes)
    return outcomes, problems


def check_one_module(
    rule: str, region: str, events: dict[Path, JsonObject], outcomes: dict[Path, Outcome]
) -> Iterator[str]:
    """Ask for the same results when one module serves all events, and for each earlier result."""
    with start_sample_aws(rule, region) as aws:
        missing = {*aws.results}
        for event in events.values():
            for each in run_rule(rule, event, aws).evaluations:
                missing.discard((each["ComplianceResourceType"], each["ComplianceResourceId"]))
        for path, event in events.items():
            again, alone = run_rule(rule, event, aws), outcomes[path]
            if (again.evaluations, again.error) != (alone.evaluations, alone.error):
                yield (
                    f"{rule}/app.py: {path.name} gives another result after other events: keep "
                    "nothing of an event in the module, neither in a list nor in a cache."
                )
    for resource_type, resource_id in sorted(missing):
        yield (
            f"events/{rule}/state.py: no event reports the earlier result of {resource_type} "
            f"{resource_id} again: let {rule}/app.py report it, NOT_APPLICABLE if it is deleted."
        )


def check_times(
    rule: str, path: Path, event: JsonObject, outcome: Outcome, aws: LocalAws
) -> Iterator[str]:
    """Ask for the time of the event or of the item: with another an old event wins over a new."""
    created = json.loads(event["invokingEvent"]).get(CREATED)
    for each in outcome.evaluations:
        resource_id = each["ComplianceResourceId"]
        items = [
            item for item in (find_item(event), *aws.items) if item.get("resourceId") == resource_id
        ]
        known = [time for time in (created, *(item.get(CAPTURED) for item in items)) if time]
        if not any(
            abs(each["OrderingTimestamp"] - parse_time(CAPTURED, time)) < 1 for time in known
        ):
            yield (
                f"{rule}/app.py: the OrderingTimestamp of {path.name} is neither its {CREATED} nor "
                f"its item's {CAPTURED}: report one of them."
            )
            return
