"""A study's folder is evidence: where it comes from, the command that makes it again, and its figures worked out again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sim import archive
from sim.archive import sha256
from sim.cli.common import app
from sim.cli.result_folders import figures_by_kind, page_of, report_as_made
from sim.engines.verification import Again, check_folder
from sim.records import read_manifest
from sim.report.formats.write import write_formats
from sim.report.model.origin import origin_of
from sim.study.axes import Axis, parse_axis
from sim.study.compare import compare
from sim.study.made import Made, options
from sim.study.made_again import study_made_again
from sim.study.sweep import sweep
from tests.report.kinds import STUDIES, made_page, make_folders
from tests.support import scenario

STUDIES_OF_CAMPAIGNS = ("comparison", "sweep", "tune", "sensitivity")
SMALL = ("fleet.size=40", "horizon=1d")
BATTERY = "plan.strategy.preconditions.min_battery_percent"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder of every kind, as it was written."""
    return make_folders(tmp_path_factory.mktemp("evidence"))


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of a folder to change."""
    import shutil

    def made(name: str) -> Path:
        return Path(shutil.copytree(folders[name], tmp_path / name))

    return made


def checked(folder: Path) -> dict:
    """What `fotasim verify` finds."""
    return check_folder(folder, figures=figures_by_kind())


@pytest.mark.parametrize("name", STUDIES)
def test_every_kind_of_folder_verifies_with_its_figures(folders, name):
    """As it was written nothing differs, and there are figures that were worked out again."""
    found = checked(folders[name])
    assert found["findings"] == []
    assert found["figures"] > 1


def _table(folder: Path, name: str, column: str, value: float) -> None:
    table = pd.read_parquet(folder / name)
    table.loc[0, column] = value
    table.to_parquet(folder / name, index=False)


def _load(folder: Path, leg: str, figure: str, value: float) -> None:
    found = json.loads((folder / "load.json").read_text())
    found["legs"][leg][figure] = value
    (folder / "load.json").write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("comparison", lambda f: _table(f, "differences.parquet", "p_adjusted", 0.5), "p_adjusted is 0.5"),
        ("comparison", lambda f: _table(f, "differences.parquet", "difference", 0.25), "difference is 0.25"),
        ("sweep", lambda f: _table(f, "sweep.parquet", "success_rate", 0.999), "success_rate is 0.999"),
        ("tune", lambda f: _table(f, "finalists.parquet", "success_rate", 0.999), "success_rate is 0.999"),
        ("sensitivity", lambda f: _table(f, "inputs.parquet", "swing", 0.5), "swing is 0.5"),
        ("sensitivity", lambda f: _table(f, "samples.parquet", "never_online", 0.0), "never_online is 0.0"),
        ("load", lambda f: _load(f, "connect", "p99_s", 0.001), "connect.p99_s is 0.001"),
        ("load", lambda f: _load(f, "download", "failures", {}), "download.failures"),
    ],
)  # fmt: skip
def test_a_figure_that_does_not_follow_is_found(copy, name, change, told):
    """Somebody who changes a figure and hashes anew is found out by what it was computed from."""
    folder = copy(name)
    change(folder)
    archive.seal(folder)
    findings = [f"{f.file} {f.what}" for f in checked(folder)["findings"]]
    assert any(told in text for text in findings), findings


@pytest.mark.parametrize("name", STUDIES)
def test_the_page_says_where_its_figures_come_from(folders, name):
    """Every kind names command, version, commit, engine, seed, host, date and the scenario's hash, as JUnit does."""
    page, manifest = page_of(folders[name]), read_manifest(folders[name])
    (table,) = (t for t in page.tables() if t.name == "provenance")
    shown = dict(table.shown())
    assert shown == dict(page.properties)
    assert shown["seed"] == "1"
    assert shown["engine"] == ("live" if name == "load" else "simpy")
    assert shown["fotasim"] == manifest["fotasim"]
    assert shown["commit"] == (manifest["commit"] or "not known")
    assert shown["made at"] == manifest["made_at"]
    assert shown["Python"] == manifest["host"]["python"]
    assert shown["scenario SHA-256"] == manifest["scenario_sha256"]
    assert len(manifest["scenario_sha256"]) == 64


