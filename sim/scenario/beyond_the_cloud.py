"""What of a strategy a Developer Center cannot follow: it knows devices by key and report, no labels, cells or fleet groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.scenario.strategy import StrategySection

LEFT_TO_THE_MODULE = {
    "delivery.polling_time": "a module asks at its own interval",
    "delivery.force_time": "a module stops waiting for its user by itself",
    "retry.resume_download": "a module goes on where a download broke off, or does not",
    "rollout.groups.name": "the mock cloud numbers its groups",
    "overwrite_mode": "a cloud that runs several plans of a product serves them one after the other",
}
"""Settings that do nothing in a plan of the mock cloud: modules see to them, or nobody has to."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """A setting that a cloud cannot follow."""

    key: str
    """Below `plan.strategy`."""
    why: str
    cure: str

    def __str__(self) -> str:
        return f"{self.key}: {self.why}; {self.cure}"


def beyond_the_cloud(strategy: StrategySection) -> list[Beyond]:
    """Settings that a plan of a Developer Center, the mock cloud's own ones among them, would drop in silence."""
    rollout, delivery = strategy.rollout, strategy.delivery
    only_simulated = "leave it out, or simulate the plan with fotasim run"
    found = []
    if rollout.stagger is not None:
        found.append(Beyond("rollout.stagger", "the cloud knows no labels of its devices", only_simulated))
    if rollout.max_in_progress_per_label is not None:
        found.append(Beyond("rollout.max_in_progress_per_label", "the cloud knows no labels of its devices",
                            "use max_in_progress, or simulate the plan with fotasim run"))  # fmt: skip
    if rollout.max_in_progress_per_cell is not None:
        found.append(Beyond("rollout.max_in_progress_per_cell", "the cloud does not know in which cell a device is",
                            "use max_in_progress, or simulate the plan with fotasim run"))  # fmt: skip
    if rollout.order == "recently-active":
        found.append(Beyond("rollout.order", "the cloud does not go by when it saw a device last",
                            "use shuffled or listed, or simulate the plan with fotasim run"))  # fmt: skip
    if rollout.repeat_last_group:
        found.append(Beyond("rollout.repeat_last_group", "the cloud has the groups that are listed, and no others",
                            "list the groups, or simulate the plan with fotasim run"))  # fmt: skip
    for number, group in enumerate(rollout.groups):
        if group.filter is not None and (group.filter.fleet_groups or group.filter.hardware or group.filter.labels):
            found.append(Beyond(f"rollout.groups.{number}.filter", "the cloud knows devices by their key alone",
                                "name the devices with modules, or give a percent or count"))  # fmt: skip
    if delivery.confirmation == "operator":
        found.append(Beyond("delivery.confirmation", "the cloud has no step at which an operator approves a device",
                            "use user or none, or simulate the plan with fotasim run"))  # fmt: skip
    return found
