"""The search finds what is known to be best, and states what it is worth without flattering itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from sim.errors import ScenarioError, StudyError
from sim.study.axes import parse_axis
from sim.study.front import knee, on_front, spread
from sim.study.objectives import parse_constraint, parse_objective
from sim.study.tune import CHOOSE_FROM, STATE_FROM, _difference, tune
from tests.study.known import BATTERY, battery_limit
from tests.support import scenario

COST = "rejected + 3*bricked"


@pytest.fixture(scope="module")
def found():
    """A search for the battery limit of the scenario whose best one is 20 %."""
    return tune(
        battery_limit(),
        [f"{BATTERY}=0:60"],
        minimise=[COST],
        trials=36,
        replications=3,
        final_replications=15,
        workers=2,
    )


def test_recovers_the_known_optimum(found):
    """The limit is 20 %, the cost 0.2; the stated interval holds the true cost of the setting that was found."""
    limit = found.recommended.settings[BATTERY]
    assert limit == pytest.approx(20.0, abs=2.5)
    true_cost = limit / 100 + 3 * max(0.0, 20.0 - limit) / 100
    stated = found.recommended.objectives[COST]
    assert stated.low <= true_cost <= stated.high
    assert stated.half_width < 0.02
    assert found.best.plan.strategy.preconditions.min_battery_percent == limit


def test_gain_against_the_scenario_as_it_is(found):
    """As it is the limit is 30 %, so the gain is the difference of the limits, on common random numbers."""
    gain = found.gain[COST]
    true_gain = found.recommended.settings[BATTERY] / 100 - 0.3
    assert gain.estimate.low <= true_gain <= gain.estimate.high
    assert gain.p_value < 1e-6
    assert gain.variance_reduction > 1.0


def test_search_choice_and_statement_share_no_campaign(found):
    """The winner is not judged by the luck that made it win."""
    chosen = {r for c in found.finalists for r in c.frame["replication"]}
    stated = set(found.recommended.frame["replication"])
    assert min(chosen) == CHOOSE_FROM
    assert min(stated) == STATE_FROM
    assert not chosen & stated


def test_the_search_is_the_same_on_any_number_of_workers():
    """Same seed, same trials, same recommendation; another seed goes another way."""
    options = {"minimise": [COST], "trials": 14, "replications": 1, "final_replications": 2}
    base = battery_limit("fleet.size=40", "horizon=1d")
    first = tune(base, [f"{BATTERY}=0:60"], workers=1, **options)
    second = tune(base, [f"{BATTERY}=0:60"], workers=2, **options)
    pd.testing.assert_frame_equal(first.trials, second.trials, check_exact=True)
    assert first.recommended.settings == second.recommended.settings
    other = tune(base.with_(seed=2), [f"{BATTERY}=0:60"], workers=1, **options)
    assert not first.trials[BATTERY].equals(other.trials[BATTERY])


def test_a_constraint_is_kept():
    """At most 3 % rejected keeps the limit at 3 %, though the cost without the bound is best at 20 %."""
    found = tune(
        battery_limit(), [f"{BATTERY}=0:60:61"], minimise=["bricked"], subject_to=["rejected<=5%"], trials=40,
        replications=3, final_replications=10, workers=2,
    )  # fmt: skip
    assert found.recommended.feasible
    assert 2 <= found.recommended.settings[BATTERY] <= 6
    assert not found.trials.loc[found.trials[BATTERY] > 10, "feasible"].any()


def test_without_a_feasible_setting_it_says_so():
    """Nothing rejected and nothing bricked cannot be had at once."""
    found = tune(
        battery_limit("fleet.size=100"), [f"{BATTERY}=5:15"], minimise=["duration_p50"],
        subject_to=["rejected<=0.001", "bricked<=0.001"], trials=12, replications=1, final_replications=2, workers=1,
    )  # fmt: skip
    assert not found.recommended.feasible
    assert not found.trials["feasible"].any()


def test_two_objectives_give_a_front_and_its_knee(tmp_path):
    """Bricks against rejections: below 20 % each buys the other, above 20 % rejections buy nothing."""
    found = tune(
        battery_limit("fleet.size=150"), [f"{BATTERY}=0:60"], minimise=["rejected", "bricked"], trials=30, replications=2,
        final_replications=4, workers=2,
    )  # fmt: skip
    front = found.trials[found.trials["front"]]
    assert len(front) >= 3
    assert front[BATTERY].max() <= 23.0
    assert found.recommended.settings[BATTERY] in {c.settings[BATTERY] for c in found.finalists}
    page = found.save(tmp_path / "tune")
    assert "recommended" in page.read_text()


def test_the_strategy_file_is_a_strategy(found, tmp_path):
    """It loads as plan.strategy of a scenario and means the recommended setting; its comments say where it comes from."""
    found.save(tmp_path)
    text = (tmp_path / "strategy.yaml").read_text()
    strategy = YAML(typ="safe").load(text)
    taken = battery_limit().with_({"plan.strategy": strategy})
    assert taken == found.best
    assert "95 % interval" in text
    assert set(tmp_path.iterdir()) == {
        tmp_path / n
        for n in (
            "SHA256SUMS",
            "manifest.json",
            "report.html",
            "scenario.yaml",
            "strategy.yaml",
            "trials.parquet",
            "finalists.parquet",
            "campaigns.parquet",
        )
    }


def test_choices_booleans_and_levels_can_be_searched(tmp_path):
    """Deferring beats rejecting when nothing but success counts."""
    found = tune(
        battery_limit("fleet.size=60"),
        ["plan.strategy.preconditions.on_unmet", "plan.strategy.delivery.need_push", f"{BATTERY}=20:60:3"],
        maximise=["success_rate"], trials=18, replications=1, final_replications=2, workers=1,
    )  # fmt: skip
    assert found.recommended.settings[BATTERY] == 20
    assert found.trials["plan.strategy.delivery.need_push"].isin([True, False]).all()
    assert found.save(tmp_path).exists()


def test_an_interrupted_search_recommends_nothing(tmp_path):
    """Its trials are kept and its page says partial."""

    def stop(done, _total):
        if done >= 13:
            raise KeyboardInterrupt

    found = tune(
        battery_limit("fleet.size=30", "horizon=1d"),
        [f"{BATTERY}=0:60"],
        minimise=[COST],
        trials=30,
        replications=1,
        workers=1,
        progress=stop,
    )
    assert not found.complete
    assert len(found.trials) == 12
    assert found.recommended is None
    assert "Partial" in found.save(tmp_path).read_text()
    with pytest.raises(StudyError, match="recommends nothing"):
        _ = found.best


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "no objective"),
        ({"minimise": ["happiness"]}, "not a metric"),
        ({"minimise": ["bricked"], "maximise": ["bricked"]}, "twice"),
        ({"minimise": ["bricked"], "subject_to": ["bricked"]}, "--subject-to"),
        ({"minimise": ["2*"]}, "objective"),
        ({"minimise": ["bricked"], "trials": 1}, "at least 2 trials"),
    ],
)
def test_searches_that_cannot_be(options, match):
    """Each says why before anything runs."""
    with pytest.raises(StudyError, match=match):
        tune(scenario(), [f"{BATTERY}=0:60"], **options)


def test_illegal_ends_are_found_before_the_search():
    """A range that leaves what the scenario allows is refused at once."""
    with pytest.raises(ScenarioError, match="less than or equal to 100"):
        tune(scenario(), [f"{BATTERY}=50:150"], minimise=["bricked"])


def test_front_by_hand():
    """A point is off the front when another is at least as good in all and better in one; ties stay."""
    costs = [[1, 5], [2, 2], [3, 3], [5, 1], [2, 2], [np.nan, 0]]
    assert on_front(costs).tolist() == [True, True, False, True, True, False]
    assert knee([[1, 5], [2, 2], [5, 1]]) == 1
    assert spread([[i, -i] for i in range(20)], 3) == [0, 10, 19]
    assert spread([[2, 0], [1, 1]], 5) == [1, 0]


def test_objectives_and_constraints_as_written():
    """Weighted sums, units and percentages."""
    frame = pd.DataFrame({"rejected": [0.1, 0.3], "bricked": [0.0, 0.1], "modules": [10, 10]})
    assert parse_objective("rejected + 2*bricked", 1.0).values(frame).tolist() == pytest.approx([0.1, 0.5])
    assert parse_objective("1e-3*bricked", 1.0).terms == ((1e-3, "bricked", ""),)
    kept = parse_constraint("duration_p95 <= 7d")
    assert (kept.metric, kept.limit) == ("duration_p95", 604800.0)
    assert kept.excess(604800.0) == 0.0
    assert parse_constraint("success_rate>=90%").excess(0.81) == pytest.approx(0.1)


def test_axes_are_searched_where_they_are(found):
    """Values stay within their range and are rounded to what a person would set."""
    values = found.trials[BATTERY]
    assert values.between(0, 60).all()
    assert all(value == float(f"{value:.4g}") for value in values)
    assert parse_axis(f"{BATTERY}=0:60").numeric


def test_a_sum_with_harm_that_was_not_seen_is_no_point():
    """20 campaigns of 100 installations without a brick leave up to 0.184 % (exact), which counts 20 times in the sum;
    its difference to the same elsewhere is known to 3 in 2,000 (rule of three), 20 times."""
    frame = pd.DataFrame({
        "bricked": [0.0] * 20, "n_bricked": 0, "n_installed_ended": 100, "rejected": [0.25, 0.35] * 10,
        "n_rejected": [25, 35] * 10, "n_targets": 100, "modules": 400,
    })  # fmt: skip
    alone, total = (parse_objective(text, 1.0) for text in ("20*bricked", "rejected + 20*bricked"))
    assert (alone.estimate(frame).low, alone.estimate(frame).high) == pytest.approx((0.0, 20 * 0.0018427), rel=1e-3)
    spread = parse_objective("rejected", 1.0).estimate(frame)
    assert total.estimate(frame).high == pytest.approx(spread.high + 20 * 0.0018427, rel=1e-3)
    gain = _difference(total, frame, frame.assign(rejected=frame["rejected"] - 0.01)).estimate
    assert (gain.low, gain.high) == pytest.approx((-0.01 - 20 * 3 / 2000 - 3 / 2000, -0.01 + 20 * 3 / 2000 + 3 / 2000))
