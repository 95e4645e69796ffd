"""The orderings that docs/strategy_presets.md claims of one bad release under six strategies."""

from __future__ import annotations

import json
from functools import cache

import pytest

from benchmarks.presets import CRITERION, SCENARIO, STRATEGIES, figures
from sim.engines.run import simulate
from sim.scenario import Scenario

MODULES = 800
QUECTEL, HAWKBIT, AWS, AZURE, MENDER, CANARY = STRATEGIES
SEEDS = pytest.mark.parametrize("seed", [2, 3])


@cache
def under(name: str, seed: int) -> dict:
    """Figures of one strategy."""
    return figures(STRATEGIES[name], MODULES, seed)


@SEEDS
def test_without_a_criterion_everybody_gets_it(seed):
    """Quectel and hawkBit's template never stop; nearly the whole fleet takes the image."""
    for name in (QUECTEL, HAWKBIT):
        assert under(name, seed)["stopped_h"] is None
        assert under(name, seed)["took"] > 0.85 * MODULES


@SEEDS
def test_retries_hide_a_bad_release(seed):
    """More successes under Quectel's five retries than under hawkBit's none, and no fewer bricks worth the name."""
    quectel, hawkbit = under(QUECTEL, seed), under(HAWKBIT, seed)
    assert quectel["success"] > hawkbit["success"] + 0.03
    assert abs(quectel["bricked"] - hawkbit["bricked"]) < 0.3 * hawkbit["bricked"]


@SEEDS
def test_a_criterion_on_the_completed_finds_it_in_the_first_hundred_or_so(seed):
    """Those that look at the completed stop within a fifth of the fleet at most; the canary has the fewest by far."""
    for name in (AWS, AZURE, MENDER):
        assert under(name, seed)["stopped_h"] is not None
        assert 100 <= under(name, seed)["took"] < 0.2 * MODULES
        assert under(CANARY, seed)["took"] < 0.3 * under(name, seed)["took"]


@SEEDS
def test_stopping_saves_modules(seed):
    """Bricks: fewer with a criterion than without, by far; the canary has the fewest."""
    bricked = {name: under(name, seed)["bricked"] for name in STRATEGIES}
    assert max(bricked[AWS], bricked[AZURE], bricked[MENDER]) < 0.5 * min(bricked[QUECTEL], bricked[HAWKBIT])
    assert bricked[CANARY] == min(bricked.values())


@SEEDS
def test_phases_by_the_clock_slow_the_detection_down(seed):
    """Mender's first tenth brings the first hundred later than a plan that is open to all."""
    assert under(MENDER, seed)["delay_h"] > under(AWS, seed)["delay_h"]


@SEEDS
def test_in_flight_policies_differ(seed):
    """AWS lets those in flight go on; Azure stops them; after Azure's rollback hardly anybody runs the new image."""
    assert under(AWS, seed)["after"] >= under(AZURE, seed)["after"]
    assert under(AZURE, seed)["success"] < 0.02 < under(AWS, seed)["success"]


def test_a_defect_that_only_bricks_is_seen_by_nobody_but_who_waits_for_successes():
    """Revision C's defect alone: the criterion never fires, and the canary does not get past its first groups."""

    def bricks_only(strategy):
        defects = json.dumps([{"hardware": "C", "brick": 1.0}])
        given = [
            f"fleet.size={MODULES}",
            f"plan.components.0.defects={defects}",
            f"plan.strategy={json.dumps(strategy)}",
        ]
        return simulate(Scenario.load(SCENARIO, given)).records

    retried = {"criteria": [{"failure_type": "failed", "number_of_retries": 5}]}
    plain = {"preset": "aws-iot-jobs", "abort": {"criteria": [CRITERION]}, "retry": retried}
    aws, bounded = bricks_only(plain), bricks_only({**plain, "timeouts": {"step": {"update": "1h"}}})
    canary = bricks_only({**STRATEGIES[CANARY], "retry": retried})
    assert "criterion_fired" not in set(aws.decisions["decision"])
    assert "criterion_fired" in set(bounded.decisions["decision"])  # silence has a name: timed out
    bricked = [(records.modules["cause"] == "bricked").sum() for records in (aws, canary)]
    assert bricked[0] > 0.03 * MODULES and bricked[1] < 0.2 * bricked[0]