@pytest.mark.parametrize("name", STUDIES_OF_CAMPAIGNS)
def test_the_command_on_the_page_makes_the_study_again(copy, name, monkeypatch):
    """Typed in the folder it leaves the same tables."""
    folder = copy(name)
    monkeypatch.chdir(folder)
    words = shlex.split(origin_of(read_manifest(folder)).repeat)
    assert words[0] == "fotasim"
    done = CliRunner().invoke(app, [*words[1:], "--workers", "1"])
    assert done.exit_code in (0, 1, 4), done.output  # a search ends with its answer
    for table in folder.glob("*.parquet"):
        was, now = pd.read_parquet(table), pd.read_parquet(folder / "again" / table.name)
        names = [c for c in was.columns if c not in ("alternative", "side")]
        pd.testing.assert_frame_equal(was[names], now[names], check_dtype=False, obj=table.name)


@pytest.mark.parametrize("name", STUDIES_OF_CAMPAIGNS)
def test_verify_makes_a_study_again(copy, name):
    """The same tables; with another seed in its scenario it says which cell is not the same."""
    folder = copy(name)
    assert study_made_again(folder) == Again([], [])
    scenarios = [folder / "scenario.yaml"] if name != "comparison" else list((folder / "scenarios").iterdir())
    for path in scenarios:
        path.write_text(path.read_text().replace("seed: 1\n", "seed: 2\n"))
    again = study_made_again(folder)
    assert again.differs
    assert "worked out again" in again.differs[0]


def test_the_fleet_file_is_in_the_folder_with_its_hash(tmp_path):
    """The study reads the copy when the file itself is gone, and the page names file, rows and hash."""
    fleet = tmp_path / "fleet.csv"
    pd.DataFrame({"id": [f"dev-{i}" for i in range(20)], "rsrp": [-90 - i for i in range(20)]}).to_csv(
        fleet, index=False
    )
    group = f"[{{name: real, technology: lte-m, file: '{fleet}', columns: {{module: id, rsrp_dbm: rsrp}}, components: {{fw: '1.0.0'}}}}]"
    given = scenario("horizon=1d", f"fleet.groups={group}")
    folder = tmp_path / "study"
    sweep(given, [f"{BATTERY}=10,60"], replications=2, out=folder, engine="simpy", workers=1)
    compare({"a": given, "b": given.with_({BATTERY: 60})}, replications=2, engine="simpy", workers=1).save(
        tmp_path / "c"
    )
    digest = sha256(fleet)
    fleet.unlink()
    for made in (folder, tmp_path / "c"):
        (kept,) = read_manifest(made)["inputs"]
        assert (kept["name"], kept["rows"], kept["sha256"]) == ("fleet.csv", 20, digest)
        assert sha256(made / kept["copy"]) == digest
        assert str(tmp_path / "fleet") not in (made / "manifest.json").read_text()
        (shown,) = (t for t in page_of(made).tables() if t.name == "input_files")
        assert shown.raw()[0][4] == digest
        assert checked(made)["findings"] == []


@pytest.mark.parametrize(
    "text",
    ["a.b=10,20,30", "plan.name=a,b", "plan.strategy.preconditions.min_battery_percent=10:60", "x=0.1:10:log", "horizon=1h:2d",
     "horizon=1h,2d", "cloud.capacity.egress=1Mbit/s,5Mbit/s", "a.b=1MB:2MB", 'a.b={"c": 1},{"c": 2}'],
)  # fmt: skip
def test_an_axis_is_written_as_it_is_read(text):
    """What an axis says of itself makes the same axis; so do levels that look like quantities."""
    axis = parse_axis(text)
    assert parse_axis(axis.text) == axis


