"""The benchmark runs, and what it counts is right; no time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys


def test_benchmark_prints_every_row() -> None:
    command = [sys.executable, "-m", "scripts.bench"]
    environment = {**os.environ, "REPETITIONS": "1"}
    printed = subprocess.check_output(command, env=environment, text=True).splitlines()
    assert printed[0].split() == ["ours", "rdklib", "target"]
    assert printed[3].split()[-6:] == ["50", "1", "1000", "at", "most", "1"]
    assert "Medians of 1;" in printed[4]
