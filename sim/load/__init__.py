"""Real load: fleets under Locust, the search of a cloud's capacity, what this host can carry.

`ModuleUser` and `ScenarioShape` load on use, because Locust changes how a process opens sockets; the asyncio side never
imports them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.load.locust_workers.module_user import ModuleUser
    from sim.load.locust_workers.scenario_shape import ScenarioShape

__all__ = ["ModuleUser", "ScenarioShape"]


def __getattr__(name: str) -> Any:
    """Loads Locust and what is built on it when a name is asked for."""
    if name == "ModuleUser":
        from sim.load.locust_workers.module_user import ModuleUser

        return ModuleUser
    if name == "ScenarioShape":
        from sim.load.locust_workers.scenario_shape import ScenarioShape

        return ScenarioShape
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
