"""From the plan section of a scenario to the plan a cloud runs: settings in seconds and counts, groups, criteria."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim import draws, messages
from sim.cloud.center import Plan, PlannedComponent
from sim.cloud.execution import Execution
from sim.draws import Purpose
from sim.engines.world import record_layout
from sim.engines.world.fleet_records import Fleet
from sim.errors import Problem, ScenarioError
from sim.module.sampling import Coded
from sim.scenario import Scenario
from sim.scenario.strategy import MOST_GROUPS
from sim.scenario.windows import windows
from sim.strategy import groups as grouping
from sim.strategy import settings as st
from sim.strategy.progress import Criterion, Group
from sim.strategy.settings import Settings


def build_plan(scenario: Scenario) -> Plan:
    """The plan of a scenario, its windows laid out over the horizon."""
    section, strategy = scenario.plan, scenario.plan.strategy
    return Plan(
        section.name, _components(scenario), build_settings(scenario), silent=not section.confirmed_by_user,
        groups=tuple(_group(g, strategy.schedule) for g in strategy.rollout.groups) or (Group(),),
        criteria=tuple(_criterion(c) for c in strategy.abort.criteria),
        windows=windows(strategy.schedule, scenario.horizon),
    )  # fmt: skip


def build_settings(scenario: Scenario) -> Settings:
    """The strategy as numbers."""
    section = scenario.plan.strategy
    settings = Settings(
        **_preconditions(scenario), **_rollout(section.rollout), **_timeouts(section.timeouts), **_retry(section.retry),
        **_in_flight(section.in_flight), **_schedule(section.schedule),
        need_push=int(section.delivery.need_push),
        push_interval_s=section.delivery.push_interval,
        operator_confirms=int(section.delivery.confirmation == "operator"),
        download_only=int(section.delivery.action_type == "download-only"),
        continuous=int(section.target_selection == "continuous"),
        overwrite=st.Overwrite.of(section.overwrite_mode),
        evaluation_interval_s=section.abort.evaluation_interval,
        withdraw_success=int(section.abort.withdraw_success),
    )  # fmt: skip
    behaviour = scenario.cloud.behaviour
    fixed: dict[str, Any] = dict(behaviour.fixed_settings)
    return replace(settings, polled=int(behaviour.polls is not None), **fixed)


def _components(scenario: Scenario) -> tuple[PlannedComponent, ...]:
    kinds = {"firmware": messages.FIRMWARE, "mcu": messages.MCU}
    previous = {r.component: r for r in scenario.plan.strategy.rollback}
    return tuple(
        PlannedComponent(
            c.component, kinds[c.type], c.source_version or "", c.target_version, c.total_size,
            rollback_version=previous[c.component].version if c.component in previous else "",
            rollback_bytes=previous[c.component].size if c.component in previous else 0,
        )
        for c in scenario.plan.components
    )  # fmt: skip


def _preconditions(scenario: Scenario) -> dict[str, Any]:
    section = scenario.plan.strategy.preconditions
    largest = max(c.total_size for c in scenario.plan.components)
    needed = section.needed_space
    return {
        "min_battery_percent": section.min_battery_percent,
        "min_rsrp_dbm": section.min_rsrp_dbm,
        "needed_bytes": largest if needed == "package" else 0 if needed == "none" else int(needed),
        "checked_by_cloud": int(section.checked_by in ("cloud", "both")),
        "checked_by_device": int(section.checked_by in ("device", "both")),
        "reject_unmet": int(section.on_unmet == "reject"),
    }


def _rollout(section: Any) -> dict[str, Any]:
    rate, caps = section.exponential_rate, section.max_in_progress_per_cell
    by_level = caps if isinstance(caps, dict) else {}
    return {
        "maximum_per_minute": inf if section.maximum_per_minute is None else float(section.maximum_per_minute),
        "base_rate_per_minute": 0.0 if rate is None else float(rate.base_rate_per_minute),
        "increment_factor": 1.0 if rate is None else rate.increment_factor,
        "number_of_notified": 0 if rate is None else rate.number_of_notified or 0,
        "number_of_succeeded": 0 if rate is None else rate.number_of_succeeded or 0,
        "rate_applies_to_late": int(section.rate_applies_to == "all"),
        "notified_when_released": int(section.notified_counts == "released"),
        "max_in_progress": section.max_in_progress or 0,
        "counts_from_release": int(section.in_progress_counts == "released"),
        "cell_total": caps
        if isinstance(caps, int)
        else next(iter((section.max_in_progress_per_label or {}).values()), 0),
        **{f"cell_level_{level}": by_level.get(str(level), 0) for level in range(3)},
        "max_devices": section.max_devices or 0,
    }


def _timeouts(section: Any) -> dict[str, Any]:
    step = section.step
    return {
        "in_progress_timeout_s": _bound(section.in_progress),
        "timer_starts": st.TimerStart.DOWNLOAD_START
        if section.timer_starts == "download_start"
        else st.TimerStart.CONFIRMED,
        "confirm_timeout_s": _bound(step.confirm),
        "download_timeout_s": _bound(step.download),
        "update_timeout_s": _bound(step.update),
        "offer_timeout_s": _bound(section.offer),
        "accept_late": int(section.accept_late),
    }


def _retry(section: Any) -> dict[str, Any]:
    common = {
        "retry_back_off": section.back_off,
        "retry_interval_max_s": _bound(section.max_interval),
        "retry_jitter": section.jitter,
    }
    by_type = {c.failure_type: c for c in section.criteria}
    if not by_type or "all" in by_type:
        over_all = by_type.get("all", section)
        return {**common, "retries": over_all.number_of_retries, "retry_interval_s": over_all.retry_interval}
    failed, timed_out = by_type.get("failed"), by_type.get("timed_out")
    return {
        **common,
        "retries_failed": failed.number_of_retries if failed else 0,
        "retry_interval_s": failed.retry_interval if failed else 0.0,
        "retries_timed_out": timed_out.number_of_retries if timed_out else 0,
        "retry_interval_timed_out_s": timed_out.retry_interval if timed_out else 0.0,
    }


def _in_flight(section: Any) -> dict[str, Any]:
    return {
        "on_pause": st.InFlight.of(section.on_pause),
        "on_cancel": st.InFlight.of(section.on_cancel),
        "on_force_cancel": st.InFlight.of(section.on_force_cancel),
        "roll_back_revoked": int(section.on_revoked == "rollback"),
        "waiting_become_failed": int(section.waiting_become == "failed"),
    }


def _schedule(section: Any) -> dict[str, Any]:
    return {
        "end_s": _bound(section.end_time),
        "end_behavior": st.Action.of(section.end_behavior),
        "window_gates": st.WindowGate.of(section.window_gates),
    }


def _group(section: Any, schedule: Any) -> Group:
    return Group(
        success_threshold_percent=section.success_threshold_percent,
        success_action=st.Action.of(section.success_action),
        error_threshold_percent=_bound(section.error_threshold_percent),
        error_action=st.Action.of(section.error_action),
        soak_s=section.soak,
        start_s=section.start_time if section.start_at is None else max(0.0, schedule.after_start_s(section.start_at)),
    )


def _criterion(section: Any) -> Criterion:
    return Criterion(
        failure_type=st.FailureType.of(section.failure_type),
        threshold_percentage=section.threshold_percentage,
        min_number_of_executed=section.min_number_of_executed,
        min_number_of_failed=section.min_number_of_failed,
        denominator=st.Denominator.of(section.denominator),
        action=st.Action.of(section.action),
    )


def _bound(section: float | None) -> float:
    return inf if section is None else section


# --- executions ----------------------------------------------------------------------------------------------------


def release_ranks(
    scenario: Scenario, key: tuple[int, int], identities: NDArray[Any], last_seen: Coded | None = None
) -> NDArray[np.float64]:  # fmt: skip
    """Order of release within a group: a seeded shuffle, as the fleet lists its modules, or by the day each was last seen.

    Those seen on the same day are shuffled; those never seen, or whose file does not say, come last.
    """
    order = scenario.plan.strategy.rollout.order
    if order == "listed":
        return np.arange(len(identities), dtype=np.float64)
    ranks = draws.uniforms(key[0], key[1], identities, Purpose.RELEASE_ORDER)
    if order == "shuffled" or last_seen is None:
        return ranks
    days = np.array([*last_seen.names, ""])[last_seen.codes]  # ISO dates sort as texts
    place = np.unique(days, return_inverse=True)[1]
    return np.asarray(place.max() - place + ranks)


def with_repeats(plan: Plan, executions: NDArray[Any]) -> Plan:
    """The plan with as many groups like its last one as its modules are in."""
    further = int(executions["group"].max()) + 1 - len(plan.groups)
    return replace(plan, groups=(*plan.groups, *[plan.groups[-1]] * further)) if further > 0 else plan


def staggered(ranks: NDArray[np.float64], label: Coded, first: list[str], in_turn: bool) -> NDArray[np.float64]:
    """Ranks that go by a label before they go by `ranks`: value by value, or one module of each value in turn."""
    others = sorted(set(label.names) - set(first))
    place = {name: number for number, name in enumerate((*first, *others))}
    values = np.array([*(place[name] for name in label.names), len(place)], dtype=np.int64)[label.codes]
    order = np.lexsort((ranks, values))
    if in_turn:
        counts = np.unique(values, return_counts=True)[1]
        turns = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = order[np.argsort(turns, kind="stable")]
    found = np.empty(len(ranks))
    found[order] = np.arange(len(ranks))
    return found


def capped_label(scenario: Scenario) -> str | None:
    """The label whose values have a cap on modules under way, if there is one."""
    return next(iter(scenario.plan.strategy.rollout.max_in_progress_per_label or {}), None)


def group_of(
    scenario: Scenario, ranks: NDArray[np.float64], late: NDArray[Any], inside: Callable[[Any], NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """The rollout group of each module, along the order of release; whoever is in no other group is in the last, or in
    one of those that repeat it.

    `inside` says which modules a filter takes. Late joiners go into the first group whose filter takes all it can, else
    into the last. ScenarioError for a group that is rounded down to nobody.
    """
    found = _listed_groups(scenario, ranks, late, inside)
    rollout = scenario.plan.strategy.rollout
    if rollout.repeat_last_group:
        last = len(rollout.groups) - 1
        rest = np.flatnonzero((found == last) & (late == 0))
        rest = rest[np.argsort(ranks[rest], kind="stable")]
        found[rest] = last + np.arange(len(rest)) // int(rollout.groups[-1].count or 1)
        most = int(found.max())
        found[(late != 0) & (found == last)] = most
        if most >= MOST_GROUPS:
            raise ScenarioError([Problem(
                "scenario", None, "plan.strategy.rollout.repeat_last_group",
                f"{most + 1} groups of {rollout.groups[-1].count}", f"give the last group a larger count: at most {MOST_GROUPS} groups",
            )])  # fmt: skip
    return found


def _listed_groups(
    scenario: Scenario, ranks: NDArray[np.float64], late: NDArray[Any], inside: Callable[[Any], NDArray[np.bool_]]
) -> NDArray[np.int64]:
    """The group of each module as the plan lists them: the last one takes the rest."""
    rollout = scenario.plan.strategy.rollout
    last = max(0, len(rollout.groups) - 1)
    found = np.full(len(ranks), last, dtype=np.int64)
    order = np.argsort(ranks, kind="stable")
    order = order[late[order] == 0]
    if all(group.filter is None for group in rollout.groups):
        found[order] = np.repeat(np.arange(last + 1), _sizes(scenario, len(order)))
        return found
    free = np.ones(len(ranks), dtype=np.bool_)
    served: dict[str, float] = {}
    for number, group in enumerate(rollout.groups[:last]):
        taken = np.ones(len(ranks), dtype=np.bool_) if group.filter is None else inside(group.filter)
        members = order[taken[order] & free[order]]
        if group.percent is None and group.count is None:
            found[taken & (late != 0) & (found == last)] = number
        members = members[: _size(scenario, number, int(taken[order].sum()), len(members), served)]
        found[members] = number
        free[members] = False
    return found


def _sizes(scenario: Scenario, targets: int) -> list[int]:
    """Sizes of groups without filters."""
    rollout = scenario.plan.strategy.rollout
    percents, counts = [g.percent for g in rollout.groups], [g.count for g in rollout.groups]
    percent_of, down = grouping.PERCENT_OF.index(rollout.percent_of), rollout.rounding == "down"
    found = grouping.sizes(targets, percents or [None], counts or [None], percent_of, down)
    for number, (percent, size) in enumerate(zip(percents[:-1], found, strict=False)):
        _refuse_empty(number, percent, targets, size, down)
    return found


def _size(scenario: Scenario, number: int, whole: int, left: int, served: dict[str, float]) -> int:
    """How many of the `left` modules a group takes; `served` keeps the percentages of earlier groups by filter."""
    rollout = scenario.plan.strategy.rollout
    group = rollout.groups[number]
    if group.percent is None:
        return left if group.count is None else min(left, group.count)
    same, down = repr(group.filter), rollout.rounding == "down"
    size = grouping.cut(
        whole, left, group.percent, grouping.PERCENT_OF.index(rollout.percent_of), served.get(same, 0.0), down
    )
    served[same] = served.get(same, 0.0) + float(np.float32(group.percent))
    _refuse_empty(number, group.percent, whole, size, down)
    return size


def _refuse_empty(number: int, percent: float | None, whole: int, size: int, down: bool) -> None:
    """A percentage that is rounded down to nobody is refused, as Mender does."""
    if down and size == 0 and percent:
        raise ScenarioError([Problem(
            "scenario", None, f"plan.strategy.rollout.groups.{number}.percent",
            f"{percent:g} % of {whole} modules, which is rounded down to none", "give a larger percentage or rounding: half-up",
        )])  # fmt: skip


def build_executions(
    scenario: Scenario, key: tuple[int, int], fleet: Fleet
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """One execution for each module, as records of what lasts and of what is rare, and the ranks of their release."""
    identities, plan = fleet.rows["identity"], scenario.plan
    last_seen = fleet.labels.get("last_seen")
    ranks = release_ranks(scenario, key, identities, last_seen)
    stagger = plan.strategy.rollout.stagger
    if stagger is not None:
        ranks = staggered(ranks, fleet.label(stagger.label), stagger.first, stagger.how == "in-turn")
    executions = record_layout.blank(
        Execution(0), record_layout.EXECUTION, len(identities), record_layout.EXECUTION_LASTING
    )
    label = capped_label(scenario)
    executions["index"] = np.arange(len(identities))
    executions["group"] = group_of(scenario, ranks, fleet.late, fleet.inside)
    executions["cell"] = fleet.rare["cell"] if label is None else fleet.label(label).codes
    executions["late"] = fleet.late
    strategy = plan.strategy
    held = plan.earlier_plan is not None or strategy.delivery.confirmation == "operator" or strategy.retry.jitter > 0.0
    rare = record_layout.blank(
        Execution(0), record_layout.EXECUTION, len(identities) if held else 1, record_layout.EXECUTION_RARE
    )
    if held:
        rare["identity"] = identities
        rare["busy_until_s"] = _busy_until(scenario, key, identities)
        rare["approval_delay_s"] = _approval_delay(scenario, key, identities)
    return executions, rare, ranks


def _busy_until(scenario: Scenario, key: tuple[int, int], identities: NDArray[Any]) -> NDArray[np.float64]:
    """When each module is through with the earlier plan; 0 where it has none."""
    earlier = scenario.plan.earlier_plan
    if earlier is None:
        return np.zeros(len(identities))
    busy = draws.uniforms(key[0], key[1], identities, Purpose.EARLIER_PLAN) < earlier.share
    ends = earlier.ends.quantile(draws.uniforms(key[0], key[1], identities, Purpose.EARLIER_PLAN_END))
    return np.where(busy, np.maximum(ends, 0.0), 0.0)


def _approval_delay(scenario: Scenario, key: tuple[int, int], identities: NDArray[Any]) -> NDArray[np.float64]:
    """How long the operator lets each module wait for approval."""
    delivery = scenario.plan.strategy.delivery
    if delivery.confirmation != "operator":
        return np.zeros(len(identities))
    unit = draws.uniforms(key[0], key[1], identities, Purpose.APPROVAL)
    return np.asarray(np.maximum(delivery.approval_delay.quantile(unit), 0.0), dtype=np.float64)
