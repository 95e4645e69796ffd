"""The scenario file as types: every key, its meaning, its bounds and its default. Values are SI after loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, create_model, model_validator

from sim import gates as gate_rules
from sim import units
from sim.cloud.catalog import FILE_FORMATS, MAX_FILE_BYTES, MAX_FILES
from sim.module.parameters import PARAMETERS
from sim.records import METRICS
from sim.scenario.distribution import SizeDistribution, TimeDistribution, ValueDistribution
from sim.scenario.fields import (
    BitRate,
    Clock,
    ComponentId,
    Duration,
    Energy,
    Name,
    Probability,
    Rate,
    Section,
    Size,
    Version,
    clock_s,
    written,
)
from sim.scenario.strategy import StrategySection


class Overrides(Section):
    """Parameters set here replace the defaults of the model's table."""

    def overrides(self) -> dict[str, float]:
        """Only the parameters that are set, by name."""
        return {name: value for name, value in self if value is not None and name in PARAMETERS}


def _overrides(section: str) -> type[Overrides]:
    fields: dict[str, Any] = {}
    for row in PARAMETERS.values():
        if row.section == section:
            kind = Duration if row.unit == "s" else float
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

    every: Annotated[Duration, Field(gt=0)]
    to: Annotated[float, Field(gt=0, le=100)] = 100.0
    down_to: Annotated[float, Field(ge=0, lt=100)] = 5.0

    @model_validator(mode="after")
    def _falls(self) -> Recharge:
        if self.down_to >= self.to:
            raise ValueError("recharge: down_to must be below to")
        return self


class Battery(Section):
    """Capacity of the battery (an AA Li-SOCl2 cell by default) and how it is recharged, if at all."""

    capacity: Energy = units.energy("9.36 Wh")
    recharge: Recharge | None = None


class CheckIn(Section):
    """When modules come online. Exactly one pattern: `always`, `every`, `poisson`, `diurnal` or `sleepy`."""

    kind: Literal["always", "periodic", "poisson", "diurnal", "sleepy"] = "periodic"
    every: Annotated[Duration, Field(gt=0)] = 86400.0
    jitter: Duration = 0.0
    awake: Annotated[Duration, Field(gt=0)] = 60.0
    at: Clock | None = None
    spread: Duration = 0.0
    peaks: list[Clock] = Field(default=["08:00", "17:30"], min_length=1, max_length=24)
    online: Annotated[Duration, Field(gt=0)] = 2400.0
    probability: Annotated[float, Field(gt=0, le=1)] = 0.6
    edrx: Duration = 0.0

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
        return self

    @property
    def phase_s(self) -> float | None:
        """Second of the day of the mean check-in, or None for a uniform phase."""
        return None if self.at is None else clock_s(self.at)

    @property
    def peaks_s(self) -> tuple[float, ...]:
        """Peaks of the day in seconds of the day."""
        return tuple(clock_s(peak) for peak in self.peaks)


Shares = str | dict[str, Annotated[float, Field(gt=0)]]


def _adds_up(shares: str | dict[str, float], what: str) -> None:
    if isinstance(shares, dict) and abs(sum(shares.values()) - 1.0) > 1e-6:
        raise ValueError(f"{what}: the shares add up to {sum(shares.values()):g}, they must add up to 1")


class Group(Section):
    """Modules alike: technology, supply, versions and the distributions they are drawn from."""

    name: Name
    share: Annotated[float, Field(gt=0, le=1)] | None = None
    file: Path | None = None
    columns: dict[
        Literal["module", "hardware", "cell", "rsrp_dbm", "battery_percent", "free_space", "version"], str
    ] = Field(default_factory=dict)  # fmt: skip
    technology: Literal["nb-iot", "lte-m", "cat1bis", "cat1", "cat4"]
    power: Literal["battery", "mains", "vehicle"] = "battery"
    mobile: bool | None = None
    components: dict[ComponentId, Shares] = Field(default={"fw": "1.0.0"}, min_length=1, max_length=20)
    hardware: Shares = "A"
    rsrp_dbm: ValueDistribution = written({"distribution": "normal", "mean": -100, "sd": 11, "low": -135, "high": -55})
    battery_percent: ValueDistribution = written({"distribution": "uniform", "low": 20, "high": 100})
    free_space: SizeDistribution = written({"distribution": "lognormal", "median": "4 MB", "sigma": 0.6})
    battery: Battery = Battery()
    check_in: CheckIn = written({"every": "24h", "jitter": "10min"})
    joins: TimeDistribution | None = None
    partition: Literal["resumable", "in-place"] = "resumable"
    resume_download: bool = False
    mcu_buffer: Size | None = None
    failures: Failures = Failures()  # type: ignore[valid-type]
    physics: Physics = Physics()  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _whole(self) -> Group:
        if (self.share is None) == (self.file is None):
            raise ValueError(f"group {self.name}: give either share or file")
        if self.file is not None and self.file.suffix not in (".csv", ".parquet"):
            raise ValueError(f"group {self.name}: file must end in .csv or .parquet")
        if self.columns and self.file is None:
            raise ValueError(f"group {self.name}: columns need a file")
        for component, shares in self.components.items():
            _adds_up(shares, f"components.{component}")
        _adds_up(self.hardware, "hardware")
        return self


