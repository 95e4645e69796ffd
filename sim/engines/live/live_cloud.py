"""What live runs and loads need of a cloud: its target, modules that speak to it, and its word on them afterwards."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Protocol

from sim.cloud_kinds import registry
from sim.engines.live.reconciliation import Reconciliation
from sim.errors import FotasimError
from sim.module.machine import Module
from sim.wire.quecthing.client import SecretHandOut

if TYPE_CHECKING:
    from sim.cloud_kinds.adapter import LiveSide
    from sim.engines.live.live_engine import LiveEngine, Settings
    from sim.engines.live.live_module import LiveModule
    from sim.scenario import Scenario


class LiveTarget(Protocol):
    """Where a run goes. Credentials never show."""

    @property
    def host(self) -> str:
        """The host that connections are opened to."""

    @property
    def port(self) -> int:
        """Its port."""

    @property
    def api(self) -> str | None:
        """URL of the mock cloud's API, None for every other cloud."""

    @property
    def plan(self) -> int | None:
        """The plan as the cloud numbers it, None where it did not tell."""

    @property
    def hand_out(self) -> SecretHandOut | None:
        """What one run learns of how devices get their secrets, for the next; None where they have none."""


def live_side(kind: str) -> LiveSide:
    """The live side of a kind of cloud; FotasimError where it has none."""
    side = registry.adapter_of(kind).live()
    if side is None:
        raise FotasimError(f"cloud.kind {kind}: this kind of cloud is simulated only; nothing can be run against it")
    return side


async def find_target(
    cloud: str, settings: Settings, plan: int | None = None, scenario: Scenario | None = None
) -> LiveTarget:  # fmt: skip
    """The target behind a URL, checked against the limits before anything is sent; of the scenario's kind of cloud."""
    kind = registry.DEFAULT if scenario is None else scenario.cloud.kind
    return await live_side(kind).find(cloud, scenario, settings, plan)


class Cloud(Protocol):
    """A cloud to run against, whatever its protocol."""

    host: str
    port: int
    plan: int | None
    can_compare: bool
    """Whether it can be asked for its own word."""

    def module(self, engine: LiveEngine, module: Module) -> LiveModule:
        """The module as it speaks to this cloud."""

    def ssl_context(self, ca_file: str | None) -> ssl.SSLContext:
        """TLS that verifies the cloud, for downloads."""

    async def open(self, engine: LiveEngine) -> None:
        """Before the first module begins."""

    async def close(self) -> None:
        """Every connection of a module ends."""

    async def attend(self, settings: Settings) -> None:
        """Before a live run: whoever acts at the cloud while it goes is found. InputError where the plan needs one in vain."""

    async def free(self) -> None:
        """After the last reconciliation: what it was asked through is closed as well."""

    async def is_over(self, engine: LiveEngine) -> bool:
        """Whether the cloud expects nothing more of any module that can still come."""

    async def reconcile(self, engine: LiveEngine) -> Reconciliation:
        """Takes the cloud's word on each module into the world and compares it with what the modules counted."""

    @property
    def traffic(self) -> tuple[int, int]:
        """Messages sent and received so far."""

    def figures(self) -> dict[str, Any]:
        """What only this kind of cloud can tell, for the manifest."""
