"""The fleet section: groups of modules, their supply, signal, habits and cells."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, create_model, model_validator

from sim import units
from sim.module.parameters import PARAMETERS
from sim.scenario.distribution import PercentDistribution, SizeDistribution, TimeDistribution, ValueDistribution
from sim.scenario.fields import (
    PRINTABLE,
    Clock,
    ComponentId,
    Duration,
    Energy,
    Name,
    PositiveDuration,
    Seconds,
    Section,
    Size,
    clock_s,
    quantity,
    written,
)
from sim.scenario.fleet_files.columns import UNITS, Column, ColumnOf, Key
from sim.scenario.shared_fate import Lots, Outage
from sim.scenario.zones import zone_of


class Overrides(Section):
    """Parameters set here replace the defaults of the model's table."""

    model_config = ConfigDict(use_attribute_docstrings=False)  # made below, without source: looking for it costs 0.2 s

    def overrides(self) -> dict[str, float]:
        """Only the parameters that are set, by name."""
        return {name: value for name, value in self if value is not None and name in PARAMETERS}


def _overrides(section: str) -> type[Overrides]:
    fields: dict[str, Any] = {}
    for row in PARAMETERS.values():
        if row.section == section:
            kind = Seconds if row.unit == "s" else float
            text = f"{row.meaning} [{row.unit}]; default {row.default:g}; {row.provenance}: {row.source}"
            bounds: dict[str, Any] = {"ge": row.minimum, **({} if row.maximum == float("inf") else {"le": row.maximum})}
            fields[row.name] = (
                Annotated[kind, Field(**bounds)] | None,
                Field(default=None, description=text),
            )
    return create_model(section.capitalize(), __base__=Overrides, **fields)


Failures = _overrides("failures")
Physics = _overrides("physics")
CellOverrides = _overrides("cells")


class Recharge(Section):
    """A rechargeable battery: charged every so often, falling from `to` down to `down_to` in between."""

    every: PositiveDuration
    """Time from one charge to the next, such as `10d`; the charge at activation says how much of it is over."""
    to: Annotated[float, Field(gt=0, le=100)] = 100.0
    """Per cent of the capacity right after a charge; the default is a full battery."""
    down_to: Annotated[float, Field(ge=0, lt=100)] = 5.0
    """Per cent of the capacity just before the next charge; below `to`."""

    @model_validator(mode="after")
    def _falls(self) -> Recharge:
        if self.down_to >= self.to:
            raise ValueError("recharge: down_to must be below to")
        return self


class Battery(Section):
    """Capacity of the battery (an AA Li-SOCl2 cell by default) and how it is recharged, if at all."""

    capacity: Energy = units.energy("9.36 Wh")
    """Energy of a full battery, such as `9.36 Wh`; the default is an AA Li-SOCl2 cell of 2.6 Ah at 3.6 V."""
    recharge: Recharge | None = None
    """How it is charged; not set: a primary cell that only drains."""


def _settings(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _as_written(schema: dict[str, Any]) -> None:
    """Tells editors of the short forms of a check-in that `CheckIn` reads."""
    keys, time = schema["properties"], quantity("duration", "6h")
    forms = {
        "always": (
            "Online all the time: `always`, or `{report_every: 6h}` below it.",
            _settings(report_every=time, edrx=keys["edrx"]),
        ),
        "poisson": ("Mean time between check-ins at random, such as `6h`.", time),
        "diurnal": (
            "Online around the peaks of the day.",
            _settings(**{key: keys[key] for key in ("peaks", "spread", "online", "probability", "edrx")}),
        ),
        "sleepy": (
            "Asleep (PSM) but for `active`, such as `6s`, after each period `tau`, such as `24h`.",
            _settings(tau=time, active=time, **{key: keys[key] for key in ("jitter", "at", "spread", "edrx")}),
        ),
    }
    schema["properties"] = {**{key: {**form, "description": text} for key, (text, form) in forms.items()}, **keys}


def _or_always(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"const": "always"}]


