"""The modules that the groups of a scenario have: from their files, by their shares, or a sample of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.errors import FleetFileError, Problem
from sim.module.identity import numbered

if TYPE_CHECKING:
    from sim.module.sampling import KnownModules
    from sim.scenario import Scenario
    from sim.scenario.fleet_files.read import FleetTable
    from sim.scenario.fleet_section import Group


def check_files(scenario: Scenario) -> list[tuple[Group, FleetTable]]:
    """Every fleet file of the scenario, read. Raises FleetFileError with the faults of all of them."""
    from_files = [group for group in scenario.fleet.groups if group.file is not None]
    if not from_files:
        return []
    from sim.scenario.fleet_files.read import read

    tables, problems, more = [], [], []
    for group in from_files:
        try:
            tables.append((group, read(group)))
        except FleetFileError as error:
            problems += [p for p in error.problems if p not in problems]
            more += [line for line in error.more if line not in more]
    if not problems:
        problems = _twice(tables)
    if problems:
        raise FleetFileError(problems, more)
    return tables


def _twice(tables: list[tuple[Group, FleetTable]]) -> list[Problem]:
    """Modules that are in two groups."""
    if len(tables) < 2:
        return []
    seen: dict[str, str] = {}
    problems: list[Problem] = []
    for group, table in tables:
        names = table.known.names or []
        both = [name for name in names if name in seen]
        if both:
            cure = f"a module belongs to one group: {both[0]} is in {seen[both[0]]} and {group.name}; tell them apart by where"
            problems.append(Problem(str(table.path), None, "module", f"{len(both):,} modules twice", cure))
        seen.update(dict.fromkeys(names, group.name))
    return problems


def group_sizes(scenario: Scenario) -> list[int]:
    """Modules of each group: rows of its file, or its share of `fleet.size`; with `fleet.modules` so many less of each."""
    fleet = scenario.fleet
    shares = [(group.share or 0.0) * fleet.size for group in fleet.groups]
    counts = _rounded(shares, fleet.size if any(shares) else 0)
    for i, (_, table) in zip(
        (i for i, g in enumerate(fleet.groups) if g.file is not None), check_files(scenario), strict=True
    ):
        counts[i] = table.known.count
    total = sum(counts)
    if fleet.modules is None:
        return counts
    if fleet.modules > total:
        cure = f"the groups have {total:,} modules; ask for at most so many"
        raise FleetFileError([Problem("fleet", None, "modules", f"{fleet.modules:,}", cure)])
    return _rounded([count * fleet.modules / total for count in counts], fleet.modules)


def fleet_size(scenario: Scenario) -> int:
    """Modules of the whole fleet."""
    return sum(group_sizes(scenario))


def _rounded(exact: list[float], total: int) -> list[int]:
    """Whole numbers that add up, by largest remainders."""
    counts = [int(x + 1e-9) for x in exact]
    for i in sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])[: total - sum(counts)]:
        counts[i] += 1
    return counts


def known_modules(scenario: Scenario, group: Group) -> KnownModules | None:
    """What the group's file says of its modules, or of a random sample of them (by the seed, in the file's order)."""
    if group.file is None:
        return None
    from sim.scenario.fleet_files.read import read

    known = read(group).known
    number = scenario.fleet.groups.index(group)
    size = known.count if scenario.fleet.modules is None else group_sizes(scenario)[number]
    if size == known.count:
        return known
    import numpy as np
    from numpy.random import Philox

    ranks = Philox(key=[scenario.seed, number]).random_raw(known.count)
    return known.take(np.sort(np.argsort(ranks, kind="stable")[:size]))


def all_names(scenario: Scenario) -> set[str]:
    """The ids of all modules: those of the files, and the numbers of modules that have none."""
    names: set[str] = set()
    first = 0
    for group, size in zip(scenario.fleet.groups, group_sizes(scenario), strict=True):
        known = known_modules(scenario, group)
        if known is not None and known.names:
            names.update(known.names)
        else:
            names.update(map(numbered, range(first, first + size)))
            first += size
    return names
