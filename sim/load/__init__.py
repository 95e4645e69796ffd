"""Real load: fleets under Locust, the search of a cloud's capacity, what this host can carry.

`ModuleUser` loads on use, because Locust changes how a process opens sockets; the asyncio side never imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.load.user import ModuleUser

__all__ = ["ModuleUser"]


def __getattr__(name: str) -> Any:
    """Loads Locust and the user built on it when the name is asked for."""
    if name == "ModuleUser":
        from sim.load.user import ModuleUser

        return ModuleUser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
