"""Sweeps: every point on the same random numbers, and an interruption changes nothing but the time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sim.errors import RecordsError, ScenarioError, StudyError
from sim.study.journal import Journal
from sim.study.sweep import JOURNAL, sweep
from tests.study.known import BATTERY, battery_limit
from tests.support import plain, scenario

TABLE, PAGE = "sweep.parquet", "report.html"
TINY = ("fleet.size=40", "horizon=1d")
VARY = [f"{BATTERY}=10:50:3", "plan.strategy.preconditions.on_unmet"]


def stop_after(number):
    """A progress callback that interrupts as Ctrl-C does."""

    def progress(done, _total):
        if done == number:
            raise KeyboardInterrupt

    return progress


def test_rejected_follows_the_limit():
    """The share below the limit, on the same modules at every point: it can only grow, and is L / 100."""
    found = sweep(battery_limit("fleet.size=400"), [f"{BATTERY}=0:60:4"], replications=3, workers=2)
    wide = found.frame.pivot(index="replication", columns=BATTERY, values="rejected")
    assert (np.diff(wide.to_numpy(), axis=1) >= 0).all()
    summary = found.summary("rejected")
    truth = summary[BATTERY] / 100
    assert ((summary["low"] - 0.02 <= truth) & (truth <= summary["high"] + 0.02)).all()
    assert found.best("rejected", largest=False) == {BATTERY: 0}


def test_an_interrupted_sweep_goes_on_to_the_same_result(tmp_path):
    """Ctrl-C, a torn line as a crash leaves it, start again: no campaign twice, and the table of an undisturbed sweep."""
    whole = sweep(scenario(*TINY), VARY, replications=3, workers=1, out=tmp_path / "whole")
    part = sweep(scenario(*TINY), VARY, replications=3, workers=1, out=tmp_path / "part", progress=stop_after(7))
    assert not part.complete
    assert len(part.frame) == 7
    assert "Partial" in (tmp_path / "part" / PAGE).read_text()
    journal = tmp_path / "part" / JOURNAL
    with journal.open("a") as file:
        file.write('{"at": {"plan.stra')
    ran = []
    again = sweep(
        scenario(*TINY), VARY, replications=3, workers=2, out=tmp_path / "part", progress=lambda d, _t: ran.append(d)
    )
    assert ran == list(range(7, 19))
    pd.testing.assert_frame_equal(again.frame, whole.frame, check_exact=True)
    assert (tmp_path / "part" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
    pages = [(tmp_path / name / PAGE).read_text().partition("Repeat this study")[0] for name in ("part", "whole")]
    assert pages[0] == pages[1]
    assert len(journal.read_text().splitlines()) == 1 + 18


def test_a_finished_sweep_runs_nothing_and_grows(tmp_path):
    """More replications or points add only what is new."""
    first = sweep(scenario(*TINY), VARY, replications=2, workers=1, out=tmp_path)
    ran = []
    sweep(scenario(*TINY), VARY, replications=2, workers=1, out=tmp_path, progress=lambda d, _t: ran.append(d))
    assert ran == []
    more = sweep(scenario(*TINY), VARY, replications=3, workers=1, out=tmp_path, progress=lambda d, _t: ran.append(d))
    assert ran == list(range(12, 19))
    kept = more.frame[more.frame["replication"] < 2].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[first.frame.columns], first.frame, check_exact=True)


def test_another_scenario_is_refused(tmp_path):
    """Its results would not fit; --fresh begins anew."""
    sweep(scenario(*TINY), VARY[:1], replications=1, workers=1, out=tmp_path)
    with pytest.raises(RecordsError, match=r"another scenario.*--fresh"):
        sweep(scenario(*TINY, "seed=2"), VARY[:1], replications=1, workers=1, out=tmp_path)
    anew = sweep(scenario(*TINY, "seed=2"), VARY[:1], replications=1, workers=1, out=tmp_path, fresh=True)
    assert anew.complete


def test_a_changed_device_file_is_another_scenario(tmp_path):
    """The scenario names the file; what counts is what is in it."""
    devices = tmp_path / "devices.csv"
    devices.write_text("id\na\nb\n")
    group = f"fleet.groups=[{{name: real, file: {devices}, columns: {{module: id}}, technology: lte-m, components: {{fw: 1.0.0}}}}]"
    Journal(tmp_path / "j", scenario(group, "fleet.size=0")).close()
    Journal(tmp_path / "j", scenario(group, "fleet.size=0")).close()
    devices.write_text("id\na\nc\n")
    with pytest.raises(RecordsError, match="another scenario"):
        Journal(tmp_path / "j", scenario(group, "fleet.size=0"))


def test_a_file_that_is_no_journal_is_left_alone(tmp_path):
    """Never taken for one, never overwritten."""
    (tmp_path / JOURNAL).write_text("my notes\nof last year\n")
    with pytest.raises(RecordsError, match="not a journal"):
        sweep(scenario(*TINY), VARY, out=tmp_path)
    assert (tmp_path / JOURNAL).read_text() == "my notes\nof last year\n"


def test_every_point_is_checked_before_anything_runs(tmp_path):
    """The last of the points is wrong, and no campaign was run for nothing."""
    with pytest.raises(ScenarioError, match="less than or equal to 100"):
        sweep(scenario(*TINY), [f"{BATTERY}=10:190:4"], out=tmp_path)
    assert not (tmp_path / JOURNAL).exists()
    with pytest.raises(StudyError, match="not a metric"):
        sweep(scenario(*TINY), VARY[:1], replications=1, workers=1).summary("happiness")


@pytest.mark.parametrize(
    "vary",
    [
        [f"{BATTERY}=10:50:3"],
        ["plan.strategy.preconditions.on_unmet"],
        [f"{BATTERY}=10:50:3", "plan.strategy.preconditions.min_rsrp_dbm=-120:-100:3"],
        ["fleet.groups.all.check_in.every=3h:12h:3", "plan.strategy.delivery.need_push"],
    ],
)
def test_every_kind_of_sweep_has_its_page_and_figures(vary, tmp_path):
    """One key or two, numbers, choices, booleans, durations."""
    found = sweep(scenario(*TINY), vary, replications=2, workers=1, out=tmp_path)
    assert found.plot("duration_p50").axes
    page = plain((tmp_path / PAGE).read_text())
    assert "<svg" in page
    assert f"{len(found.points)} settings, 2 campaigns each" in page
    read = pd.read_parquet(tmp_path / TABLE)
    pd.testing.assert_frame_equal(read, found.frame)
    if len(vary) == 2:
        assert found.plot_heatmap().axes


def test_a_spread_design(tmp_path):
    """Points anywhere in the ranges, with a cloud instead of curves."""
    found = sweep(
        scenario(*TINY), [f"{BATTERY}=10:60", "plan.strategy.preconditions.min_rsrp_dbm=-120:-100"], design="lhs",
        points=6, replications=1, workers=1, out=tmp_path,
    )  # fmt: skip
    assert len(found.summary()) == 6
    assert found.summary()[BATTERY].nunique() == 6


def test_the_command_killed_and_started_again(tmp_path):
    """SIGKILL in the middle of `fotasim sweep`, then Ctrl-C, then to the end: the table of an undisturbed sweep."""
    (tmp_path / "s.yaml").write_text(scenario(*TINY, "fleet.size=5000").to_yaml())
    command = [
        sys.executable,
        "-m",
        "sim.cli",
        "sweep",
        "s.yaml",
        "--vary",
        f"{BATTERY}=10:60:6",
        "--replications",
        "6",
    ]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    journal = tmp_path / "part" / JOURNAL
    for given, ended, lines in ((signal.SIGKILL, -signal.SIGKILL, 4), (signal.SIGINT, 130, 12)):
        running = subprocess.Popen([*command, "--out", "part", "--workers", "1"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        deadline = time.monotonic() + 240
        while not (journal.exists() and len(journal.read_text().splitlines()) >= lines) and time.monotonic() < deadline:
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.01)
        running.send_signal(given)
        out, _ = running.communicate(timeout=60)
        assert running.returncode == ended
    assert "INTERRUPTED" in out
    assert len(journal.read_text().splitlines()) < 37
    for folder in ("part", "whole"):
        done = subprocess.run(
            [*command, "--out", folder, "--json"], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["complete"]
    assert (tmp_path / "part" / TABLE).read_bytes() == (tmp_path / "whole" / TABLE).read_bytes()
