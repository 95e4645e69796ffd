"""The strategy section of a plan as the file writes it; docs/strategy.md defines the words by number.

Names are AWS IoT Jobs' where it has one, hawkBit's for groups, Quectel's for preconditions. Everything is optional; the
preset fills what is not set.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from typing import Annotated, Any, Literal

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from sim import units
from sim.errors import ProtocolError
from sim.scenario.distribution import TimeDistribution
from sim.scenario.fields import (
    COMPUTED,
    Clock,
    ComponentId,
    Duration,
    Name,
    Percent,
    PositiveDuration,
    PositiveSize,
    Section,
    Size,
    Version,
    clock_s,
    written,
)
from sim.scenario.members import Members
from sim.scenario.presets import PRESET_NAMES, with_preset
from sim.scenario.zones import zone_of
from sim.wire.ddi.documents import sleep_s

Action = Literal["pause", "cancel", "force-cancel", "rollback"]
InFlight = Literal["continue", "ask", "revoke", "stop", "starve"]
FailureType = Literal["failed", "timed_out", "rejected", "all"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


MOST_RETRIES = 1000
"""Further attempts of a module that a plan can ask for."""


MOST_GROUPS = 500
"""Rollout groups of a plan, repeated ones included."""


class Window(Section):
    """A maintenance window: from a local time of day on some days of the week, or by a cron expression."""

    start: Clock | None = None
    """Local time of day at which it opens, such as `"22:00"`. Without it give a `cron`."""
    cron: str | None = None
    """Local times at which it opens, in five fields: `"0 22 * * mon-fri"`, or six with the second first; in place of `start` and `days`."""
    years: list[Annotated[int, Field(ge=1970, le=2199)]] = Field(default_factory=list, max_length=230)
    """Years in which a `cron` opens it; empty: every year."""
    duration: Annotated[Duration, Field(gt=0, le=86400)]
    """How long it stays open, such as `4h`; at most a day."""
    days: list[Day] = Field(default=["mon", "tue", "wed", "thu", "fri", "sat", "sun"], min_length=1)
    """Days of the week on which it opens at `start`; the default is every day."""

    @model_validator(mode="after")
    def _one(self) -> Window:
        if (self.start is None) == (self.cron is None):
            raise ValueError('give either start, like "22:00", or cron, like "0 22 * * mon-fri"')
        if self.cron is None and self.years:
            raise ValueError("years: belong to a cron")
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

    start_time: Annotated[datetime, WithJsonSchema({"type": "string", "examples": ["2026-01-05T08:00"]})] = datetime(
        2026, 1, 5
    )
    """Local date and time of activation, time 0 of the simulation: `2026-01-05T08:00`."""
    end_time: Duration | None = None
    """Time after activation at which the plan ends, such as `7d`; not set: it does not end by itself."""
    end_behavior: Literal["stop-rollout", "cancel", "force-cancel"] = "stop-rollout"
    """At the end `stop-rollout` cancels only what is scheduled; `cancel` and `force-cancel` cancel the plan."""
    time_zone: str = "UTC"
    """Zone of all clock times, such as `Europe/Berlin`, or an offset from UTC such as `+05:30`."""
    maintenance_windows: list[Window] = Field(default_factory=list, max_length=50)
    """Times to which `window_gates` confines the rollout; not set: always open."""
    window_gates: Literal["release", "push", "download", "install"] = "release"
    """What happens only inside a window: `release`, `push` (offers), `download` (offers and URLs), `install`."""

    @model_validator(mode="after")
    def _zone(self) -> Schedule:
        zone_of(self.time_zone)
        if self.start_time.tzinfo is not None:
            raise ValueError("start_time: local time of the time_zone, without an offset, like 2026-01-05T08:00")
        return self

    @property
    def zone(self) -> tzinfo:
        """The zone of all clock times of the plan."""
        return zone_of(self.time_zone)

    def after_start_s(self, local: datetime) -> float:
        """Seconds from activation to another local time; negative before it."""
        return local.replace(tzinfo=self.zone).timestamp() - self.start_time.replace(tzinfo=self.zone).timestamp()


def polling(given: object) -> tuple[float, float]:
    """`00:05:00~10%` or `PT48H` (hawkBit) or `5min~10%` as seconds and the jitter's share of them."""
    text, tilde, jitter = str(given).partition("~")
    try:
        every = sleep_s(text.strip())
    except ProtocolError:
        every = units.duration(text.strip())
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
    """Whether the cloud pushes offers; false: modules learn of the plan when they ask."""
    push_interval: Duration = 0.0
    """Pushes happen on this grid, such as `10min`; 0: at once."""
    polling_time: Annotated[str, BeforeValidator(_checked_polling)] | None = None
    """How often an always-online module asks, with jitter: `"00:05:00~10%"` or `5min~10%`; not set: its check-in."""
    action_type: Literal["forced", "soft", "timeforced", "download-only"] = "forced"
    """`forced`; `soft`: a user decides; `timeforced`: a user, until `force_time`; `download-only`: no installation."""
    force_time: Duration = 0.0
    """Time after activation from which a `timeforced` plan asks nobody, such as `24h`."""
    confirmation: Literal["none", "user", "operator"] | None = None
    """Who agrees: `none`, `user` on the device, `operator` in the cloud; not set: as `plan.mode` says."""
    approval_delay: TimeDistribution = written({"distribution": "lognormal", "median": "8h", "sigma": 0.8})
    """Time an operator takes to approve a module with `confirmation: operator`; a value or a distribution."""


