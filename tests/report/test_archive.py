"""An archived folder is evidence: hashes, figures, signature, and the run made again; nothing is overwritten or mixed."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from sim import archive
from sim.cli import app
from sim.engines.run import save, simulate
from sim.engines.verification import Again, check_folder, made_again
from sim.errors import EngineUnavailable, FolderInUse, InputError, RecordsError
from sim.records import Run
from sim.report.formats.write import write_formats
from sim.report.from_runs import single
from tests.support import scenario

SMALL = ("fleet.size=60", "horizon=3d")


@pytest.fixture
def run(tmp_path):
    """A run folder with two replications."""
    return save(simulate(scenario(*SMALL), engine="simpy", replications=2), tmp_path / "run")


def findings(folder):
    """What verifying finds, as texts."""
    return [f"{f.file} {f.what}" for f in check_folder(folder)["findings"]]


def test_untouched_folder_verifies(run):
    """Every file has its hash, and every figure follows from the tables."""
    found = check_folder(run.path)
    assert found["findings"] == []
    assert found["files"] == 6
    assert found["figures"] > 100
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=run.path, capture_output=True, text=True, check=False)
    assert sums.returncode == 0, sums.stdout + sums.stderr


def test_every_change_is_found(run):
    """A changed file, a file taken away, a file added."""
    (run.path / "timeline.parquet").unlink()
    (run.path / "scenario.yaml").write_text((run.path / "scenario.yaml").read_text() + "# x\n")
    (run.path / "more.txt").write_text("x")
    told = findings(run.path)
    assert "timeline.parquet is missing" in told
    assert "scenario.yaml changed" in told
    assert "more.txt is not listed in SHA256SUMS" in told


def test_figures_that_do_not_follow_from_the_tables_are_found(run):
    """Somebody who changes a figure and hashes anew is found out by the tables."""
    path = run.path / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"]["success_rate"] = 0.9999
    path.write_text(json.dumps(summary))
    archive.seal(run.path)
    told = findings(run.path)
    assert len(told) == 1
    assert "metrics.success_rate is 0.9999" in told[0]


def test_reports_are_taken_up_and_old_hashes_stay(run):
    """Writing a report lists it; it does not bless a table that was changed before."""
    page, plain = single(run.path)
    write_formats(page, run.path, ["md", "csv"], runs=plain)
    assert findings(run.path) == []
    (run.path / "decisions.parquet").write_bytes(b"x")
    write_formats(page, run.path, ["md"], runs=plain)
    assert "decisions.parquet changed" in findings(run.path)


def test_signature(run, tmp_path):
    """A signature holds for what it was made for, and for its key only; nothing may be added afterwards."""
    keys = {}
    for name in ("ours", "other"):
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
        keys[name] = private, public
    name = archive.sign(run.path, keys["ours"][0])
    assert name.startswith("SHA256:")
    assert archive.check_signature(run.path, keys["ours"][1]) == (name, "")
    assert "another key" in archive.check_signature(run.path, keys["other"][1])[1]
    with pytest.raises(RecordsError, match="is signed"):
        write_formats(single(run.path)[0], run.path, ["md"])
    sums = run.path / archive.SUMS
    sums.write_text(sums.read_text().replace("0", "1", 1))
    assert "does not belong" in archive.check_signature(run.path)[1]
    with pytest.raises(InputError, match="Ed25519"):
        archive.check_key(keys["ours"][1])


def test_nothing_is_overwritten(run, tmp_path):
    """Neither a run nor anything else; with overwrite a run is replaced as a whole, its old reports gone."""
    again = simulate(scenario(*SMALL), engine="simpy")
    with pytest.raises(FolderInUse, match="--overwrite"):
        save(again, run.path)
    page, plain = single(run.path)
    write_formats(page, run.path, ["md"], runs=plain)
    save(again, run.path, overwrite=True)
    assert not (run.path / "report.md").exists()
    assert findings(run.path) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(FolderInUse, match="is not a run folder"):
        save(again, tmp_path / "mine", overwrite=True)


def test_repeating_gives_the_same_records_or_says_what_changed(tmp_path):
    """From the folder alone: the fleet file is the copy in it."""
    fleet = tmp_path / "fleet.csv"
    pd.DataFrame({"id": [f"dev-{i}" for i in range(20)], "rsrp": [-90 - i for i in range(20)]}).to_csv(
        fleet, index=False
    )
    group = f"[{{name: real, technology: lte-m, file: '{fleet}', columns: {{module: id, rsrp_dbm: rsrp}}, components: {{fw: '1.0.0'}}}}]"
    made = save(simulate(scenario(*SMALL, f"fleet.groups={group}"), engine="simpy"), tmp_path / "run")
    kept = made.manifest["inputs"][0]
    assert (kept["rows"], kept["name"], kept["copy"]) == (20, "fleet.csv", "inputs/0-fleet.csv")
    assert kept["sha256"] == archive.sha256(made.path / kept["copy"]) == archive.sha256(fleet)
    assert str(tmp_path) not in (made.path / "scenario.yaml").read_text() + (made.path / "manifest.json").read_text()
    fleet.unlink()
    moved = tmp_path / "archive"
    made.path.rename(moved)
    assert made_again(Run.load(moved), print) == Again([], [])
    copy = moved / kept["copy"]
    copy.write_text(copy.read_text().replace("dev-3,-93", "dev-3,-135"))
    told = made_again(Run.load(moved), print)
    assert "modules.parquet: other values in" in told.differs[0]
    assert told.changed == [
        f"fleet.groups.0.file (fleet.csv, SHA-256 {kept['sha256']}): another file, SHA-256 {archive.sha256(copy)}"
    ]


def test_what_changed_since_is_said_even_where_the_records_are_the_same(run, monkeypatch):
    """Version, commit and an engine that is not to be had here: named with both values, and SimPy runs instead."""
    manifest = run.manifest | {"fotasim": "0.0.1", "commit": "a" * 40, "engine": "compiled"}

    def lacking(scenario, *, engine, **more):
        if engine == "compiled":
            raise EngineUnavailable("no Numba here")
        return simulate(scenario, engine=engine, **more)

    monkeypatch.setattr("sim.engines.verification.simulate", lacking)
    again = made_again(replace(run, manifest=manifest), print)
    assert again.differs == []
    version, commit, engine = again.changed
    assert version == f"fotasim: 0.0.1, here {run.manifest['fotasim']}"
    assert commit == f"commit: {'a' * 40}, here {run.manifest['commit'] or 'not known'}"
    assert engine == "engine: compiled, here simpy (the compiled engine cannot run: no Numba here)"


def test_large_fleet_files_are_named_not_copied(tmp_path, monkeypatch):
    """Above the size the folder holds the hash and the number of rows."""
    monkeypatch.setattr("sim.engines.run_inputs.COPIED_UP_TO_BYTES", 5)
    fleet = tmp_path / "fleet.csv"
    pd.DataFrame({"id": ["a", "b"]}).to_csv(fleet, index=False)
    group = (
        f"[{{name: real, technology: lte-m, file: '{fleet}', columns: {{module: id}}, components: {{fw: '1.0.0'}}}}]"
    )
    made = save(simulate(scenario(*SMALL, f"fleet.groups={group}"), engine="simpy"), tmp_path / "run")
    kept = made.manifest["inputs"][0]
    assert (kept["rows"], kept["copy"]) == (2, "")
    assert not (made.path / "inputs").exists()


@pytest.mark.parametrize("name", ["scenario.yaml", "summary.json", "manifest.json"])
def test_a_page_of_an_edited_folder_is_no_go(tmp_path, name):
    """A limit made looser by hand: the page is made, which file changed is said, and the exit status is 3, never 0."""
    folder = tmp_path / "run"
    save(simulate(scenario(*SMALL, "gates={success_rate: '>= 0.01'}"), engine="simpy"), folder)
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 0
    path = folder / name
    path.write_text(path.read_text().replace("0.01", "0.02"))
    done = CliRunner().invoke(app, ["report", str(folder)])
    assert done.exit_code == 3
    assert f"not as it was written: {name}; " in done.output


def test_no_page_is_written_over_that_of_another_result(tmp_path):
    """Two runs side by side, or one of them, into the folder of the other: refused, and the page there stays."""
    for seed, name in ((1, "one"), (2, "two")):
        save(simulate(scenario(*SMALL, f"seed={seed}"), engine="simpy"), tmp_path / name)
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert CliRunner().invoke(app, ["report", one]).exit_code == 0
    before = (tmp_path / "one" / "report.html").read_bytes()
    for folders in ([one, two], [two]):
        done = CliRunner().invoke(app, ["report", *folders, "--out", one])
        assert done.exit_code == 2 and "holds a run, whose page would be replaced" in done.output
    assert (tmp_path / "one" / "report.html").read_bytes() == before
