"""Every kind of folder has its page in every format, made from what lies in the folder alone."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace

import jsonschema
import pandas as pd
import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.cli.result_folders import PAGES, page_of
from sim.engines.live.reconciliation import Check, Reconciliation
from sim.records import KINDS
from sim.report.formats.html_page import render
from sim.report.formats.write import FORMATS, write_formats
from sim.report.model.report_schema import report_schema
from sim.report.pages.sweep_page import sweep_page
from sim.study.axes import Axis
from sim.study.study_folders import load_sweep
from sim.study.sweep import sweep
from sim.study.tune import tune
from tests.report.browser import chromium
from tests.report.hostile import HOSTILE, check_folder
from tests.report.kinds import SMALL, STUDIES, made_page, make_folders, make_load
from tests.support import scenario

NAMES = ("run", "replications", *STUDIES)
UNDECIDED = ("tune", "load")
"""No objective is shown to gain in two campaigns; 1 of 91 downloads failed, of which 1 % may."""
FILES = {"report.html", "report.pdf", "report.md", "report.xml", "report.json"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder of every kind."""
    return make_folders(tmp_path_factory.mktemp("kinds"))


def test_every_kind_has_a_page():
    """No kind a manifest may name is without one; a run's is made elsewhere."""
    assert set(PAGES) | {"run"} == set(KINDS)


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_made_anew_is_the_page_that_was_written(folders, name):
    """Byte by byte: the folder holds all that the result held."""
    assert render(made_page(folders[name])[0]) == (folders[name] / "report.html").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_the_command_writes_every_face(folders, name, tmp_path):
    """Each parses, and the JSON obeys the schema; a table stands in CSV and Parquet."""
    done = CliRunner().invoke(app, ["report", str(folders[name]), "--format", "all", "--out", str(tmp_path)])
    assert done.exit_code == (4 if name in UNDECIDED else 0), done.output
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == FILES
    page, _ = made_page(folders[name])
    whole = json.loads((tmp_path / "report.json").read_text())
    jsonschema.validate(whole, report_schema())
    assert whole["kind"] == page.kind
    assert len(whole["tables"]) == len(page.tables()) > 0
    for table in whole["tables"]:
        assert (tmp_path / "tables" / f"{table}.csv").stat().st_size
        assert (tmp_path / "tables" / f"{table}.parquet").stat().st_size
    cases = ET.parse(tmp_path / "report.xml").getroot().findall(".//testcase")
    assert [case.get("name") for case in cases] == [check.name for check in page.checks]


def test_gates_of_a_sweep(folders):
    """Which settings meet them: counted from its own table, and it is a check that one does."""
    result = load_sweep(folders["sweep"])
    table = result.summary("success_rate").merge(result.summary("bricked"), on="point", suffixes=("", "_bricked"))
    fits = int(((table["low"] >= 0.5) & (table["high_bricked"] <= 0.1)).sum())
    page = sweep_page(result)
    assert page.verdict.blocks[0].strong == f"{fits} of 9 settings"
    assert page.checks[-1].passed == (fits > 0)
    result.scenario = result.scenario.with_({"gates": {"success_rate": "> 0.9999", "bricked": "<= 0.1"}})
    page = sweep_page(result)
    assert page.verdict.word == "None fits"
    assert [check.passed for check in page.checks] == [False, True, False]


COMPLETE, KEPT_UP, AGREE = "the run is complete", "the generator kept up", "client and cloud agree"
LOGINS, DOWNLOADS, SESSIONS = (f"error_rate({step})<1%" for step in ("connect", "download", "session"))


@pytest.mark.parametrize(
    ("failed", "reported", "word", "not_passed"),
    [
        (0, {}, "Measured", []),
        (1, {}, "Marginal", [DOWNLOADS]),
        (3, {}, "Marginal", [DOWNLOADS]),
        (4, {}, "No go", [DOWNLOADS]),
        (90, {}, "No go", [DOWNLOADS]),
        (0, {"health": {"faults": ["the loop was late by 2 s"]}}, "Void", [KEPT_UP]),
        (1, {"health": {"faults": ["the loop was late by 2 s"]}}, "Void", [KEPT_UP, DOWNLOADS]),
        (1, {"final": False}, "Void", [COMPLETE, KEPT_UP, DOWNLOADS]),
        (0, {"reconciliation": Reconciliation((Check("statuses", 5, 7, 2, ("m1",)),)).as_dict()}, "Counts differ", [AGREE]),
        (90, {"reconciliation": Reconciliation((Check("statuses", 5, 7, 2, ("m1",)),)).as_dict()}, "Counts differ", [DOWNLOADS, AGREE]),
        (1, {"reconciliation": Reconciliation(note="an mqtt URL").as_dict()}, "Marginal", [DOWNLOADS]),
    ],
)  # fmt: skip
def test_a_load_run_says_whether_it_can_be_trusted(tmp_path, failed, reported, word, not_passed):
    """Void and disagreeing runs say so on top and in JUnit; else at most 1 % of each step may fail, beyond chance No go."""
    make_load(tmp_path / "load", scenario(), failed=failed, **reported)
    page = page_of(tmp_path / "load")
    compared = [AGREE] if reported.get("reconciliation", {"checks": [...]})["checks"] else []
    assert page.verdict.word == word
    assert [check.name for check in page.checks] == [COMPLETE, KEPT_UP, LOGINS, DOWNLOADS, SESSIONS, *compared]
    assert [check.name for check in page.checks if not check.passed] == not_passed


