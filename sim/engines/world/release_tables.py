"""What is wrong with a release, as tables by component and class of module: its hardware, and what it ran at activation."""

from __future__ import annotations

import numpy as np

from sim.engines.world.fleet_records import Fleet, by_version
from sim.errors import InputError
from sim.module.profile import Profile
from sim.module.rows import Partition, Power
from sim.scenario import Scenario
from sim.scenario.plan import PlanComponent
from sim.scenario.versions import is_older

MOST_CLASSES = 4096
"""Combinations of hardware and installed versions that are told apart, at most."""

Table = tuple[tuple[float, ...], ...]


def may_fail_late(scenario: Scenario, profile: Profile) -> int:
    """Whether modules of a profile may lose their new image after its success."""
    chances = [profile.late_failure, *(d.late_failure or 0.0 for c in scenario.plan.components for d in c.defects)]
    return int(max(chances) > 0.0 or (profile.new_image_ma > 0.0 and profile.power == Power.BATTERY))


def fill(scenario: Scenario, fleet: Fleet) -> None:
    """The tables of each profile; modules get the class of their versions where anything goes by it."""
    classes = _classes(scenario, fleet)
    combinations = [(hardware, versions) for versions in classes for hardware in fleet.hardware]
    if len(combinations) > MOST_CLASSES:
        raise InputError(
            f"{len(combinations)} combinations of hardware and installed versions, where defects or anti_rollback go by them: "
            f"at most {MOST_CLASSES}; group the versions in the fleet file"
        )
    components = scenario.plan.components
    previous = {package.component: package.version for package in scenario.plan.strategy.rollback}
    for group, profile in zip(scenario.fleet.groups, fleet.profiles, strict=True):
        in_place = profile.partition == Partition.IN_PLACE
        healthy = {
            "boot_failure": profile.boot_failure, "brick": profile.brick_in_place if in_place else profile.brick,
            "late_failure": profile.late_failure, "other_version": profile.other_version,
        }  # fmt: skip
        tables = {what: _chances(components, combinations, what, chance) for what, chance in healthy.items()}
        profile.hardware_count = len(fleet.hardware)
        profile.boot_failures, profile.bricks = tables["boot_failure"], tables["brick"]
        profile.late_failures, profile.other_versions = tables["late_failure"], tables["other_version"]
        refuses = group.anti_rollback
        profile.refused = tuple(
            tuple(float(refuses and is_older(c.target_version, versions[i])) for _, versions in combinations)
            for i, c in enumerate(components)
        )
        profile.refused_back = tuple(
            float(refuses and is_older(previous.get(c.component, c.target_version), c.target_version))
            for c in components
        )


def _classes(scenario: Scenario, fleet: Fleet) -> list[tuple[str, ...]]:
    """The combinations of versions of the plan's components that modules run; one of "" where nothing goes by them."""
    components = scenario.plan.components
    if not by_version(scenario):
        return [("",) * len(components)]
    coded = [fleet.versions[c.component] for c in components]
    found, places = np.unique(np.stack([column.codes for column in coded], axis=1), axis=0, return_inverse=True)
    fleet.rare["base"] = places.reshape(-1)
    return [
        tuple(column.names[code] if code >= 0 else "" for column, code in zip(coded, row, strict=True))
        for row in found.tolist()
    ]


def _chances(
    components: list[PlanComponent], combinations: list[tuple[str, tuple[str, ...]]], what: str, healthy: float
) -> Table:  # fmt: skip
    """Chance by component and class; a defect of the release replaces the healthy figure, a later one an earlier one."""
    table = []
    for number, component in enumerate(components):
        chances = []
        for hardware, versions in combinations:
            chance = healthy
            for defect in component.defects:
                concerned = defect.hardware in (None, hardware) and defect.from_version in (None, versions[number])
                value = getattr(defect, what)
                if concerned and value is not None:
                    chance = value
            chances.append(chance)
        table.append(tuple(chances))
    return tuple(table)
