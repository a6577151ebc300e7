"""The benchmark still runs, and what it counts is right; no time is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.bench import main

if TYPE_CHECKING:
    import pytest

COUNTED = (
    "list calls to find 100,000 resources over 50",
    "AssumeRole calls for 200 events from 10 accounts in turn",
    "built artifact of desired_instance_type",
    "built artifact of resource_count_limit",
)


def test_benchmark_prints_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repetitions", "1"]) == 0
    header, *rows, _, machine = capsys.readouterr().out.splitlines()
    assert header.split() == ["what", "ours", "rdklib", "target", "met"]
    assert len(rows) == 8
    for what in COUNTED:
        (row,) = (row for row in rows if what in row)
        assert row.split()[-1] == "yes"
    assert "medians of 1" in machine
