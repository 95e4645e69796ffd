"""The command: exit statuses, what it prints, what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support import BASE


def fotasim(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs the command in a directory."""
    env = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", "sim.cli", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A directory with a scenario."""
    (tmp_path / "s.yaml").write_text(BASE)
    return tmp_path


def test_run_trace_report(folder):
    """Run with events, trace a module, write the report anew."""
    done = fotasim("run", "s.yaml", "--events", "--modules", "50", cwd=folder)
    assert done.returncode == 0, done.stderr
    run = folder / "reports" / "small-1"
    assert str(run.relative_to(folder) / "report.html") in done.stdout
    assert {p.name for p in run.iterdir()} == {
        "SHA256SUMS", "scenario.yaml", "manifest.json", "summary.json", "modules.parquet", "timeline.parquet", "events.parquet",
        "report.html",
        "decisions.parquet",
    }  # fmt: skip
    modules = pd.read_parquet(run / "modules.parquet")
    upgraded = modules[modules["outcome"] == "succeeded"]["module"].iloc[0]
    traced = fotasim("trace", str(run), "--module", upgraded, cwd=folder)
    assert '7,10700,"fw","","1.1.0",30,-113,200000' in traced.stdout
    (run / "report.html").unlink()
    assert fotasim("report", str(run), cwd=folder).returncode == 0
    assert (run / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("run", "s.yaml", "--set", "gates={success_rate: '>= 0.999'}"), 1, "not met"),
        (("run", "s.yaml", "--set", "gates={success_rate: '>= 1'}"), 2, "no number of modules can show always"),
        (("run", "s.yaml", "--set", "seed=x"), 2, "seed"),
        (("run", "none.yaml"), 2, "none.yaml"),
        (("run", "s.yaml", "--engine", "warp"), 2, "choose one of auto, simpy, compiled"),
        (("run", "s.yaml", "--out", "s.yaml"), 2, "not a run folder"),
        (("trace", "nowhere", "--module", "m"), 3, "no such run folder"),
        (("validate", "s.yaml"), 0, "valid"),
        (("schema",), 0, "properties"),
    ],
)
def test_exit_status(folder, arguments, status, words):
    """Each ending has its status and says why; never a traceback."""
    done = fotasim(*arguments, cwd=folder)
    assert done.returncode == status
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_json(folder):
    """Machine-readable: the summary of the contract."""
    done = fotasim("run", "s.yaml", "--json", cwd=folder)
    summary = json.loads(done.stdout)
    assert summary["modules"] == 200
    assert {
        "outcomes",
        "causes",
        "stages",
        "duration_s",
        "bytes",
        "energy_j",
        "cloud",
        "gates",
        "wall_s",
    } <= set(summary)
