"""What a scenario's plan becomes on a DDI server, worked out before anything is sent: bodies, group sizes, losses.

Nothing here asks a server. A loss is a setting that limits, selects or stops and that the server cannot hold; whoever
publishes has to accept it, or nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sim.engines.live.ddi.ddi_module import BOARD
from sim.engines.live.ddi.duties import duties_of, holds, is_done_for
from sim.errors import Problem, ScenarioError
from sim.scenario import Scenario
from sim.scenario.exports import export
from sim.scenario.exports.rest import Rest
from sim.scenario.imports.findings import Loss, short
from sim.scenario.strategy import RolloutGroup
from sim.strategy.groups import HAWKBIT, PERCENT_OF, sizes
from sim.units import show_duration

MAX_TARGET_NAME_CHARS = 128
_BY_THE_FLEET = (
    "preconditions.min_battery_percent", "preconditions.min_rsrp_dbm", "preconditions.needed_space",
    "preconditions.on_unmet", "retry.resume_download",
)  # fmt: skip
"""What the modules of a live run see to themselves, so that no server has to."""
_NEVER_THERE = ("rollout.order", "delivery.need_push", "delivery.push_interval")
"""What a simulated server of this kind does not follow either: it is polled, and chooses a group's targets itself."""


@dataclass(frozen=True, slots=True)
class Release:
    """One component's package, as published: `data` is the payload, servers that want a container wrap it."""

    component: str
    version: str
    data: bytes
    board: str
    hardware: Sequence[str]
    is_firmware: bool = True

    @property
    def sha256(self) -> str:
        """Digest of the payload."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class GroupSize:
    """A group as the server will cut it."""

    name: str
    targets: int


@dataclass(frozen=True, slots=True)
class Publication:
    """A plan as one server takes it: whom it is for, what is uploaded, and the rollout's body without its package."""

    name: str
    targets: Sequence[str]
    releases: Sequence[Release]
    rollout: Mapping[str, Any]
    groups: Sequence[GroupSize]
    polling_time: str | None
    force_after_s: float | None = None
    """A timeforced rollout: seconds from its start until nobody is asked any more."""
    losses: Sequence[Loss] = field(default=())
    notes: Sequence[str] = field(default=())

    @property
    def prefix(self) -> str:
        """What the names of these targets begin with, so that a rollout reaches them all and nobody else."""
        return f"fotasim-{sha256(chr(10).join(sorted(self.targets)).encode()).hexdigest()[:8]}/"

    def target_name(self, controller: str) -> str:
        """A target's display name; its id stays the module's name."""
        return f"{self.prefix}{controller}"[:MAX_TARGET_NAME_CHARS]


def publication_of(
    scenario: Scenario, names: Sequence[str], packages: Mapping[str, bytes], hardware: Sequence[str]
) -> Publication:
    """The plan of a scenario for these modules, with the bytes of each component by name."""
    plan = scenario.plan
    releases = [
        Release(c.component, c.target_version, packages[c.component], BOARD, hardware, c.type == "firmware")
        for c in plan.components
    ]
    of = _hawkbit if scenario.cloud.server == "hawkbit" else _goosebit
    return of(scenario, names, releases)


def refuse_losses(losses: Sequence[Loss], file: str) -> None:
    """ScenarioError naming every loss."""
    if losses:
        raise ScenarioError([
            Problem(file, None, loss.key, loss.value, f"it cannot be published: {loss.why}; {loss.cure} (--accept-losses)")
            for loss in losses
        ])  # fmt: skip


# --- hawkBit -----------------------------------------------------------------------------------------------------------


def _hawkbit(scenario: Scenario, names: Sequence[str], releases: Sequence[Release]) -> Publication:
    plan, strategy = scenario.plan, scenario.plan.strategy
    body, losses = export(strategy, "hawkbit", plan.name)
    for number, group in enumerate(body.get("groups", ())):
        group.setdefault("name", f"group-{number + 1}")
    cut = _sizes(body, len(names))
    losses = [_of_plan(loss) for loss in losses if not _needs_no_server(loss, scenario)]
    if [group.targets for group in cut] == _simulated_sizes(scenario, len(names)):
        losses = [
            loss for loss in losses if loss.key != "plan.strategy.rollout.percent_of"
        ]  # no difference in this fleet
    losses = [loss for loss in losses if not _is_operated(loss, scenario)]
    for wait in duties_of(plan).waits:
        body["groups"][wait.after]["successAction"] = {"action": "PAUSE"}
    for own in ("startAt", "forcetime", "pollingTime"):  # of the moment of publishing, or of the tenant
        body.pop(own, None)
    if body["type"] == "forced" and plan.mode == "confirm":
        body["type"] = "soft"
    asks = bool(body.get("confirmationRequired", False))
    body["confirmationRequired"] = asks  # left out it is what the tenant's switch says
    for number, group in enumerate(body.get("groups", ())):
        group["confirmationRequired"] = asks
        if "targetFilterQuery" in group:
            losses.append(_loss(f"rollout.groups.{number}.filter", group.pop("targetFilterQuery"),
                                "a target has no attributes before its first poll, so the group would be empty",
                                "give a percent"))  # fmt: skip
    delivery = strategy.delivery
    forced_after_s = delivery.force_time if body["type"] == "timeforced" else None
    return Publication(
        plan.name, names, releases, body, cut, delivery.polling_time, forced_after_s,
        [*losses, *_of_scenario(scenario, operated=True)],
        (*_notes(scenario), *_told_of_duties(scenario), "which targets fall into which group is hawkBit's choice, not the plan's order"),
    )  # fmt: skip


