"""Comparisons: differences that are known, fates that changed for known reasons, and what is said about them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from sim.engines.run import save, simulate
from sim.errors import StudyError
from sim.records import Run
from sim.report.model.like_with_like import Terms, no_pairs_because, other_terms
from sim.report.pages.difference_words import phrase, sentence
from sim.scenario import Scenario
from sim.study.compare import compare, in_sentences
from sim.study.sources import changes, variants
from sim.study.study_folders import load_comparison
from tests.study.known import BATTERY, battery_limit, dark_share
from tests.support import plain, scenario

TINY = ("fleet.size=40", "horizon=1d")


@pytest.fixture(scope="module")
def limits():
    """A limit of 40 % instead of 25 %: the modules between them are rejected, nothing else changes."""
    base = battery_limit(f"{BATTERY}=25")
    return compare({"25": base, "40": base.with_({BATTERY: 40})}, replications=20, workers=2)


def row(comparison, metric):
    """The only alternative's row of a metric."""
    return comparison.table[comparison.table["metric"] == metric].iloc[0]


def test_known_difference(limits):
    """15 % of a uniform battery lie between the limits."""
    rejected = row(limits, "rejected")
    assert rejected["low"] <= 0.15 <= rejected["high"]
    assert rejected["differs"]
    assert row(limits, "success_rate")["difference"] == pytest.approx(-rejected["difference"])
    assert not row(limits, "bricked")["differs"]
    assert row(limits, "bricked")["high"] == pytest.approx(3 / (20 * 200))


def test_a_difference_is_significant_when_its_interval_excludes_zero(limits):
    """One rule for the picture, the table and the sentence; the p-value says the same."""
    table = limits.table.dropna(subset=["low"])
    excludes = (table["low"] > 0) | (table["high"] < 0)
    assert list(table["differs"]) == list(excludes)
    assert list(table["p_adjusted"] < 0.05) == list(excludes)
    assert excludes.any()
    assert not excludes.all()


def test_common_random_numbers_pay(limits):
    """The same modules on both sides: variances do not add up; the factor is what independent seeds would cost."""
    assert row(limits, "rejected")["variance_reduction"] > 1.5
    base = battery_limit(f"{BATTERY}=25")
    apart = compare({"a": base, "b": base.with_({BATTERY: 27})}, replications=8, workers=2)
    close = apart.table.set_index("metric").loc["rejected"]
    assert close["paired"]
    assert close["variance_reduction"] > 9


def test_common_random_numbers_on_the_quickstart():
    """30 instead of 25 % battery: the paired interval is at least three times narrower than with independent seeds."""
    base = Scenario.load("scenarios/quickstart.yaml").with_(fleet__size=300)
    result = compare(
        {"25": base.with_({BATTERY: 25}), "30": base},
        replications=12,
        metrics=["success_rate", "pending", "duration_p50"],
    )
    factors = result.table.set_index("metric")["variance_reduction"] ** 0.5
    assert factors["success_rate"] >= 3
    assert factors["pending"] >= 3
    assert factors["duration_p50"] >= 2


def test_which_modules_changed_and_why(limits):
    """Exactly those between the limits, from success to rejection for a low battery."""
    flow = limits.flows["40"]
    assert len(flow) == 1
    assert tuple(flow.iloc[0][["outcome_a", "cause_a", "outcome_b", "cause_b"]]) == (
        "succeeded",
        "",
        "rejected",
        "low_battery",
    )
    assert flow["modules_per_campaign"].iloc[0] == pytest.approx(200 * row(limits, "rejected")["difference"])
    assert len(limits.changed) == round(20 * flow["modules_per_campaign"].iloc[0])
    assert limits.changed["battery_percent"].between(24.5, 40).all()


def test_verdict_in_words(limits):
    """The changed setting, the difference, its interval."""
    (verdict,) = limits.verdicts
    assert verdict.startswith("min_battery_percent 40 % instead of 25 %: ")
    assert "points less success [" in verdict
    assert "points more rejections [" in verdict
    assert "brick" not in verdict


@pytest.mark.parametrize(
    ("metric", "a", "b", "low", "high", "words"),
    [
        ("bricked", 0.0003, 0.00012, -0.00027, -0.00009, "1.8 fewer bricks per 10,000 [0.9, 2.7]"),
        (
            "duration_p95",
            0.0,
            267_840.0,
            259_200.0,
            276_480.0,
            "3.1 d longer until 95 % of the successes are done [3, 3.2]",
        ),
        ("success_rate", 0.90, 0.93, 0.025, 0.035, "3 points more success [2.5, 3.5]"),
        ("pending", 0.30, 0.28, -0.03, -0.01, "2 points fewer modules not reached [1, 3]"),
        ("energy_per_success_j", 100.0, 90.0, -12.0, -8.0, "energy per success -10 J [-12 J to -8 J]"),
    ],
)
def test_phrases(metric, a, b, low, high, words):
    """A difference, its direction and its interval as a person would say it."""
    assert phrase({"metric": metric, "a": a, "b": b, "difference": b - a, "low": low, "high": high}) == words


