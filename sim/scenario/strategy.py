"""The strategy section of a plan as the file writes it; docs/strategy.md defines the words by number.

Names are AWS IoT Jobs' where it has one, hawkBit's for groups, Quectel's for preconditions. Everything is optional; the
preset fills what is not set.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, model_validator

from sim import units
from sim.scenario.distribution import TimeDistribution
from sim.scenario.fields import (
    Clock,
    ComponentId,
    Duration,
    Name,
    Percent,
    PositiveDuration,
    Section,
    Size,
    Version,
    clock_s,
    written,
)
from sim.scenario.presets import PRESET_NAMES, with_preset

Action = Literal["pause", "cancel", "force-cancel", "rollback"]
InFlight = Literal["continue", "ask", "revoke", "stop", "starve"]
FailureType = Literal["failed", "timed_out", "rejected", "all"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Section):
    """A maintenance window: from a local time of day on some days of the week, or by a cron expression."""

    start: Clock | None = None
    cron: str | None = None
    duration: Annotated[Duration, Field(gt=0, le=86400)]
    days: list[Day] = Field(default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Window:
        if (self.start is None) == (self.cron is None):
            raise ValueError('give either start, like "22:00", or cron, like "0 22 * * mon-fri"')
        if self.cron is not None:
            try:
                CronSim(self.cron, datetime(2026, 1, 1))
            except CronSimError as error:
                raise ValueError(f"cron: five fields (minute hour day month weekday); {error}") from None
        return self

    @property
    def start_s(self) -> float:
        """Second of the day at which the window opens, where it has a time of day."""
        return clock_s(self.start)


class Schedule(Section):
    """When the plan runs: activation (time 0 of the simulation), end, time zone and maintenance windows."""

    start_time: datetime = datetime(2026, 1, 5)
    end_time: Duration | None = None
    end_behavior: Literal["stop-rollout", "cancel", "force-cancel"] = "stop-rollout"
    time_zone: str = "UTC"
    maintenance_windows: list[Window] = Field(default_factory=list, max_length=50)
    window_gates: Literal["release", "push", "download", "install"] = "release"

    @model_validator(mode="after")
    def _zone(self) -> Schedule:
        if self.time_zone not in available_timezones():
            raise ValueError(f"time_zone: {self.time_zone!r} is not a zone; write it like Europe/Berlin")
        if self.start_time.tzinfo is not None:
            raise ValueError("start_time: local time of the time_zone, without an offset, like 2026-01-05T08:00")
        return self

    @property
    def start_of_day_s(self) -> float:
        """Local time of day at activation, seconds."""
        return self.start_time.hour * 3600.0 + self.start_time.minute * 60.0 + self.start_time.second

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all clock times of the plan."""
        return ZoneInfo(self.time_zone)


_CLOCK_TIME = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")


def polling(given: object) -> tuple[float, float]:
    """`00:05:00~10%` (hawkBit) or `5min~10%` as seconds and the jitter's share of them."""
    text, tilde, jitter = str(given).partition("~")
    clock = _CLOCK_TIME.fullmatch(text.strip())
    every = int(clock[1]) * 3600.0 + int(clock[2]) * 60.0 + int(clock[3]) if clock else units.duration(text.strip())
    share = jitter.strip().removesuffix("%")
    if every <= 0.0 or (tilde and not re.fullmatch(r"\d{1,2}(\.\d+)?", share)):
        raise ValueError('write an interval with its jitter, like "00:05:00~10%" or "5min~10%"')
    return every, float(share) / 100.0 if tilde else 0.0


def _checked_polling(given: Any) -> Any:
    polling(given)
    return str(given)


class Delivery(Section):
    """How modules learn of the plan, and who has to agree."""

    need_push: bool = True
    push_interval: Duration = 0.0
    polling_time: Annotated[str, BeforeValidator(_checked_polling)] | None = None
    action_type: Literal["forced", "soft", "timeforced", "download-only"] = "forced"
    force_time: Duration = 0.0
    confirmation: Literal["none", "user", "operator"] | None = None
    approval_delay: TimeDistribution = written({"distribution": "lognormal", "median": "8h", "sigma": 0.8})


