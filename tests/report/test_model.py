"""What a report says of runs made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sim import gates
from sim.engines.run import save
from sim.errors import RecordsError
from sim.report.formats.markdown import to_markdown
from sim.report.model.advice import advise
from sim.report.model.run_report import Loss, build
from sim.report.page import Points, Text
from sim.report.pages.run_page import run_page
from sim.stats.slices import hot_spot
from tests.report.made import HORIZON_S, lost, made_run, module
from tests.support import run


def test_losses_add_up_by_stage_and_cause(tmp_path):
    """Ten in the plan: six there, one needed nothing, three lost at two stages."""
    rows = [*(module() for _ in range(6)), module(outcome="not_needed", upgraded_s=float("nan")), lost("low_battery"),
            lost("low_battery"), lost("bricked", "downloaded", "failed", updating_s=50.0)]  # fmt: skip
    report = build(made_run(tmp_path, rows))
    assert report.losses == [Loss("none", "low_battery", 2), Loss("downloaded", "bricked", 1)]
    assert report.metrics["success_rate"].value == pytest.approx(6 / 9)
    assert report.risk.took_image == 8
    assert report.risk.first_harm_s == 50.0


@pytest.mark.parametrize(
    ("wanted", "verdict", "margin"),
    [
        ({"success_rate": ">= 0.15"}, "go", 0.6),
        ({"success_rate": "lower >= 0.5"}, "invalid", 0.1941 - 0.5),
        ({"bricked": "<= 0.7"}, "marginal", 0.7 - 0.25),
        ({"bricked": "<= 0.1"}, "invalid", 0.1 - 0.25),
        ({"bricked": "<= 0.001"}, "no-go", 0.001 - 0.25),
        ({"success_rate": ">= 0.999"}, "no-go", 0.75 - 0.999),
        ({}, "none", None),
    ],
)
def test_verdict_and_margin(tmp_path, wanted, verdict, margin):
    """Three of four succeed, one of the four that installed bricks: the exact bounds are 0.1941 and 0.9937."""
    rows = [module(), module(), module(), lost("bricked", "downloaded", "failed", updating_s=900.0)]
    report = build(made_run(tmp_path, rows, gates=wanted))
    assert report.verdict == verdict
    assert [g.margin for g in report.gates] == ([] if margin is None else [pytest.approx(margin, abs=1e-4)])


def test_an_interrupted_run_decides_nothing(tmp_path):
    """Even with every gate met."""
    run = made_run(tmp_path, [module()], gates={"success_rate": ">= 0.01"})
    assert build(run).verdict == "go"
    run.summary["complete"] = False
    report = build(run)
    assert (report.verdict, report.exit_statuses["as it is"]) == ("invalid", 130)


def test_milestones_keep_the_lost_in_the_denominator(tmp_path):
    """Upgraded after 1, 2, 3 of four: half after 2, 99 % never; with a second replication the range of both."""
    rows = [*(module(upgraded_s=t) for t in (1.0, 2.0, 3.0)), lost("offline")]
    one = build(made_run(tmp_path, rows)).finish
    assert [(m.share, m.time_s) for m in one.milestones[:2]] == [(0.5, 2.0), (0.8, None)]
    later = [{**row, "replication": 1, "upgraded_s": row["upgraded_s"] + 10} for row in rows]
    both = build(made_run(tmp_path, [*rows, *later])).finish.milestones[0]
    assert (both.time_s, both.earliest_s, both.latest_s, both.reached_in, both.campaigns) == (7.0, 2.0, 12.0, 2, 2)


def test_tail_counts_arrivals_of_the_last_seventh(tmp_path):
    """Two of three came in the last 100,000 s of 700,000 s: 2 / (100,000 / 86,400) a day."""
    rows = [module(upgraded_s=t) for t in (1.0, HORIZON_S - 10, HORIZON_S - 1)]
    finish = build(made_run(tmp_path, rows)).finish
    assert finish.per_day_at_end == pytest.approx(2 * 86_400 / 100_000)
    assert finish.last_s == HORIZON_S - 1


def test_blast_radius_before_and_after_the_pause(tmp_path):
    """Flashed at 100 … 500 s, bricks at 200 and 400, paused at 300: delay 200 s, three before, two after."""
    rows = [module(updating_s=t) for t in (100.0, 300.0, 500.0)]
    rows += [lost("bricked", "downloaded", "failed", updating_s=t) for t in (200.0, 400.0)]
    decided = [(0.0, "activated", "", ""), (300.0, "criterion_fired", "1", "bricks"), (300.0, "paused", "", "")]
    risk = build(made_run(tmp_path, rows, decisions=decided)).risk
    assert [d.decision for d in risk.decisions] == ["activated", "criterion_fired", "paused"]
    assert risk.decisions[1].counts["failed"] == 0.0
    (stop,) = risk.stops
    assert (stop.decision, stop.why, stop.detection_delay_s) == ("paused", "1: bricks", 200.0)
    assert (stop.took_image_before, stop.took_image_after) == (3, 2)
    assert (stop.bricked_before, stop.bricked_after) == (1, 1)


def test_load_beside_capacity(tmp_path):
    """Fifty connects in a bin of 100 s are 0.5 /s, half of the capacity of 1 /s."""
    loads = {x.name: x for x in build(made_run(tmp_path, [module()])).loads}
    assert loads["new connections"].largest_bin == 0.5
    assert loads["new connections"].used == 0.5
    assert loads["messages and requests"].capacity == pytest.approx(20.0)
    assert loads["modules online"].used is None


def test_a_live_run_is_not_judged_by_the_simulated_capacity(tmp_path):
    """What a real cloud bears is not known, and its run is repeated with `fotasim live`."""
    run = made_run(tmp_path, [module()])
    run.manifest["engine"] = "live"
    report = build(run)
    assert report.facts.kind == "live"
    assert all(load.capacity is None for load in report.loads)
    assert report.origin.repeat.startswith("fotasim live ")


def test_price_is_per_million_bytes(tmp_path):
    """3 MB at 0.5, a third of it in vain."""
    rows = [module(bytes_useful=2_000_000), lost("link_lost", "confirmed", bytes_wasted=1_000_000)]
    costs = build(made_run(tmp_path, rows), price_per_mb=0.5).costs
    assert (costs.price_total, costs.price_wasted) == (1.5, 0.5)


def test_hot_spot_points_at_the_hardware(tmp_path):
    """Twelve bricks, eleven of them on a tenth of the fleet; below ten cases nothing is said."""
    rows = [*(module(hardware="A") for _ in range(89)), lost("bricked", "downloaded", "failed", hardware="A")]
    rows += [lost("bricked", "downloaded", "failed", hardware="C") for _ in range(11)]
    run = made_run(tmp_path, rows, gates={"bricked": "<= 0.01"})
    first = build(run).advice[0]
    assert (first.cause, first.urgent) == ("bricked", True)
    assert first.action.startswith("Hold hardware C back")
    few = run.modules["cause"].eq("bricked") & run.modules["hardware"].eq("A")
    assert hot_spot(run.modules, few, ("hardware",)) is None


def test_breakdowns_show_what_tells_modules_apart(tmp_path):
    """Two revisions, one group, thirty cells: the twenty with most losses, the worst first."""
    rows = [module(hardware="AB"[i % 2], cell=i) for i in range(29)]
    rows += [lost("offline", hardware="A", cell=29), lost("offline", hardware="A", cell=29)]
    cuts = {cut.by: cut for cut in build(made_run(tmp_path, rows)).breakdowns}
    assert list(cuts) == ["group", "hardware", "cell"]
    assert [(s.name, s.modules, s.succeeded) for s in cuts["hardware"].slices] == [("A", 17, 15), ("B", 14, 14)]
    assert (cuts["cell"].slices[0].name, len(cuts["cell"].slices), cuts["cell"].left_out) == ("29", 20, 10)


def test_studies_beside_the_run_are_found(tmp_path):
    """RUN-sensitivity and RUN-tune by their names, others when given; a folder without a result is an error."""
    run = made_run(tmp_path / "r", [module()], gates={"bricked": "<= 0.1"})
    (tmp_path / "r-sensitivity").mkdir()
    pd.DataFrame(
        {"input": ["brick"], "low": [0.0], "high": [1.0], "at_low": [0.05], "at_high": [0.2], "mu_star": [0.1]}
    ).to_parquet(tmp_path / "r-sensitivity" / "inputs.parquet")
    pd.DataFrame({"brick": [0.5], "bricked": [0.1]}).to_parquet(tmp_path / "r-sensitivity" / "samples.parquet")
    other = tmp_path / "search"
    other.mkdir()
    pd.DataFrame(
        {"plan.x": [30], "bricked": [0.1], "bricked low": [0.0], "bricked high": [0.2], "feasible": [True]}
    ).to_parquet(other / "finalists.parquet")
    report = build(run, studies=[other])
    assert (report.sensitivity.metric, report.sensitivity.influences[0].strength) == ("bricked", 0.1)
    assert report.candidates[0].settings == {"plan.x": "30"}
    assert report.candidates[0].objectives == {"bricked": (0.1, 0.0, 0.2)}
    texts = " ".join(block.text for block in run_page(report, run).blocks() if isinstance(block, Text))
    assert "brick changes the answer of the gate" in texts
    with pytest.raises(RecordsError, match="holds no result"):
        build(run, studies=[tmp_path])


def sensitivity_beside(run, metric, values, scenario=None):
    """RUN-sensitivity of these sampled worlds, with its scenario where one is given."""
    folder = run.with_name(f"{run.name}-sensitivity")
    folder.mkdir()
    influence = {"input": ["brick"], "low": [0.0], "high": [1.0], "at_low": [0.0], "at_high": [0.2], "mu_star": [0.1]}
    pd.DataFrame(influence).to_parquet(folder / "inputs.parquet")
    pd.DataFrame({"brick": np.linspace(0.0, 1.0, len(values)), metric: values}).to_parquet(folder / "samples.parquet")
    if scenario is not None:
        (folder / "scenario.yaml").write_text(scenario)
    return folder


@pytest.mark.parametrize("asked", ["bricked", "bricked_of_installed"])
@pytest.mark.parametrize("studied", ["bricked", "bricked_of_installed"])
@pytest.mark.parametrize("by_option", [False, True])
def test_a_study_of_a_figure_is_one_of_either_of_its_names(tmp_path, asked, studied, by_option):
    """A gate that half of the sampled worlds break is no Go, whichever name gate and study use, in the file or as --gate."""
    given = {} if by_option else {asked: "<= 0.1"}
    run = made_run(tmp_path / "r", [module()] * 200, gates=given)
    assert build(run, gates=[gates.parse(asked, "<= 0.1")] if by_option else []).verdict == "go"
    sensitivity_beside(run.path, studied, [0.0, 0.2])
    report = build(run, gates=[gates.parse(asked, "<= 0.1")] if by_option else [])
    assert report.verdict == "marginal"
    assert "met in 50.00 % of the 2 worlds" in " ".join(report.told.reasons)


def test_a_study_of_another_scenario_says_nothing_of_this_one(tmp_path):
    """Left out with the key where it lies beside the run, refused when it is given; another seed, other gates, and a
    smaller fleet are the same question."""
    run = made_run(tmp_path / "r", [module()] * 200, gates={"bricked": "<= 0.1"})
    mine = "name: a\nseed: 1\nfleet: {size: 200, failures: {brick: 0.1}}\nplan: {components: [{size: 1 MB}]}\n"
    (run.path / "scenario.yaml").write_text(mine)
    folder = sensitivity_beside(run.path, "bricked", [0.0, 0.2], mine.replace("1 MB", "2 MB"))
    report = build(run)
    assert report.verdict == "go" and report.sensitivity is None
    said = "r-sensitivity: a study of another scenario: plan.components.0.size is 2 MB there and 1 MB here"
    assert report.studies_left_out == [said]
    texts = [block.text for block in run_page(report, run).blocks() if isinstance(block, Text)]
    assert f"{said}." in texts
    with pytest.raises(RecordsError, match="a study of another scenario"):
        build(run, studies=[folder])
    (folder / "scenario.yaml").write_text(
        mine.replace("200", "20").replace("seed: 1", "seed: 7").replace("name: a", "name: b")
    )
    assert build(run).verdict == "marginal" and build(run).studies_left_out == []


def test_further_gates_are_judged(tmp_path):
    """As `fotasim report --gate` gives them."""
    extra = [gates.parse_expression("bricked upper <= 0.5 %")]
    report = build(made_run(tmp_path, [module()] * 10), gates=extra)
    assert (report.verdict, report.gates[0].bound, report.gates[0].met) == ("invalid", "upper", False)
    assert (report.gates[0].needs, report.exit_statuses) == (736, {"as it is": 4, "go": 4, "no-go": 4})


@pytest.mark.parametrize(
    ("resumes", "says", "key", "current"),
    [
        (False, "Let downloads resume", "fleet.groups.0.resume_download", "false"),
        (True, "fewer modules of a cell", "plan.strategy.rollout.max_in_progress_per_cell", "20"),
    ],
)
def test_nobody_is_told_to_do_what_is_done(tmp_path, resumes, says, key, current):
    """Modules that lose their link are to resume downloads; where they do already, something else is proposed."""
    modules = made_run(tmp_path, [module(), lost("link_lost")]).modules
    tree = {
        "fleet": {"groups": [{"resume_download": resumes}]},
        "plan": {"strategy": {"rollout": {"max_in_progress_per_cell": 20}}},
    }
    [advice] = advise(modules, tree, [])
    assert says in advice.action
    assert (advice.key, advice.current) == (key, current)


@pytest.mark.parametrize(("stops", "action", "key"), [
    (True, "Find out why the plan stopped before you resume it.", ""),
    (False, "Release faster, relax what holds back the next group, or evaluate later.", "plan.strategy.rollout.max_in_progress"),
])  # fmt: skip
def test_nobody_is_told_to_release_faster_behind_a_stop(tmp_path, stops, action, key):
    """A plan that paused because its canaries failed: what failed comes first, those that wait come last, and wait for a reason."""
    rows = [lost("boot_failure", "downloaded", "failed", updating_s=100.0), *[lost("waiting", "none", "pending")] * 8]
    decided = [
        (0.0, "activated", "", ""),
        (300.0, "group_failed", "canary", "50 % failed, limit 2 %: pause"),
        (300.0, "paused", "", ""),
    ]
    advice = build(made_run(tmp_path, rows, decisions=decided if stops else decided[:1])).advice
    assert advice[0].cause == "boot_failure"
    assert (advice[-1].cause, advice[-1].action, advice[-1].key) == ("waiting", action, key)
    assert (advice[-1].finding == "8 modules (88.89 %) wait behind the stop.") == stops


def test_a_package_without_room_is_named_by_its_size(tmp_path):
    """The size to change stands as people write it."""
    modules = made_run(tmp_path, [lost("no_space")]).modules
    [advice] = advise(modules, {"plan": {"components": [{"size": 20_000_000}]}}, [])
    assert advice.current == "20 MB"


# --- sentences -----------------------------------------------------------------------------------------------------


def _said(folder, *rows, **scenario):
    """Everything a run's page says in sentences."""
    made = made_run(folder, rows, **scenario)
    page = run_page(build(made), made)
    texts = [b for b in page.blocks() if isinstance(b, Text)]
    texts += [item for b in page.blocks() if isinstance(b, Points) for item in b.items]
    return " ".join(f"{t.strong} {t.text}" for t in texts)


