"""The states of a plan."""

from __future__ import annotations

from sim.named_enum import NamedEnum


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
