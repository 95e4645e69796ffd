"""Textbook results, reproduced through the capacity model and the engine themselves, inside their own intervals."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from scipy import stats

from sim.cloud import capacity, egress
from sim.module import check_in
from sim.module.profile import Profile
from sim.module.rows import CheckIn, ModuleRow
from sim.stats.intervals import wilson
from tests.support import HARMLESS, run


def batch_interval(values: np.ndarray, batches: int = 40) -> tuple[float, float]:
    """99.9 % interval of a stationary mean from batch means, the first batch dropped as warm-up."""
    means = np.array([part.mean() for part in np.array_split(values, batches + 1)[1:]])
    half = stats.t.ppf(0.9995, batches - 1) * means.std(ddof=1) / math.sqrt(batches)
    return float(means.mean() - half), float(means.mean() + half)


@pytest.mark.parametrize(("load", "servers", "mean_wait"), [(0.9, 1, 9.0), (8.0, 10, 0.20459), (9.0, 10, 0.668732)])
def test_workers_wait_like_erlang_c(load, servers, mean_wait):
    """M/M/c: E[Wq] of closed_forms.csv lies in the interval of the worker model."""
    rng = np.random.default_rng(11)
    workers = capacity.Workers(1.0, [0.0] * servers)
    now, waits = 0.0, []
    for gap, service in zip(rng.exponential(1 / load, 300_000), rng.exponential(1.0, 300_000), strict=True):
        now += gap
        waits.append(capacity.answered_at(workers, now, 0.0, service) - now - service)
    low, high = batch_interval(np.array(waits))
    assert low <= mean_wait <= high
    assert high - low < mean_wait


@pytest.mark.parametrize(
    ("load", "slots", "blocked"), [(0.9, 1, 0.473684), (8.0, 10, 0.121661), (95.0, 100, 0.0488042)]
)
def test_download_slots_block_like_erlang_b(load, slots, blocked):
    """M/G/c/c: the refused share is Erlang's B, here with constant service (insensitivity)."""
    rng = np.random.default_rng(12)
    downloads, leaving, refused, now = capacity.Downloads(slots, [0]), [], [], 0.0
    for gap in rng.exponential(1 / load, 200_000):
        now += gap
        while leaving and leaving[0] <= now:
            heapq.heappop(leaving)
            capacity.close_slot(downloads)
        accepted = capacity.open_slot(downloads)
        refused.append(0.0 if accepted else 1.0)
        if accepted:
            heapq.heappush(leaving, now + 1.0)
    low, high = batch_interval(np.array(refused))
    assert low <= blocked <= high
    assert high - low < 0.25 * blocked


def sojourn_times(bit_s: float, arrivals: np.ndarray, sizes_bytes: np.ndarray, rate_bit_s: float) -> np.ndarray:
    """Time each transfer spends in the shared egress."""
    shared = egress.egress(bit_s, 5000)
    times, i = np.zeros(len(arrivals)), 0
    while i < len(arrivals) or egress.next_at(shared) < math.inf:
        finish = egress.next_at(shared)
        if i < len(arrivals) and arrivals[i] <= finish:
            egress.start(shared, i, -1, 0.0, float(sizes_bytes[i]), rate_bit_s, float(arrivals[i]))
            i += 1
        else:
            slot = egress.next_slot(shared)
            times[shared.transfers[slot].owner] = finish - arrivals[shared.transfers[slot].owner]
            egress.finish(shared, slot, finish)
    return times


@pytest.mark.parametrize(("rho", "mean_time"), [(0.5, 2.0), (0.8, 5.0)])
@pytest.mark.parametrize("law", ["constant", "exponential"])
def test_shared_egress_is_processor_sharing(rho, mean_time, law):
    """M/G/1-PS: E[T] = E[S]/(1-rho) whatever the size distribution."""
    rng = np.random.default_rng(13)
    count = 40_000 if rho < 0.6 else 80_000
    sizes = np.full(count, 1000.0) if law == "constant" else rng.exponential(1000.0, count)
    times = sojourn_times(8000.0, np.cumsum(rng.exponential(1 / rho, count)), sizes, 8000.0)
    low, high = batch_interval(times)
    assert low <= mean_time <= high
    assert high - low < 0.5 * mean_time


@pytest.mark.parametrize(("ratio", "rho", "slowdown"), [(10, 0.8, 1.20459), (50, 0.9, 1.07277)])
def test_capped_shared_egress(ratio, rho, slowdown):
    """Every module capped at C/N (Cohen): slowdown of closed_forms.csv."""
    rng = np.random.default_rng(14)
    count = 120_000
    arrivals = np.cumsum(rng.exponential(1 / (rho * ratio), count))
    times = sojourn_times(8000.0 * ratio, arrivals, rng.exponential(1000.0, count), 8000.0)
    low, high = batch_interval(times)
    assert low <= slowdown <= high
    assert high - low < 0.2


@pytest.mark.parametrize(("modules", "makespan_s"), [(1000, 8.0), (50, 0.8)])
def test_simultaneous_start(modules, makespan_s):
    """n x 1 MB over 1 Gbit/s with 10 Mbit/s each: limited by the link, then by the modules."""
    times = sojourn_times(1e9, np.zeros(modules), np.full(modules, 1e6), 1e7)
    assert times.max() == pytest.approx(makespan_s, rel=1e-9)
    assert times.min() == pytest.approx(makespan_s, rel=1e-9)


@pytest.mark.parametrize("kind", ["periodic", "poisson"])
@pytest.mark.parametrize("until_h", [2.0, 6.0, 20.0])
def test_check_in_coverage(kind, until_h):
    """Share seen by t: t/P for a fixed period with random phase, 1 - exp(-t/P) for Poisson."""
    profile = Profile(key_0=5, key_1=7, check_in=CheckIn.of(kind), check_in_every_s=86400.0, awake_s=60.0)
    rng = np.random.default_rng(15)
    rows = [ModuleRow(identity=i, phase=float(u)) for i, u in enumerate(rng.random(4000))]
    seen = sum(check_in.next_check_in_s(row, profile, 0.0) <= until_h * 3600 for row in rows)
    expected = until_h / 24 if kind == "periodic" else 1 - math.exp(-until_h / 24)
    low, high = wilson(seen, len(rows), 0.999)
    assert low <= expected <= high


@pytest.mark.parametrize("limit", [20, 30, 40])
def test_rejected_share_under_a_uniform_battery(limit):
    """Battery uniform on 0-100 and a limit that rejects: limit % of the modules are rejected."""
    outcome = run(
        *HARMLESS, "fleet.size=3000", "fleet.groups.0.battery_percent={distribution: uniform, low: 0, high: 100}",
        "fleet.groups.0.rsrp_dbm=-85", "fleet.groups.0.free_space=10 MB", "fleet.physics.gauge_sd_percent=0",
        "fleet.physics.sleep_ua=0", "fleet.physics.session_energy_factor=0", "horizon=2d",
        f"plan.strategy.preconditions={{min_battery_percent: {limit}, on_unmet: reject}}",
    )  # fmt: skip
    low, high = wilson(outcome.summary["outcomes"]["rejected"], 3000, 0.999)
    assert low <= limit / 100 <= high
    assert outcome.summary["causes"] == {"low_battery": outcome.summary["outcomes"]["rejected"]}
