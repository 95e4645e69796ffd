"""Load shapes: curves from scenarios against closed forms, and the same curves under the installed Locust."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from math import exp, inf, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import FotasimError, InputError
from sim.load.load_shape import Course, curve
from sim.load.locust_workers.native_worker import Worker
from sim.load.start_curve import Curve
from sim.scenario.load import dump, vary
from tests.load.master import master
from tests.load.test_native_worker import Stub
from tests.support import HARMLESS, scenario

MODULES = 4000
BAND = sqrt(log(2.0 / 1e-6) / (2.0 * MODULES))
"""Dvoretzky, Kiefer, Wolfowitz: an empirical distribution is further off once in a million times."""
HOUR_S = 3600.0


def fleet(check_in, *more):
    return scenario(*HARMLESS, f"fleet.size={MODULES}", f"fleet.groups.0.check_in={check_in}", *more)


@pytest.mark.parametrize(
    ("check_in", "share"),
    [
        ("{every: 6h}", lambda t: min(1.0, t / 6)),
        ("{every: 6h, jitter: 30min}", lambda t: t / 6 if t <= 5 else None),  # from there on some come early, some late
        ("{poisson: 6h}", lambda t: 1.0 - exp(-t / 6)), ("always", lambda _: 1.0),
    ],
)  # fmt: skip
def test_modules_begin_as_they_check_in(check_in, share):
    found = curve(fleet(check_in), "check-in")
    for hours in (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 5.9, 8.0):
        theory = share(hours)
        if theory is not None:
            assert found.modules(hours * HOUR_S) / MODULES == pytest.approx(theory, abs=BAND), hours


def test_groups_add_up_and_who_never_comes_is_not_in_the_curve():
    text = """\
name: mixed
horizon: 7d
fleet:
  size: 4000
  groups:
    - {name: meter, share: 0.75, technology: nb-iot, check_in: {every: 24h}}
    - {name: router, share: 0.25, technology: cat4, power: mains, check_in: always}
  failures: {never_online: 0.2, long_offline: 0}
