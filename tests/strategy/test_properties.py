"""What holds of every strategy: bounds, counts, and that a stricter criterion never does more harm."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies import ANY, overrides
from tests.strategy.recount import check_counts, check_limits, drive, first_stop_s, took_the_image
from tests.support import scenario

EXAMPLES = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}


@settings(max_examples=120, **EXAMPLES)
@given(ANY)
def test_any_strategy_keeps_its_counts_and_limits(keys):
    """Definitions 3, 4, 5, 8: recounted from the executions; no release beyond rate, cap, window or in a pause."""
    world, log = drive(scenario(*overrides(keys)))
    check_counts(world)
    check_limits(world, log)


RELEASE = st.fixed_dictionaries({
    "maximum_per_minute": st.sampled_from([1, 2, 5, 17]),
    "max_in_progress": st.sampled_from([None, 3, 10]),
    "exponential_rate": st.sampled_from([
        None, {"base_rate_per_minute": 1, "increment_factor": 2, "number_of_notified": 7},
        {"base_rate_per_minute": 2, "increment_factor": 1.3, "number_of_succeeded": 5},
    ]),
    "rate_applies_to": st.sampled_from(["snapshot", "all"]),
    "groups": st.sampled_from([[], [{"percent": 10, "soak": "10min"}, {}], [{"count": 30, "success_threshold_percent": 0}, {}]]),
})  # fmt: skip


@settings(max_examples=40, **EXAMPLES)
@given(
    seed=st.integers(0, 2**32), rollout=RELEASE, minutes=st.integers(1, 200), pause_s=st.integers(1, 7000),
    late=st.booleans(), gate=st.booleans(),
)  # fmt: skip
def test_releases_of_a_busy_fleet_stay_within_their_limits(seed, rollout, minutes, pause_s, late, gate):
    """Definitions 4, 5, 8: the same on 120 modules that are online, with pauses at any second."""
    night = {"maintenance_windows": [{"cron": "*/40 * * * *", "duration": "7min"}]} if gate else {}
    strategy = {"preset": "none", "rollout": {k: v for k, v in rollout.items() if v}, "schedule": night}
    joins = "{distribution: mixture, parts: [{weight: 4, distribution: constant, value: 0h}, {weight: 1, distribution: uniform, low: 0h, high: 3h}]}"
    world, log = drive(scenario(
        f"seed={seed}", "fleet.size=120", "horizon=10h", "fleet.groups.0.power=mains",
        "fleet.groups.0.check_in={always: {report_every: 20min}}", f"fleet.groups.0.joins={joins if late else 'null'}",
        f"plan.strategy={json.dumps({**strategy, 'target_selection': 'continuous' if late else 'snapshot'})}",
        f"plan.operator=[{{at: {minutes}min, do: suspend}}, {{at: {60 * minutes + pause_s}s, do: resume}}]",
    ))  # fmt: skip
    check_counts(world)
    check_limits(world, log)


BAD = (
    "fleet.size=60", "horizon=4d", "fleet.failures.boot_failure=0.2", "fleet.failures.brick=0.02",
    "plan.strategy.preset=none", "plan.strategy.retry.number_of_retries=1", "fleet.groups.0.rsrp_dbm=-90",
)  # fmt: skip
UNBOUNDED = (
    "cloud.capacity={connections_per_s: 1000000, request_workers: 100000, request_time: 1ms, downloads: 100000, egress: 1000 Gbit/s}",
)
CRITERIA = {
    "seed": st.integers(0, 2**32), "percents": st.tuples(st.integers(1, 40), st.integers(1, 40)),
    "minimums": st.tuples(st.integers(1, 25), st.integers(1, 25)),
    "denominator": st.sampled_from(["completed", "notified", "targets"]),
    "action": st.sampled_from(["cancel", "pause", "force-cancel"]),
    "rollout": st.sampled_from([{}, {"maximum_per_minute": 1}, {"max_in_progress": 8}, {"groups": [{"percent": 20}, {}]}]),
}  # fmt: skip


def under(seed, percent, minimum, denominator, action, rollout, *more):
    """The bad release under one criterion."""
    criterion = {"threshold_percentage": percent, "min_number_of_executed": minimum, "denominator": denominator,
                 "action": action}  # fmt: skip
    return drive(scenario(
        *BAD, f"seed={seed}", f"plan.strategy.abort={json.dumps({'criteria': [criterion]})}",
        f"plan.strategy.rollout={json.dumps(rollout)}", *more,
    ))  # fmt: skip


@settings(max_examples=40, **EXAMPLES)
@given(**CRITERIA)
def test_a_stricter_criterion_never_enlarges_the_blast_radius(seed, percents, minimums, denominator, action, rollout):
    """Definition 7, metamorphic: same seed, same plan, a threshold and a minimum that are no higher, modules that do not
    share anything: every module that takes the image under the stricter criterion takes it under the laxer one.

    Until the stricter one fires the two runs are the same run, and it fires no later. Afterwards it only takes away:
    releases, offers and retries. Where modules share a line, one that goes on may have it easier because others were
    stopped; then the set of the released is what nests (below).
    """
    strict, lax = (
        under(seed, f(percents), f(minimums), denominator, action, rollout, *UNBOUNDED)[0] for f in (min, max)
    )
    assert first_stop_s(strict) <= first_stop_s(lax)
    assert took_the_image(strict).keys() <= took_the_image(lax).keys()


@settings(max_examples=25, **EXAMPLES)
@given(**CRITERIA)
def test_a_stricter_criterion_never_releases_more(seed, percents, minimums, denominator, action, rollout):
    """Definition 7, metamorphic, with a cloud that is the bottleneck: stops no later, releases a subset, and up to the
    moment it stops the same modules have taken the image at the same times.
    """  # fmt: skip
    narrow = "cloud.capacity={downloads: 3, egress: 300 kbit/s, request_workers: 1, connections_per_s: 1}"
    (strict, log_s), (lax, log_l) = (
        under(seed, f(percents), f(minimums), denominator, action, rollout, narrow) for f in (min, max)
    )
    stop_s = first_stop_s(strict)
    assert stop_s <= first_stop_s(lax)
    released_s, released_l = ({(at, i) for at, i, text in log if text == "released"} for log in (log_s, log_l))
    assert released_s <= released_l
    before_s, before_l = (
        {(i, at) for i, at in took_the_image(world).items() if at < stop_s} for world in (strict, lax)
    )
    assert before_s == before_l


@settings(max_examples=15, **EXAMPLES)
@given(seed=st.integers(0, 2**32), at=st.sampled_from([0, 1, 3600, 7 * 3600]))
def test_a_paused_plan_releases_nothing(seed, at):
    """Definition 8: suspended and never resumed: no release and no offer after that instant, and none at all from 0."""
    world, log = drive(scenario(
        f"seed={seed}", "fleet.size=50", "horizon=3d", "plan.strategy.preset=none",
        "plan.strategy.rollout={maximum_per_minute: 1}", f"plan.operator=[{{at: {at}s, do: suspend}}]",
    ))  # fmt: skip
    assert world.center.rollout.progress.state == 3  # suspended to the end
    assert not [line for line in log if line[0] > at and line[2] in ("released", "issuing plan")]
    assert sum(line[2] == "released" for line in log) == min(50, at // 60 + (at > 0))
