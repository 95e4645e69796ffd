"""What the server itself counts: successes among a probe's modules, and whether it has worked off what was queued."""

from __future__ import annotations

from collections.abc import Collection

from sim.engines.live.api import CloudApi
from sim.engines.live.ddi.control import control_of
from sim.engines.live.ddi.ddi_target import DdiTarget
from sim.engines.live.live_target import Target
from sim.errors import FotasimError
from sim.stats.evidence import LOST_UPDATES

SUCCEEDED = "succeeded"
"""The cloud's name for modules that run the new version."""


async def states_of(target: Target | DdiTarget, ca_file: str | None) -> dict[str, int]:
    """Modules of a Developer Center's plan by state, the successful ones always among them; empty where it cannot be asked."""
    if not isinstance(target, Target) or target.api is None or target.plan is None:
        return {}
    api = CloudApi.from_environment(target.api, ca_file)
    try:
        return {SUCCEEDED: 0, **await api.states(target.plan)}
    except FotasimError:
        return {}
    finally:
        await api.close()


async def finished_of(target: DdiTarget, ca_file: str | None, prefix: str, names: Collection[str]) -> int | None:
    """Devices of a DDI server with these names, all beginning with `prefix`, whose action ended in success.

    None where the management API is not known, has no login or does not answer.
    """
    control = control_of(target, target.ssl_context(ca_file))
    if control is None:
        return None
    try:
        async with control:
            return await control.finished(prefix, names)
    except FotasimError:
        return None


def lost_updates(counted: int | None, acknowledged: int) -> list[str]:
    """A fault when the cloud counts fewer successes than it acknowledged to the modules; nothing when it cannot be asked."""
    if counted is None or counted >= acknowledged:
        return []
    return [f"{LOST_UPDATES}: it acknowledged {acknowledged:,} successes of this probe and counts {counted:,}"]


def more_updates(counted: int | None, upgraded: int) -> list[str]:
    """A hint when the cloud counts more successes than there were: others are at work on it."""
    if counted is None or counted <= upgraded:
        return []
    return [f"the cloud counts {counted:,} successes more than before, and {upgraded:,} modules upgraded"]


__all__ = ["SUCCEEDED", "finished_of", "lost_updates", "more_updates", "states_of"]
