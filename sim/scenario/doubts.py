"""What a scenario says that is allowed and perhaps not meant: each with the key, what it means, and what would be right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.metrics import METRICS
from sim.module.radio import goodput_bit_s
from sim.scenario.fleet_files import all_names
from sim.scenario.lists import unmatched
from sim.scenario.versions import is_older
from sim.scenario.windows import opens

if TYPE_CHECKING:
    from sim.scenario.fleet_section import Fleet, Group
    from sim.scenario.model import Scenario
    from sim.scenario.strategy import StrategySection

FAST_RADIO_BIT_S = 1e12
"""A radio that holds up no download, so that the serial line alone counts."""
_BATTERY_KEYS = ("battery", "battery_percent")


def doubts(scenario: Scenario) -> list[str]:
    """One line for each; empty for most scenarios."""
    return [
        *_gates(scenario),
        *_targets(scenario),
        *_of_the_cloud(scenario),
        *_download_bounds(scenario),
        *_lists(scenario),
        *_batteries(scenario),
        *_rollout_groups(scenario),
        *_windows(scenario),
        *_ordinary_day(scenario),
    ]


def _ordinary_day(scenario: Scenario) -> Iterator[str]:
    """Modules that are not in the run, though the whole fleet's ordinary load is asked for."""
    if scenario.fleet.ordinary_day and (scenario.plan.whitelist or scenario.plan.blacklist):
        yield (
            "fleet.ordinary_day: modules that plan.whitelist or plan.blacklist leave out are not in the run and add no load; to "
            "have them check in, take them off the lists and give them the target version (components of a group of their own)"
        )


def _gates(scenario: Scenario) -> Iterator[str]:
    """Gates on names that meant something else before."""
    for name in scenario.gates:
        metric = METRICS[name]
        if metric.instead:
            yield f"gates.{name}: goes away with the next release; use {metric.instead}: {metric.before}"
        elif metric.before:
            yield f"gates.{name}: the figure has changed: {metric.before}; write {metric.clear} for what it is now"


def _targets(scenario: Scenario) -> Iterator[str]:
    """Targets that are installed already, or older than what is."""
    for number, component in enumerate(scenario.plan.components):
        for group in scenario.fleet.groups:
            installed = _versions(group, component.component)
            key = f"plan.components.{number}.target_version"
            if installed and set(installed) == {component.target_version}:
                yield (
                    f"{key}: group {group.name} runs {component.target_version} already, so nothing is upgraded there; "
                    "name the new version, or take the group out of the plan"
                )
            newer = [v for v in installed if is_older(component.target_version, v)]
            if newer and not group.anti_rollback:
                yield (
                    f"{key}: {component.target_version} is older than {', '.join(newer)} of group {group.name}: a downgrade; "
                    "if it is meant, check that the bootloader allows it (anti_rollback: true refuses it)"
                )


def _of_the_cloud(scenario: Scenario) -> Iterator[str]:
    """Settings of the strategy that this kind of cloud does not act on, whether written, imported or the preset's; parameters that are set."""
    strategy, cloud = scenario.plan.strategy, scenario.cloud
    idle = [key for key, off in cloud.behaviour.without_effect.items() if _value(strategy, key) != off]
    if idle:
        yield (
            f"plan.strategy: {', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect: a cloud of kind {cloud.kind} "
            "has no such rule; leave it out, or choose a preset of such a cloud"
        )
    given = {*_set(scenario.fleet), *(name for group in scenario.fleet.groups for name in _set(group))}
    unused = sorted(given & cloud.behaviour.parameters_without_effect)
    if unused:
        yield f"fleet: {', '.join(unused)}: without effect, a cloud of kind {cloud.kind} has no sessions that stay open; leave it out"


def _value(strategy: StrategySection, key: str) -> object:
    node: object = strategy
    for name in key.split("."):
        node = getattr(node, name, None)
    return node


def _set(section: Fleet | Group) -> dict[str, float]:
    """Parameters that a section of the scenario sets."""
    parts: list[Any] = [section.failures, section.physics]
    return {name: value for part in parts for name, value in part.overrides().items()}


