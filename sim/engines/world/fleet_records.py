"""The fleet of a world: every module the plan is for, as records, with names, hardware, cells and versions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.engines.world import record_layout
from sim.engines.world.cell_assignment import settle
from sim.errors import InputError
from sim.module.identity import numbered
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from sim.module.sampling import Coded, Members
from sim.scenario import Scenario
from sim.scenario.lists import matching, targeting
from sim.strategy.settings import Settings


class Block(NamedTuple):
    """Some modules of a group, sampled; `group` is its number."""

    group: int
    members: Members


@dataclass(slots=True)
class Fleet:
    """Modules numbered 0 … n-1: `rows` are records of what lasts of ModuleRow, `rare` of what few scenarios need (for
    each module, or one for all), `late` says who joins late.
    """

    scenario: Scenario
    rows: NDArray[Any]
    rare: NDArray[Any]
    late: NDArray[np.int8]
    profiles: list[Profile]
    hardware: tuple[str, ...]
    cells: list[str]
    versions: dict[str, Coded]
    left_out: int
    labels: dict[str, Coded] = field(default_factory=dict)
    """Labels that come from fleet files; `label` has those of groups too."""
    given_names: NDArray[Any] | None = None
    """Names from fleet files, None for modules that are numbered; None when there are none at all."""
    _names: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Name of each module, made when first asked for."""
        if not self._names:
            self._names = self.names_of(slice(None))
        return self._names

    def names_of(self, part: slice | NDArray[np.int64]) -> list[str]:
        """Names of some of the modules."""
        numbers = self.rows["identity"][part].tolist()
        if self.given_names is None:
            return [numbered(number) for number in numbers]
        given = self.given_names[part].tolist()
        return [name if name is not None else numbered(number) for name, number in zip(given, numbers, strict=True)]

    def inside(self, given: Any) -> NDArray[np.bool_]:
        """Which modules a filter of the plan takes."""
        groups = np.array([g.name for g in self.scenario.fleet.groups])[self.rows["group"]]
        taken = filtered(given, groups, np.array(self.hardware)[self.rows["hardware"]], self.names)
        for label, values in given.labels.items():
            found = self.label(label)
            taken &= np.isin(found.codes, [i for i, name in enumerate(found.names) if name in values])
        return taken

    def label(self, name: str) -> Coded:
        """A label of each module, from its group or its row in a fleet file; -1 where it has none."""
        constants = [g.labels.get(name) for g in self.scenario.fleet.groups]
        known = self.labels.get(name, Coded(np.full(1, -1, dtype=np.int32), ()))
        names = tuple(dict.fromkeys((*known.names, *(c for c in constants if isinstance(c, str)))))
        of_group = np.array([names.index(c) if isinstance(c, str) else -1 for c in constants], dtype=np.int32)
        return Coded(np.where(known.codes >= 0, known.codes, of_group[self.rows["group"]]), names)

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
    scenario: Scenario, key: tuple[int, int], settings: Settings, profiles: list[Profile], blocks: Iterable[Block],
    size: int, hardware: tuple[str, ...],
) -> Fleet:  # fmt: skip
    """All modules that the plan's lists allow and that are there when it begins, of `size` in all blocks."""
    zoned = any("time_zone" in group.columns for group in scenario.fleet.groups)
    differ = (
        scenario.plan.confirmed_by_user or scenario.fleet.cells is not None or zoned
        or scenario.fleet.lots is not None or bool(scenario.fleet.outages or scenario.cloud.outages)
        or any(profile.may_fail_late for profile in profiles) or by_version(scenario)
        or any(group.leaves is not None for group in scenario.fleet.groups)
    )  # fmt: skip
    rows = record_layout.blank(ModuleRow(), record_layout.MODULE, size, record_layout.MODULE_LASTING)
    rare = record_layout.blank(ModuleRow(), record_layout.MODULE, size if differ else 1, record_layout.MODULE_RARE)
    joins = settings.continuous and any(group.joins is not None for group in scenario.fleet.groups)
    late = np.zeros(size, dtype=np.int8) if joins else np.broadcast_to(np.zeros(1, dtype=np.int8), size)
    taken: list[tuple[Block, Any, slice]] = []
    end = 0
    for block in blocks:
        keep = _kept(scenario, settings, block.members)
        part = slice(end, end + len(block.members.identities[keep]))
        _fill(rows[part], rare[part] if differ else rare[:0], late[part], block, keep)
        taken.append((block, keep, part))
        end = part.stop
    fleet = Fleet(
        scenario, rows[:end], rare[:end], late[:end],
        profiles, hardware, [], _merged([(b.members.versions, len(b.members.identities), k) for b, k, _ in taken]), size - end,
        _merged([(b.members.labels, len(b.members.identities), k) for b, k, _ in taken]),
        _given_names([(b.members, k) for b, k, _ in taken]),
    )  # fmt: skip
    _finish(fleet, key, taken)
    return fleet


