"""The states of a rollout group, and the rows that lead from one to the next (definition 6)."""

from __future__ import annotations

from typing import Protocol

from sim.named_enum import NamedEnum
from sim.state_table import Machine, Row, StateTable, names, refusal_code


class GroupState(NamedEnum):
    """How far a group is."""

    WAITING = 0
    RUNNING = 1
    PASSED = 2
    FAILED = 3


class GroupMove(NamedEnum):
    """What moves a group."""

    OPEN = 0
    PASS = 1
    FAIL = 2


_S, _M = GroupState, GroupMove

TABLE = StateTable(
    Machine.GROUP, names(GroupState), names(GroupMove),
    (
        Row(_M.OPEN, (_S.WAITING,), _S.RUNNING, "the one before has passed, soak and start time are over"),
        Row(_M.PASS, (_S.RUNNING,), _S.PASSED, "enough have succeeded, or all are through"),
        Row(_M.FAIL, (_S.RUNNING,), _S.FAILED, "more have failed than the threshold allows"),
        Row(_M.FAIL, (_S.PASSED,), _S.FAILED, "the same, after it had passed"),
    ),
)  # fmt: skip

NEXT = TABLE.next_states()
MOVE_COUNT = len(GroupMove)


class HasState(Protocol):
    """What `enter` moves."""

    state: int


class HasRefusal(Protocol):
    """Where a refused move is left."""

    refusal: int


def enter(progress: HasRefusal, group: HasState, move: GroupMove) -> None:
    """Moves a group; a refused move changes nothing and is left in `progress.refusal`."""
    after = NEXT[group.state * MOVE_COUNT + move]
    if after < 0:
        progress.refusal = refusal_code(Machine.GROUP, group.state, move)
    else:
        group.state = after