def test_levels_of_every_kind_are_written_as_they_are_read():
    """Words, switches and numbers."""
    axis = Axis("plan.name", ("x, y", True, 3, 0.25))
    assert parse_axis(axis.text) == axis


def test_options_of_a_command():
    """A list gives its option once for each value; what was not given is left out."""
    assert options(vary=["a=1,2", "b=3,4"], points=None, final_replications=4) == (
        "--vary", "a=1,2", "--vary", "b=3,4", "--final-replications", "4",
    )  # fmt: skip


def test_a_study_that_went_on_names_both_engines_and_all_its_time():
    """Two parts: engines of both, seconds of both together."""
    assert Made(("--x",), ("compiled",), 2.0).after(["simpy"], 3.0) == Made(("--x",), ("compiled", "simpy"), 5.0)


RUN_FORGERIES = {
    "the rate on top": ("summary.json", lambda d: d["success_rate"].update(value=0.999), "success_rate.value is 0.999"),
    "a group": ("summary.json", lambda d: d["groups"][0].update(success_rate=0.999), "groups"),
    "the cloud's view": ("summary.json", lambda d: d["cloud_view"].update(succeeded=1), "cloud_view.succeeded is 1"),
    "the verdict": ("summary.json", lambda d: d.update(verdict="stopped"), "verdict is 'stopped'"),
    "the seed": ("manifest.json", lambda d: d.update(seed=99), "seed is 99"),
    "the scenario": ("manifest.json", lambda d: d["scenario"]["fleet"].update(size=7), "scenario.fleet.size is 7"),
    "a parameter": ("manifest.json", lambda d: d["parameters"][0].update(value=0.5), "parameters[0].value is 0.5"),
    "how many campaigns": ("manifest.json", lambda d: d.update(replications=9), "replications is 9"),
}
"""A document of a run folder, what somebody changes in it, and what is found after it was hashed anew."""


@pytest.mark.parametrize("case", RUN_FORGERIES)
def test_every_figure_of_a_run_is_worked_out_again(copy, case):
    """Changed and hashed anew, it is found by tables and scenario."""
    folder, (name, change, told) = copy("replications"), RUN_FORGERIES[case]
    assert checked(folder)["findings"] == []
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))
    archive.seal(folder)
    assert any(told in f.what for f in checked(folder)["findings"]), checked(folder)["findings"]


@pytest.mark.parametrize("name", ["replications", "sweep"])
def test_a_forged_report_is_found_though_it_was_hashed_anew(copy, name):
    """The page as its data give it passes, also where the folder was moved; another word on it does not."""
    folder = copy(name)
    formats = ["html", "md", "junit", "json"]
    page, plain = made_page(folder)
    write_formats(page, folder, formats, runs=plain)
    moved = folder.rename(folder.with_name("elsewhere"))
    assert report_as_made(moved)[0] == []
    for file in ("report.html", "report.md", "report.xml", "report.json"):
        text = (moved / file).read_text()
        (moved / file).write_text(text.replace("60", "61"))
        archive.seal(moved)
        assert [f.file for f in report_as_made(moved)[0]] == [file]
        (moved / file).write_text(text)


def test_what_is_not_checked_of_a_report_is_said(copy, monkeypatch):
    """Options, another version: no finding, and a line that says so."""
    folder = copy("run")
    done = CliRunner().invoke(app, ["report", str(folder), "--gate", "bricked <= 0.5", "--format", "html,csv"])
    assert done.exit_code in (0, 1, 4), done.output
    findings, told = report_as_made(folder)
    assert findings == []
    assert "report.html: made with --gate" in told
    assert "tables: nothing but its hashes" in told
    assert checked(folder)["findings"] == []
    CliRunner().invoke(app, ["report", str(folder)])
    assert not any("made with" in text for text in report_as_made(folder)[1])
    monkeypatch.setattr("sim.engines.run.version", lambda: "9.9.9")
    assert any("of fotasim" in text and "9.9.9" in text for text in report_as_made(folder)[1])
