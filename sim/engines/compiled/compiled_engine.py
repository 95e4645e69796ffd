"""The compiled engine: lays a world out in arrays, runs it in stretches of time, hands the arrays to the records."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.block_writer import BlockTable
from sim.cloud.center import decision_of
from sim.cloud.state_machines import TABLES
from sim.engines.compiled import event_texts, seam_over_arrays
from sim.engines.compiled.engine_state import given_up, grown, lay_out
from sim.engines.compiled.kernel import CHARGE, CLOSE, RUN, START
from sim.engines.compiled.numba_layer import versions
from sim.engines.compiled.numba_layer.code_cache import entry, source_key
from sim.engines.compiled.numba_layer.mirror import Mirror
from sim.engines.compiled.numba_layer.one_function import compile_entry
from sim.engines.compiled.numba_layer.pointer_table import PointerTable
from sim.engines.driver_rules.seam import FUNCTIONS
from sim.engines.recording.run_tables import Ends, Watched, peaks, records_of
from sim.engines.world.build import World, build
from sim.errors import EngineUnavailable, because
from sim.module import link_states
from sim.records import Records
from sim.scenario import Scenario
from sim.state_table import refusal

ROOT = "sim.engines.compiled.kernel"
"""The module of the entry; what it calls is found from here."""
SUBSTITUTES = {function: getattr(seam_over_arrays, name) for name, function in FUNCTIONS.items()}
"""Functions of the seam, and what takes their place in compiled code."""
STRETCHES = 200
"""A run is interruptible, and shows its progress, this many times."""
EVENTS_AT_ONCE = 250_000
"""Events are worded and laid aside when there are so many of them."""
_COMPILED: set[Any] = set()
"""Layouts whose code is in memory."""


def engine_mirror() -> Mirror:
    """All functions of the engine: the kernel, and what it calls with the seam over arrays."""
    return Mirror(ROOT, SUBSTITUTES)


@cache
def compiled() -> Any:
    """The one entry of the kernel, compiled when it is first called for a new layout of rows."""
    mirror = engine_mirror()
    return entry(mirror[ROOT].advance.py_func, source_key(mirror.files))


def _compile_for(state: PointerTable) -> None:
    """Loads or makes the code for a layout of rows; raises EngineUnavailable when that fails, whatever the reason."""
    if state.kind in _COMPILED:
        return
    try:
        versions.check()
        compile_entry(compiled(), state, START, 0.0)
    except Exception as error:  # Numba's internals may raise anything
        raise EngineUnavailable(because(error)) from error
    _COMPILED.add(state.kind)


def prepare(tell: Callable[[str], None] | None = None) -> None:
    """Loads the compiled code, or compiles it and keeps it for the next time; `tell` gets a line when it compiles.

    Raises EngineUnavailable when it cannot be compiled.
    """
    if _COMPILED:
        return
    if tell is not None and not is_kept():
        tell("compiling the engine: once after each installation, 20 to 60 seconds")
    CompiledEngine(build(Scenario.from_text(SMALLEST))).run()


def is_kept() -> bool:
    """Whether compiled code for this version is on the disk."""
    folder = compiled().stats.cache_path
    return folder is not None and any(Path(folder).glob("*.nbc"))


SMALLEST = """\
name: smallest
horizon: 1h
fleet: {size: 1, groups: [{name: one, share: 1.0, technology: lte-m}]}
plan: {name: none, components: [{component: fw, target_version: "1.1.0", size: 1 kB}]}
"""


class CompiledEngine:
    """Runs one world from activation to its horizon."""

    def __init__(self, world: World, *, events: bool | str = False) -> None:
        self.world = world
        self.happened = BlockTable() if events else None
        self.load, self.parts = lay_out(world, events=events)
        self.state = PointerTable(**self.parts)
        self.end_s = world.horizon_s
        _compile_for(self.state)

    def run(self, progress: Callable[[float], None] | None = None) -> bool:
        """Runs to the horizon; returns False when interrupted by Ctrl-C. `progress` gets the virtual time."""
        horizon = self.world.horizon_s
        reached = 0.0
        try:
            self._advance(START, 0.0)
            for i in range(1, STRETCHES + 1):
                stop = horizon if i == STRETCHES else horizon * i / STRETCHES
                self._advance(RUN, stop)
                reached = stop
                self._word_events(EVENTS_AT_ONCE)
                if progress is not None:
                    progress(stop)
        except KeyboardInterrupt:
            self._close(reached)
            return False
        self._close(horizon)
        self._check_moves()
        return True

    def _advance(self, stage: int, until_s: float) -> None:
        """A stage, with more room for the arrays that turn out to be full."""
        while lacking := self._call(stage, until_s):
            grown(self.parts, lacking)
            self.state = PointerTable(**self.parts)

    def _check_moves(self) -> None:
        """IllegalInput, with machine, state and input, for a move that a state table refused."""
        code = int(self.parts["rollout"].progress["refusal"])
        if code:
            raise refusal(code, TABLES)
        links = self.world.fleet.rows["link"]
        if links.min() < 0:
            stuck = int(links.argmin())
            raise link_states.refused(self.world.fleet.names[stuck], int(links[stuck]))

    def _call(self, stage: int, until_s: float) -> int:
        return int(compiled()(self.state, stage, until_s))

    def _word_events(self, least: int) -> None:
        """Words the events of the stretches that are over, when there are enough of them; later ones come after."""
        driver = self.parts["driver"]
        events, notes = int(driver["events"]), int(driver["notes"])
        if self.happened is not None and events + notes >= least:
            self.happened.add(
                event_texts.table(self.world, self.parts["events"][:events], self.parts["notes"][:notes])
            )  # fmt: skip
            driver["events"] = driver["notes"] = 0

    def _close(self, now: float) -> None:
        self._word_events(0 if self.happened is None or not len(self.happened) else 1)
        self._call(CLOSE, now)
        self.end_s = now
        given_up(self.parts)
        self.state = PointerTable(**self.parts)

    def _charge(self, part: slice) -> NDArray[np.float64]:
        """The charge that some modules have left, per cent; a block of them at a time."""
        charges = [np.empty(0)]
        first, stop, _ = part.indices(len(self.world.fleet.rows))
        while first < stop:
            self.parts["driver"]["charge_first"] = first
            self._call(CHARGE, self.end_s)
            charges.append(self.parts["charge"][: stop - first].copy())
            first += len(self.parts["charge"])
        return np.concatenate(charges)

    @property
    def released_s(self) -> NDArray[np.float64]:
        """When each module was released, seconds after activation, inf for never; shape (n,)."""
        return np.asarray(self.world.executions["released_s"], dtype=np.float64)

    def records(self, *, complete: bool, wall_s: float) -> Records:
        """The tables of this run."""
        parts = self.parts
        decided = [decision_of(row) for row in parts["decisions"][: int(parts["driver"]["decisions"])]]
        ends = Ends(self.world.fleet.rows, self.world.fleet.rare, self.world.executions, self._charge)
        cloud_peaks = peaks(self.load, float(parts["egress"].line["peak_bit_s"]))
        return records_of(
            self.world, ends, self.load, cloud_peaks, decided, self.happened, Watched(complete, wall_s, self.end_s)
        )  # fmt: skip
