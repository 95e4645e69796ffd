"""A short one of the fault schedules that `python -m benchmarks.chaos` plays by the hundred."""

from __future__ import annotations

import asyncio

import pytest

from tests.hostile.chaos import FAULTS, play


@pytest.mark.parametrize("seed", [1, 2])
def test_a_schedule_of_faults_leaves_everyone_accounted_for(tmp_path, seed):
    """Kills, frozen processes, full disks, clocks that jump, hostile devices: nothing lost, nobody counted twice."""
    result = asyncio.run(play(tmp_path, seed, modules=30, faults=4))
    assert result.violations == [] and len(result.faults) == 4 and set(result.faults) <= set(FAULTS)
    assert result.acknowledged >= 30 * 6