def by_version(scenario: Scenario) -> bool:
    """Whether what happens to a module depends on the versions it runs at activation."""
    defects = any(defect.from_version for c in scenario.plan.components for defect in c.defects)
    return defects or any(group.anti_rollback for group in scenario.fleet.groups)


def _fill(rows: NDArray[Any], rare: NDArray[Any], late: NDArray[np.int8], block: Block, keep: Any) -> None:
    """The records of a block of modules; the columns they were sampled in are given up on the way."""
    rows["group"] = block.group
    rows["identity"] = block.members.identities[keep]
    columns = block.members.columns
    if "joins_s" in columns:
        joins = columns.pop("joins_s")[keep] > 0.0
        if late.flags.writeable:  # else those who join late are not in the plan
            late[:] = joins
    while columns:
        name, column = columns.popitem()
        if name in record_layout.MODULE_LASTING:
            rows[name] = column[keep]
        elif len(rare):
            rare[name] = column[keep]


def _finish(fleet: Fleet, key: tuple[int, int], taken: list[tuple[Block, Any, slice]]) -> None:
    """What needs all modules: their numbers, cells, and the components that run their target version."""
    rows = fleet.rows
    rows["index"] = np.arange(len(rows))
    fleet.cells = settle(fleet.scenario.fleet.cells, key, [block.members for block, _, _ in taken])
    for block, keep, part in taken:
        if fleet.cells:
            fleet.rare["cell"][part] = block.members.columns.pop("cell")[keep]
    for i, component in enumerate(fleet.scenario.plan.components):
        rows["at_target"] |= _runs(fleet.versions, component.component, component.target_version).astype(np.int32) << i
    if fleet.given_names is not None and len(set(fleet.names)) < len(rows):
        raise InputError("two groups of the fleet hold modules of the same name")


def _kept(scenario: Scenario, settings: Settings, members: Members) -> Any:
    """Which modules are in the plan: by its lists, and there when the snapshot is taken."""
    keep = np.ones(len(members.identities), dtype=np.bool_)
    if "joins_s" in members.columns and not settings.continuous:
        keep &= members.columns["joins_s"] <= 0.0
    if scenario.plan.whitelist or scenario.plan.blacklist:
        targeted = targeting(scenario.plan.whitelist, scenario.plan.blacklist)
        names = members.names or [numbered(number) for number in members.identities.tolist()]
        keep &= np.fromiter((targeted(name) for name in names), dtype=np.bool_, count=len(names))
    return slice(None) if keep.all() else keep


def _given_names(blocks: list[tuple[Members, Any]]) -> NDArray[Any] | None:
    if not any(members.names for members, _ in blocks):
        return None
    parts = []
    for members, keep in blocks:
        names = np.full(len(members.identities), None, dtype=object)
        if members.names:
            names[:] = members.names
        parts.append(names[keep])
    return np.concatenate(parts)


def _merged(blocks: list[tuple[dict[str, Coded], int, Any]]) -> dict[str, Coded]:
    """Columns of names over all blocks (names, size, which are kept); where a block has no such column it is -1."""
    merged: dict[str, Coded] = {}
    for column in dict.fromkeys(name for columns, _, _ in blocks for name in columns):
        names = tuple(dict.fromkeys(n for c, _, _ in blocks if column in c for n in c[column].names))
        place = {name: i for i, name in enumerate(names)}
        kind = np.int16 if len(names) <= np.iinfo(np.int16).max else np.int32
        parts = []
        for columns, size, keep in blocks:
            if column in columns:
                places = np.array([*(place[n] for n in columns[column].names), -1], dtype=kind)
                parts.append(places[columns[column].codes[keep]])
            else:
                parts.append(np.full(len(np.empty(size, dtype=np.int8)[keep]), -1, dtype=kind))
        codes = np.concatenate(parts)
        alike = len(codes) > 0 and codes[0] == codes.min() == codes.max()
        merged[column] = Coded(np.broadcast_to(codes[:1].copy(), codes.shape) if alike else codes, names)
    return merged


def _runs(versions: dict[str, Coded], component: str, version: str) -> NDArray[np.bool_]:
    """Which modules report this version of a component."""
    reported = versions.get(component)
    if reported is None:
        return np.zeros(len(next(iter(versions.values())).codes), dtype=np.bool_)
    return np.asarray(reported.codes == (reported.names.index(version) if version in reported.names else -2))


def source_bad(fleet: Fleet) -> NDArray[np.int32]:
    """Components of the plan, as bits, whose package does not fit the version each module reports at the start.

    One 0 for all where every package fits every version.
    """
    if not any(component.source_version for component in fleet.scenario.plan.components):
        return np.zeros(1, dtype=np.int32)
    bits = np.zeros(len(fleet.rows), dtype=np.int32)
    for i, component in enumerate(fleet.scenario.plan.components):
        if component.source_version:
            bits |= (~_runs(fleet.versions, component.component, component.source_version)).astype(np.int32) << i
    return bits