class Cells(CellOverrides):  # type: ignore[misc, valid-type]
    """What modules of one cell share: how many a cell holds, whether their access collides, and its figures.

    Modules of a fleet file with a `cell` column are in the cell named there; without `modules_per_cell` the others
    are in none and share nothing.
    """

    modules_per_cell: ValueDistribution | None = None
    random_access: bool = True

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
    groups: list[Group] = Field(min_length=1, max_length=64)
    cells: Cells | None = None
    failures: Failures = Failures()  # type: ignore[valid-type]
    physics: Physics = Physics()  # type: ignore[valid-type]

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


class Defect(Section):
    """What is wrong with a release: chances that replace the healthy ones, for one hardware revision or all."""

    hardware: str | None = None
    boot_failure: Probability | None = None
    brick: Probability | None = None


class PlanComponent(Section):
    """One component to upgrade, with its package."""

    component: ComponentId
    type: Literal["firmware", "mcu"] = "firmware"
    package: Literal["full", "delta"] = "full"
    source_version: Version | None = None
    target_version: Version
    size: Annotated[Size, Field(gt=0)] | None = None
    file: Path | None = None
    files: Annotated[int, Field(ge=1, le=MAX_FILES)] = 1
    defects: list[Defect] = Field(default_factory=list)

    @model_validator(mode="after")
    def _package(self) -> PlanComponent:
        if (self.package == "delta") != (self.source_version is not None):
            raise ValueError("source_version belongs to a delta package, and a delta package needs one")
        if (self.size is None) == (self.file is None):
            raise ValueError("give either size or file")
        if self.file is not None and self.file.suffix.removeprefix(".") not in FILE_FORMATS:
            raise ValueError(f"file must end in one of {', '.join(FILE_FORMATS)}")
        if self.total_size > MAX_FILE_BYTES * self.files:
            raise ValueError("size: at most 100 MB a file, five files")
        return self

    @property
    def total_size(self) -> int:
        """Bytes of the package."""
        return self.size if self.size is not None else self.file.stat().st_size  # type: ignore[union-attr]


class OperatorAction(Section):
    """Something the operator does while the plan runs."""

    at: Duration
    do: Literal["suspend", "resume", "next-group", "terminate", "retry-failed", "cancel"]
    modules: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _modules(self) -> OperatorAction:
        if (self.do == "cancel") != bool(self.modules):
            raise ValueError("modules belong to cancel, and cancel needs them")
        return self


class EarlierPlan(Section):
    """A share of the modules is still busy with an earlier plan at activation; the overwrite mode says what then."""

    share: Probability
    ends: TimeDistribution = written({"distribution": "uniform", "low": "0h", "high": "48h"})


