"""The parts of the compiled engine, each against something that does the same plainly."""

from __future__ import annotations

import dis
import heapq
import itertools
import random
import re
import sys
from pathlib import Path
from types import FunctionType, SimpleNamespace

import numba
import numpy as np
import pytest

from sim.engines import run
from sim.engines.compiled import code_folder, compiled_engine, engine_state, queue, timers
from sim.engines.compiled.numba_layer import mirror, versions
from sim.engines.compiled.numba_layer.mirror import Mirror
from sim.engines.compiled.numba_layer.pointer_table import PointerTable
from sim.engines.compiled.numba_layer.split_rows import SplitRows
from sim.engines.run import campaign_records, driver_for
from sim.engines.world import record_layout
from sim.errors import EngineUnavailable
from sim.module import behaviour
from sim.module.profile import Profile
from sim.module.rows import CheckIn, ModuleRow
from tests.conformance.test_engines import assert_same
from tests.support import scenario


def calls(function, space):
    """Functions of the mirror that a function calls, read from its instructions."""
    steps = list(dis.get_instructions(function.__code__))
    for step, after in itertools.pairwise(steps):
        if step.opname == "LOAD_GLOBAL":
            value = space.get(step.argval)
            if hasattr(value, "__dict__") and after.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                value = vars(value).get(after.argval, value)
            if hasattr(value, "py_func"):
                yield value.py_func


def test_no_function_calls_itself_by_a_detour():
    """Compiled code that calls in circles cannot be kept on disk: it crashes when it is loaded again."""
    engine = compiled_engine.engine_mirror()
    seen, path = set(), []

    def visit(function):
        assert function not in path, " > ".join(f.__name__ for f in [*path, function])
        if function in seen:
            return
        path.append(function)
        for called in calls(function, function.__globals__):
            visit(called)
        seen.add(path.pop())

    visit(engine[compiled_engine.ROOT].advance.py_func)
    assert len(seen) > 150  # it did find the way into behaviour and rules


def read(state, place):
    """An item of an array, and one of rows of three parts."""
    return state.numbers[place] + state.rows[place].number


def test_a_place_outside_is_found_by_the_checks():
    """Compiled with boundscheck, a negative place and one beyond the end raise, in arrays and in rows alike."""
    lasting = np.zeros(5, [("number", "i8")])
    lasting["number"] = np.arange(5)
    rows = SplitRows(np.zeros(5, np.int32), lasting, np.zeros(1, [("slot", "i8")]))
    checked = numba.njit(boundscheck=True)(read)
    assert checked(PointerTable(rows=rows, numbers=np.arange(10, 15)), 3) == 16
    for count in (5, 2):  # too many places for the rows, then for the array
        state = PointerTable(rows=rows, numbers=np.arange(10, 10 + 7 - count))
        for place in (-1, min(5, 7 - count)):
            with pytest.raises(IndexError):
                checked(state, place)


@pytest.fixture
def checked_engine(monkeypatch, tmp_path):
    """The engine compiled with checks of every place, kept nowhere but in memory."""
    monkeypatch.setitem(mirror.INNER, "boundscheck", True)
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path))
    monkeypatch.setattr(compiled_engine, "_COMPILED", set())
    compiled_engine.compiled.cache_clear()
    yield
    compiled_engine.compiled.cache_clear()


def test_the_engine_uses_no_place_outside(checked_engine):
    """Whole runs with checks of every place: none is negative or beyond the end, and the records are the same."""
    shared = ("fleet.size=80", "fleet.groups.0.check_in=always", "cloud.capacity.egress=300 kbit/s")
    for asked in (scenario("fleet.size=300", "horizon=14d"), scenario(*shared)):
        checked = campaign_records(asked, 0, engine="compiled", events=True)
        assert_same(campaign_records(asked, 0, engine="simpy", events=True), checked)


def random_row(dice: random.Random) -> ModuleRow:
    """A module somewhere in its life."""
    row = ModuleRow(
        index=dice.randrange(1000), identity=dice.randrange(2**63), rsrp_site_dbm=dice.uniform(-125, -70), battery_percent=dice.uniform(1, 100),
        free_bytes=dice.choice([10_000, 10_000_000]), frailty=dice.uniform(0.1, 4), phase=dice.random(),
        sessions=dice.randrange(5), link=dice.randrange(6), link_then=dice.choice([21, 22, 26, 29, 31]),
        link_at=dice.choice([100.0, 500.0, float("inf")]), status=dice.choice([0, 1, 2, 4, 5, 8, 9]),
        ota_then=dice.choice([9, 12, 27, 28]), ota_at=dice.choice([100.0, float("inf")]), level=dice.randrange(3),
        package_bytes=300_000, piece_bytes=dice.choice([0, 300_000]), kind=dice.randrange(2), decided=dice.randrange(2),
        flash_result=dice.choice([0, 13, 16, 17]), goodput_bit_s=50_000.0, download_errors=dice.randrange(7),
        cached=dice.choice([0, 6, 11]), idle_since_s=50.0, rsrp_dbm=-100.0, transfer_start_s=60.0,
    )  # fmt: skip
    row.needed_bytes = 300_000
    return row


