"""The link of a module: where its radio and its session with the cloud stand."""

from __future__ import annotations

from sim.named_enum import NamedEnum


class LinkState(NamedEnum):
    """OFFLINE to ONLINE in order of a connection; FLASHING: radio off, installing or rebooting; DARK: never comes back."""

    OFFLINE = 0
    ATTACHING = 1
    CONNECTING = 2
    ONLINE = 3
    FLASHING = 4
    DARK = 5