class Preconditions(Section):
    """What a module must meet to be upgraded, who checks it, and what becomes of one that does not."""

    min_battery_percent: Percent = 30.0
    min_rsrp_dbm: Annotated[float, Field(ge=-140, le=-44)] = -113.0
    needed_space: Literal["package", "none"] | Size = "package"
    checked_by: Literal["cloud", "device", "both"] = "both"
    on_unmet: Literal["defer", "reject"] = "defer"


class Members(Section):
    """Which modules a rollout group holds, instead of a percentage or a count."""

    fleet_groups: list[Name] = Field(default_factory=list, max_length=64)
    hardware: list[str] = Field(default_factory=list, max_length=64)
    modules: list[str] = Field(default_factory=list, max_length=100_000)


class RolloutGroup(Section):
    """One group: how large, when it has passed or failed, what follows."""

    name: Name | None = None
    percent: Percent | None = None
    count: Annotated[int, Field(ge=0)] | None = None
    filter: Members | None = None
    success_threshold_percent: Percent = 100.0
    success_action: Literal["next-group", "pause"] = "next-group"
    error_threshold_percent: Percent | None = None
    error_action: Action = "pause"
    soak: Duration = 0.0
    start_time: Duration = 0.0

    @model_validator(mode="after")
    def _one_size(self) -> RolloutGroup:
        if sum(given is not None for given in (self.percent, self.count, self.filter)) > 1:
            raise ValueError("give one of percent, count and filter")
        return self


class ExponentialRate(Section):
    """A rate that grows by a factor each time so many more modules are notified or have succeeded."""

    base_rate_per_minute: Annotated[int, Field(ge=1, le=1_000_000)]
    increment_factor: Annotated[float, Field(ge=1.1, le=5)]
    number_of_notified: Annotated[int, Field(ge=1)] | None = None
    number_of_succeeded: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _criterion(self) -> ExponentialRate:
        if self.number_of_notified is None and self.number_of_succeeded is None:
            raise ValueError("give number_of_notified or number_of_succeeded: when the rate grows")
        return self


class Rollout(Section):
    """Who is released when: order, groups, rate and caps."""

    order: Literal["shuffled", "listed"] = "shuffled"
    groups: list[RolloutGroup] = Field(default_factory=list, max_length=500)
    percent_of: Literal["total", "remaining"] = "total"
    maximum_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    exponential_rate: ExponentialRate | None = None
    rate_applies_to: Literal["snapshot", "all"] = "snapshot"
    notified_counts: Literal["delivered", "released"] = "delivered"
    max_in_progress: Annotated[int, Field(ge=1)] | None = None
    in_progress_counts: Literal["released", "offered"] = "released"
    max_in_progress_per_cell: (
        Annotated[int, Field(ge=1)] | dict[Literal["0", "1", "2"], Annotated[int, Field(ge=1)]] | None
    ) = None
    max_devices: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _levels(cls, given: Any) -> Any:
        """Coverage levels are numbers in the file and keys of a mapping in JSON."""
        caps = given.get("max_in_progress_per_cell") if isinstance(given, dict) else None
        if isinstance(caps, dict):
            return {**given, "max_in_progress_per_cell": {str(level): cap for level, cap in caps.items()}}
        return given

    @model_validator(mode="after")
    def _complete(self) -> Rollout:
        caps = self.max_in_progress_per_cell
        if isinstance(caps, dict) and set(caps) != {"0", "1", "2"}:
            raise ValueError(
                "max_in_progress_per_cell: one number, or one for each coverage level: {0: 50, 1: 10, 2: 1}"
            )
        filtered = [g.filter is not None for g in self.groups]
        if any(filtered) and not all(filtered[:-1]):
            raise ValueError("groups: either every group but the last has a filter, or none has")
        for group in self.groups[:-1]:
            if group.percent is None and group.count is None and group.filter is None:
                raise ValueError("groups: every group but the last needs percent, count or filter")
        if sum(g.percent or 0.0 for g in self.groups) > 100.0 + 1e-9 and self.percent_of == "total":
            raise ValueError("groups: the percentages add up to more than 100")
        return self


