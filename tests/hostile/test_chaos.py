"""A short one of the fault schedules that `python -m benchmarks.chaos` plays by the hundred."""

from __future__ import annotations

import asyncio

import pytest

from tests.hostile.chaos import SETUPS, play


@pytest.mark.parametrize(
    ("seed", "setup"),
    [
        (1, "sqlite"),
        (2, "sqlite"),
        pytest.param(3, "postgresql", marks=pytest.mark.long),
        (4, "broker"),
    ],
)
def test_a_schedule_of_faults_leaves_everyone_accounted_for(tmp_path, seed, setup, request):
    """Kills, frozen processes, full disks, clocks that jump, hostile devices: nothing lost, nobody counted twice."""
    cluster = request.getfixturevalue("postgresql") if setup == "postgresql" else None
    result = asyncio.run(play(tmp_path, seed, modules=30, faults=4, setup=setup, cluster=cluster))
    assert result.violations == [] and len(result.faults) == 4 and set(result.faults) <= set(SETUPS[setup])
    assert result.acknowledged >= 30 * 6
