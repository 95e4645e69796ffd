"""A search over a good and a bad release: false stops and blast radius together, and an answer only where it is shown."""

from __future__ import annotations

import json
import sys

import pytest

from sim.cli import main
from sim.errors import StudyError
from sim.report.pages.tuning_words import headline, reasons, scenario_lines
from sim.scenario.load import check
from sim.study.axes import parse_axis
from sim.study.objectives import column, parse_constraint, parse_objective
from sim.study.study_folders import load_tuning
from sim.study.tune import Answer, Tuning, judgement, tune
from tests.acceptance.test_judgement import CANARY, MAINS, NO_RETRIES

THRESHOLD = "plan.strategy.rollout.groups.0.error_threshold_percent"
STOPS, RADIUS = "stopped@good", "took_image@bad"


def release(name, boot_failure, *overrides):
    """A release of which this share does not boot, behind a canary of 10 % that pauses above 5 % errors."""
    return check(
        MAINS.replace("name: mains", f"name: {name}"), "s.yaml",
        [CANARY, NO_RETRIES, f"fleet.failures.boot_failure={boot_failure}", "fleet.failures.frailty_variance=0", *overrides],
    )  # fmt: skip


@pytest.fixture(scope="module")
def found():
    """Thresholds from 1 to 90 %: below 5 % the good release stops, far above 50 % the bad one goes to everybody."""
    return tune(
        [release("good", 0.05), release("bad", 0.5)], [f"{THRESHOLD}=1:90"], minimise=[STOPS, RADIUS], trials=18,
        replications=3, final_replications=12, workers=2,
    )  # fmt: skip


def test_a_threshold_between_good_and_bad_is_found(found):
    """Between the 5 % of the good release and the 50 % of the bad one: hardly a false stop, and the canary alone is hurt."""
    assert 10 <= found.recommended.settings[THRESHOLD] <= 50
    told = found.across(found.recommended)
    assert told["good"]["stopped"].value <= 0.1 < found.across(found.present)["good"]["stopped"].value
    assert told["bad"]["took_image"].value == pytest.approx(0.1, abs=0.01)
    assert told["bad"]["stopped"].value == 1.0
    assert told["bad"]["stopped"].low < 1.0  # twelve campaigns do not show always
    assert told["good"]["took_image"].value > 0.9
    assert found.gains == [STOPS] and found.answer is Answer.FOUND


def test_each_candidate_is_told_on_each_scenario(found, tmp_path):
    """On the page, in the lines of the terminal, and again after reading the folder back."""
    page = found.save(tmp_path / "t").read_text()
    assert page.count("<td") and all(
        text in page for text in ("finalist 1", "as it is", "took the image", "blast radius")
    )
    lines = list(scenario_lines(found, found.recommended))
    assert [line.split(":")[0] for line in lines] == ["good", "bad"]
    assert all("[" in line and " to " in line for line in lines)
    again = load_tuning(tmp_path / "t")
    assert list(again.scenarios) == ["good", "bad"] and again.answer is found.answer
    assert again.across(again.recommended) == found.across(found.recommended)
    assert "scenarios good, bad" in (tmp_path / "t" / "strategy.yaml").read_text()


@pytest.mark.parametrize(
    ("scenarios", "options", "told"),
    [
        ((("good", 0.05), ("bad", 0.5)), {"minimise": ["stopped"]}, "write stopped@good or stopped@bad"),
        ((("good", 0.05), ("bad", 0.5)), {"minimise": ["stopped@ugly"]}, "no scenario is called ugly; choose from good, bad"),
        ((("good", 0.05), ("bad", 0.5)), {"minimise": [STOPS], "subject_to": ["bricked<=0.01"]}, "write bricked@good"),
        ((("good", 0.05), ("good", 0.5)), {"minimise": [STOPS]}, "two scenarios are called good"),
        ((("good", 0.05), ("bad", 0.5, "plan.strategy.retry.number_of_retries=3")), {"minimise": [STOPS]},
         "plan.strategy.retry.number_of_retries: 0 in good, 3 in bad"),
    ],
)  # fmt: skip
def test_searches_over_several_that_cannot_be(scenarios, options, told):
    """Each says what would be right, before anything runs."""
    with pytest.raises(StudyError) as error:
        tune([release(*one) for one in scenarios], [f"{THRESHOLD}=1:90"], **options)
    assert told in str(error.value)


def test_a_name_is_allowed_where_there_is_one_scenario_and_sums_cross_scenarios():
    """A weighted sum may add a metric of one scenario to one of another."""
    summed = parse_objective("10*stopped@good + took_image@bad-2.0", 1.0)
    assert summed.terms == ((10.0, "stopped", "good"), (1.0, "took_image", "bad-2.0")) and not summed.metric
    bound = parse_constraint("stopped@bad>=0.9")
    assert (bound.metric, bound.of, column(bound.metric, bound.of)) == ("stopped", "bad", "stopped@bad")


# --- what the search came to -----------------------------------------------------------------------------------------


