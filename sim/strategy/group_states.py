"""The states of a rollout group."""

from __future__ import annotations

from sim.named_enum import NamedEnum


class GroupState(NamedEnum):
    """How far a group is."""

    WAITING = 0
    RUNNING = 1
    PASSED = 2
    FAILED = 3