plan: {name: p, components: [{component: fw, target_version: "1.1.0", size: 1 MB}]}
"""
    found = curve(scenario(text=text), "check-in")
    there = 0.8
    assert len(found.begins_s) / MODULES == pytest.approx(there, abs=BAND)
    assert found.modules(0.0) / MODULES == pytest.approx(there * 0.25, abs=BAND)
    assert found.modules(12 * HOUR_S) / MODULES == pytest.approx(there * (0.25 + 0.75 * 0.5), abs=BAND)


def test_a_time_scale_shortens_the_curve():
    given_ = fleet("{poisson: 6h}")
    assert curve(given_, "check-in", 60.0).begins_s * 60.0 == pytest.approx(curve(given_, "check-in").begins_s)


def plan(size, rollout):
    return scenario(
        *HARMLESS, f"fleet.size={size}", "fleet.groups.0.check_in=always", "fleet.groups.0.power=mains",
        "fleet.groups.0.technology=cat4", "fleet.groups.0.rsrp_dbm=-80", "fleet.groups.0.free_space=1 GB",
        "plan.strategy.delivery.push_interval=0s", f"plan.strategy.rollout={rollout}",
    )  # fmt: skip


def test_waves_follow_the_release_rate():
    """Sixty a minute, evenly inside the minute: the k-th at k seconds, and a moment until it has its notice."""
    found = curve(plan(200, "{maximum_per_minute: 60}"), "waves")
    assert found.begins_s == pytest.approx(np.arange(200.0), abs=0.2)


def test_waves_follow_a_growing_rate():
    """60 a minute until 120 are notified, then twice and four times as many."""
    rollout = "{maximum_per_minute: 240, exponential_rate: {base_rate_per_minute: 60, increment_factor: 2, number_of_notified: 120}}"
    found = curve(plan(480, rollout), "waves")
    assert [found.modules(60.0 * m) for m in range(1, 5)] == [60, 120, 240, 480]


def test_waves_follow_the_groups():
    """The first group passes at once, the second may not open before its time."""
    rollout = "{groups: [{count: 30, success_threshold_percent: 0}, {start_time: 2h}]}"
    found = curve(plan(100, rollout), "waves")
    assert found.begins_s == pytest.approx([0.0] * 30 + [2 * HOUR_S] * 70, abs=0.2)


def test_waves_follow_the_pushes():
    """What is released in between is offered on the grid of pushes."""
    found = curve(plan(100, "{maximum_per_minute: 60}"), "waves")
    on_grid = curve(
        vary(plan(100, "{maximum_per_minute: 60}"), {"plan.strategy.delivery.push_interval": "1min"}), "waves"
    )
    assert found.modules(30.5) == 31
    assert [on_grid.modules(at) for at in (0.5, 59.5, 61.0, 121.0)] == [1, 1, 61, 100]  # releases come before pushes


def test_a_ramp_is_everybody_as_fast_as_allowed():
    found = curve(plan(50, "{}"), "ramp")
    assert found.of(20, 4.0).begins_s == pytest.approx(np.arange(20) / 4.0)


def test_a_shape_there_is_none_of_is_refused():
    with pytest.raises(FotasimError, match="waves"):
        curve(plan(5, "{}"), "star")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=60), st.integers(1, 80), st.floats(0.01, 100.0))
def test_the_limit_holds_back_as_a_queue_does(times, users, rate):
    """A server that takes 1 / rate for each: the recursion of Lindley, one after the other."""
    whole = Curve(np.sort(np.array(times)))
    chosen, limited = whole.of(users).begins_s, whole.of(users, rate).begins_s
    expected, free = [], -inf
    for at in chosen:
        free = max(at, free + 1.0 / rate)
        expected.append(free)
    assert limited == pytest.approx(np.array(expected), rel=1e-9, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.0, 1e4), min_size=1, max_size=60), st.integers(1, 80), st.floats(-1.0, 1.1e4))
def test_fewer_or_more_users_keep_the_form(times, users, at):
    whole = Curve(np.sort(np.array(times)))
    share = whole.modules(at) / len(times)
    assert whole.of(users).modules(at) / users == pytest.approx(share, abs=0.5 / users + 1e-9)


def test_a_curve_is_kept_in_a_file(tmp_path):
    Curve(np.array([0.0, 1.5])).save(tmp_path / "c.npy")
    assert Curve.load(tmp_path / "c.npy").begins_s.tolist() == [0.0, 1.5]


TICKS = """\
import json, sys
from pathlib import Path
from types import SimpleNamespace
from sim.load import ScenarioShape

class Shape(ScenarioShape):
    scenario, shape, time_scale = sys.argv[1], "waves", 2.0

made = Shape()
def ticks(**options):
    made.runner = SimpleNamespace(environment=SimpleNamespace(parsed_options=SimpleNamespace(**options)))
    made.reset_time()
    found = []
    for second in (0.1, 1.1, 2.1, 3.1, 4.1):
        made.get_run_time = lambda: second
        found.append(made.tick())
    return found