def _download_bounds(scenario: Scenario) -> Iterator[str]:
    """The cloud's bounds on a download that no module can meet: its clock stops nobody, so modules go on behind its back."""
    timeouts = scenario.plan.strategy.timeouts
    bounds = {"step.download": timeouts.step.download, "in_progress": timeouts.in_progress}
    size = max(component.total_size for component in scenario.plan.components)
    for number, group in enumerate(scenario.fleet.groups):
        uart_bit_s = (_set(scenario.fleet) | _set(group)).get("uart_bit_s", 0.0)
        if uart_bit_s <= 0.0:
            continue
        least_s = 8.0 * size / goodput_bit_s(FAST_RADIO_BIT_S, 0.0, 1400.0, 1.0, uart_bit_s)
        for key, bound_s in bounds.items():
            if bound_s is not None and bound_s < least_s:
                yield (
                    f"plan.strategy.timeouts.{key}: the cloud gives up after {bound_s:.4g} s, and over the serial line of group "
                    f"{group.name} (uart_bit_s) a download takes {least_s:.4g} s at least: modules go on and succeed without "
                    f"its knowledge; where the device itself gives up, set fleet.groups.{number}.physics.download_limit_s"
                )


def _lists(scenario: Scenario) -> Iterator[str]:
    """Entries of the lists that no module of the fleet answers to: who was meant to be spared is not."""
    lists = {"whitelist": scenario.plan.whitelist, "blacklist": scenario.plan.blacklist}
    if not any(lists.values()):
        return
    names = all_names(scenario)
    for key, entries in lists.items():
        strangers = unmatched(entries, names)
        if strangers:
            meant = "not left out" if key == "blacklist" else "not in the plan"
            shown = ", ".join(f"{entry:.60}" for entry in strangers[:3]) + (", …" if len(strangers) > 3 else "")
            yield (
                f"plan.{key}: {len(strangers):,} of {len(entries):,} entries match no module of the fleet, so whoever was "
                f"meant is {meant}: {shown}; correct the ids, or take them out"
            )


def _batteries(scenario: Scenario) -> Iterator[str]:
    """Settings of a battery in a group that has none."""
    for number, group in enumerate(scenario.fleet.groups):
        given = [name for name in _BATTERY_KEYS if name in group.model_fields_set]
        if group.power != "battery" and given and group.file is None:
            yield (
                f"fleet.groups.{number}.{given[0]}: group {group.name} has {group.power} power, so its battery does not "
                "count; leave it out, or set power: battery"
            )


def _rollout_groups(scenario: Scenario) -> Iterator[str]:
    """Rollout groups that wait for a time before the activation, or after the run is judged."""
    strategy = scenario.plan.strategy
    activation = f"{strategy.schedule.start_time:%Y-%m-%d %H:%M} (schedule.start_time)"
    for number, group in enumerate(strategy.rollout.groups):
        key = f"plan.strategy.rollout.groups.{number}.{'start_time' if group.start_at is None else 'start_at'}"
        opens_s = group.start_time if group.start_at is None else strategy.schedule.after_start_s(group.start_at)
        if opens_s < 0.0:
            yield f"{key}: it is before the activation, {activation}, so the group does not wait for it"
        elif opens_s >= scenario.horizon:
            yield (
                f"{key}: group {group.name or number + 1} opens {opens_s / 86400.0:.4g} d after the activation, {activation}; "
                f"the run is judged after {scenario.horizon / 86400.0:.4g} d (horizon), so nobody in it is upgraded"
            )


def _windows(scenario: Scenario) -> Iterator[str]:
    """Maintenance windows that are not open once while the plan runs."""
    schedule = scenario.plan.strategy.schedule
    for number, window in enumerate(schedule.maintenance_windows):
        if not opens(window, schedule, scenario.horizon):
            yield (
                f"plan.strategy.schedule.maintenance_windows.{number}: it does not open between the activation, "
                f"{schedule.start_time:%Y-%m-%d %H:%M} (schedule.start_time), and the end of the run, "
                f"{scenario.horizon / 86400.0:.4g} d later (horizon): set schedule.start_time, or another window"
            )


def _versions(group: Group, component: str) -> list[str]:
    found = group.components.get(component, {})
    return [found] if isinstance(found, str) else [version for version, share in found.items() if share > 0]
