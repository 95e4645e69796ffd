"""State machines as data: rows that say which input leads from where to where, and the flat form that engines walk.

Theory of operation. Five machines decide what may follow what: a module's link and OTA status (sim/module), a group
(sim/strategy), a plan and an execution (sim/cloud). Each is a list of rows beside the enumeration of its states, and one
function `enter` of that file is the only place that assigns a state (OTA: `behaviour._ota`, where a refusal is an answer). A row names an input, the states in which it is
accepted, and the state that follows; whatever no row names is refused.

The rules ask for a move (`enter(progress, execution, ExecutionMove.OFFER)`) and never for a state. So the rows can be
read by three parties at once: the engines walk them, tests hold them against documents and turn each wrong in turn (a
run has to notice), and docs/states.md is drawn from them.

Engines walk a tuple of numbers, `next_states[state * number of inputs + input]`, which the compiler turns into a constant
array: one load and one comparison for a move. A refused move changes nothing. In plain Python an exception could name
it at once; compiled code has none to raise, so a refusal leaves a number behind (`refusal_code`) which the driver looks at
when it empties the outboxes or when the run is over, and turns into an IllegalInput with machine, state and input.
A refusal there is a fault of ours: what comes from outside is tested by the rules before they ask for a move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sim.errors import IllegalInput
from sim.named_enum import NamedEnum

REFUSED = -1
"""In the flat form: no row for this state and input."""
_WIDTH = 64
"""More than any machine has states or inputs."""


class Machine(NamedEnum):
    """The machines."""

    LINK = 0
    OTA = 1
    GROUP = 2
    PLAN = 3
    EXECUTION = 4


@dataclass(frozen=True, slots=True)
class Row:
    """An input, the states that accept it, the state that follows, and when that happens."""

    move: int
    sources: tuple[int, ...]
    target: int
    when: str
    in_runs: bool = True
    """False: documented for the device, and no scenario asks for it; the row makes the table complete."""


@dataclass(frozen=True, slots=True)
class StateTable:
    """One machine: names of its states and inputs by number, and its rows."""

    machine: Machine
    states: Mapping[int, str]
    moves: Mapping[int, str]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        pairs = [(state, row.move) for row in self.rows for state in row.sources]
        assert len(pairs) == len(set(pairs)), f"{self.machine.word}: two rows for one state and input"

    def transitions(self) -> dict[tuple[int, int], int]:
        """(state, input) -> the state that follows; what is not listed is refused."""
        return {(state, row.move): row.target for row in self.rows for state in row.sources}

    def next_states(self) -> tuple[int, ...]:
        """The flat form: [state * number of inputs + input], REFUSED where no row is."""
        found = self.transitions()
        states, moves = max(self.states) + 1, max(self.moves) + 1
        return tuple(found.get((s, m), REFUSED) for s in range(states) for m in range(moves))

    def with_row(self, number: int, **changes: int | tuple[int, ...]) -> StateTable:
        """The table with one row changed: for tests of those who read it."""
        rows = [*self.rows]
        rows[number] = replace(rows[number], **changes)  # type: ignore[arg-type]
        return replace(self, rows=tuple(rows))

    def describe(self, state: int, move: int) -> str:
        """The pair as a reader knows it, for error texts."""
        return f"{self.moves.get(move, move)} in state {state} ({self.states.get(state, '?')})"

    def refused(self, state: int, move: int) -> IllegalInput:
        """The error that names machine, state and input."""
        return IllegalInput(f"{self.machine.word}: {self.describe(state, move)} is not allowed")


def names(enumeration: Iterable[NamedEnum]) -> dict[int, str]:
    """Names of an enumeration's members by number."""
    return {int(member): member.name for member in enumeration}


def refusal_code(machine: int, state: int, move: int) -> int:
    """A refused move as one number above 0."""
    return 1 + (machine * _WIDTH + state) * _WIDTH + move


def refusal(code: int, tables: Sequence[StateTable]) -> IllegalInput:
    """The error of a `refusal_code`."""
    pair, move = divmod(code - 1, _WIDTH)
    machine, state = divmod(pair, _WIDTH)
    return next(table for table in tables if table.machine == machine).refused(state, move)