def test_no_difference_is_said_as_such():
    """A scenario beside itself says so; a setting that does nothing here is no significant difference."""
    base = scenario(*TINY)
    same = compare([base, base, base.with_({f"{BATTERY}": 31})], replications=3, workers=1, metrics=["bricked"])
    assert not same.table["differs"].any()
    assert same.verdicts == [
        "small (2) and small are the same scenario with the same seed: their 3 campaigns came to the same figures, so this compares nothing.",
        "min_battery_percent 31 % instead of 30 %: no significant difference in 3 campaigns.",
    ]
    assert not (same.changed["alternative"] == "small (2)").any()
    rows = same.table.assign(campaigns=1)
    assert "distinguished from chance" in sentence("b", rows)


def test_false_alarms_are_held_in_check():
    """60 comparisons of nothing with nothing, 9 metrics each, on seeds of their own: few families alarm at 5 %."""
    rng = np.random.default_rng(5)
    from sim.stats.paired import unpaired_difference

    alarms = 0
    for _ in range(200):
        found = [unpaired_difference(rng.normal(size=20), rng.normal(size=20), 1 - 0.05 / 9) for _ in range(9)]
        alarms += any(f.estimate.low > 0 or f.estimate.high < 0 for f in found)
    assert alarms <= 20


def test_one_seed_for_all():
    """A scenario with another seed runs with the first's, and the reader is told."""
    result = compare({"a": scenario(*TINY), "b": scenario(*TINY, "seed=9")}, replications=2, workers=1)
    assert result.notes == ["b: run with seed 1, as the others"]
    assert (result.table["difference"].dropna() == 0).all()


def test_run_folders(tmp_path):
    """Folders of one seed pair by replication; of two seeds they do not; single runs give no interval."""
    base = battery_limit("fleet.size=80")
    save(simulate(base, replications=4), tmp_path / "a")
    save(simulate(base.with_({BATTERY: 45}), replications=4), tmp_path / "b")
    save(simulate(base.with_({BATTERY: 45}, seed=2), replications=4), tmp_path / "c")
    save(simulate(base.with_({BATTERY: 45})), tmp_path / "d")
    result = compare([tmp_path / n for n in "abcd"])
    table = result.table.set_index(["alternative", "metric"])
    assert table.loc[("b", "rejected"), "paired"]
    assert not table.loc[("c", "rejected"), "paired"]
    width = table["high"] - table["low"]
    assert width[("b", "rejected")] < width[("c", "rejected")]
    assert np.isnan(table.loc[("d", "rejected"), "low"])
    assert "one campaign each" in result.verdicts[2]
    live = compare({"simulated": base, "folder": tmp_path / "b"}, replications=4, workers=1).table.set_index("metric")
    assert live.loc["rejected", "difference"] == table.loc[("b", "rejected"), "difference"]


BESIDE = {
    "another seed": (("seed=2",), 3, False, "s and small, which have the same settings: ", "Campaigns are not paired: seeds 1 and 2."),
    "more modules": (("fleet.size=60",), 3, False, "fleet size 60 instead of 40: ", "Campaigns are not paired: not the same modules."),
    "two groups": (
        ("fleet.groups=[{name: all, share: 0.5, technology: lte-m}, {name: b, share: 0.5, technology: cat1}]",), 3, False,
        "Not like with like (fleet.groups.", "Campaigns are not paired: not the same modules.",
    ),
    "weaker signal": (("fleet.groups.0.rsrp_dbm=-105",), 3, True, "s instead of small: ", "campaigns."),
    "shorter": (("horizon=6h",), 3, True, "Not like with like (horizon 1 d and 6 h): no difference is a gain or a loss of the plan alone. horizon 6 h instead of 1 d: ", "."),
    "more campaigns": (("plan.strategy.preconditions.min_battery_percent=31",), 5, True, "min_battery_percent 31 % instead of 30 %: ", "Left out: 2 campaigns without a partner on the other side."),
}  # fmt: skip
"""Changes of a scenario, its campaigns, whether they pair with those of the scenario, and what is said first and last."""


@pytest.mark.parametrize("case", BESIDE)
def test_what_is_no_pair_or_not_like_with_like_is_said_first(tmp_path, case):
    """Folders of another seed, fleet, horizon or number of campaigns: how they are compared stands beside the difference."""
    given, campaigns, paired, first, last = BESIDE[case]
    save(simulate(scenario(*TINY), replications=3), tmp_path / "small")
    save(simulate(scenario(*TINY, *given), replications=campaigns), tmp_path / "s")
    result = compare([tmp_path / "small", tmp_path / "s"])
    assert result.table["paired"].all() == paired
    assert result.table["campaigns"].max() == 3
    if case != "weaker signal":  # a distribution in place of another is several keys
        assert result.verdicts[0].startswith(first), result.verdicts
    assert result.verdicts[0].endswith(last), result.verdicts
    page = result.save(tmp_path / "page").read_text()
    assert ("every module ends the same" in page) <= paired
    known = load_comparison(tmp_path / "page")
    assert in_sentences(*known.sides, known.table) == result.verdicts[0]


