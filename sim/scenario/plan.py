"""The plan section: who is upgraded, to what, in which order, and what the operator does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sim.cloud.catalog import FILE_FORMATS, MAX_FILE_BYTES, MAX_FILES
from sim.scenario.distribution import TimeDistribution
from sim.scenario.fields import ComponentId, Duration, PositiveSize, Probability, Section, Version, written
from sim.scenario.strategy import StrategySection


class Defect(Section):
    """What is wrong with a release: chances that replace the healthy ones, for one hardware revision or all."""

    hardware: str | None = None
    """Hardware revision it concerns; not set: all."""
    from_version: Version | None = None
    """Installed version of this component it concerns, at activation; not set: all."""
    boot_failure: Probability | None = None
    """Chance that the new image does not boot and the module rolls back; not set: the healthy figure."""
    brick: Probability | None = None
    """Chance that the module never comes back from flashing; not set: the healthy figure."""
    late_failure: Probability | None = None
    """Chance that the new image fails hours after its success (`failures.late_failure_median_s`); not set: the healthy figure."""
    other_version: Probability | None = None
    """Chance that the image names another version than the plan's, 1 for a wrong artefact; not set: the healthy figure."""


class PlanComponent(Section):
    """One component to upgrade, with its package."""

    component: ComponentId
    """Name of the component, as the groups list it."""
    type: Literal["firmware", "mcu"] = "firmware"
    """`firmware`: the module upgrades itself; `mcu`: it hands the image to the MCU beside it."""
    package: Literal["full", "delta"] = "full"
    """`full`: fits any version; `delta`: fits `source_version` alone."""
    source_version: Version | None = None
    """Version a delta package starts from; modules with another one do not take it."""
    target_version: Version
    """Version after the upgrade; modules that report it already need nothing."""
    size: PositiveSize | None = None
    """Size of the package, such as `1.2 MB`; at most 100 MB a file. Without it give a `file`."""
    file: Path | None = None
    """Package file whose size counts, relative to the scenario; in place of `size`."""
    files: Annotated[int, Field(ge=1, le=MAX_FILES)] = 1
    """Number of files the package consists of."""
    defects: list[Defect] = Field(default_factory=list)
    """What is wrong with this release; the default is a healthy one."""

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
    """When, after activation, such as `6h`."""
    do: Literal["suspend", "resume", "next-group", "terminate", "retry-failed", "cancel"]
    """What: `next-group` opens the next rollout group, `cancel` takes single modules out, `terminate` ends the plan."""
    modules: list[str] = Field(default_factory=list)
    """Modules that `cancel` takes out, as ids or globs."""

    @model_validator(mode="after")
    def _modules(self) -> OperatorAction:
        if (self.do == "cancel") != bool(self.modules):
            raise ValueError("modules belong to cancel, and cancel needs them")
        return self


class EarlierPlan(Section):
    """A share of the modules is still busy with an earlier plan at activation; the overwrite mode says what then."""

    share: Probability
    """Part of the modules that are still busy with it at activation."""
    ends: TimeDistribution = written({"distribution": "uniform", "low": "0h", "high": "48h"})
    """Time after activation at which a module is through with it; a value or a distribution."""


class PlanSection(Section):
    """The upgrade plan: who, what, in which order, under which strategy."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Name of the plan."""
    whitelist: list[str] = Field(default_factory=list, max_length=1_000_000)
    """Modules in the plan, as ids or globs such as `m00001*`; empty: all."""
    blacklist: list[str] = Field(default_factory=list, max_length=1_000_000)
    """Modules left out, as ids or globs; wins over the whitelist."""
    mode: Literal["silent", "confirm"] = "silent"
    """`silent`: modules decide alone; `confirm`: a user agrees on the device after `user_delay`."""
    user_delay: TimeDistribution = written({"distribution": "lognormal", "median": "4h", "sigma": 1.0})
    """Time a user takes to answer with `mode: confirm`; a value or a distribution."""
    components: list[PlanComponent] = Field(min_length=1, max_length=20)
    """Components to upgrade, in this order; the first that finally fails ends a module's upgrade."""
    strategy: StrategySection = StrategySection()
    """Who is upgraded when, under which conditions, and when the plan stops."""
    earlier_plan: EarlierPlan | None = None
    """An earlier plan that still keeps some modules busy; not set: everyone is free."""
    operator: list[OperatorAction] = Field(default_factory=list, max_length=1000)
    """What the operator does while the plan runs."""

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