@pytest.mark.parametrize(
    ("cause", "one", "two"),
    [("in_progress", "was still in progress", "were still in progress"), ("no_space", "has no room", "have no room"),
     ("never_online", "was never online", "were never online")],
)  # fmt: skip
def test_one_module_is_not_many(tmp_path, cause, one, two):
    """The verb agrees with the number."""
    assert f"1 module (50.00 %) {one}" in _said(tmp_path / "a", module(), lost(cause))
    assert f"2 modules (66.67 %) {two}" in _said(tmp_path / "b", module(), lost(cause), lost(cause))


def test_one_of_everything(tmp_path):
    """Bricks, losses, waiting ones: no plural of one."""
    said = _said(tmp_path / "a", module(), lost("bricked", "downloaded", "failed", updating_s=400.0), lost("no_space"))
    for words in (
        "1 of 2 modules that took the image bricked",
        "1 module (33.33 %) still waited for it or was never seen",
        "1 of them was harmed",
    ):
        assert words in said
    assert not re.search(r"\b1 (modules|losses|bricks|gates)\b|\b1 were\b", said)


def test_page_one_answers_whether_to_ship(tmp_path):
    """Ship, or not, once; what would stop a bad image; what needs to change for the gates and what does not."""
    bricked = lost("bricked", "downloaded", "failed", updating_s=400.0)
    said = _said(tmp_path / "a", module(), bricked, bricked, gates={"bricked": "<= 1e-3"})
    assert said.lower().count("do not ship") == 1
    assert "Causes of unmet gates first" in said
    assert "Nothing in the strategy would stop a bad image" in said
    guarded = {"strategy": {"abort": {"criteria": [{"failure_type": "failed"}]}}}
    said = _said(tmp_path / "b", *[module()] * 2, lost("no_space"), gates={"bricked": "<= 0.9"}, plan=guarded)
    assert "no gate judges that 1 of 3 targets never confirmed the offer (33.33 %)" in said
    asked = {"bricked": "<= 0.9", "not_reached": "<= 0.99"}
    said = _said(tmp_path / "c", *[module()] * 2, lost("no_space"), gates=asked, plan=guarded)
    assert "Ship it: every gate is met beyond doubt." in said and "No gate requires a change." in said
    assert "None of 2 modules that took the image bricked" in said and "would stop a bad image" not in said