class Preconditions(Section):
    """What a module must meet to be upgraded, who checks it, and what becomes of one that does not."""

    min_battery_percent: Percent = 30.0
    """Least charge in per cent; exactly so much is enough."""
    min_rsrp_dbm: Annotated[float, Field(ge=-140, le=-44)] = -113.0
    """Least signal in dBm (RSRP); exactly so much is enough."""

    @field_validator("min_battery_percent")
    @classmethod
    def _percent_not_share(cls, given: float, info: ValidationInfo) -> float:
        """Less than one per cent was meant as a share, unless a study computed it (see load.vary)."""
        if 0.0 < given < 1.0 and info.context != COMPUTED:
            raise ValueError(f"is in per cent: {given:g} is {given:g} %; write {100 * given:g} for {100 * given:g} %")
        return given

    needed_space: Literal["package", "none"] | Size = "package"
    """Least free space: that of the largest `package`, `none`, or a size such as `2 MB`."""
    checked_by: Literal["cloud", "device", "both"] = "both"
    """`cloud` compares what was reported last, `device` what is true, `both` do."""
    on_unmet: Literal["defer", "reject"] = "defer"
    """`defer`: the module is offered again later; `reject`: it is over for this module."""


class RolloutGroup(Section):
    """One group: how large, when it has passed or failed, what follows."""

    name: Name | None = None
    """Name of the group in results; not set: its number."""
    percent: Percent | None = None
    """Size in per cent of `percent_of`, rounded as `rounding` says; with a `filter`, of the modules it takes."""
    count: Annotated[int, Field(ge=0)] | None = None
    """Size in modules."""
    filter: Members | None = None
    """Whom it is taken from: with a size that many of them, else all that are in no earlier group."""
    success_threshold_percent: Percent = 100.0
    """It has passed once so many per cent of its targets have succeeded, or all are finished."""
    success_action: Literal["next-group", "pause"] = "next-group"
    """Once it has passed: open the `next-group`, or `pause` until the operator resumes."""
    error_threshold_percent: Percent | None = None
    """It has failed once more than so many per cent of its targets have failed; not set: never."""
    error_action: Action = "pause"
    """What happens to the plan once it has failed."""
    soak: Duration = 0.0
    """Time between its passing and the opening of the next group, such as `24h`."""
    start_time: Duration = 0.0
    """Time after activation before which it does not open, such as `2d`."""
    start_at: Annotated[datetime, WithJsonSchema({"type": "string", "examples": ["2026-01-07T08:00"]})] | None = None
    """The same as a local date and time of the schedule's zone, in place of `start_time`."""

    @model_validator(mode="after")
    def _one_size(self) -> RolloutGroup:
        if self.percent is not None and self.count is not None:
            raise ValueError("give percent or count")
        if self.start_at is not None and (self.start_time > 0.0 or self.start_at.tzinfo is not None):
            raise ValueError(
                "start_at: local time without an offset, like 2026-01-07T08:00, and no start_time beside it"
            )
        return self


