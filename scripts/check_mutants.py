"""Check the last run of mutation testing: the score, and a reason for each mutant that survived.

Usage: python -m scripts.check_mutants, after mutmut run. The reasons are in tests/survivors.toml.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAST = 95.0
# A mutant that ends in an endless loop is noticed too, by its time.
KILLED = ("killed", "timeout", "segfault", "caught by type check")


def read_results() -> dict[str, str]:
    """Return what became of each mutant."""
    listed = subprocess.run(
        [sys.executable, "-m", "mutmut", "results", "--all", "true"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.strip().rsplit(": ", 1) for line in listed.stdout.splitlines() if ": " in line)
    return dict(pair for pair in pairs if "__mutmut_" in pair[0])


def main() -> int:
    """Print the score and what is wrong; 1 if anything is."""
    results = read_results()
    killed = sum(result in KILLED for result in results.values())
    score = 100 * killed / len(results) if results else 0
    counts = ", ".join(f"{number} {result}" for result, number in Counter(results.values()).items())
    print(f"{len(results)} mutants: {counts}; {score:.1f} % noticed, at least {LEAST:.0f} wanted.")
    explained = tomllib.loads((ROOT / "tests" / "survivors.toml").read_text())
    survivors = {name for name, result in results.items() if result not in KILLED}
    unexplained = sorted(survivors - set(explained))
    for name in unexplained:
        print(f"{name} survived without a reason in tests/survivors.toml")
    # A busy machine can make an equivalent mutant look noticed: no reason to fail.
    for name in sorted(set(explained) - survivors):
        print(f"{name} has a reason and did not survive this time")
    return 1 if unexplained or score < LEAST else 0


if __name__ == "__main__":
    sys.exit(main())
