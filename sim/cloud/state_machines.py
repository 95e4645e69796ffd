"""The machines of a rollout, for who has to name a move that one of them refused."""

from __future__ import annotations

from sim.cloud import execution_states, plan_states
from sim.strategy import group_states

TABLES = (group_states.TABLE, plan_states.TABLE, execution_states.TABLE)