def judged(recommended, present, *, minimise="failed", subject_to=(), complete=True):
    """A finished search over one scenario whose recommended and present campaigns have these metrics."""
    import pandas as pd

    def frame(rows):
        return pd.DataFrame([
            {"replication": i, "modules": 1000, **row, **{f"n_{name}": 1000 for name in ("targets", "touched_ended", "installed_ended")},
             "n_touched_failed": round(1000 * row["failed"]), "n_bricked": round(1000 * row["bricked"])}
            for i, row in enumerate(rows)
        ])  # fmt: skip

    trials = pd.DataFrame(
        [{"trial": 0, THRESHOLD: 10.0, minimise: 0.1, "feasible": True, "excess": 0.0, "front": True}]
    )
    result = Tuning(
        {"good": release("good", 0.05)}, (parse_axis(f"{THRESHOLD}=1:90"),), (parse_objective(minimise, 1.0),),
        tuple(parse_constraint(c) for c in subject_to), trials, complete=complete,
    )  # fmt: skip
    if complete:
        settings = {THRESHOLD: 10.0}
        *_, result.recommended, result.present = judgement(
            result, [(settings, frame(recommended)), ({}, frame(present))]
        )
        result.conclude()
    return result


def rows(failed, bricked=0.0, spread=0.0):
    """Four campaigns around these shares."""
    return [{"failed": failed + step * spread, "bricked": bricked} for step in (-1, 0, 0, 1)]


@pytest.mark.parametrize(
    ("recommended", "present", "subject_to", "answer", "told"),
    [
        (rows(0.1, spread=0.001), rows(0.2), (), "found", "Failed: "),
        (rows(0.1), rows(0.1), (), "undecided", "No objective is shown to gain in 4 campaigns"),
        (rows(0.2, spread=0.1), rows(0.21), (), "undecided", "No objective is shown to gain"),
        (rows(0.1, spread=0.001), rows(0.2), ["bricked<=0.01"], "found", "Failed: "),
        (rows(0.1), rows(0.2), ["bricked<=0.01"], "undecided", "No objective is shown to gain in 4 campaigns"),
        (rows(0.1), rows(0.2), ["bricked<=1e-5"], "undecided", "met on average, but its interval crosses the limit"),
        (rows(0.1, bricked=0.05), rows(0.2), ["bricked<=0.01"], "none fits", "bricked<=0.01 is broken: found 5.00 %"),
        (rows(0.1, bricked=0.001), rows(0.2), ["bricked<=0.0009"], "undecided", "not met on average, but its interval holds"),
        (rows(0.2), rows(0.1, bricked=0.5), ["bricked<=0.01"], "found", "Failed: "),
    ],
)  # fmt: skip
def test_what_a_search_came_to(recommended, present, subject_to, answer, told):
    """Found only where every constraint is kept and something is gained beyond doubt; the sentence says what is not."""
    result = judged(recommended, present, subject_to=subject_to)
    assert result.answer == answer
    assert told in " ".join(reasons(result))
    assert headline(result)[0] == ("Nearest:" if answer == "none fits" else "Recommended:")


def test_an_interrupted_search_shows_the_best_so_far_and_does_not_recommend_it():
    """With how little that is worth; without any trial it says so."""
    result = judged(rows(0.1), rows(0.1), complete=False)
    assert result.answer is Answer.PARTIAL
    assert headline(result) == (
        "Best so far:", "groups 0 error threshold 10 %: failed 10.00 %, by the search's own campaigns."
    )  # fmt: skip
    result.trials["feasible"] = False
    assert "it breaks a constraint, and so does every other trial" in headline(result)[1]
    result.trials = result.trials.iloc[:0]
    assert headline(result)[1].startswith("no trial has ended")
    assert "so it recommends nothing" in next(iter(reasons(result)))


def test_nothing_has_a_value(tmp_path):
    """Nobody is ever online, so no setting has a time: no recommendation, no crash, exit status 1."""
    dark = release("dark", 0.0, "fleet.failures.never_online=1", "fleet.size=20")
    result = tune(dark, [f"{THRESHOLD}=1:90"], minimise=["duration_p50"], trials=4, replications=1, final_replications=2,
                  workers=1)  # fmt: skip
    assert result.answer is Answer.NONE_FITS and result.recommended is None
    assert headline(result)[0] == "Nothing to recommend:"
    assert "None fits" in result.save(tmp_path / "t").read_text()


def test_the_command(tmp_path, monkeypatch, capsys):
    """Two files, their two lines each, and a status that is 0 only for an answer."""
    for name, chance in (("good", 0.05), ("bad", 0.5)):
        (tmp_path / f"{name}.yaml").write_text(release(name, chance, "fleet.size=60").to_yaml())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [
        "fotasim", "tune", "good.yaml", "bad.yaml", "--vary", f"{THRESHOLD}=1:90", "--minimise", STOPS, "--minimise", RADIUS,
        "--trials", "4", "--replications", "1", "--final-replications", "2", "--workers", "1",
    ])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert ended.value.code == 4 and said.startswith("Undecided: recommended: groups 0 error threshold")
    for line in (
        "this setting on good: campaigns stopped ",
        "this setting on bad: campaigns stopped ",
        "as it is on bad: campaigns stopped ",
    ):
        assert line in said
    folder = tmp_path / "reports" / "good-bad-1-tune"
    assert json.loads((folder / "manifest.json").read_text())["scenarios"][1]["name"] == "bad"
