"""How a plan is published to a cloud, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass

from sim.engines.live.live_target import Limits

LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class How:
    """How a plan is published."""

    limits: Limits = LIMITS
    token: str = ""
    """Security token of the devices made here; {id} in it becomes the device's name."""
    register: bool = False
    """Make the devices first; some clouds always need that, others let devices register by themselves."""
    ca_file: str | None = None
    accept_losses: bool = False
    file: str = "scenario"
    """How refusals name the scenario."""


DEFAULTS = How()