def test_what_an_imported_plan_lost_stands_on_page_one(tmp_path):
    """Accepted losses go into the manifest, and the verdict of the page begins with them in every format."""
    loss = {"key": "timeoutConfig.x", "value": "90", "why": "nobody knows it", "cure": "remove it"}
    strategy = f"plan.strategy={json.dumps({'losses': [loss]})}"
    saved = save(run(strategy, "fleet.size=5", "horizon=1d", engine="simpy"), tmp_path / "run")
    assert saved.manifest["losses"] == [loss]
    page = run_page(build(saved), saved)
    first, listed = page.verdict.blocks[:2]
    assert first.strong == "Not carried over from the imported plan."
    assert [(item.strong, item.text) for item in listed.items] == [("timeoutConfig.x:", "90: nobody knows it.")]
    assert "Not carried over from the imported plan." in to_markdown(page)


def test_an_interrupted_run_does_not_speak_of_its_horizon(tmp_path):
    """Its figures hold where it was cut off, and where modules stood then is no reason to change anything."""
    found = made_run(tmp_path / "r", [module(), lost("waiting", "none", "pending")])
    whole = replace(
        found, summary={**found.summary, "complete": False}, manifest={**found.manifest, "watched_s": 3600.0}
    )
    report = build(whole)
    said = " ".join(block.text for block in run_page(report, whole).blocks() if isinstance(block, Text))
    assert "1 h after activation, where it was interrupted (horizon" in said and "Run it to its end" in said
    assert report.advice == [] and report.verdict == "invalid"
    assert "interrupted" not in " ".join(b.text for b in run_page(build(found), found).blocks() if isinstance(b, Text))