print(json.dumps([ticks(), ticks(num_users=4, spawn_rate=100.0, run_time=3), ticks(num_users=8, spawn_rate=2.0)]))
"""


def test_the_shape_tells_locust_users_and_rate(tmp_path):
    """Eight modules, released one a second, seen at twice the speed; in a process of its own, for it loads Locust."""
    (tmp_path / "s.yaml").write_text(dump(plan(8, "{maximum_per_minute: 60}")))
    done = subprocess.run(
        [sys.executable, "-c", TICKS, str(tmp_path / "s.yaml")], capture_output=True, text=True, check=True, timeout=120
    )
    whole, half, slow = json.loads(done.stdout)
    assert whole == [[1, 1.0], [3, 2.0], [5, 2.0], [7, 2.0], [8, 1.0]]
    assert half == [[1, 1.0], [1, 1.0], [2, 1.0], None, None]
    assert slow == [[1, 1.0], [3, 2.0], [5, 2.0], [7, 2.0], [8, 1.0]]


class Noting(Stub):
    """Notes how many are to run."""

    def __init__(self, statistics):
        super().__init__(statistics)
        self.asked = []

    def resize(self, count):
        self.asked.append(count)
        return super().resize(count)


def test_a_native_worker_follows_the_curve_of_its_master(tmp_path):
    """Three at once and five more after a second and a half, and no other number in between; the run time ends it."""
    Curve(np.array([0.0] * 3 + [1.5] * 5)).save(tmp_path / "curve.npy")
    made = []
    options = (
        "-u",
        "8",
        "-r",
        "1000000",
        "-t",
        "4s",
        "--expect-workers",
        "1",
        "--fotasim-curve",
        str(tmp_path / "curve.npy"),
    )
    with master(tmp_path, *options) as (process, port):
        worker = Worker("127.0.0.1", port, lambda s: made.append(Noting(s)) or made[-1])
        asyncio.run(asyncio.wait_for(worker.run(), 60))
        assert process.wait(30) == 0
    assert list(dict.fromkeys(made[0].asked)) == [3, 8]
    report = json.loads((tmp_path / "load.json").read_text())
    assert report["complete"]
    assert report["legs"]["connect"]["count"] == 8
    assert (tmp_path / "stats_stats.csv").read_text().count("connect") == 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("step", [0, 0, 20, 20, 40, 40, 60, 60, 80, 80]), ("soak", [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]),
        ("spike", [0, 20, 40, 50, 50.2, 50.4, 50.6, 50.8, 60, 80]),
    ],
)  # fmt: skip
def test_shapes_over_a_time_have_their_form_whatever_the_time_scale(shape, expected):
    found = curve(plan(10, "{}"), shape, 60.0, Course(100.0, 5))
    assert found.begins_s == pytest.approx(np.array(expected, dtype=float))
    with pytest.raises(InputError, match=f"shape {shape}: --duration is needed"):
        curve(plan(10, "{}"), shape)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3\n1.5\n\n0  # the first\n1e1\n", [0, 1.5, 3, 10]),
        ("2026-03-01T04:00:30\n2026-03-01T04:00:00\n", [0, 30]), ("2026-03-01T04:00:00+02:00\n2026-03-01T02:00:09Z\n", [0, 9]),
    ],
)  # fmt: skip
def test_a_replay_begins_at_the_times_of_its_file(text, expected, tmp_path):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert curve(plan(3, "{}"), "replay", 1.0, Course(arrivals=tmp_path / "a.txt")).begins_s.tolist() == expected
    assert curve(plan(3, "{}"), "replay", 2.0, Course(arrivals=tmp_path / "a.txt")).begins_s[-1] == expected[-1] / 2.0


@pytest.mark.parametrize("wrong", ["-1", "nan", "inf", "soon", "1,5", "2026-13-01T00:00:00", "2026-03-01T04:00:00"])
def test_what_is_no_arrival_time_is_refused_with_its_line(wrong, tmp_path):
    (tmp_path / "a.txt").write_text(f"1\n{wrong}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.txt:2: .* is no arrival time"):
        curve(plan(3, "{}"), "replay", 1.0, Course(arrivals=tmp_path / "a.txt"))


def test_the_estimate_adds_the_last_begin_to_what_the_simulated_module_takes():
    from sim.load.estimate import estimate

    given = plan(20, "{}")
    slow, fast = estimate(given, 20, 30.0, 1.0), estimate(given, 20, 30.0, 10.0)
    assert slow.total_s - 30.0 == pytest.approx(10.0 * (fast.total_s - 30.0))
    assert slow.total_s > 31.0
    half = estimate(given, 10, 30.0, 1.0)
    assert (2 * half.connects, 2 * half.requests) == pytest.approx((slow.connects, slow.requests), abs=2)
    assert slow.requests > 20 * 8