class ExponentialRate(Section):
    """A rate that grows by a factor each time so many more modules are notified or have succeeded."""

    base_rate_per_minute: Annotated[int, Field(ge=1, le=1_000_000)]
    """Releases per minute at first."""
    increment_factor: Annotated[float, Field(ge=1.1, le=5)]
    """Factor by which the rate grows each time, up to `maximum_per_minute`."""
    number_of_notified: Annotated[int, Field(ge=1)] | None = None
    """The rate grows each time so many more modules have been notified."""
    number_of_succeeded: Annotated[int, Field(ge=1)] | None = None
    """The rate grows each time so many more modules have succeeded."""

    @model_validator(mode="after")
    def _criterion(self) -> ExponentialRate:
        if self.number_of_notified is None and self.number_of_succeeded is None:
            raise ValueError("give number_of_notified or number_of_succeeded: when the rate grows")
        return self


class Stagger(Section):
    """In which order the values of a label are released, such as sites or customers."""

    label: Name
    """The label, as the groups of the fleet or their files give it."""
    how: Literal["one-by-one", "in-turn"] = "one-by-one"
    """`one-by-one`: all modules of a value, then those of the next; `in-turn`: one of each value, then a second one of each."""
    first: list[str] = Field(default_factory=list, max_length=1000)
    """Values that come first, in this order; the others follow by the alphabet, modules without the label last."""


