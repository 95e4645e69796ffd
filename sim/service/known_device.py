"""A module as the service knows it: identity, what it last reported, and the plan it is busy with."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING

from sim import messages as msg

if TYPE_CHECKING:
    from sim.service.activated_plan import Rollout


REMEMBERED = 64
"""Of messages of a module behind a broker that are told from their repetitions: each takes two."""
DELIVERED = "~"
"""Marks a message under the packet id of the broker; without it stands the identity within the module's session."""


@dataclass(slots=True)
class Device:
    """One module of a product. Battery in percent, RSRP in dBm, free space in bytes, nan until reported."""

    id: int
    product_id: int
    key: str
    secret: str
    created_at: float
    module_version: str = ""
    mcu_versions: dict[str, str] = field(default_factory=dict)
    battery_percent: float = nan
    rsrp_dbm: float = nan
    free_bytes: float = nan
    seen_at: float | None = None
    online: bool = False
    announced: bool = False
    reports: int = 0
    authenticated: bool = False
    """It has logged in with its secret: a bootstrap is refused until an operator resets it."""
    identities: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Behind a broker: the latest messages, oldest first, as the broker delivered them (marked DELIVERED) and, since the
    module began its session, as the module sent them."""
    reoffer: bool = False
    """Its connection was taken over: what it was offered there, it may never have got."""
    busy: Rollout | None = None
    """The plan whose offer or upgrade the module is busy with."""

    def version(self, kind: int, component: str) -> str:
        """The running version of a component, "" when it was never reported."""
        return self.module_version if kind == msg.FIRMWARE else self.mcu_versions.get(component, "")

    def runs(self, kind: int, component: str, version: str) -> None:
        """The device reported that a component runs this version now."""
        if kind == msg.FIRMWARE:
            self.module_version = version
        else:
            self.mcu_versions[component] = version


def parse_mcu_versions(text: str) -> dict[str, str]:
    """The list `no:version;no:version;` of the wire as a mapping."""
    pairs = (entry.partition(":") for entry in text.split(";") if ":" in entry)
    return {component: version for component, _, version in pairs}


def show_mcu_versions(versions: dict[str, str]) -> str:
    """A mapping of versions as the list of the wire."""
    return "".join(f"{component}:{version};" for component, version in versions.items())
