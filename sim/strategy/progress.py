"""How far a plan is: its counts, its groups, its criteria. Definition 3 says what is counted."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from sim.strategy.group_states import GroupState
from sim.strategy.settings import Action, Denominator


@dataclass(slots=True)
class Progress:
    """Counts and clocks of one plan (definition 3). Times in seconds after activation.

    `completed` is succeeded + failed + timed_out + rejected, each module once with its final outcome: a module that
    will be tried again is not completed, and cancelled ones count nowhere.
    """

    state: int = 0
    start_s: float = 0.0
    components: int = 1
    silent: int = 1
    # counts
    targets: int = 0
    released: int = 0
    outstanding: int = 0
    notified: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    rejected: int = 0
    in_progress: int = 0
    members: int = 0
    terminal: int = 0
    told_complete: int = 0
    # release
    minute: int = -1
    minute_slots: int = 0
    minute_next: int = 0
    rate_step: int = 0
    group_count: int = 1
    group_opened: int = 0
    group_first: int = 0
    joined: int = 0
    joined_next: int = 0
    starving: int = 0
    exhausted: int = 0
    dirty: int = 0
    freed: int = 0
    # clocks
    end_at: float = inf
    evaluate_at: float = inf
    release_at: float = inf
    push_at: float = inf
    # fill of the outboxes
    waiting: int = 0
    out: int = 0
    armed: int = 0
    notes: int = 0
    noting: int = 0
    logged: int = 0
    refusal: int = 0
    """A move that a state table refused, as a number (state_table.py); 0 for none."""


@dataclass(slots=True)
class Group:
    """One rollout group: the executions order[first : first + size] and late joiners, `members` in all; thresholds in per cent (definition 6)."""

    first: int = 0
    size: int = 0
    members: int = 0
    next: int = 0
    state: int = GroupState.WAITING
    success_threshold_percent: float = 0.0
    success_action: int = Action.NEXT_GROUP
    error_threshold_percent: float = inf
    error_action: int = Action.PAUSE
    soak_s: float = 0.0
    start_s: float = 0.0
    passed_s: float = nan
    resumed: int = 0
    targets: int = 0
    succeeded: int = 0
    failed: int = 0
    terminal: int = 0


@dataclass(slots=True)
class Criterion:
    """One abort criterion (definition 7)."""

    failure_type: int = 0
    threshold_percentage: float = 100.0
    min_number_of_executed: int = 1
    min_number_of_failed: int = 0
    denominator: int = Denominator.COMPLETED
    action: int = Action.CANCEL
    fired: int = 0


def completed(progress: Progress) -> int:
    """Modules whose outcome is final, each once."""
    return progress.succeeded + progress.failed + progress.timed_out + progress.rejected
