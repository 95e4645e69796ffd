"""The states of a plan, and the rows that lead from one to the next (definition 8)."""

from __future__ import annotations

from sim.named_enum import NamedEnum
from sim.state_table import Machine, Row, StateTable, names, refusal_code
from sim.strategy.progress import Progress


class PlanState(NamedEnum):
    """What a cancelled plan is called depends on who cancelled it: TERMINATED by an operator or a criterion, ENDED by its end."""

    SAVED = 0
    ACTIVATED = 1
    UPGRADING = 2
    SUSPENDED = 3
    TERMINATED = 4
    ENDED = 5
    ROLLING_BACK = 6

    @property
    def word(self) -> str:
        """The state as the Developer Center's console names it."""
        return self.name.capitalize().replace("_", " ")


class PlanMove(NamedEnum):
    """What moves a plan."""

    ACTIVATE = 0
    OFFER = 1
    PAUSE = 2
    RESUME = 3
    TERMINATE = 4
    END = 5
    ROLL_BACK = 6


_S, _M = PlanState, PlanMove
RUNNING = (_S.ACTIVATED, _S.UPGRADING)

TABLE = StateTable(
    Machine.PLAN, names(PlanState), names(PlanMove),
    (
        Row(_M.ACTIVATE, (_S.SAVED,), _S.ACTIVATED, "the operator, or the start time"),
        Row(_M.OFFER, RUNNING, _S.UPGRADING, "a notice goes out"),
        Row(_M.OFFER, (_S.SUSPENDED,), _S.SUSPENDED, "a server that is polled offers what was released before"),
        Row(_M.OFFER, (_S.ROLLING_BACK,), _S.ROLLING_BACK, "the previous package is offered"),
        Row(_M.PAUSE, RUNNING, _S.SUSPENDED, "the operator, a criterion, a group"),
        Row(_M.RESUME, (_S.SUSPENDED,), _S.UPGRADING, "the operator"),
        Row(_M.TERMINATE, (_S.SAVED, *RUNNING, _S.SUSPENDED, _S.ROLLING_BACK), _S.TERMINATED, "the operator, a criterion"),
        Row(_M.END, (_S.SAVED, *RUNNING, _S.SUSPENDED), _S.ENDED, "its end time, or enough devices are through"),
        Row(_M.ROLL_BACK, RUNNING, _S.ROLLING_BACK, "a criterion or a group"),
    ),
)  # fmt: skip

NEXT = TABLE.next_states()
MOVE_COUNT = len(PlanMove)


def enter(progress: Progress, move: PlanMove) -> None:
    """Moves the plan; a refused move changes nothing and is left in `progress.refusal`."""
    after = NEXT[progress.state * MOVE_COUNT + move]
    if after < 0:
        progress.refusal = refusal_code(Machine.PLAN, progress.state, move)
    else:
        progress.state = after
