"""What compiled functions work on: the types of the engine's state, for the reader and the type checker.

At run time the state is a `PointerTable` of arrays (engine_state.py lays it out); a row of an array is read and written
like an object. So the types here are those of the objects, and the rules of driver_rules take them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Protocol

from sim.engines.driver_rules.driven_row import NONE, DrivenRow, UnderWay
from sim.engines.driver_rules.seam import EngineState

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    import numpy as np
    from numpy.typing import NDArray

    from sim.cloud.execution import Execution


@dataclass(slots=True)
class DriverNumbers:
    """The driver's numbers."""

    horizon_s: float = inf
    bound_s: float = 0.0
    """Private moments before this time may be run ahead."""
    keepalive_s: float = 120.0
    may_retire: int = 1
    """An execution that is over stays so."""
    may_run_ahead: int = 0
    """Nobody but the plan's clock and a module's own messages can make the cloud speak or end an execution."""
    progress_is_private: int = 0
    """Reports of progress change nothing but the module's own execution."""
    polled: int = 0
    login_round_trips: int = 0
    hello_requests: int = 0
    round_trips_there: float = 0.0
    round_trips_back: float = 0.0
    reads_document: int = 0
    tells_attributes: int = 0
    serves_files: int = 0
    """See driver_rules.seam.RunSettings."""
    holds: int = 0
    """Packages wait for an order to be installed."""
    needed_bytes: int = 0
    needed_back_bytes: int = 0
    started: int = 0
    """Modules that have been looked at for the start."""
    under_way_free: int = NONE
    under_way_used: int = 0
    slots_used: int = 1
    """Slots that have been in use so far; the first is the blank one."""
    vacant: int = 0
    charge_first: int = 0
    """First module whose charge is to be read."""
    recording: int = 0
    orders: int = 0
    events: int = 0
    notes: int = 0
    decisions: int = 0


@dataclass(slots=True)
class LinedRow(DrivenRow):
    """A module that is awake: with what the compiled driver knows of its timer, its list and its place in the queue."""

    armed_at: float = inf
    queued_at: float = inf
    """The entry of the queue that is valid, and one that was left behind and may serve again."""
    parked_at: float = inf
    head: int = NONE
    """Its first event under way."""
    order: int = 0
    """Counts what was scheduled and armed: at one instant, what came first happens first."""
    armed_order: int = 0


@dataclass(slots=True)
class ListedEvent(UnderWay):
    """An event under way in the list of its module."""

    order: int = 0
    next: int = NONE


class Entry(Protocol):
    """An entry of the queue: when, and whose number."""

    time: float
    who: int


class PoolEntry(Entry, Protocol):
    """An entry that waits in a narrow bucket."""

    next: int


class WideBucket(Protocol):
    """A wide bucket: the chunk it fills, and how many entries it has."""

    chunk: int
    count: int


class QueueNumbers(Protocol):
    """Where the queue stands; `queue.QueueRow` says what each means."""

    wide_s: float
    start_s: float
    wides: int
    narrow_per_s: float
    wide: int
    narrow: int
    narrows: int
    sorted: int
    near: int
    far: int
    pool_used: int
    pool_free: int
    chunks_used: int
    chunk_free: int


class QueueArrays(Protocol):
    """The queue, as `queue.arrays` lays it out, with the rows its entries speak of."""

    row: QueueNumbers
    heap: Sequence[Entry]
    narrow: MutableSequence[int]
    pool: Sequence[PoolEntry]
    wide: Sequence[WideBucket]
    far: Sequence[Entry]
    links: MutableSequence[int]
    modules: Sequence[LinedRow]
    executions: Sequence[Execution]


class Due(Protocol):
    """An entry of a heap of timers; see timers.py."""

    time: float
    who: int
    kind: int
    stamp: int


class DueNumbers(Protocol):
    """How many entries a heap of timers has."""

    count: int


class Timers(Protocol):
    """A heap of timers."""

    row: DueNumbers
    entries: Sequence[Due]


class Order(Protocol):
    """Something the operator does."""

    time: float
    what: int
    first: int
    count: int


class RecordedStatus(Protocol):
    """A status a module entered, as numbers: record_layout.EVENT."""

    time: float
    module: int
    status: int
    code: int
    component: int
    kind: int
    package_bytes: int
    offset_bytes: int
    piece_bytes: int
    back: int


class PlannedSizes(Protocol):
    """One component of the plan."""

    kind: int
    size_bytes: int
    rollback_bytes: int


class ArrayState(EngineState, Protocol):
    """The whole state of a compiled run."""

    @property
    def driver(self) -> DriverNumbers:
        """What holds for the whole run, and how full the arrays are."""

    @property
    def modules(self) -> Sequence[LinedRow]:
        """The modules by number; what one that sleeps has no slot for reads as in the blank slot 0."""

    components: Sequence[PlannedSizes]
    source_bad: Sequence[int]
    """By module, or one for all: components, as bits, whose package does not fit the version it reports."""
    slots: MutableSequence[int]
    vacant: MutableSequence[int]
    awake_modules: MutableSequence[LinedRow]
    awake_executions: MutableSequence[Execution]
    under_way: Sequence[ListedEvent]
    """Events under way to or from modules, in their lists; unused ones in a list of their own."""
    queue: QueueArrays
    timers: Timers
    """The cloud's."""
    senders: Timers
    """Modules that send a preamble at an opportunity: (decided, carrier, module, session)."""
    sent: MutableSequence[int]
    outcomes: list[int]
    outcome_times: list[float]
    orders: Sequence[Order]
    ordered: Sequence[int]
    watched: Sequence[int]
    events: Sequence[RecordedStatus]
    notes: NDArray[np.float64]
    decisions: NDArray[np.float64]
    charge: NDArray[np.float64]
