"""From a scenario's plan to a rollout on a DDI server: the package is uploaded, targets are made, groups and thresholds set."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha512

from sim.engines.live.ddi.control import Action, Group, Release, control_of
from sim.engines.live.ddi.ddi_module import BOARD
from sim.engines.live.ddi.ddi_target import PASSWORD, USER, ddi_target
from sim.engines.live.live_target import Limits
from sim.engines.world.build import build
from sim.errors import FotasimError
from sim.scenario import Scenario

LIMITS = Limits()


async def publish(
    scenario: Scenario, url: str, packages: Mapping[str, bytes], *, limits: Limits = LIMITS, token: str = "",
    register: bool = False, ca_file: str | None = None,
) -> int:  # fmt: skip
    """Publishes the plan's one component (`packages`: its bytes by name) and starts its rollout; the rollout's number.

    With `register` the fleet's targets are made first, with `token` ({id} in it becomes the target's name) as their
    security token; hawkBit needs them before a rollout starts, goosebit lets devices register by themselves.
    """
    section, plan = scenario.cloud, scenario.plan
    target = ddi_target(url, section.tenant, section.server or "", limits)
    control = control_of(target, target.ssl_context(ca_file))
    if control is None:
        raise FotasimError(f"cloud.server must be hawkbit or goosebit, and {USER} and {PASSWORD} its login")
    if len(plan.components) != 1:
        raise FotasimError("publishing works with one component; more are assembled at the server")
    world = build(scenario)
    component = plan.components[0]
    release = Release(
        component.component, component.target_version, packages[component.component], BOARD, world.fleet.hardware
    )
    async with control:
        if register or section.server == "hawkbit":
            await control.register([m.name for m in world.modules], token)
        package = await control.publish(release)
        return await control.start(plan.name, package, groups_of(scenario), action_of(scenario))


def action_of(scenario: Scenario) -> Action:
    """How the server is to hand the plan out: a plan that a user has to confirm is soft."""
    delivery = scenario.plan.strategy.delivery
    if delivery.action_type == "forced" and scenario.plan.mode == "confirm":
        return Action("soft")
    return Action(delivery.action_type.replace("-", ""), delivery.force_time)


def packages_of(scenario: Scenario) -> dict[str, bytes]:
    """The package of each component: its file, or bytes of its size that do not repeat from one component to the next."""
    found = {}
    for component in scenario.plan.components:
        if component.file is not None:
            found[component.component] = component.file.read_bytes()
        else:
            block = sha512(f"{component.component} {component.target_version}".encode()).digest()
            found[component.component] = (block * (component.total_size // len(block) + 1))[: component.total_size]
    return found


def groups_of(scenario: Scenario) -> list[Group]:
    """The plan's groups as hawkBit takes them, in percent of the targets left; one of everybody where there are none.

    FotasimError for a group that hawkBit cannot express.
    """
    rollout, left, found = scenario.plan.strategy.rollout, 100.0, []
    for number, group in enumerate(rollout.groups, 1):
        if group.count is not None or group.filter is not None:
            raise FotasimError(f"rollout.groups.{number - 1}: hawkBit's groups are given in percent")
        share = group.percent if group.percent is not None else left if rollout.percent_of == "total" else 100.0
        of_left = 100.0 * share / left if rollout.percent_of == "total" and left > 0.0 else share
        left -= share
        error = 100.0 if group.error_threshold_percent is None else group.error_threshold_percent
        name = group.name or f"group-{number}"
        found.append(Group(name, min(100.0, of_left), round(group.success_threshold_percent), round(error)))
    return found or [Group("all", 100.0, 50, 100)]
