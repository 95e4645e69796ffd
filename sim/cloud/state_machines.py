"""All state tables of a rollout: its groups, its plan, its executions. Error texts name refused moves by them."""

from __future__ import annotations

from sim.cloud import execution_states, plan_states
from sim.strategy import group_states

TABLES = (group_states.TABLE, plan_states.TABLE, execution_states.TABLE)