class Criterion(Section):
    """Stop when so large a share has failed in this way, once so many have been through."""

    failure_type: FailureType = "all"
    threshold_percentage: Annotated[float, Field(gt=0, le=100)]
    min_number_of_executed: Annotated[int, Field(ge=1)] = 1
    denominator: Literal["completed", "notified", "targets"] = "completed"
    action: Action = "cancel"


class Abort(Section):
    """Criteria that stop the plan, in order, and how often they are looked at (0: at every report)."""

    criteria: list[Criterion] = Field(default_factory=list, max_length=20)
    evaluation_interval: Duration = 0.0


class StepTimeouts(Section):
    """Bounds on single steps; none means for ever."""

    confirm: PositiveDuration | None = None
    download: PositiveDuration | None = None
    update: PositiveDuration | None = None


class Timeouts(Section):
    """Bounds on an attempt, its steps and an unanswered offer; none means for ever."""

    in_progress: PositiveDuration | None = None
    timer_starts: Literal["confirmed", "in_progress", "download_start"] = "confirmed"
    step: StepTimeouts = StepTimeouts()
    offer: PositiveDuration | None = None
    accept_late: bool = False


class RetryCriterion(Section):
    """How often, and how long after, one kind of failure is tried again."""

    failure_type: Literal["failed", "timed_out", "all"]
    number_of_retries: Annotated[int, Field(ge=0, le=10)]
    retry_interval: Duration = 0.0


class Retry(Section):
    """How often, and how long after a failure, the cloud tries again: over all failures, or by type."""

    number_of_retries: Annotated[int, Field(ge=0, le=10)] = 0
    retry_interval: Duration = 0.0
    criteria: list[RetryCriterion] = Field(default_factory=list, max_length=2)
    back_off: Annotated[float, Field(ge=1, le=10)] = 1.0
    max_interval: PositiveDuration | None = None
    resume_download: bool | None = None

    @model_validator(mode="after")
    def _types(self) -> Retry:
        kinds = [c.failure_type for c in self.criteria]
        if len(set(kinds)) < len(kinds) or (len(kinds) > 1 and "all" in kinds):
            raise ValueError("criteria: one for all, or one each for failed and timed_out")
        return self


class InFlightSection(Section):
    """What becomes of a module that has started when its plan is paused or cancelled."""

    on_pause: Literal["continue", "stop", "starve"] = "continue"
    on_cancel: InFlight = "continue"
    on_force_cancel: InFlight = "revoke"
    on_revoked: Literal["keep", "rollback"] = "keep"
    waiting_become: Literal["canceled", "failed"] = "canceled"


class RollbackPackage(Section):
    """The previous package of one component, which the action `rollback` sends."""

    component: ComponentId
    version: Version
    size: Annotated[Size, Field(gt=0)]


class StrategySection(Section):
    """The strategy of the plan; the preset names the product whose defaults fill what is not set."""

    preset: Literal[PRESET_NAMES] = "quectel"  # type: ignore[valid-type]
    target_selection: Literal["snapshot", "continuous"] = "snapshot"
    preconditions: Preconditions = Preconditions()
    delivery: Delivery = Delivery()
    retry: Retry = Retry()
    rollout: Rollout = Rollout()
    abort: Abort = Abort()
    schedule: Schedule = Schedule()
    timeouts: Timeouts = Timeouts()
    in_flight: InFlightSection = InFlightSection()
    overwrite_mode: Literal["keep", "fail", "replace"] = "keep"
    rollback: list[RollbackPackage] = Field(default_factory=list, max_length=20)

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return with_preset(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _consistent(self) -> StrategySection:
        delivery = self.delivery
        if delivery.action_type == "timeforced" and delivery.force_time <= 0.0:
            raise ValueError("delivery.force_time: a timeforced plan needs the time from which it is forced, like 24h")
        wants_rollback = any(c.action == "rollback" for c in self.abort.criteria) or any(
            g.error_action == "rollback" for g in self.rollout.groups
        )
        if wants_rollback and not self.rollback:
            raise ValueError("rollback: the action rollback needs the previous package of each component here")
        return self

    @property
    def confirms(self) -> bool | None:
        """Whether a user has to confirm on the device; None leaves it to the plan's mode."""
        if self.delivery.action_type in ("soft", "timeforced"):
            return True
        return None if self.delivery.confirmation is None else self.delivery.confirmation == "user"
