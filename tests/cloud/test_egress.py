"""The shared egress against a plain simulation that prices every transfer anew at every change."""

from __future__ import annotations

import math
import random

import pytest

from sim.cloud import egress

RATES = (1e3, 5e3, 5.1e3, 2e4, 1e5)


def rates_now(active: dict[int, dict], bit_s: float, air_limit: float) -> dict[int, float]:
    """Max-min shares by class of similar rate, or by cell where the air is short."""
    groups: dict[tuple, list[int]] = {}
    for key, job in active.items():
        cell = job["cell"]
        groups.setdefault(("cell", cell) if cell >= 0 else math.floor(math.log(job["rate"], 1.1)), []).append(key)
    classes = []
    for keys in groups.values():
        own = 1.0
        if active[keys[0]]["cell"] >= 0:
            own = min(1.0, air_limit / sum(active[k]["share"] for k in keys))
        classes.append((own * sum(active[k]["rate"] for k in keys) / len(keys), own, keys))
    left, waiting = bit_s, len(active)
    rates = {}
    for mean, own, keys in sorted(classes):
        held = min(1.0, left / waiting / mean)
        rates.update({k: active[k]["rate"] * own * held for k in keys})
        left -= mean * held * len(keys)
        waiting -= len(keys)
    return rates


def finishes(jobs: list[dict], bit_s: float, air_limit: float) -> dict[int, float]:
    """When each job ends, changing every rate at every arrival and departure."""
    now, active, done, i = 0.0, {}, {}, 0
    while i < len(jobs) or active:
        rates = rates_now(active, bit_s, air_limit) if active else {}
        at, key = min(((now + job["left"] / rates[k], k) for k, job in active.items()), default=(math.inf, -1))
        arrives = i < len(jobs) and jobs[i]["at"] <= at
        at = jobs[i]["at"] if arrives else at
        for k, job in active.items():
            job["left"] -= rates[k] * (at - now)
        now = at
        if arrives:
            active[i] = dict(jobs[i], left=8.0 * jobs[i]["bytes"])
            i += 1
        else:
            del active[key]
            done[key] = now
    return done


@pytest.mark.parametrize("bit_s", [1e4, 5e4, 1e9])
@pytest.mark.parametrize("cells", [[-1], [-1, -1, 0, 1, 2]])
def test_finishes_are_those_of_a_plain_simulation(bit_s, cells):
    """Ends of transfers in 60 random mixes, with enough and too little egress, without and with cells."""
    dice = random.Random(5)
    for _ in range(60):
        jobs = sorted(
            ({"at": dice.uniform(0, 20), "bytes": dice.uniform(1e3, 1e5), "rate": dice.choice(RATES),
              "cell": dice.choice(cells), "share": dice.uniform(0.05, 0.7)} for _ in range(dice.randint(1, 50))),
            key=lambda job: job["at"],
        )  # fmt: skip
        shared = egress.egress(bit_s, len(jobs), 3, 0.9)
        found, i = {}, 0
        while i < len(jobs) or egress.next_at(shared) < math.inf:
            at = egress.next_at(shared)
            if i < len(jobs) and jobs[i]["at"] <= at:
                job = jobs[i]
                egress.start(shared, i, job["cell"], job["share"], job["bytes"], job["rate"], job["at"])
                i += 1
            else:
                slot = egress.next_slot(shared)
                found[shared.transfers[slot].owner] = at
                egress.finish(shared, slot, at)
        assert found == pytest.approx(finishes(jobs, bit_s, 0.9), rel=1e-9)
        assert shared.line.total_bit_s == pytest.approx(0.0, abs=1e-6)


def test_stopped_transfers_give_back_what_they_took():
    """Half the time at full rate is half the bytes, and the others go on as if it had never been."""
    shared = egress.egress(1e9, 2)
    first = egress.start(shared, 7, -1, 0.0, 1000.0, 800.0, 0.0)
    egress.start(shared, 8, -1, 0.0, 1000.0, 800.0, 1.0)
    assert egress.stop(shared, first, 5.0) == pytest.approx(500.0)
    assert egress.next_at(shared) == pytest.approx(11.0)
    assert shared.transfers[egress.next_slot(shared)].owner == 8
