"""Nobody waits for the compiler: which engine auto takes while nothing is compiled, and the compiler in the background."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from sim.engines import compile_ahead, run
from sim.engines.compiled import compiled_engine
from sim.scenario import Scenario

SCENARIO = """
name: small
horizon: 2d
fleet: {size: 20, groups: [{name: one, share: 1.0, technology: lte-m}]}
plan: {name: p, components: [{component: fw, target_version: "1.1.0", size: 10 kB}]}
"""


@pytest.fixture
def nothing_compiled(monkeypatch, tmp_path):
    """A host where nothing is compiled, with a cache folder of its own; gives what was started in the background."""
    started = []
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path))
    monkeypatch.setattr(run, "_unavailable", [])
    monkeypatch.setattr(compiled_engine, "_COMPILED", set())
    monkeypatch.setattr(compiled_engine, "is_kept", lambda: False)
    monkeypatch.setattr(compile_ahead, "start", lambda: not started.append(1))
    return started


def test_a_small_run_takes_simpy_and_the_compiler_starts_behind_it(nothing_compiled):
    """The estimate is below what compiling takes; the records are those of SimPy asked for by name."""
    told = []
    asked = Scenario.from_text(SCENARIO)
    found = run.campaign_records(asked, 0, tell=told.append)
    assert (found.engine, nothing_compiled) == ("simpy", [1])
    assert len(told) == 1 and "in the background" in told[0]
    assert found.modules.equals(run.campaign_records(asked, 0, engine="simpy").modules)


def test_a_run_that_takes_longer_than_the_compiler_compiles(nothing_compiled, monkeypatch):
    """Compiling is told beforehand, with how long it takes here, and its time is kept for the next estimate."""
    told, prepared = [], []
    compile_ahead.note_time(1e-6)
    monkeypatch.setattr(compiled_engine, "prepare", lambda: prepared.append(1))
    monkeypatch.setattr(compiled_engine, "CompiledEngine", run._simpy()[1])
    run.driver_of(lambda: run.build(Scenario.from_text(SCENARIO), 0), tell=told.append)
    assert prepared and not nothing_compiled
    assert told == ["compiling the engine, once after each installation: about 0 s"]


def test_what_another_process_has_compiled_meanwhile_is_taken(nothing_compiled, monkeypatch):
    """Whoever waited for the lock finds the code there, and notes no time of its own."""
    kept = iter([False, True])
    monkeypatch.setattr(compiled_engine, "is_kept", lambda: next(kept))
    monkeypatch.setattr(compiled_engine, "prepare", lambda: None)
    run.driver_for("compiled")
    assert compile_ahead.expected_s() == compile_ahead.FIRST_COMPILE_S


def test_compiled_code_that_is_there_is_taken_however_small_the_run(nothing_compiled, monkeypatch):
    """Nothing to wait for: no estimate is made."""
    monkeypatch.setattr(compiled_engine, "is_kept", lambda: True)
    monkeypatch.setattr(compiled_engine, "prepare", lambda: None)
    assert run.driver_for("auto")[0] == "compiled"


@pytest.mark.parametrize(
    ("size", "every", "expected_s"), [(10_000, "24h", 40e-6 * 10_000 * 28), (1000, "1h", 40e-6 * 1000 * (14 + 336))]
)
def test_estimate_counts_modules_and_check_ins(size, every, expected_s):
    """Fourteen days: a check-in a day or an hour, and the upgrade itself."""
    text = SCENARIO.replace("lte-m}", f"lte-m, check_in: {{every: {every}}}}}").replace("2d", "14d")
    assert compile_ahead.simpy_s(Scenario.from_text(text), size) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("ci", "asked", "allowed"),
    [("", "", True), ("true", "", False), ("true", "1", True), ("", "0", False), ("false", "", True)],
)
def test_where_it_may_work_in_the_background(ci, asked, allowed, monkeypatch, tmp_path):
    """Not in continuous integration unless asked; never when told not to."""
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv(compile_ahead.SETTING, asked)
    assert compile_ahead.allowed() is allowed


HOLDS = """
import time
from sim.engines import compile_ahead
with compile_ahead.alone():
    print("held", flush=True)
    time.sleep(600)
"""


def test_one_process_at_a_time_and_a_killed_one_is_forgotten(monkeypatch, tmp_path):
    """While one compiles it is named and a second is not started; killed, it leaves nothing that is in the way."""
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path))
    monkeypatch.setenv(compile_ahead.SETTING, "1")
    assert compile_ahead.running() is None
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True, env=env) as other:
        assert other.stdout.readline() == "held\n"
        assert compile_ahead.running() == other.pid
        assert not compile_ahead.start()
        second = subprocess.run([sys.executable, "-m", "sim.engines.compile_ahead"], env=env, check=False)
        assert second.returncode == 0  # it found the lock held, and left
        other.kill()
    deadline = time.monotonic() + 30
    while compile_ahead.running() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert compile_ahead.running() is None
