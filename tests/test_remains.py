"""What a run leaves that is ended from outside: nothing half-written, a status of its own, and no hidden folders for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from sim import records
from sim.records import replaced_folder
from tests.support import scenario

WRITING = """
import sys, time
from pathlib import Path
from sim.records import replaced_folder
with replaced_folder(Path(sys.argv[1])) as aside:
    (aside / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_hidden_folders_of_killed_runs_go_with_the_next_run_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    """SIGKILL leaves one; the next run to the same target removes it. One whose owner lives stays, and so does anything else."""
    monkeypatch.setattr(records, "_YOUNG_S", 0.0)
    target = tmp_path / "run[1]"
    (tmp_path / ".run[1]-of-mine").mkdir()
    other = tmp_path / ".run[1]-two.fotasim-x"
    other.mkdir()
    owners = [
        subprocess.Popen([sys.executable, "-c", WRITING, str(target)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]  # fmt: skip
    try:
        for owner in owners:
            assert owner.stdout.readline() == "writing\n"
        owners[0].kill()
        owners[0].wait()
        assert len(list(tmp_path.glob(".run*.fotasim-*"))) == 3
        with replaced_folder(target) as aside:
            (aside / "whole").write_text("whole")
        left = sorted(path.name for path in tmp_path.iterdir())
        assert len(left) == 4 and {"run[1]", ".run[1]-of-mine", other.name} <= set(left)
        assert (target / "whole").exists()
    finally:
        for owner in owners:
            owner.kill()
            owner.communicate()


def test_a_hidden_folder_that_was_just_made_stays(tmp_path):
    """Its owner may not have locked it yet."""
    young = tmp_path / ".run.fotasim-abc"
    young.mkdir()
    with replaced_folder(tmp_path / "run"):
        pass
    assert young.exists()


SMALL = ("fleet.size=3000", "horizon=30d")
COMMANDS = {
    "run": ["run", "s.yaml", "--modules", "100000", "--engine", "simpy"],
    "replicate": ["run", "s.yaml", "--replications", "4000"],
    "sweep": ["sweep", "s.yaml", "--vary", "fleet.groups.0.battery_percent=10:90:40"],
    "tune": ["tune", "s.yaml", "--vary", "fleet.groups.0.battery_percent=10:90", "--maximise", "success_rate"],
    "compare": ["compare", "s.yaml", "--variant", "fleet.groups.0.battery_percent=20", "--replications", "4000"],
    "capacity": [
        "capacity",
        "s.yaml",
        "--of",
        "wakeups",
        "--slo",
        "p99(notify)<2s",
        "--hold",
        "30min",
        "--confirm",
        "2h",
    ],
    "sensitivity": ["sensitivity", "s.yaml", "--samples", "100"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_sigterm_is_an_orderly_end_of_every_command(tmp_path, name):
    """In the middle of its work: exit status 143, said in words, no traceback, nothing hidden left, nothing taken for whole."""
    (tmp_path / "s.yaml").write_text(scenario(*SMALL, "fleet.groups.0.battery_percent=50").to_yaml())
    command = [sys.executable, "-m", "sim.cli", *COMMANDS[name], "--out", "out"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process, end = psutil.Process(running.pid), time.monotonic() + 120
    while _processor_s(process) < 4.0 and time.monotonic() < end:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 143, (out, err)
    assert "interrupted" in (out + err).lower() and "Traceback" not in err
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def _processor_s(process: psutil.Process) -> float:
    """What the command and its workers have worked."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:2])
    return total
