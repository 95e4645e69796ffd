"""What the live engine needs of a cloud: modules that speak to it, and its word on them afterwards."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Protocol

from sim.engines.live.reconciliation import Reconciliation
from sim.module.machine import Module

if TYPE_CHECKING:
    from sim.engines.live.live_engine import LiveEngine
    from sim.engines.live.live_module import LiveModule


class Cloud(Protocol):
    """A cloud to run against, whatever its protocol."""

    host: str
    port: int
    plan: int | None

    def module(self, engine: LiveEngine, module: Module) -> LiveModule:
        """The module as it speaks to this cloud."""

    def ssl_context(self, ca_file: str | None) -> ssl.SSLContext:
        """TLS that verifies the cloud, for downloads."""

    async def open(self, engine: LiveEngine) -> None:
        """Before the first module begins."""

    async def close(self) -> None:
        """Every connection ends."""

    async def is_over(self, engine: LiveEngine) -> bool:
        """Whether the cloud expects nothing more of any module that can still come."""

    async def reconcile(self, engine: LiveEngine) -> Reconciliation:
        """Takes the cloud's word on each module into the world's books and compares it with the modules'."""

    @property
    def traffic(self) -> tuple[int, int]:
        """Messages sent and received so far."""

    def figures(self) -> dict[str, Any]:
        """What only this kind of cloud can tell, for the manifest."""
