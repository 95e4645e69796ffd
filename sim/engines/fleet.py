"""The fleet of a world: every module the plan is for, as records, with names, hardware, cells and versions beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.engines import layout
from sim.engines.cells import settle
from sim.errors import FotasimError
from sim.module.fleet import Coded, Members
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from sim.scenario import Scenario
from sim.scenario.lists import matching, targeting
from sim.strategy.settings import Settings


@dataclass(slots=True)
class Fleet:
    """Modules numbered 0 … n-1: `rows` are records of ModuleRow, `numbers` their numbers before any was left out."""

    scenario: Scenario
    rows: NDArray[Any]
    numbers: NDArray[np.int64]
    profiles: list[Profile]
    hardware: tuple[str, ...]
    cells: list[str]
    versions: dict[str, Coded]
    left_out: int
    given_names: NDArray[Any] | None = None
    """Names from fleet files, None for modules that are numbered; None when there are none at all."""
    _names: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Name of each module, made when first asked for."""
        if not self._names:
            self._names = self.names_of(slice(None))
        return self._names

    def names_of(self, part: slice) -> list[str]:
        """Names of some of the modules."""
        numbered = [f"m{number:07d}" for number in self.numbers[part].tolist()]
        if self.given_names is None:
            return numbered
        given = self.given_names[part].tolist()
        return [name if name is not None else other for name, other in zip(given, numbered, strict=True)]

    def inside(self, given: Any) -> NDArray[np.bool_]:
        """Which modules a filter of the plan takes."""
        groups = np.array([g.name for g in self.scenario.fleet.groups])[self.rows["group"]]
        return filtered(given, groups, np.array(self.hardware)[self.rows["hardware"]], self.names)

    def named(self, entries: list[str]) -> NDArray[np.bool_]:
        """Which modules are among ids or match one of the globs."""
        match = matching(entries)
        return np.fromiter((match(name) for name in self.names), dtype=np.bool_, count=len(self.rows))


def filtered(given: Any, fleet_groups: Any, hardware: Any, names: Sequence[str]) -> NDArray[np.bool_]:
    """Which modules a filter takes: those that meet each of its lists that is not empty. One entry a module each."""
    taken = np.ones(len(names), dtype=np.bool_)
    if given.fleet_groups:
        taken &= np.isin(np.asarray(fleet_groups), given.fleet_groups)
    if given.hardware:
        taken &= np.isin(np.asarray(hardware), given.hardware)
    if given.modules:
        match = matching(given.modules)
        taken &= np.fromiter((match(name) for name in names), dtype=np.bool_, count=len(names))
    return taken


def build_fleet(
    scenario: Scenario, key: tuple[int, int], settings: Settings, groups: list[tuple[Profile, Members]],
    hardware: tuple[str, ...],
) -> Fleet:  # fmt: skip
    """All modules that the plan's lists allow and that are there when it begins."""
    cells = settle(scenario.fleet.cells, key, [members for _, members in groups])
    kept = [_kept(scenario, settings, members) for _, members in groups]
    rows = _rows([members for _, members in groups], kept)
    rows["index"] = np.arange(len(rows))
    rows["needed_bytes"] = settings.needed_bytes
    versions = _versions([members.versions for _, members in groups], kept)
    for i, component in enumerate(scenario.plan.components):
        rows["at_target"] |= _runs(versions, component.component, component.target_version).astype(np.int32) << i
    numbers = np.concatenate([m.numbers[keep] for (_, m), keep in zip(groups, kept, strict=True)])
    fleet = Fleet(
        scenario, rows, numbers, [profile for profile, _ in groups], hardware, cells, versions,
        sum(len(m.numbers) for _, m in groups) - len(rows), _given_names(groups, kept),
    )  # fmt: skip
    if fleet.given_names is not None and len(set(fleet.names)) < len(rows):
        raise FotasimError("two groups of the fleet hold modules of the same name")
    return fleet


def _rows(groups: list[Members], kept: list[Any]) -> NDArray[Any]:
    """The records of all groups, one after the other; the columns they were sampled in are given up on the way."""
    ends = np.cumsum([len(m.numbers[keep]) for m, keep in zip(groups, kept, strict=True)])
    rows = layout.blank(ModuleRow(), layout.MODULE, int(ends[-1]))
    for number, (members, keep) in enumerate(zip(groups, kept, strict=True)):
        part = rows[ends[number] - len(members.numbers[keep]) : ends[number]]
        part["group"] = number
        while members.columns:
            name, column = members.columns.popitem()
            part[name] = column[keep]
    return rows


def _kept(scenario: Scenario, settings: Settings, members: Members) -> Any:
    """Which modules are in the plan: by its lists, and there when the snapshot is taken."""
    keep = np.ones(len(members.numbers), dtype=np.bool_)
    if "joins_s" in members.columns and not settings.continuous:
        keep &= members.columns["joins_s"] <= 0.0
    if scenario.plan.whitelist or scenario.plan.blacklist:
        targeted = targeting(scenario.plan.whitelist, scenario.plan.blacklist)
        names = members.names or [f"m{number:07d}" for number in members.numbers.tolist()]
        keep &= np.fromiter((targeted(name) for name in names), dtype=np.bool_, count=len(names))
    return slice(None) if keep.all() else keep


def _given_names(groups: list[tuple[Profile, Members]], kept: list[Any]) -> NDArray[Any] | None:
    if not any(members.names for _, members in groups):
        return None
    parts = []
    for (_, members), keep in zip(groups, kept, strict=True):
        names = np.full(len(members.numbers), None, dtype=object)
        if members.names:
            names[:] = members.names
        parts.append(names[keep])
    return np.concatenate(parts)


def _versions(groups: list[dict[str, Coded]], kept: list[Any]) -> dict[str, Coded]:
    """Reported versions over all groups; a component that a group does not have is -1 there."""
    merged: dict[str, Coded] = {}
    for component in dict.fromkeys(name for versions in groups for name in versions):
        names = tuple(dict.fromkeys(n for v in groups if component in v for n in v[component].names))
        parts = []
        for versions, keep in zip(groups, kept, strict=True):
            if component in versions:
                places = np.array([names.index(n) for n in versions[component].names], dtype=np.int16)
                parts.append(places[versions[component].codes[keep]])
            else:
                size = len(next(iter(versions.values())).codes[keep])
                parts.append(np.full(size, -1, dtype=np.int16))
        merged[component] = Coded(np.concatenate(parts), names)
    return merged


def _runs(versions: dict[str, Coded], component: str, version: str) -> NDArray[np.bool_]:
    """Which modules report this version of a component."""
    codes, names = versions.get(component, Coded(np.zeros(0, dtype=np.int16), ()))
    if not len(codes):
        codes = np.full(len(next(iter(versions.values())).codes), -1)
    return np.asarray(codes == (names.index(version) if version in names else -2))


def source_bad(fleet: Fleet) -> NDArray[np.int32]:
    """Components of the plan, as bits, whose package does not fit the version each module reports at the start."""
    bits = np.zeros(len(fleet.rows), dtype=np.int32)
    for i, component in enumerate(fleet.scenario.plan.components):
        if component.source_version:
            bits |= (~_runs(fleet.versions, component.component, component.source_version)).astype(np.int32) << i
    return bits
