"""Run the sample events through the rules with your own credentials, in your own account.

A dry run: AWS Config writes nothing of an event whose result token is TESTMODE, and an event with
another token is refused. Nothing stands in for AWS: neither a state.py nor configuration_items.json
is read, and the local AWS, which removes the caller's settings, is not imported.
"""

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from scripts.command_line import run_command
from scripts.events import choose_events, find_region, parse_arguments
from scripts.invocation import Outcome, invoke, load_rule, print_outcome, summarize
from scripts.template import JsonObject

NOT_SHOWN = (
    "Not shown: what the function's own role may do, whether AWS Config may invoke the function, "
    "and whether its events arrive."
)


@dataclass
class Caller:
    """Whose credentials these are, and the Region."""

    arn: str
    account_id: str
    region: str


@dataclass
class Calls:
    """What a session's clients call."""

    made: list[str] = field(default_factory=list)  # for one event: config:PutEvaluations
    evaluations: list[JsonObject] = field(default_factory=list)  # accepted of one event
    answered: set[str] = field(default_factory=set)  # of all events, without an error
    sent: list[JsonObject] = field(default_factory=list)

    def watch(self, session: boto3.Session) -> None:
        """Note the calls of all clients that the session makes from here on."""
        put = "provide-client-params.config-service.PutEvaluations"
        session.events.register(put, self.note_evaluations)
        session.events.register("before-call", self.note_call)
        session.events.register("after-call", self.note_answer)

    def note_evaluations(self, params: JsonObject, **_more: Any) -> None:
        """Note what PutEvaluations is about to send."""
        self.sent = params["Evaluations"]

    def note_call(self, model: Any, **_more: Any) -> None:
        """Note a call as IAM writes it."""
        self.made.append(f"{model.service_model.signing_name}:{model.name}")

    def note_answer(self, http_response: Any, **_more: Any) -> None:
        """Note that AWS has answered the last call without an error."""
        if http_response.status_code < 300:
            self.answered.add(self.made[-1])
            if self.made[-1] == "config:PutEvaluations":
                self.evaluations += self.sent


def find_caller() -> Caller:
    """Return whose credentials these are; ValueError if there are none, or no Region."""
    named = {os.environ.get("AWS_REGION"), os.environ.get("AWS_DEFAULT_REGION")} - {None, ""}
    if len(named) > 1:
        raise ValueError("AWS_REGION and AWS_DEFAULT_REGION differ: SAM CLI reads only the second.")
    try:
        session = boto3.Session(region_name=named.pop() if named else None)
        if not session.region_name:
            raise ValueError("LIVE=1 needs a Region: set AWS_DEFAULT_REGION, or one in a profile.")
        identity = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as ex:
        reason = str(ex).rstrip(".")
        raise ValueError(f"LIVE=1 needs credentials (set AWS_PROFILE): {reason}.") from ex
    return Caller(identity["Arn"], identity["Account"], session.region_name)


def move_event(event: JsonObject, caller: Caller) -> JsonObject:
    """Return the event as if AWS Config sent it now, in the caller's account and Region."""
    text = json.dumps(event).replace(find_region(event), caller.region)
    text = text.replace("arn:aws:", f"arn:{caller.arn.split(':')[1]}:")
    if re.fullmatch("[0-9]{12}", str(event.get("accountId"))):
        text = text.replace(event["accountId"], caller.account_id)
    moved: JsonObject = json.loads(text)
    with suppress(TypeError, ValueError):  # the function says what is wrong with invokingEvent
        content = json.loads(moved["invokingEvent"])
        content["notificationCreationTime"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        moved["invokingEvent"] = json.dumps(content)
    return moved


def describe_run(caller: Caller, calls: Calls, outcomes: list[Outcome]) -> str:
    """Return what the run has shown of the account, and what it cannot show."""
    asked = "config:DescribeConfigurationRecorderStatus"
    is_recorded = any(asked in each.calls and not each.error for each in outcomes)
    return "\n".join(
        [
            f"Shown: {caller.arn} in {caller.region}",
            f"       AWS answers {', '.join(sorted(calls.answered)) or 'no call'}",
            *(["       AWS Config records what the periodic rules count"] if is_recorded else []),
            "       AWS Config has written nothing: the result token is TESTMODE",
            NOT_SHOWN,
        ]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the events; return the exit code."""
    chosen = parse_arguments("python -m scripts.live", __doc__, arguments)
    cases = choose_events(chosen.events, chosen.rule)
    for _, path, event in cases:
        if event.get("resultToken") != "TESTMODE":
            raise ValueError(f"{path}: resultToken must be TESTMODE, a dry run, with LIVE=1.")
    caller, calls = find_caller(), Calls()
    os.environ |= {"AWS_REGION": caller.region, "AWS_DEFAULT_REGION": caller.region}  # as in Lambda
    boto3.setup_default_session(region_name=caller.region)
    calls.watch(boto3.DEFAULT_SESSION)
    load_once, outcomes = cache(load_rule), list[Outcome]()
    width = max(len(f"{name}/{path.stem}") for name, path, _ in cases) + 2
    for name, path, event in cases:
        print(f"{name}/{path.stem}".ljust(width), end="", flush=True)
        if not chosen.events and "Oversized" in event["invokingEvent"]:
            print("left out: only the sample has the resource whose history it asks for")
            continue
        moved = move_event(event, caller)
        outcome = invoke(name, partial(load_once, name), moved, calls.made, calls.evaluations)
        print_outcome(outcome, " " * width, show_all=chosen.all, show_log=chosen.log)
        outcomes.append(outcome)
    print(f"\n{summarize(outcomes)}")
    print(describe_run(caller, calls, outcomes))
    return 0 if outcomes and not any(each.error for each in outcomes) else 1


if __name__ == "__main__":
    run_command("python -m scripts.live", main)