@pytest.fixture(scope="module")
def compiled_receive():
    """`receive` as the compiler takes it."""
    receive = Mirror("sim.module.behaviour")["sim.module.behaviour"].receive.py_func
    return numba.njit(error_model="numpy")(receive)


def test_compiled_behaviour_is_bit_for_bit_the_python_one(compiled_receive):
    """Thousands of inputs to modules in any state: the same effects and the same rows, to the last bit."""
    dice = random.Random(3)
    inputs = [*range(19), *range(20, 36)]
    for number in range(4000):
        profile = Profile(
            key_0=dice.getrandbits(32), key_1=7, technology=number % 5, power=number % 3, check_in=number % len(CheckIn),
            peaks=2, peaks_s=(28800.0, 63000.0), boot_failures=((0.3,),), bricks=((0.2,),), delta=(0,),
            late_failures=((0.4,),), other_versions=((0.1,),), refused=((float(number % 7 == 0),),), refused_back=(0.0,),
            may_fail_late=number % 2, early_success=0.3, late_brick=0.3, new_image_ma=dice.choice([0.0, 5.0]),
            recharge_every_s=dice.choice([0.0, 864000.0]), partition=dice.randrange(2), online_s=2400.0,
        )  # fmt: skip
        row, given = random_row(dice), dice.choice(inputs)
        rows = record_layout.records(ModuleRow, record_layout.MODULE, [row])
        profiles = np.zeros(1, record_layout.profile_type(1, 1))
        record_layout.fill(profiles, 0, profile)
        effects = behaviour.receive(row, profile, given, 100.0)
        assert compiled_receive(rows[0], profiles[0], given, 100.0) == effects
        expected = record_layout.records(ModuleRow, record_layout.MODULE, [row])
        for name in rows.dtype.names:
            assert rows[name].tobytes() == expected[name].tobytes(), (name, given, rows[name], expected[name])


def rows_of(count, **fields):
    return [SimpleNamespace(**fields) for _ in range(count)]


def test_queue_gives_its_entries_in_order():
    """Entries pushed before and while they are taken come out by time, then by number."""
    dice = random.Random(4)
    made = queue.arrays(1000.0, 3000, 5000)
    rows = {name: made[name].view(np.recarray) for name in ("heap", "pool", "wide", "far")}
    q = SimpleNamespace(**{**made, **rows}, modules=None, executions=None)
    plain, taken = [], 0
    for _ in range(500):  # so many at once that a far bucket takes several chunks
        entry = (round(500.0 + dice.random(), 3), dice.randrange(500))
        queue.push(q, *entry)
        heapq.heappush(plain, entry)
    for _ in range(4000):
        if plain and dice.random() < 0.5:
            assert (queue.next_time(q), queue.next_who(q)) == plain[0]
            now = heapq.heappop(plain)[0]
            queue.pop(q)
            taken += 1
        else:
            now = min(plain[0][0], 499.0) if plain else 0.0
            entry = (round(now + dice.expovariate(1 / 80), 1), dice.randrange(500))
            if entry[0] < 1000.0:
                queue.push(q, *entry)
                heapq.heappush(plain, entry)
    while plain:
        assert (queue.next_time(q), queue.next_who(q)) == heapq.heappop(plain)
        queue.pop(q)
        taken += 1
    assert queue.next_time(q) == float("inf") and taken > 1000


def test_timers_come_as_tuples_compare():
    """Time first, then module, kind and stamp."""
    dice = random.Random(5)
    t = SimpleNamespace(row=timers.TimersRow(), entries=rows_of(2000, time=0.0, who=0, kind=0, stamp=0))
    plain = []
    for _ in range(4000):
        if plain and dice.random() < 0.45:
            e = t.entries[0]
            assert (e.time, e.who, e.kind, e.stamp) == heapq.heappop(plain)
            timers.drop(t)
        elif len(plain) < 2000:
            entry = (float(dice.randrange(5)), dice.randrange(4), dice.randrange(3), dice.randrange(3))
            timers.add(t, *entry)
            heapq.heappush(plain, entry)
        assert timers.first_s(t) == (plain[0][0] if plain else float("inf"))


def test_arrays_grow_when_they_are_full(monkeypatch):
    """Little room at the start changes nothing but the number of times it is made larger."""
    asked = scenario("fleet.size=60", "plan.strategy.timeouts.in_progress=1h", "fleet.failures.server_error=0.4")
    reference = campaign_records(asked, 0, engine="simpy", events=True)
    grown = []
    monkeypatch.setattr(engine_state, "SPARE", 66)
    from sim.engines.compiled import compiled_engine

    monkeypatch.setattr(
        compiled_engine, "grown", lambda parts, which: (grown.append(which), engine_state.grown(parts, which))
    )
    assert_same(reference, campaign_records(asked, 0, engine="compiled", events=True))
    assert grown