def test_figures_of_pairs_are_those_of_the_campaigns_with_a_partner(tmp_path):
    """3 campaigns beside 5: both columns and the difference are of the same three."""
    save(simulate(scenario(*TINY), replications=3), tmp_path / "a")
    save(simulate(scenario(*TINY, f"{BATTERY}=70"), replications=5), tmp_path / "b")
    table = compare([tmp_path / "a", tmp_path / "b"]).table.set_index("metric")
    assert table.loc["success_rate", "b"] - table.loc["success_rate", "a"] == pytest.approx(
        table.loc["success_rate", "difference"]
    )


def test_a_fleet_file_counts_by_what_is_in_it():
    """The same path with other rows is another fleet; other paths with the same rows are one."""
    tree = {"horizon": 1.0, "fleet": {"groups": [{"name": "g", "file": "inputs/0-f.csv"}]}}
    other = {"horizon": 1.0, "fleet": {"groups": [{"name": "g", "file": "/elsewhere/f.csv"}]}}
    of = {"fleet.groups.0.file": "aa"}
    assert no_pairs_because(Terms(tree, 1, files=of), Terms(other, 1, files=of)) == ""
    assert other_terms(Terms(tree, 1, files=of), Terms(other, 1, files=of)) == []
    changed = Terms(tree, 1, files={"fleet.groups.0.file": "bb"})
    assert no_pairs_because(Terms(tree, 1, files=of), changed) == "not the same modules"
    assert other_terms(Terms(tree, 1, files=of), changed) == ["fleet.groups.g.file: another file"]


def test_live_beside_simulated(tmp_path):
    """A live run is no pair of a simulated one: distributions are tested, and a slower network is found out."""
    base = scenario("fleet.size=300", "horizon=2d")
    save(simulate(base.with_(seed=2)), tmp_path / "live")
    save(simulate(base), tmp_path / "simulated")
    manifest = tmp_path / "live" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "engine": "live"}))
    alike = compare([tmp_path / "live", tmp_path / "simulated"])
    assert "agree" in alike.verdicts[0]
    modules = pd.read_parquet(tmp_path / "live" / "modules.parquet")
    late = modules["downloaded_s"] - modules["download_started_s"]
    for column in ("downloaded_s", "updating_s", "upgraded_s", "reported_s"):
        modules[column] += 2 * late
    modules.to_parquet(tmp_path / "live" / "modules.parquet")
    slower = compare([tmp_path / "live", tmp_path / "simulated"])
    assert "differ in download" in slower.verdicts[0]
    assert "Live beside simulated" in slower.save(tmp_path / "page").read_text()
    assert not Run.load(tmp_path / "live").modules.empty


def test_page_and_figures(limits, tmp_path):
    """The page says what the verdict says and shows the flow; names with markup stay text."""
    page = plain(limits.save(tmp_path).read_text())
    assert limits.verdicts[0] in page
    assert "low battery" in page
    assert limits.plot("rejected").axes
    assert limits.plot_flow().axes
    base = scenario(*TINY)
    evil = compare({"<script>alert(1)</script>": base, "b": base}, replications=2, workers=1)
    assert "<script>alert" not in evil.save(tmp_path / "evil").read_text()


def test_an_interruption_keeps_whole_pairs():
    """Ctrl-C after five of eight campaigns: two pairs are there, the fifth has no partner."""

    def stop(done, _total):
        if done == 5:
            raise KeyboardInterrupt

    result = compare(
        {"a": scenario(*TINY), "b": scenario(*TINY, f"{BATTERY}=60")}, replications=4, workers=1, progress=stop
    )
    assert not result.complete
    assert (result.table["campaigns"].max(), len(result.frame)) == (2, 4)


def test_sides_that_cannot_be():
    """One side, an unknown metric, a variant of many values."""
    with pytest.raises(StudyError, match="two sides"):
        compare([scenario()])
    with pytest.raises(StudyError, match="not a metric"):
        compare([scenario(), scenario()], metrics=["happiness"])
    with pytest.raises(StudyError, match="one value"):
        variants(scenario(), [f"{BATTERY}=1,2"])


def test_variants_and_changes():
    """Named by what they change; differences between two scenarios are found by key."""
    found = variants(scenario(), [f"{BATTERY}=20;plan.strategy.preconditions.on_unmet=reject"])
    assert list(found) == ["min_battery_percent=20, on_unmet=reject"]
    base, other = (Terms(s.model_dump(mode="json"), 1) for s in (scenario(), next(iter(found.values()))))
    assert changes(base, other) == [(BATTERY, 30.0, 20.0), ("plan.strategy.preconditions.on_unmet", "defer", "reject")]


def test_paired_differences_cover_the_truth():
    """12 % of dark modules instead of 10 %: the truth is -0.02 success, and 30 studies miss it rarely."""
    hits = 0
    for seed in range(30):
        base = dark_share(0.10, f"seed={seed}", "fleet.size=60", "horizon=1d")
        result = compare(
            {"a": base, "b": base.with_(fleet__failures__never_online=0.12)},
            replications=6,
            workers=1,
            metrics=["success_rate"],
        )
        only = result.table.iloc[0]
        hits += bool(only["low"] <= -0.02 <= only["high"])
    assert hits >= 25
