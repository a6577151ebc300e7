"""One measurement of the benchmark, in a process of its own; prints a number or several as JSON.

Usage: python -m scripts.bench_worker MEASUREMENT SIDE NUMBER
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
EVALUATION: Any = {
    "ComplianceResourceType": "AWS::EC2::Instance",
    "ComplianceResourceId": "i-0a11ce0000000001a",
    "ComplianceType": "COMPLIANT",
    "Annotation": "Instance type t3.micro is among those wanted: t3.micro, t3.small.",
    "OrderingTimestamp": "2026-11-01T09:15:27.482Z",
}


def read_event(rule: str, case: str) -> dict[str, Any]:
    """Return a sample event; rdklib wants to be told not to assume a role."""
    event: dict[str, Any] = json.loads((ROOT / "events" / rule / f"{case}.json").read_text())
    parameters = {**json.loads(event["ruleParameters"]), "AssumeRoleMode": "false"}
    return {**event, "ruleParameters": json.dumps(parameters)}


CHANGE = read_event("desired_instance_type", "compliant")
PERIODIC = read_event("resource_count_limit", "within_limit")


def load(side: str, rule: str) -> Any:
    """Return a side's handler of the rule; "bare" is the SDK call that no side can avoid."""
    if side == "rdklib":
        from scripts import rdklib_rules

        change = rule == "desired_instance_type"
        return rdklib_rules.change_handler if change else rdklib_rules.periodic_handler
    if side == "bare":
        import boto3

        client = boto3.client("config")
        return lambda _event, _context: client.put_evaluations(
            Evaluations=[EVALUATION], ResultToken="TESTMODE", TestMode=True
        )
    sys.path.insert(0, str(ROOT / rule))
    import app

    return app.lambda_handler


def measure_cold(side: str, _: int) -> float:
    """Return the seconds from the first import to the first evaluation sent."""
    start = time.perf_counter()
    load(side, "desired_instance_type")(CHANGE, None)
    return time.perf_counter() - start


def measure_warm(side: str, number: int) -> float:
    """Return the time of warm invocations in bare calls, taken in turn: the ratio of medians."""
    import logging
    from statistics import median

    # Ours logs each evaluation: write it as Lambda would, and nowhere.
    logging.basicConfig(level=logging.INFO, filename="/dev/null")
    handlers = [load(each, "desired_instance_type") for each in (side, "bare")]
    taken: list[list[float]] = [[], []]
    for repetition in range(number + 5):
        for handler, seconds in zip(handlers, taken, strict=True):
            start = time.perf_counter()
            handler(CHANGE, None)
            if repetition >= 5:  # the first calls connect
                seconds.append(time.perf_counter() - start)
    return median(taken[0]) / median(taken[1])


def measure_cpu(_: str, number: int) -> float:
    """Return the CPU seconds of one warm invocation of ours whose SDK call costs nothing."""
    handler = load("ours", "desired_instance_type")
    client = type("Client", (), {"put_evaluations": lambda _self, **_arguments: {}})()
    handler.__globals__["get_client"] = lambda _service, _event: client
    start = time.process_time()
    for _repetition in range(number):
        handler(CHANGE, None)
    return (time.process_time() - start) / number


def measure_count(side: str, fleet: int) -> dict[str, int]:
    """Return list calls and peak memory (KiB) of finding a fleet to be over 50."""
    import os
    import resource

    from tests.fake_aws import start_fake_aws

    with start_fake_aws() as aws:
        os.environ["AWS_ENDPOINT_URL"] = aws.endpoint
        aws.fleet = fleet
        load(side, "resource_count_limit")(PERIODIC, None)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"calls": aws.operations.count("ListDiscoveredResources"), "memory": memory}


def measure_roles(side: str, number: int) -> int:
    """Return the AssumeRole calls for that many events from ten accounts in turn."""
    import os

    from tests.fake_aws import start_fake_aws

    os.environ["ASSUME_ROLE_MODE"] = "true"
    with start_fake_aws() as aws:
        os.environ["AWS_ENDPOINT_URL"] = aws.endpoint
        handler = load(side, "desired_instance_type")
        for event in range(number):
            account = f"11112222333{event % 10}"
            role = f"arn:aws:iam::{account}:role/recorder"
            handler({**CHANGE, "accountId": account, "executionRoleArn": role}, None)
        return aws.operations.count("AssumeRole")


if __name__ == "__main__":
    measurement, its_side, its_number = sys.argv[1:]
    print(json.dumps(globals()[f"measure_{measurement}"](its_side, int(its_number))))