class Rollout(Section):
    """Who is released when: order, groups, rate and caps."""

    order: Literal["shuffled", "listed", "recently-active"] = "shuffled"
    """Within a group `shuffled` by the seed, as `listed`, or `recently-active`: by `last_seen` of the fleet file, the latest day first."""
    stagger: Stagger | None = None
    """Order by a label before that: one site after the other, or one module of each in turn; not set: labels do not count."""
    groups: list[RolloutGroup] = Field(default_factory=list, max_length=MOST_GROUPS)
    """Groups released one after the other; empty: everyone in one."""
    repeat_last_group: bool = False
    """Whether the last group, which then has a `count`, is followed by further ones like it until everybody is in one."""
    percent_of: Literal["total", "remaining", "hawkbit", "cumulative"] = "total"
    """What percentages of groups are of: all targets (`total`), those `remaining` after earlier groups, all targets as hawkBit 0.5 and later cuts them (`hawkbit`: the share of what remains is rounded), or all targets with the earlier groups counted in (`cumulative`: 5, 25, 100)."""
    rounding: Literal["half-up", "down"] = "half-up"
    """How sizes in per cent are rounded; `down` refuses a group that is rounded to nobody (Mender)."""
    maximum_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Most releases in a minute; not set: no limit."""
    exponential_rate: ExponentialRate | None = None
    """A release rate that grows; not set: constant."""
    rate_applies_to: Literal["snapshot", "all"] = "snapshot"
    """Late joiners pass the rate by (`snapshot`) or obey it (`all`)."""
    notified_counts: Literal["delivered", "released"] = "delivered"
    """A module counts as notified once its offer is `delivered`, or once it is `released`."""
    max_in_progress: Annotated[int, Field(ge=1)] | None = None
    """Most modules under way at once; not set: no limit."""
    in_progress_counts: Literal["released", "offered"] = "released"
    """What counts as under way for `max_in_progress`: from the release, or from the offer."""
    max_in_progress_per_cell: (
        Annotated[int, Field(ge=1)] | dict[Literal["0", "1", "2"], Annotated[int, Field(ge=1)]] | None
    ) = None
    """The same for each radio cell: a number, or by coverage level `{0: 50, 1: 10, 2: 1}`; needs `fleet.cells`."""
    max_in_progress_per_label: (
        Annotated[dict[Name, Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=1)] | None
    ) = None
    """The same for each value of a label, such as `{site: 2}`: two of a site at once; modules without the label are not held."""
    max_devices: Annotated[int, Field(ge=1)] | None = None
    """The plan ends once so many modules have completed; not set: no limit."""

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
        if caps is not None and self.max_in_progress_per_label is not None:
            raise ValueError("max_in_progress_per_label: not beside max_in_progress_per_cell; set that one to null")
        if self.repeat_last_group and not (self.groups and self.groups[-1].count and self.groups[-1].filter is None):
            raise ValueError("repeat_last_group: the last group needs a count above 0, and no filter")
        for group in self.groups[:-1]:
            if group.percent is None and group.count is None and group.filter is None:
                raise ValueError("groups: every group but the last needs percent, count or filter")
        names = [group.name or f"group-{number}" for number, group in enumerate(self.groups, 1)]
        again = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if again is not None:
            raise ValueError(f"groups: two are called {again}: results could not tell them apart; rename one")
        if sum(g.percent or 0.0 for g in self.groups) > 100.0 + 1e-9 and self.percent_of == "total":
            raise ValueError("groups: the percentages add up to more than 100")
        reached = [g.percent for g in self.groups if g.percent is not None]
        if self.percent_of == "cumulative" and sorted(reached) != reached:
            raise ValueError("groups: with percent_of: cumulative no percentage is below the one before")
        return self


class Criterion(Section):
    """Stop when so large a share has failed in this way, once so many have been through."""

    failure_type: FailureType = "all"
    """Which outcomes count as failures."""
    threshold_percentage: Annotated[float, Field(ge=0, le=100)]
    """It fires at so many per cent of failures or more; 0 only beside `min_number_of_failed`."""
    min_number_of_failed: Annotated[int, Field(ge=0)] = 0
    """It fires only once so many modules have failed, too."""
    min_number_of_executed: Annotated[int, Field(ge=1)] = 1
    """Modules that must be through before it is looked at."""
    denominator: Literal["completed", "notified", "targets"] = "completed"
    """What the percentage is of: modules `completed`, `notified`, or all `targets`."""
    action: Action = "cancel"
    """What happens to the plan when it fires; each criterion fires once."""

    @model_validator(mode="after")
    def _not_at_once(self) -> Criterion:
        if self.threshold_percentage == 0.0 and self.min_number_of_failed == 0:
            raise ValueError("threshold_percentage: above 0, or with min_number_of_failed beside it")
        return self


class Abort(Section):
    """Criteria that stop the plan, in order, and how often they are looked at (0: at every report)."""

    criteria: list[Criterion] = Field(default_factory=list, max_length=20)
    """Criteria in order; the first that is met wins."""
    evaluation_interval: Duration = 0.0
    """How often they are looked at, such as `60s`; 0: at every report."""
    withdraw_success: bool = False
    """A success is taken back, and counts as failed, once the module reports another version."""


class StepTimeouts(Section):
    """Bounds on single steps; none means for ever."""

    confirm: PositiveDuration | None = None
    """From the sending of the offer to the answer, such as `24h`."""
    download: PositiveDuration | None = None
    """For the download, such as `60min`."""
    update: PositiveDuration | None = None
    """For installation, restart and report, such as `30min`."""


class Timeouts(Section):
    """Bounds on an attempt, its steps and an unanswered offer; none means for ever."""

    in_progress: PositiveDuration | None = None
    """Bound on a whole attempt, such as `12h`."""
    timer_starts: Literal["confirmed", "in_progress", "download_start"] = "confirmed"
    """When that attempt begins: `confirmed` and `in_progress` are the agreement, `download_start` the download."""
    step: StepTimeouts = StepTimeouts()
    """Bounds on single steps."""
    offer: PositiveDuration | None = None
    """Bound on waiting for an answer, from the release, such as `24h`."""
    accept_late: bool = False
    """Whether a success reported after the final timeout counts."""


class RetryCriterion(Section):
    """How often, and how long after, one kind of failure is tried again."""

    failure_type: Literal["failed", "timed_out", "all"]
    """The kind of failure it is for."""
    number_of_retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)]
    """Further attempts after the first."""
    retry_interval: Duration = 0.0
    """Time from the failure to the next attempt, such as `10min`; 0: at once."""


class Retry(Section):
    """How often, and how long after a failure, the cloud tries again: over all failures, or by type."""

    number_of_retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)] = 0
    """Further attempts after the first, over all kinds of failure."""
    retry_interval: Duration = 0.0
    """Time from a failure to the next attempt, such as `10min`; 0: at once."""
    criteria: list[RetryCriterion] = Field(default_factory=list, max_length=2)
    """Retries by kind of failure, in place of the two above."""
    back_off: Annotated[float, Field(ge=1, le=10)] = 1.0
    """The interval grows by this factor with each failure; 1: it stays."""
    max_interval: PositiveDuration | None = None
    """Longest interval it grows to, such as `24h`; not set: no limit."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Each interval is moved by up to this share of it either way, such as 0.5; 0: modules that failed together retry together."""
    resume_download: bool | None = None
    """Whether a broken download goes on where it stopped; not set: as the group says."""

    @model_validator(mode="after")
    def _types(self) -> Retry:
        kinds = [c.failure_type for c in self.criteria]
        if len(set(kinds)) < len(kinds) or (len(kinds) > 1 and "all" in kinds):
            raise ValueError("criteria: one for all, or one each for failed and timed_out")
        return self


