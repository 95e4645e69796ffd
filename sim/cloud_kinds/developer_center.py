"""The Developer Center as a kind of cloud: QuecThing over MQTT, a session that stays open, offers that are pushed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cloud_kinds.adapter import CloudAdapter, VirtualBehaviour

if TYPE_CHECKING:
    from sim.cloud_kinds.adapter import LiveSide

BEHAVIOUR = VirtualBehaviour(
    steps=(
        (("connect", "login"), "woken", "first_contact_s"), (("notice", "request"), "first_contact_s", "notified_s"),
        (("url",), "confirmed_s", "download_started_s"), (("download",), "download_started_s", "downloaded_s"),
        (("wake",), "woken", "notified_s"),
    ),
    login_round_trips=3,
    hello_requests=3,
)  # fmt: skip
"""TCP, MQTT CONNECT and SUBSCRIBE; a connecting module publishes 0x0034 and 0x0044 and asks with 0x0115. In virtual time
connection and login are one step, and a request is taken in as it is answered: such an interval counts for both legs."""


class DeveloperCenter(CloudAdapter):
    """See CloudAdapter. Its plans are created on its own pages or through its API, not published from here."""

    title = "Developer Center (QuecThing over MQTT)"
    speaks_quecthing = True

    def behaviour(self, server: str | None) -> VirtualBehaviour:
        """See CloudAdapter."""
        del server
        return BEHAVIOUR

    def live(self) -> LiveSide:
        """See CloudAdapter."""
        from sim.engines.live.quecthing import QuecThingSide

        return QuecThingSide()


ADAPTER = DeveloperCenter()
