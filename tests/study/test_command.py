"""The commands of studies: what they print, what they leave, how they end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import pandas as pd
import pytest

from sim.cli import main
from sim.records import Run
from sim.scenario import Scenario
from tests.support import BASE

BATTERY = "plan.strategy.preconditions.min_battery_percent"
TINY = ("--modules", "30", "--set", "horizon=1d", "--workers", "1")


@dataclass
class Done:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def fotasim(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder with a scenario s.yaml; in this process, which spares a second of start-up each."""
    (tmp_path / "s.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sim.study.pool._CONNECT_S", 1)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["fotasim", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def test_run_with_replications(fotasim, tmp_path):
    """A run folder with a row per module and replication; rates with intervals; the page is written."""
    done = fotasim("run", "s.yaml", *TINY, "--replications", "3", "--out", "r")
    assert done.returncode == 0, done.stderr
    run = Run.load(tmp_path / "r")
    assert set(run.summary["success_rate"]) == {"value", "low", "high"}
    assert len(run.modules) == 90
    assert run.summary["replications"] == 3
    assert (tmp_path / "r" / "report.html").exists()
    one = fotasim("run", "s.yaml", "--modules", "30", "--set", "horizon=1d", "--json", "--out", "one")
    assert isinstance(json.loads(one.stdout)["success_rate"], float)


def test_run_until(fotasim, tmp_path):
    """As many campaigns as it takes, and a word when the cap comes first."""
    done = fotasim("run", "s.yaml", *TINY, "--until", "success_rate=0.05", "--out", "r", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["success_rate"]["high"] - found["success_rate"]["low"] <= 0.1
    capped = fotasim(
        "run", "s.yaml", *TINY, "--until", "success_rate=1e-9", "--max-replications", "20", "--out", "capped"
    )
    assert "still wider" in capped.stderr
    assert Run.load(tmp_path / "capped").summary["replications"] == 20


def test_compare(fotasim, tmp_path):
    """Two variants of one scenario, then two folders."""
    done = fotasim("compare", "s.yaml", *TINY, "--variant", f"{BATTERY}=70", "--replications", "3", "--out", "c")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("min_battery_percent 70 % instead of 30 %: ")
    assert {p.name for p in (tmp_path / "c").iterdir()} == {
        "SHA256SUMS", "manifest.json", "report.html", "scenarios", "differences.parquet", "campaigns.parquet", "changed.parquet", "flows.parquet",
    }  # fmt: skip
    for folder in "ab":
        fotasim("run", "s.yaml", *TINY, "--out", folder)
    again = fotasim("compare", "a", "b", "--json", "--metric", "success_rate")
    (difference,) = json.loads(again.stdout)["differences"]
    assert difference["difference"] == 0
    assert difference["low"] is None


def test_sweep_and_its_journal(fotasim, tmp_path):
    """A table on the screen, a page, and the refusal of another scenario."""
    command = ("sweep", "s.yaml", *TINY, "--vary", f"{BATTERY}=10:50:2", "--replications", "2", "--out", "w")
    done = fotasim(*command)
    assert done.returncode == 0, done.stderr
    assert "min_battery_percent" in done.stdout
    assert len(pd.read_parquet(tmp_path / "w" / "sweep.parquet")) == 4
    refused = fotasim(*command, "--seed", "5")
    assert refused.returncode == 3
    assert "--fresh" in refused.stderr
    assert json.loads(fotasim(*command, "--seed", "5", "--fresh", "--json").stdout)["complete"]


def test_tune_writes_a_strategy_that_loads(fotasim, tmp_path):
    """What is recommended can be run at once."""
    done = fotasim(
        "tune", "s.yaml", *TINY, "--vary", f"{BATTERY}=10:60:6", "--minimise", "duration_p95", "--subject-to",
        "bricked<=0.5", "--trials", "6", "--replications", "1", "--final-replications", "2", "--out", "t",
    )  # fmt: skip
    assert done.returncode == 4, done.stderr  # two campaigns of thirty modules show no gain
    assert done.stdout.startswith("Undecided: recommended: min battery ")
    text = (tmp_path / "t" / "strategy.yaml").read_text()
    flow = json.dumps(__import__("ruamel.yaml", fromlist=["YAML"]).YAML(typ="safe").load(text))
    assert Scenario.load(tmp_path / "s.yaml", [f"plan.strategy={flow}"])


def test_sensitivity(fotasim, tmp_path):
    """Ranked inputs and one sentence."""
    done = fotasim(
        "sensitivity",
        "s.yaml",
        *TINY,
        "--samples",
        "2",
        "--input",
        "never_online",
        "--input",
        "long_offline",
        "--out",
        "i",
    )
    assert done.returncode == 0, done.stderr
    assert "depends most on" in done.stdout
    assert (tmp_path / "i" / "report.html").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("sweep", "s.yaml", "--vary", f"{BATTERY}=50:10:3"), 2, "from low to high"),
        (("sweep", "s.yaml", "--vary", "plan.strategy.batery=1,2"), 2, "an unknown key"),
        (("sweep", "s.yaml"), 2, "--vary"),
        (("tune", "s.yaml", "--vary", f"{BATTERY}=10:50"), 2, "no objective"),
        (("tune", "s.yaml", "--vary", f"{BATTERY}=10:50", "--minimise", "luck"), 2, "not a metric"),
        (("compare", "s.yaml"), 2, "two sides"),
        (("compare", "s.yaml", "nowhere"), 2, "nowhere"),
        (("sensitivity", "s.yaml", "--input", "luck"), 2, "not a parameter"),
        (("run", "s.yaml", "--until", "luck"), 2, "not a metric"),
        (("run", "s.yaml", "--replications", "2", "--events"), 2, "--events"),
        (("run", "s.yaml", "--replications", "2", "--cluster", "tcp://127.0.0.1:9"), 3, "no Dask scheduler"),
    ],
)
def test_wrong_use(fotasim, arguments, status, words):
    """Each ending has its status and says why; never a traceback."""
    done = fotasim(*arguments)
    assert done.returncode == status
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
