"""Measure our functions, and the same rules written for rdklib, against the SDK's bare call.

Each measurement has a process of its own, and a server on this machine as AWS.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

FLEET = 100_000
REPETITIONS = int(os.environ.get("REPETITIONS", "31"))
SIDES = ("ours", "rdklib")


class Aws(BaseHTTPRequestHandler):
    """Accepts every evaluation, lists a large fleet and counts the lists."""

    protocol_version = "HTTP/1.1"
    lists = 0

    def do_POST(self) -> None:  # noqa: D102  # http.server names and documents it
        self.rfile.read(int(self.headers["Content-Length"]))
        answer: dict[str, Any] = {"FailedEvaluations": [], "EvaluationResults": []}
        if self.headers["X-Amz-Target"].endswith("ListDiscoveredResources"):
            Aws.lists += 1
            token = {"nextToken": str(Aws.lists)} if Aws.lists * 100 < FLEET else {}
            answer = {"resourceIdentifiers": [{}] * 100, **token}
        body = json.dumps(answer).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def start_server() -> str:
    """Run the server in a thread; return its endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Aws)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def read_event(path: str) -> Any:
    """Return a sample event; rdklib has to be told not to assume a role."""
    event = json.loads(Path("events", path).read_text())
    parameters = {**json.loads(event["ruleParameters"]), "AssumeRoleMode": "false"}
    return {**event, "ruleParameters": json.dumps(parameters)}


def load_handler(side: str, rule: str) -> Any:
    """Return the handler of a side; "bare" is the SDK call that no rule can do without."""
    if side == "ours":
        return importlib.import_module(f"{rule}.app").lambda_handler
    if side == "bare":
        client = importlib.import_module("boto3").client("config")
        evaluation = {
            "ComplianceResourceType": "AWS::EC2::Instance",
            "ComplianceResourceId": "i-0a11ce0000000001a",
            "ComplianceType": "COMPLIANT",
            "OrderingTimestamp": "2026-11-01T09:15:27.482Z",
        }
        request = {"Evaluations": [evaluation], "ResultToken": "TESTMODE", "TestMode": True}
        return lambda _event, _context: client.put_evaluations(**request)
    rdklib: Any = importlib.import_module("rdklib")
    results = rdklib.ComplianceType.NON_COMPLIANT, rdklib.ComplianceType.COMPLIANT

    class Rule(rdklib.ConfigRule):  # type: ignore[misc]
        def evaluate_change(self, _event: Any, _clients: Any, item: Any, parameters: Any) -> Any:
            desired = parameters["desiredInstanceType"].split(", ")
            return [rdklib.Evaluation(results[item["configuration"]["instanceType"] in desired])]

        def evaluate_periodic(self, event: Any, clients: Any, parameters: Any) -> Any:
            pages = clients.build_client("config").get_paginator("list_discovered_resources")
            found = pages.paginate(resourceType=parameters["applicableResourceType"])
            count = sum(len(page["resourceIdentifiers"]) for page in found)
            result = results[count <= int(parameters["maxCount"])]
            return [rdklib.Evaluation(result, event["accountId"], "AWS::::Account")]

    return rdklib.Evaluator(Rule(), ["AWS::EC2::Instance"]).handle


def measure_cold(side: str) -> float:
    """Return the CPU seconds from the first import to the first evaluation sent."""
    event = read_event("desired_instance_type/compliant.json")
    gc.disable()  # whom a full collection (20 ms) hits is luck
    start = time.process_time()
    load_handler(side, "desired_instance_type")(event, None)
    return time.process_time() - start


def measure_warm(side: str) -> float:
    """Return the time of a warm invocation in bare calls, the two made in turn."""
    event = read_event("desired_instance_type/compliant.json")
    handlers = [load_handler(each, "desired_instance_type") for each in (side, "bare")]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(50):
        for handler, taken in zip(handlers, seconds, strict=True):
            start = time.perf_counter()
            handler(event, None)
            taken.append(time.perf_counter() - start)
    return median(seconds[0]) / median(seconds[1])


def measure_lists(side: str) -> int:
    """Return the list calls that find the fleet over a limit of 50."""
    os.environ["AWS_ENDPOINT_URL"] = start_server()
    event = read_event("resource_count_limit/within_limit.json")
    load_handler(side, "resource_count_limit")(event, None)
    return Aws.lists


def measure(measurement: str, side: str, endpoint: str) -> float:
    """Return what a process of its own measures."""
    environment = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": endpoint}
    environment |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "stand-in")
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "scripts.bench", measurement, side]
    return float(subprocess.check_output(command, env=environment).splitlines()[-1])


def main() -> None:
    """Print the table."""
    endpoint, rounds = start_server(), range(REPETITIONS)
    warm = [[measure("warm", side, endpoint) for side in SIDES] for _ in rounds]
    starts = [[measure("cold", side, endpoint) for side in ("bare", *SIDES)] for _ in rounds]
    cold = [[seconds / bare for seconds in sides] for bare, *sides in starts]
    lists = [[measure("lists", side, endpoint) for side in SIDES]]
    print(f"{'':52}{'ours':>6}{'rdklib':>8}  target")
    for what, measured, target in (
        ("warm invocation / bare PutEvaluations", warm, 1.08),
        ("cold start / bare import, client and PutEvaluations", cold, 1.05),
        (f"list calls for {FLEET:,} resources, limit 50", lists, 1),
    ):
        ours, rdklib = (median(values) for values in zip(*measured, strict=True))
        print(f"{what:52}{ours:6.4g}{rdklib:8.4g}  at most {target}")
    where = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, boto3 {version('boto3')}"
    print(f"Medians of {REPETITIONS}; {where}.")


if __name__ == "__main__":
    if sys.argv[1:]:
        print(globals()[f"measure_{sys.argv[1]}"](sys.argv[2]))
    else:
        main()