class PlanSection(Section):
    """The upgrade plan: who, what, in which order, under which strategy."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    whitelist: list[str] = Field(default_factory=list, max_length=1_000_000)
    blacklist: list[str] = Field(default_factory=list, max_length=1_000_000)
    mode: Literal["silent", "confirm"] = "silent"
    user_delay: TimeDistribution = written({"distribution": "lognormal", "median": "4h", "sigma": 1.0})
    components: list[PlanComponent] = Field(min_length=1, max_length=20)
    strategy: StrategySection = StrategySection()
    earlier_plan: EarlierPlan | None = None
    operator: list[OperatorAction] = Field(default_factory=list, max_length=1000)

    @model_validator(mode="after")
    def _distinct(self) -> PlanSection:
        if len({c.component for c in self.components}) < len(self.components):
            raise ValueError("components: one component stands twice")
        strategy = self.strategy
        if self.mode == "confirm" and strategy.confirms is False:
            raise ValueError("mode: confirm asks the user, but delivery.confirmation says otherwise")
        if strategy.delivery.action_type == "download-only" and [c.type for c in self.components] != ["firmware"]:
            raise ValueError("strategy.delivery.action_type: download-only works with one component, of type firmware")
        missing = {c.component for c in self.components} - {r.component for r in strategy.rollback}
        if strategy.rollback and missing:
            raise ValueError(f"strategy.rollback: the previous package of {', '.join(sorted(missing))} is missing")
        return self

    @property
    def confirmed_by_user(self) -> bool:
        """Whether a user has to agree on the device."""
        return self.mode == "confirm" or bool(self.strategy.confirms)


class CapacitySection(Section):
    """What the cloud can bear."""

    connections_per_s: Rate = 500.0
    request_workers: Annotated[int, Field(ge=1, le=100_000)] = 32
    request_time: Annotated[Duration, Field(gt=0)] = 0.04
    downloads: Annotated[int, Field(ge=1)] = 2000
    egress: BitRate = 1e9


class CloudSection(Section):
    """The cloud the modules talk to. `ddi` is a server of hawkBit's Direct Device Integration, for live runs.

    A simulation takes capacity and strategy whatever the kind, so that a rollout can be predicted before it is run on
    the real server. Credentials never stand here: they come from the environment.
    """

    kind: Literal["simulated", "ddi"] = "simulated"
    capacity: CapacitySection = CapacitySection()
    keepalive: Annotated[Duration, Field(gt=0)] = 120.0
    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$", max_length=500)] | None = None
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "DEFAULT"
    server: Literal["hawkbit", "goosebit"] | None = None

    @model_validator(mode="after")
    def _of_ddi(self) -> CloudSection:
        if self.kind != "ddi" and (self.url is not None or self.server is not None):
            raise ValueError("url and server belong to a cloud of kind ddi")
        return self


class _Written:
    """What a file gives. Two scenarios that mean the same are equal however they were written, so all these are."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written)

    __hash__ = None  # type: ignore[assignment]


class Scenario(Section):
    """A scenario: fleet, plan, cloud and gates. Durations in seconds, sizes in bytes, rates per second."""

    name: Name
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 1
    horizon: Annotated[Duration, Field(gt=0, le=2 * 365 * 86400)] = 14 * 86400.0
    fleet: Fleet
    plan: PlanSection
    cloud: CloudSection = CloudSection()
    gates: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        for metric, bound in self.gates.items():
            if metric not in METRICS:
                raise ValueError(f"gates.{metric}: not a metric; choose from {', '.join(METRICS)}")
            try:
                gate_rules.parse(metric, bound)
            except ValueError as error:
                raise ValueError(f"gates.{metric}: {error}; found {bound!r}") from None
        planned = {c.component for c in self.plan.components}
        for group in self.fleet.groups:
            if not planned <= group.components.keys():
                missing = ", ".join(sorted(planned - group.components.keys()))
                number = self.fleet.groups.index(group)
                raise ValueError(
                    f"fleet.groups.{number}.components: group {group.name} has no {missing}, which the plan upgrades"
                )
        known = {name for g in self.fleet.groups if g.file is None for name in _names(g.hardware)}
        for component in self.plan.components:
            for defect in component.defects:
                if known and defect.hardware not in (None, *known) and all(g.file is None for g in self.fleet.groups):
                    raise ValueError(f"defects: no group has hardware {defect.hardware!r}")
        return self

    _written: _Written = PrivateAttr(default_factory=lambda: _Written({}))

    @property
    def written(self) -> dict[str, Any]:
        """The tree of keys as the file gives them, before presets and defaults; empty when there was no file."""
        return self._written.tree

    def remember(self, tree: dict[str, Any]) -> None:
        """Keeps the tree the scenario was read from, for variations of it."""
        self._written = _Written(tree)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Scenario:
        """Reads and checks a scenario file; `overrides` are `key=value` texts. Raises ScenarioError."""
        from sim.scenario.load import load

        return load(Path(path), overrides)

    @classmethod
    def from_text(cls, text: str, name: str = "scenario.yaml") -> Scenario:
        """Checks a scenario given as text. Raises ScenarioError."""
        from sim.scenario.load import check

        return check(text, name, ())

    def with_(self, settings: Mapping[str, Any] | None = None, /, **further: Any) -> Scenario:
        """A variation: other values at dotted paths, such as {"plan.strategy.preconditions.min_rsrp_dbm": -118}.

        Keywords write two underscores for each dot: `with_(fleet__size=500, seed=2)`. Values are read as in the file,
        units included. Raises ScenarioError.
        """
        from sim.scenario.load import vary

        return vary(self, {**(settings or {}), **{key.replace("__", "."): value for key, value in further.items()}})

    def to_yaml(self) -> str:
        """The whole scenario with defaults written out; loads back equal."""
        from sim.scenario.load import dump

        return dump(self)


def _names(shares: str | dict[str, float]) -> list[str]:
    return [shares] if isinstance(shares, str) else list(shares)