class InFlightSection(Section):
    """What becomes of a module that has started when its plan is paused or cancelled."""

    on_pause: Literal["continue", "stop", "starve"] = "continue"
    """While paused: `continue`: they go on; `stop`: cut off before installing; `starve`: their download URLs are gone."""
    on_cancel: InFlight = "continue"
    """On a cancel; `ask`: told at next contact and obey before installing; `revoke`: their next report is refused."""
    on_force_cancel: InFlight = "revoke"
    """On a force-cancel; the same choices."""
    on_revoked: Literal["keep", "rollback"] = "keep"
    """A module whose report is refused keeps the new image, or rolls back."""
    waiting_become: Literal["canceled", "failed"] = "canceled"
    """What waiting modules are called after a cancel."""


class RollbackPackage(Section):
    """The previous package of one component, which the action `rollback` sends."""

    component: ComponentId
    """Component of the plan."""
    version: Version
    """Version it goes back to."""
    size: PositiveSize
    """Size of that package, such as `1.2 MB`."""


class Loss(Section):
    """Something a plan file of another product limits, selects or stops that this strategy does not."""

    key: Annotated[str, Field(min_length=1, max_length=500)]
    """Where it stands in the plan file."""
    value: Annotated[str, Field(max_length=500)] = ""
    """What stands there."""
    why: Annotated[str, Field(max_length=1000)]
    """Why it is not carried over."""
    cure: Annotated[str, Field(max_length=1000)] = ""
    """What can be done about it."""


class StrategySection(Section):
    """The strategy of the plan; the preset names the product whose defaults fill what is not set."""

    preset: Literal[PRESET_NAMES] = "quectel"  # type: ignore[valid-type]
    """Product whose defaults fill what is not set; docs/strategy.md lists them. `none`: everybody at once, no limits."""
    target_selection: Literal["snapshot", "continuous"] = "snapshot"
    """`snapshot`: the modules there at activation; `continuous`: also those that join later."""
    preconditions: Preconditions = Preconditions()
    """What a module must meet."""
    delivery: Delivery = Delivery()
    """How modules learn of the plan."""
    retry: Retry = Retry()
    """Further attempts after failures."""
    rollout: Rollout = Rollout()
    """Groups, rate and caps of the release."""
    abort: Abort = Abort()
    """When the plan stops itself."""
    schedule: Schedule = Schedule()
    """Activation, end and windows."""
    timeouts: Timeouts = Timeouts()
    """Bounds on attempts and steps."""
    in_flight: InFlightSection = InFlightSection()
    """What becomes of modules under way when the plan is paused or cancelled."""
    overwrite_mode: Literal["keep", "fail", "replace"] = "keep"
    """A module busy with an earlier plan waits (`keep`), fails at once (`fail`) or is taken over (`replace`)."""
    rollback: list[RollbackPackage] = Field(default_factory=list, max_length=20)
    """The previous package of each component, for the action `rollback`."""
    losses: list[Loss] = Field(default_factory=list, max_length=1000)
    """What `fotasim import --accept-losses` did not carry over; stands in the manifest and in the report."""

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
