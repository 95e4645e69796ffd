"""What the server itself counts: successes among a probe's modules, laid beside what it acknowledged."""

from __future__ import annotations

from sim.stats.evidence import LOST_UPDATES


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


__all__ = ["lost_updates", "more_updates"]