@pytest.mark.parametrize("share", [0.0, 0.31, 0.995])
def test_interrupted_runs_are_the_same(share):
    """Ctrl-C after part of the horizon: both engines keep the same records, marked partial."""

    def interrupt(done: float) -> None:
        if done >= share:
            raise KeyboardInterrupt

    asked = scenario("fleet.groups.0.check_in=always", "fleet.size=80", "cloud.capacity.egress=300 kbit/s")
    reference, found = (
        campaign_records(asked, 0, engine=name, events=True, progress=interrupt) for name in ("simpy", "compiled")
    )
    assert not found.complete and found.watched_s < asked.horizon
    assert_same(reference, found)


@pytest.fixture
def unprepared(monkeypatch):
    """A process that has not compiled anything yet, nor found that it cannot."""
    monkeypatch.setattr(run, "_unavailable", [])
    monkeypatch.setattr(run.compile_ahead, "expected_s", lambda: 0.0)  # compiling is asked for, however small the run
    monkeypatch.setattr(compiled_engine, "_COMPILED", set())


def without_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "sim.engines.compiled.compiled_engine", None)
    return "sim.engines.compiled.compiled_engine"


def with_a_compiler_that_raises(monkeypatch):
    def refuse(*_):
        raise AttributeError("module 'numba.core' has no attribute 'codegen'\nsecond line")

    monkeypatch.setattr(compiled_engine, "compile_entry", refuse)
    return "AttributeError: module 'numba.core' has no attribute 'codegen'"


def with_an_unknown_numba(monkeypatch):
    monkeypatch.setattr(versions.numba, "__version__", "1.2.3")
    return "Numba 1.2.3 is installed"


@pytest.mark.parametrize("broken", [without_module, with_a_compiler_that_raises, with_an_unknown_numba])
def test_whatever_keeps_it_from_compiling_auto_takes_simpy_and_says_so_once(broken, unprepared, monkeypatch):
    """A missing module, any exception of the compiler, a version nobody has tried; by name the engine is refused."""
    reason, told = broken(monkeypatch), []
    asked = scenario("fleet.size=3", "horizon=1h")
    assert campaign_records(asked, 0, tell=told.append).engine == "simpy"
    assert campaign_records(asked, 1, tell=told.append).engine == "simpy"
    (line,) = [line for line in told if not line.startswith("compiling")]
    assert reason in line and "SimPy takes its place" in line and "\n" not in line
    with pytest.raises(EngineUnavailable, match=re.escape(reason)):
        campaign_records(asked, 0, engine="compiled")


def test_rows_of_another_size_that_cannot_be_compiled_give_way_to_simpy(unprepared, monkeypatch):
    """The engine was ready, but this plan's layout is compiled for itself: the world is made anew for SimPy."""
    driver_for("auto")

    def refuse(*_):
        raise RuntimeError("no memory for code")

    monkeypatch.setattr(compiled_engine, "compile_entry", refuse)
    monkeypatch.setattr(compiled_engine, "_COMPILED", set())
    monkeypatch.setattr(compiled_engine, "prepare", lambda: None)
    told = []
    asked = scenario("fleet.size=20", "horizon=1d")
    found = campaign_records(asked, 0, tell=told.append)
    assert found.engine == "simpy" and "no memory for code" in told[0]
    assert_same(campaign_records(asked, 0, engine="simpy"), found)


def test_an_engine_that_is_none_is_refused():
    """The message lists what there is."""
    with pytest.raises(ValueError, match="choose from auto, simpy, compiled"):
        driver_for("warp")


def test_versions_of_numba_are_those_the_package_asks_for():
    """The bounds in pyproject.toml, and those checked before compiling."""
    (asked,) = re.findall(r'"numba>=([\d.]+),<([\d.]+)"', Path("pyproject.toml").read_text())
    assert asked == tuple(".".join(map(str, version)) for version in (versions.OLDEST, versions.FIRST_UNKNOWN))


def test_functions_of_the_core_stay_plain():
    """Compiling leaves the core as it was: plain functions, which know no compiler."""
    compiled_engine.engine_mirror()
    assert isinstance(behaviour.receive, FunctionType)
    assert not any(name.split(".")[0] == "numba" for name in vars(behaviour))


def test_compiled_code_is_kept_where_only_this_user_writes(tmp_path, monkeypatch):
    """A home that cannot be written gives way to a folder of one's own; one that others may write to is not used."""
    (tmp_path / "home").write_text("a file is no folder")
    monkeypatch.delenv("FOTASIM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(code_folder.sys, "platform", "linux")
    monkeypatch.setattr(code_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = code_folder.cache_folder()
    assert folder is not None
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    assert code_folder.cache_folder() is None
    monkeypatch.setenv("FOTASIM_CACHE", str(tmp_path / "given"))
    assert code_folder.cache_folder() == tmp_path / "given"