class CheckIn(Section):
    """When modules come online. Exactly one pattern: `always`, `every`, `poisson`, `diurnal` or `sleepy`."""

    model_config = ConfigDict(json_schema_extra=_as_written)

    kind: Literal["always", "periodic", "poisson", "diurnal", "sleepy"] = "periodic"
    """The pattern; the short forms (`always`, `every`, `poisson`, `diurnal`, `sleepy`) set it."""
    every: PositiveDuration = 86400.0
    """Time from check-in to check-in, such as `24h`: the period, the mean with `poisson`, the reports' interval with `always`."""
    jitter: Duration = 0.0
    """Each periodic check-in is moved by up to so much either way, such as `10min`; at most half of `every`."""
    awake: PositiveDuration = 60.0
    """How long a module stays online after a check-in without anything to do; `sleepy` alone defaults to `6s`."""
    at: Clock | None = None
    """Local time of day of the check-in, such as `"03:00"`; not set: each module has a phase of its own."""
    spread: Duration = 0.0
    """Standard deviation between modules around `at`, or around each peak; `diurnal` alone defaults to `45min`."""
    peaks: list[Clock] = Field(default=["08:00", "17:30"], min_length=1, max_length=24)
    """Local times of day around which `diurnal` modules come online; the default is the two rush hours."""
    online: PositiveDuration = 2400.0
    """Median time a `diurnal` module stays online, such as `40min`."""
    probability: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Chance that a `diurnal` module comes online at a peak."""
    edrx: Duration = 0.0
    """Longest paging wait while awake, such as `20s`: messages to the module wait up to so long; 0: no eDRX."""

    @model_validator(mode="before")
    @classmethod
    def _pattern(cls, given: Any) -> Any:
        """Accepts the short forms people write: `always`, {every: 24h}, {poisson: 6h}, {diurnal: {…}}, {sleepy: {…}}."""
        if given == "always":
            return {"kind": "always", "every": "6h"}
        if not isinstance(given, dict | str) or (isinstance(given, dict) and "kind" in given):
            return given
        rest = dict(given) if isinstance(given, dict) else {}
        for kind, renamed in (
            ("always", {"report_every": "every"}),
            ("diurnal", {}),
            ("sleepy", {"tau": "every", "active": "awake"}),
        ):
            if kind in rest:
                inner = rest.pop(kind) or {}
                if rest or not isinstance(inner, dict):
                    raise ValueError(f"check_in: {kind} stands alone, with its settings below it")
                settings = {renamed.get(key, key): value for key, value in inner.items()}
                defaults = {
                    "diurnal": {"spread": "45min"},
                    "sleepy": {"awake": "6s"},
                    "always": {"every": "6h"},
                }[kind]
                return {"kind": kind, **defaults, **settings}
        if "poisson" in rest:
            return {"kind": "poisson", "every": rest.pop("poisson"), **rest}
        if "every" in rest:
            return {"kind": "periodic", **rest}
        raise ValueError("check_in: write always, {every: 24h}, {poisson: 6h}, {diurnal: {…}} or {sleepy: {tau: 24h}}")

    @model_validator(mode="after")
    def _jitter(self) -> CheckIn:
        if self.kind in ("periodic", "sleepy") and 2 * self.jitter > self.every:
            raise ValueError("check_in: jitter must not exceed half of every")
        if self.kind in ("periodic", "poisson", "sleepy") and self.awake >= self.every:
            raise ValueError("check_in: awake must be shorter than the time between check-ins; write always instead")
        return self

    @property
    def phase_s(self) -> float | None:
        """Second of the day of the mean check-in, or None for a uniform phase."""
        return None if self.at is None else clock_s(self.at)

    @property
    def peaks_s(self) -> tuple[float, ...]:
        """Peaks of the day in seconds of the day."""
        return tuple(clock_s(peak) for peak in self.peaks)


MAX_LABEL_CHARS = 200


def _checked_label(given: Any) -> Any:
    """A text is a label of all modules, never the name of a column."""
    if isinstance(given, str) and (len(given) > MAX_LABEL_CHARS or re.fullmatch(PRINTABLE, given) is None):
        raise ValueError(
            f"a label is one line of at most {MAX_LABEL_CHARS} characters, none of them a control character"
        )
    return given


Label = Annotated[
    Annotated[str, Field(max_length=MAX_LABEL_CHARS, pattern=PRINTABLE)] | Column, BeforeValidator(_checked_label)
]
Shares = str | dict[str, Annotated[float, Field(gt=0)]]


def _adds_up(shares: str | dict[str, float], what: str) -> None:
    if isinstance(shares, dict) and abs(sum(shares.values()) - 1.0) > 1e-6:
        raise ValueError(f"{what}: the shares add up to {sum(shares.values()):g}, they must add up to 1")


UNKNOWN_VERSION = "?"
"""Stands for a component whose versions all come from the file."""


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class Group(Section):
    """Modules alike: technology, supply, versions and the distributions they are drawn from."""

    name: Name
    """Name of the group in results and filters; each name once."""
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    """Part of `fleet.size` in this group; the shares of all groups add up to 1. Without it give a `file`."""
    file: Path | None = None
    """List of modules, one a row, relative to the scenario, in place of a `share`: CSV and its kin, Excel (.xlsx), Parquet, JSON; gz."""
    sheet: Annotated[str, Field(max_length=100)] | None = None
    """Sheet of an Excel file; needed when several have a table."""
    columns: dict[Key, ColumnOf] = Field(default_factory=dict)
    """Column of the file for each value it holds, such as `{module: imei, rsrp_dbm: {column: RSRP, missing: sample}}`; the rest is drawn."""
    versions: dict[ComponentId, ColumnOf] = Field(default_factory=dict, max_length=20)
    """Columns with the versions of components: `{fw: FW, mcu: {column: MCU FW, missing: drop}}`; `columns.version` is the first one's."""
    where: dict[str, Annotated[list[str], BeforeValidator(_listed), Field(min_length=1, max_length=1000)]] = Field(
        default_factory=dict, max_length=20
    )
    """Only rows of the file with one of these texts in a column: `{Technology: [LTE-M, Cat-M1]}`."""
    duplicates: Literal["stop", "keep-first", "keep-last"] = "stop"
    """What to do where the file has a module twice."""
    technology: Literal["nb-iot", "lte-m", "cat1bis", "cat1", "cat4"]
    """Radio technology, which decides rates, delays and currents."""
    power: Literal["battery", "mains", "vehicle"] = "battery"
    """Supply: decides whether the battery counts and how often power is cut."""
    mobile: bool | None = None
    """Whether the module moves, so that sessions break more often; not set: only with `power: vehicle`."""
    components: dict[ComponentId, Shares] = Field(default={"fw": "1.0.0"}, min_length=1, max_length=20)
    """Installed version of each component, or shares of versions: `{fw: {"1.0.0": 0.8, "1.1.0": 0.2}}`."""
    time_zone: str | None = None
    """Zone of the clock times of its `check_in`, such as `Asia/Kolkata`; not set: that of the plan's schedule."""
    hardware: Shares = "A"
    """Hardware revision, or shares of revisions: `{A: 0.9, B: 0.1}`; defects of a release go by it."""
    labels: dict[Name, Label] = Field(default_factory=dict, max_length=32)
    """Labels of its modules, such as `{site: lab}` for all of them or `{customer: {column: Customer}}` from the file, for filters of rollout groups."""
    rsrp_dbm: ValueDistribution = written({"distribution": "normal", "mean": -100, "sd": 11, "low": -135, "high": -55})
    """Mean signal of each module in dBm (RSRP); a value or a distribution."""
    battery_percent: PercentDistribution = written({"distribution": "uniform", "low": 20, "high": 100})
    """Charge of the battery at activation in per cent; a value or a distribution."""
    free_space: SizeDistribution = written({"distribution": "lognormal", "median": "4 MB", "sigma": 0.6})
    """Free space for the package, such as `4 MB`; a value or a distribution."""
    battery: Battery = Battery()
    """Capacity of the battery and how it is recharged."""
    check_in: CheckIn = Field(
        default={"every": "24h", "jitter": "10min"}, validate_default=True, json_schema_extra=_or_always
    )
    """When modules come online: `always`, `{every: 24h}`, `{poisson: 6h}`, `{diurnal: {…}}`, `{sleepy: {tau: 24h}}`."""
    joins: TimeDistribution | None = None
    """Time after activation at which a module joins the fleet; not set: all are there from the start."""
    leaves: TimeDistribution | None = None
    """Time after activation at which a module leaves the fleet for good, upgraded or not; not set: none leaves."""
    partition: Literal["resumable", "in-place"] = "resumable"
    """`resumable`: a power cut while flashing is survived; `in-place`: it may brick the module."""
    anti_rollback: bool = False
    """Whether the device refuses, before it writes, a version older than the one it runs (numbers with dots)."""
    resume_download: bool = False
    """Whether a broken download goes on where it stopped; false: it is erased and restarted."""
    mcu_buffer: Size | None = None
    """Module flash for MCU images, such as `256 KiB`, read out piece by piece; not set: as much as is free."""
    failures: Failures = Failures()  # type: ignore[valid-type]
    """Chances of failures that differ from the fleet's."""
    physics: Physics = Physics()  # type: ignore[valid-type]
    """Physical figures that differ from the fleet's."""

    @model_validator(mode="after")
    def _whole(self) -> Group:
        if (self.share is None) == (self.file is None):
            raise ValueError(f"group {self.name}: give either share or file")
        if self.file is None and (self.columns or self.versions or self.where or self.sheet or self._label_columns()):
            raise ValueError(f"group {self.name}: columns, versions, where, sheet and labels of columns need a file")
        self._check_columns()
        self._charge_fits()
        if self.time_zone is not None:
            zone_of(self.time_zone)
        for component, shares in self.components.items():
            _adds_up(shares, f"components.{component}")
        _adds_up(self.hardware, "hardware")
        return self

    def _label_columns(self) -> list[Column]:
        return [label for label in self.labels.values() if isinstance(label, Column)]

    def _check_columns(self) -> None:
        """Units and policies that fit what a column holds."""
        for key, column in self.columns.items():
            column.check_unit(f"columns.{key}")
            if key not in UNITS:
                column.check_text(f"columns.{key}")
            if key in ("module", "cell", "time_zone", "last_seen") and column.missing in ("sample", "distribution"):
                raise ValueError(
                    f"columns.{key}: missing: {column.missing} is for values that can be drawn; choose stop or drop"
                )
            if key == "module" and column.missing == "default":
                raise ValueError("columns.module: an id has no default; choose stop or drop")
        if "version" in self.columns and next(iter(self.components)) in self.versions:
            raise ValueError("versions: columns.version is the first component's already; give one of them")
        for name, column in self.versions.items():
            column.check_unit(f"versions.{name}")
            column.check_text(f"versions.{name}")
            if column.missing == "distribution" and self.components.get(name) == UNKNOWN_VERSION:
                raise ValueError(f"versions.{name}: missing: distribution needs its shares in components")
        for column in self._label_columns():
            column.check_unit("labels")
            column.check_text("labels")
            if column.missing in ("sample", "distribution"):
                raise ValueError(
                    f"labels: missing: {column.missing} is for values that can be drawn; choose stop, drop or default"
                )

    @model_validator(mode="before")
    @classmethod
    def _components_of_versions(cls, given: Any) -> Any:
        """A component whose version is a column needs no entry in `components`."""
        if not isinstance(given, dict) or not isinstance(given.get("versions"), dict):
            return given
        listed = given.get("components")
        if listed is not None and not isinstance(listed, dict):
            return given
        unlisted = {name: UNKNOWN_VERSION for name in given["versions"] if name not in (listed or {})}
        return {**given, "components": {**(listed or {}), **unlisted}} if unlisted else given

    def has_label(self, label: str) -> bool:
        """Whether modules of this group can have a label: its own, or a column of its file."""
        return label in self.labels or label in self.columns

    def may_have(self, labels: dict[str, list[str]]) -> bool:
        """Whether each of these labels has one of its values here, or comes from the file."""
        given = ((self.labels.get(label), values) for label, values in labels.items())
        from_file = ("time_zone", "last_seen") if self.file is not None else ()
        return all(isinstance(one, Column) or one in values for one, values in given if one is not None) and all(
            label in self.labels or label in from_file for label in labels
        )

    def _charge_fits(self) -> None:
        """A listed charge is the charge a module has, so the saw-tooth of a rechargeable battery must pass through it."""
        recharge = self.battery.recharge
        if recharge is None or self.power != "battery" or "battery_percent" in self.columns:
            return
        low, high = (min(max(end, 0.0), 100.0) for end in self.battery_percent.support)
        if low < recharge.down_to or high <= recharge.down_to or high > recharge.to:
            raise ValueError(
                f"battery_percent: reaches from {low:g} to {high:g} %, but battery.recharge keeps the charge between down_to "
                f"({recharge.down_to:g}) and to ({recharge.to:g}); truncate it with low and high, or widen recharge"
            )


