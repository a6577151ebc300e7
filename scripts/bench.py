"""Measure the functions against the SDK's bare call and against rdklib; print one table.

Usage: python -m scripts.bench [--repetitions N]
Sides are measured in turn, in fresh processes, with a server on this machine as AWS.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import botocore
from rich.console import Console
from rich.table import Table

from scripts.lambda_runtime import ROOT, load_function
from scripts.local_aws import CREDENTIALS, REGION


@dataclass
class Row:
    """One line of the table."""

    what: str
    ours: str
    rdklib: str
    target: str
    met: bool


def run_python(module: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start a module of the project in a clean environment."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        # Lambda cannot write compiled files beside the handler, so neither may a cold start here.
        env={
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            **CREDENTIALS,
            **environment,
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def measure(measurement: str, side: str, number: int, endpoint: str = "") -> Any:
    """Return what one worker measured."""
    environment = {"AWS_ENDPOINT_URL": endpoint} if endpoint else {}
    process = run_python("scripts.bench_worker", measurement, side, number, **environment)
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"The worker for {measurement} ended with {process.returncode}.")
    return json.loads(printed.splitlines()[-1])


@contextmanager
def start_server() -> Iterator[str]:
    """Run the local AWS in a process of its own; give its endpoint."""
    with run_python("tests.fake_aws") as process:
        try:
            yield next(iter(process.stdout or ())).strip()
        finally:
            process.kill()


def compare_times(repetitions: int) -> Iterator[Row]:
    """Measure warm invocations and cold starts, as ratios to the bare call."""
    with start_server() as endpoint:
        rounds = [
            {side: measure("warm", side, 50, endpoint) for side in ("ours", "rdklib")}
            for _ in range(repetitions)
        ]
        warm = {side: median(each[side] for each in rounds) for side in ("ours", "rdklib")}
        yield build_ratio("warm change-triggered invocation / bare put_evaluations", warm, 1.10)
        starts = [
            {side: measure("cold", side, 0, endpoint) for side in ("ours", "bare", "rdklib")}
            for _ in range(repetitions)
        ]
        cold = {
            side: median(each[side] / each["bare"] for each in starts)
            for side in ("ours", "rdklib")
        }
        yield build_ratio("cold start / bare import boto3, client, call", cold, 1.05)


def build_ratio(what: str, ratios: dict[str, float], target: float) -> Row:
    """Return the row of a ratio that has to be at most `target`."""
    return Row(
        what,
        f"{ratios['ours']:.2f}",
        f"{ratios['rdklib']:.2f}",
        f"at most {target:.2f}",
        ratios["ours"] <= target,
    )


def measure_rows(repetitions: int) -> Iterator[Row]:
    """Measure every row of the table."""
    yield from compare_times(repetitions)
    cpu = median(measure("cpu", "ours", 1000) for _ in range(repetitions)) * 1e6
    what = "CPU of a warm invocation without the SDK call"
    yield Row(what, f"{cpu:.0f} µs", "", "under 100 µs", cpu < 100)
    large = {side: measure("count", side, 100_000) for side in ("ours", "rdklib")}
    small = {side: measure("count", side, 100) for side in large}
    calls = {side: each["calls"] for side, each in large.items()}
    what = "list calls to find 100,000 resources over 50"
    yield Row(what, str(calls["ours"]), str(calls["rdklib"]), "1", calls["ours"] == 1)
    memory = {side: large[side]["memory"] / small[side]["memory"] for side in large}
    yield build_ratio("peak memory of that count / of a fleet of 100", memory, 1.02)
    roles = measure("roles", "ours", 200)
    what = "AssumeRole calls for 200 events from 10 accounts in turn"
    yield Row(what, str(roles), "", "10", roles == 10)
    for rule in ("desired_instance_type", "resource_count_limit"):
        folder = load_function(rule).folder
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024
        yield Row(f"built artifact of {rule}", f"{size:.1f} KB", "", "under 16 KB", size < 16)


def describe_machine() -> str:
    """Return what the numbers were measured on."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    cpu = (models or [platform.machine()])[0]
    versions = f"Python {platform.python_version()}, botocore {botocore.__version__}"
    return f"{os.cpu_count()} cores of {cpu}, {platform.system()}, {versions}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; the exit code is 0 whatever was measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15, help="of each timed measurement")
    repetitions = parser.parse_args(arguments).repetitions
    table = Table("what", "ours", "rdklib", "target", "met", box=None)
    for row in measure_rows(repetitions):
        table.add_row(row.what, row.ours, row.rdklib, row.target, "yes" if row.met else "NO")
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"\n{describe_machine()}; medians of {repetitions}.", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