def _sizes(body: Mapping[str, Any], targets: int) -> list[GroupSize]:
    """The sizes hawkBit (0.5 and later) makes of a body's percentages, by its own rule."""
    groups = body.get("groups")
    if not groups:
        return [GroupSize("group-1", targets)]
    percents = [float(group["targetPercentage"]) for group in groups]
    cut = sizes(targets, percents, [None] * len(percents), HAWKBIT)
    return [GroupSize(str(group["name"]), size) for group, size in zip(groups, cut, strict=True)]


def _simulated_sizes(scenario: Scenario, targets: int) -> list[int]:
    """The sizes of the same groups as the simulation cuts them."""
    rollout = scenario.plan.strategy.rollout
    groups = rollout.groups or [RolloutGroup()]
    return sizes(
        targets, [g.percent for g in groups], [g.count for g in groups], PERCENT_OF.index(rollout.percent_of),
        rollout.rounding == "down",
    )  # fmt: skip


# --- goosebit ----------------------------------------------------------------------------------------------------------


def _goosebit(scenario: Scenario, names: Sequence[str], releases: Sequence[Release]) -> Publication:
    plan, strategy = scenario.plan, scenario.plan.strategy
    rest = Rest(strategy, "goosebit")
    rest.take("delivery.polling_time", "schedule.start_time", "schedule.time_zone", "target_selection")
    groups = strategy.rollout.groups
    if len(groups) <= 1 and all(g.error_threshold_percent is None and not g.filter and g.count is None for g in groups):
        rest.take("rollout.groups", "rollout.percent_of")
    losses = [_of_plan(loss) for loss in rest.done("goosebit") if not _needs_no_server(loss, scenario)]
    if strategy.target_selection == "snapshot" and any(group.joins is not None for group in scenario.fleet.groups):
        losses.append(_loss("target_selection", "snapshot", "goosebit offers a rollout to devices that join later, too",
                            "set target_selection: continuous"))  # fmt: skip
    if plan.mode == "confirm":
        losses.append(_loss("", "plan.mode: confirm", "goosebit's actions are forced", "use mode: silent"))
    if len(releases) > 1:
        losses.append(_loss("", f"{len(releases)} components", "a goosebit rollout has one package",
                            "publish one component"))  # fmt: skip
    body = {"name": plan.name}
    return Publication(
        plan.name, names, releases, body, [GroupSize("everybody", len(names))], strategy.delivery.polling_time, None,
        [*losses, *_of_scenario(scenario, operated=False)], (*_notes(scenario), "goosebit offers a rollout to every device of its feed"),
    )  # fmt: skip


# --- both --------------------------------------------------------------------------------------------------------------


def _needs_no_server(loss: Loss, scenario: Scenario) -> bool:
    by_modules = loss.key in _BY_THE_FLEET and scenario.plan.strategy.preconditions.checked_by != "cloud"
    return by_modules or loss.key in _NEVER_THERE


def _is_operated(loss: Loss, scenario: Scenario) -> bool:
    """Whether it is soak or the start of a group, which fotasim's operator sees to while the fleet runs."""
    found = re.fullmatch(r"plan\.strategy\.rollout\.groups\.(\d+)", loss.key)
    return found is not None and holds(scenario.plan.strategy, int(found[1]))


def _of_plan(loss: Loss) -> Loss:
    return _loss(loss.key, loss.value, loss.why, loss.cure)


def _loss(key: str, value: str, why: str, cure: str) -> Loss:
    return Loss(f"plan.strategy.{key}" if key else "plan", value, why, cure)


def _of_scenario(scenario: Scenario, *, operated: bool) -> list[Loss]:
    """What the plan says beside its strategy and no server is told; `operated`: fotasim's operator can act there."""
    plan, found = scenario.plan, []
    undone = [f"{a.do} at {a.at:g} s" for a in plan.operator if not (operated and is_done_for(plan, a))]
    if undone:
        found.append(Loss("plan.operator", short(", ".join(undone)), "fotasim's operator cannot do it at this server "
                          "(suspend and resume not beside soak or start times of groups)",
                          "carry it out at the server by hand, and accept it"))  # fmt: skip
    if plan.earlier_plan is not None:
        found.append(Loss("plan.earlier_plan", f"share {plan.earlier_plan.share:g}", "the server's own targets are "
                          "busy or not", "leave it out"))  # fmt: skip
    return found


def _told_of_duties(scenario: Scenario) -> list[str]:
    """What `fotasim live` does at the server, and nobody without it."""
    duties = duties_of(scenario.plan)
    found = [f"{show_duration(at_s)}: {what}" for at_s, what in duties.calendar]
    found += [
        f"after group {wait.name} the server pauses; resumed when its soak is over and the next may start"
        for wait in duties.waits
    ]
    return [f"fotasim live is the operator: {line}" for line in found]


def _notes(scenario: Scenario) -> tuple[str, ...]:
    return (f"it starts now, not at schedule.start_time ({scenario.plan.strategy.schedule.start_time})",)