def test_an_interrupted_study_fails_its_check(folders):
    """It decides nothing, in JUnit too."""
    result = replace(load_sweep(folders["sweep"]), complete=False)
    page = sweep_page(result)
    assert [(check.name, check.passed) for check in page.checks] == [("the study is complete", False)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sweep", "run"), "only run folders can be laid side by side"),
        (("sweep", "--gate", "bricked <= 0.1"), "--gate is for run folders"),
        (("nothing",), "no such folder"),
        (("empty",), "has no manifest.json"),
        (("unknown",), "of a kind this version does not know"),
        (("torn",), "cannot be read"),
        (("lacking",), "not a whole search"),
        (("odd",), "not a whole sweep"),
    ],
)
def test_what_cannot_be_reported_is_named(folders, tmp_path, monkeypatch, arguments, words):
    """Where, what, never a traceback."""
    monkeypatch.chdir(tmp_path)
    for name in ("run", "sweep"):
        shutil.copytree(folders[name], name)
    shutil.copytree(folders["tune"], "lacking")
    (tmp_path / "lacking" / "trials.parquet").unlink()
    for name, text in (("unknown", '{"kind": "dream"}'), ("torn", "{"), ("odd", '{"kind": "sweep", "scenario": []}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code in (2, 3) or done.exception, done.output
    assert words in done.output + str(done.exception)


def test_no_result_is_written_over_another_kind(folders, tmp_path):
    """A sweep does not take the place of a run, nor a run that of a sweep."""
    for name in ("run", "sweep"):
        shutil.copytree(folders[name], tmp_path / name)
    scenario = str(folders["sweep"] / "scenario.yaml")
    vary = ("--vary", "plan.strategy.preconditions.min_battery_percent=1,2")
    done = CliRunner().invoke(app, ["sweep", scenario, *vary, "--out", str(tmp_path / "run")])
    assert "holds a run" in str(done.exception)
    for command in (["tune", *vary, "--minimise", "rejected"], ["sensitivity"], ["compare", "--variant", vary[1][:-2]]):
        done = CliRunner().invoke(app, [command[0], scenario, *command[1:], "--out", str(tmp_path / "run")])
        assert "holds a run" in str(done.exception), command
    done = CliRunner().invoke(app, ["run", scenario, "--out", str(tmp_path / "sweep")])
    assert "holds a sweep" in str(done.exception)


def _rewrite(folder, change):
    """The folder's manifest with hostile words in it."""
    facts = json.loads((folder / "manifest.json").read_text())
    change(facts)
    (folder / "manifest.json").write_text(json.dumps(facts))


def test_hostile_words_in_every_kind(folders, tmp_path):
    """Names of sides, settings of a sweep, what a load's workers, clouds and scenarios say."""
    for name in ("sweep", "tune", "sensitivity", "comparison"):
        shutil.copytree(folders[name], tmp_path / name)
    _rewrite(tmp_path / "comparison", lambda f: f.update(
        verdicts=[HOSTILE], notes=[HOSTILE], sides=[{**side, "name": HOSTILE + str(i)} for i, side in enumerate(f["sides"])],
        flows=[], agreement=[],
    ))  # fmt: skip
    table = pd.read_parquet(tmp_path / "comparison" / "differences.parquet")
    table.assign(alternative=f"{HOSTILE}1").to_parquet(tmp_path / "comparison" / "differences.parquet")
    sweep(scenario(*SMALL), [Axis("description", ("=cmd()", HOSTILE)), Axis("plan.name", ("@b", "=c"))],
          replications=2, out=tmp_path / "hostile-sweep", engine="simpy", workers=1)  # fmt: skip
    found = tune(scenario(*SMALL), [Axis("description", (HOSTILE, HOSTILE + "2"))], minimise=["rejected"], trials=2,
                 replications=1, final_replications=2, engine="simpy", workers=1)  # fmt: skip
    found.save(tmp_path / "hostile-tune")
    make_load(
        tmp_path / "load", scenario(f"description={json.dumps(HOSTILE)}"), worker=HOSTILE,
        health={"faults": [HOSTILE]}, reconciliation=Reconciliation((Check(HOSTILE, 1, 2, 1, (HOSTILE,)),), HOSTILE).as_dict(),
    )  # fmt: skip
    _rewrite(tmp_path / "load", lambda f: f.update(cloud=HOSTILE, name=HOSTILE, fotasim=HOSTILE, repeat=HOSTILE))
    for name in ("comparison", "hostile-sweep", "hostile-tune", "load"):
        write_formats(page_of(tmp_path / name), tmp_path / name, FORMATS)
        check_folder(tmp_path / name)


@pytest.mark.parametrize("width", [1440, 390])
def test_accessible_and_within_its_width(folders, width):
    """No finding of axe-core and nothing wider than the window, on the page of every kind."""
    from axe_playwright_python.sync_playwright import Axe

    with chromium(width) as view:
        for name in NAMES:
            path = folders[name] / "seen.html"
            path.write_text(render(made_page(folders[name])[0]), encoding="utf-8")
            view.goto(path.as_uri())
            found = Axe().run(view).response["violations"]
            assert [(name, v["id"], v["nodes"][0]["html"][:120]) for v in found] == []
            assert view.evaluate("document.documentElement.scrollWidth") <= width, name