class Cells(CellOverrides):  # type: ignore[misc, valid-type]
    """What modules of one cell share: how many a cell holds, whether their access collides, and its figures.

    Modules of a fleet file with a `cell` column are in the cell named there; without `modules_per_cell` the others
    are in none and share nothing.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)

    modules_per_cell: ValueDistribution | None = None
    """Modules in a cell, a number or a distribution; not set: only cells that a fleet file names."""
    random_access: bool = True
    """Whether accesses of one cell at the same time collide."""

    @model_validator(mode="after")
    def _some(self) -> Cells:
        if (
            self.modules_per_cell is not None
            and self.modules_per_cell.kind == "constant"
            and self.modules_per_cell.a < 1
        ):
            raise ValueError("modules_per_cell: at least 1")
        return self


class Fleet(Section):
    """The modules: how many, of which groups, and how things go wrong."""

    size: Annotated[int, Field(ge=0, le=50_000_000)] = 0
    """Modules of all groups with a `share` together; groups from files bring their own."""
    modules: Annotated[int, Field(ge=1, le=50_000_000)] | None = None
    """Modules in all, groups from files included, which are sampled at random (by the seed); not set: all of them."""
    groups: list[Group] = Field(min_length=1, max_length=64)
    """Groups of modules alike."""
    cells: Cells | None = None
    """Radio cells whose modules share access and downlink; not set: modules share nothing."""
    lots: Lots | None = None
    """Lots of hardware that a release suits better or worse; not set: modules fail independently."""
    outages: list[Outage] = Field(default_factory=list, max_length=16)
    """Times in which parts of the fleet have no network or no power."""
    ordinary_day: bool = False
    """Whether modules the plan is done with go on checking in and load the cloud; false: they are left alone, which is faster."""
    callbacks: Literal["document", "sdk-2.9"] = "document"
    """How the application is told of 10701 and 10703: as the upgrade example documents it, with component, size and MD5
    or piece, or as SDK 2.9 does, bare for module firmware."""
    failures: Failures = Failures()  # type: ignore[valid-type]
    """Chances of failures that replace the model's, for all groups."""
    physics: Physics = Physics()  # type: ignore[valid-type]
    """Physical figures that replace the model's, for all groups."""

    @property
    def label_names(self) -> list[str]:
        """Labels that some group has, each once."""
        return list(dict.fromkeys(name for group in self.groups for name in group.labels))

    @model_validator(mode="before")
    @classmethod
    def _modules(cls, given: Any) -> Any:
        """Without groups from files `modules` is the fleet's size."""
        if not isinstance(given, dict) or given.get("modules") is None or not isinstance(given.get("groups"), list):
            return given
        if any(isinstance(g, dict) and g.get("file") is not None for g in given["groups"]):
            return given
        return {**{key: value for key, value in given.items() if key != "modules"}, "size": given["modules"]}

    @model_validator(mode="after")
    def _adds_up(self) -> Fleet:
        shares = [g.share for g in self.groups if g.share is not None]
        if shares and abs(sum(shares) - 1.0) > 1e-6:
            raise ValueError(f"groups: the shares of the groups add up to {sum(shares):g}, they must add up to 1")
        if shares and self.size < 1:
            raise ValueError("size: must be at least 1")
        if len({g.name for g in self.groups}) < len(self.groups):
            raise ValueError("groups: a name occurs twice; each group needs its own")
        from_file = any("cell" in g.columns for g in self.groups)
        if self.cells is not None and self.cells.modules_per_cell is None and not from_file:
            raise ValueError("cells: give modules_per_cell, or a cell column of a fleet file")
        return self
