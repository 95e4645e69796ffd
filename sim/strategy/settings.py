"""The settings of a plan's strategy as numbers: what the scenario says, resolved to seconds, bytes and counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sim.named_enum import NamedEnum


class WindowGate(NamedEnum):
    """What a maintenance window gates."""

    RELEASE = 0
    PUSH = 1
    DOWNLOAD = 2
    INSTALL = 3


class Action(NamedEnum):
    """What a plan does on a criterion, on a group's threshold, at its end."""

    NEXT_GROUP = 0
    PAUSE = 1
    CANCEL = 2
    FORCE_CANCEL = 3
    ROLLBACK = 4
    STOP_ROLLOUT = 5


class InFlight(NamedEnum):
    """What happens to a module that has started when the plan is paused or cancelled."""

    CONTINUE = 0
    ASK = 1
    REVOKE = 2
    STOP = 3
    STARVE = 4


class FailureType(NamedEnum):
    """What a failure is counted as."""

    ALL = 0
    FAILED = 1
    TIMED_OUT = 2
    REJECTED = 3


class Denominator(NamedEnum):
    """What a share of failures is taken of."""

    COMPLETED = 0
    NOTIFIED = 1
    TARGETS = 2


class TimerStart(NamedEnum):
    """Where the clock of an attempt's timeout starts."""

    CONFIRMED = 0
    DOWNLOAD_START = 1


class Overwrite(NamedEnum):
    """What becomes of a module that is busy with an earlier plan."""

    KEEP = 0
    FAIL = 1
    REPLACE = 2


@dataclass(slots=True)
class Settings:
    """One plan's strategy. Durations in seconds, inf for no bound; counts 0 for no bound; flags 0 or 1.

    The defaults are the empty strategy: everybody at once, no gate.
    """

    # preconditions
    min_battery_percent: float = 0.0
    min_rsrp_dbm: float = -200.0
    needed_bytes: int = 0
    checked_by_cloud: int = 1
    checked_by_device: int = 1
    reject_unmet: int = 0
    # delivery
    polled: int = 0
    """The cloud speaks only when it is polled (DDI), and a broken download is for the module to try again."""
    need_push: int = 1
    push_interval_s: float = 0.0
    operator_confirms: int = 0
    download_only: int = 0
    # schedule
    end_s: float = inf
    end_behavior: int = Action.STOP_ROLLOUT
    window_gates: int = WindowGate.RELEASE
    # selection
    continuous: int = 0
    rate_applies_to_late: int = 0
    overwrite: int = Overwrite.KEEP
    # rollout
    maximum_per_minute: float = inf
    base_rate_per_minute: float = 0.0
    increment_factor: float = 1.0
    number_of_notified: int = 0
    number_of_succeeded: int = 0
    notified_when_released: int = 0
    max_in_progress: int = 0
    counts_from_release: int = 1
    cell_total: int = 0
    cell_level_0: int = 0
    cell_level_1: int = 0
    cell_level_2: int = 0
    max_devices: int = 0
    # abort
    evaluation_interval_s: float = 0.0
    withdraw_success: int = 0
    # timeouts
    in_progress_timeout_s: float = inf
    timer_starts: int = TimerStart.CONFIRMED
    confirm_timeout_s: float = inf
    download_timeout_s: float = inf
    update_timeout_s: float = inf
    offer_timeout_s: float = inf
    accept_late: int = 0
    # retry
    retries: int = 0
    retries_failed: int = 0
    retries_timed_out: int = 0
    retry_interval_s: float = 0.0
    retry_interval_timed_out_s: float = 0.0
    retry_back_off: float = 1.0
    retry_interval_max_s: float = inf
    retry_jitter: float = 0.0
    """Each interval is moved by up to this share of it either way."""
    key_0: int = 0
    key_1: int = 0
    """What keys the strategy's draws."""
    # in flight
    on_pause: int = InFlight.CONTINUE
    on_cancel: int = InFlight.CONTINUE
    on_force_cancel: int = InFlight.REVOKE
    roll_back_revoked: int = 0
    waiting_become_failed: int = 0
