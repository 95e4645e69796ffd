"""Replications: the same on any number of workers, narrow enough when asked, honest when interrupted."""

from __future__ import annotations

import os
import signal
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pandas as pd
import pytest

from sim.engines.run import simulate
from sim.errors import FotasimError
from sim.study import pool as pools
from sim.study.campaign import Job, run_campaign
from sim.study.pool import Pool, collect
from sim.study.replicate import Until, replicate
from tests.support import HARMLESS, scenario

SMALL = ("fleet.size=60", "horizon=2d")


def test_a_replication_is_the_same_campaign_wherever_it_runs():
    """In this process, in two others, or as part of a run of the reference: one table."""
    base = scenario(*SMALL)
    here, there = replicate(base, 4, workers=1), replicate(base, 4, workers=2)
    pd.testing.assert_frame_equal(here.frame, there.frame, check_exact=True)
    whole = simulate(base, replications=4)
    rates = whole.records.modules.groupby("replication")["outcome"].apply(lambda o: (o == "succeeded").mean())
    np.testing.assert_array_equal(here.frame["success_rate"], rates.to_numpy())
    assert len(set(here.frame["duration_p50"])) == 4


def test_kept_records_make_the_run_folder_of_the_reference():
    """The summary of replicated campaigns carries intervals over campaigns, never over pooled modules."""
    base = scenario(*SMALL)
    found = replicate(base, 3, keep="records", workers=1)
    outcome, whole = found.outcome(), simulate(base, replications=3)
    assert {k: v for k, v in outcome.summary.items() if k != "wall_s"} == {
        k: v for k, v in whole.summary.items() if k != "wall_s"
    }
    estimate = found.estimate("success_rate")
    assert outcome.summary["success_rate"] == {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    assert outcome.summary["replicated"]["duration_p50"]["value"] == pytest.approx(found.frame["duration_p50"].mean())
    with pytest.raises(ValueError, match="kept no records"):
        replicate(base, 2, workers=1).outcome()


def test_zero_events_still_have_an_upper_bound():
    """Nothing can brick here, and 20 campaigns cannot know that: of n installations at most 1 - 0.025 ** (1 / n) brick."""
    done = replicate(scenario(*SMALL, *HARMLESS), 20, workers=1)
    found, installed = done.estimate("bricked"), int(done.frame["n_installed_ended"].sum())
    assert (found.value, found.low) == (0.0, 0.0)
    assert 900 < installed < 1200
    assert found.high == pytest.approx(1.0 - 0.025 ** (1.0 / installed))


def test_until_the_interval_is_narrow():
    """It stops at the first look at which the interval is narrow, looks at 20, 30, 40 … only, and has a cap."""
    base = scenario(*SMALL)
    done = replicate(base, until=["success_rate=0.012"], workers=1)
    assert done.reached
    assert len(done.frame) % 10 == 0
    assert len(done.frame) > 20
    assert done.estimate("success_rate").half_width <= 0.012
    before = replicate(base, len(done.frame) - 10, workers=1)
    assert before.estimate("success_rate").half_width > 0.012
    pd.testing.assert_frame_equal(before.frame, done.frame.head(len(before.frame)))
    capped = replicate(base, until=["success_rate=1e-9"], most=30, workers=1)
    assert (capped.reached, len(capped.frame)) == (False, 30)


@pytest.mark.parametrize(
    ("text", "absolute", "relative"),
    [
        ("success_rate=0.01", 0.01, 0.0),
        ("duration_p50=2%", 0.0, 0.02),
        ("duration_p95=2h", 7200.0, 0.0),
        ("bricked", 0.005, 0.02),
    ],
)
def test_precision_as_written(text, absolute, relative):
    """Absolute in the metric's unit, relative in percent, or the customary default."""
    found = Until.parse(text)
    assert (found.absolute, found.relative) == (absolute, relative)


@pytest.mark.parametrize("text", ["happiness=1", "success_rate=narrow", "duration_p50=3 bananas"])
def test_precision_that_makes_no_sense(text):
    """Says what would be right."""
    with pytest.raises(ValueError, match="--until"):
        Until.parse(text)


def test_an_interruption_keeps_the_first_campaigns_without_gaps():
    """What finished early is no fair sample, so only the unbroken beginning counts."""

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    found = replicate(scenario(*SMALL), 12, workers=1, progress=stop)
    assert not found.complete
    assert list(found.frame["replication"]) == list(range(5))


def test_progress_counts_up():
    """From nothing to everything, one at a time."""
    seen = []
    replicate(scenario(*SMALL), 3, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_killed_worker_costs_time_not_results():
    """A process of the pool dies in the middle; its campaigns run again and nothing is lost."""
    base = scenario(*SMALL)
    jobs = [Job(base, r) for r in range(10)]
    with Pool(2) as pool:

        def kill_one(number, _campaign):
            if number == 0:
                os.kill(next(iter(pool._executor._processes)), signal.SIGKILL)

        found, complete = collect(pool, jobs, done=kill_one)
    assert complete
    for campaign, job in zip(found, jobs, strict=True):
        pd.testing.assert_series_equal(pd.Series(campaign.row()), pd.Series(run_campaign(job).row()))


def test_workers_that_keep_dying_are_reported(monkeypatch):
    """After several tries the host is at fault, and the user is told."""

    class Dying(pools.ProcessPoolExecutor):
        def submit(self, *_args, **_kwargs):
            raise BrokenProcessPool("gone")

    monkeypatch.setattr(pools, "ProcessPoolExecutor", Dying)
    with Pool(2) as pool, pytest.raises(FotasimError, match="keep dying"):
        list(pool.each([Job(scenario(*SMALL), 0)]))


def test_errors_of_a_campaign_reach_the_caller():
    """A fleet without modules cannot run, here or in a worker."""
    nobody = scenario(*SMALL, "plan.whitelist=[nobody]")
    for workers in (1, 2):
        with pytest.raises(FotasimError, match="leave no module"):
            replicate(nobody, 2, workers=workers)
