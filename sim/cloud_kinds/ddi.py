"""Servers of hawkBit's Direct Device Integration as a kind of cloud: modules poll over HTTP, nothing is said unasked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim.cloud_kinds.adapter import CloudAdapter, Polls, VirtualBehaviour
from sim.wire.ddi.client import POLL_JITTER

if TYPE_CHECKING:
    from sim.cloud_kinds.adapter import ControlSide, LiveSide
    from sim.scenario import Scenario

HAWKBIT_SLEEP_S = 300.0
"""Polling time of hawkBit where nobody changed it: 00:05:00."""
GOOSEBIT_REGISTRATION_S = 10.0
"""goosebit 0.2.12: an unknown device gives its attributes, is to poll again after ten seconds, and only then gets offers."""

HAWKBIT_LEAST_SLEEP_S = 30.0
"""hawkBit's minPollingTime, below which it shortens no sleep."""


def _behaviour(registration_s: float, window_sleep_s: float) -> VirtualBehaviour:
    return VirtualBehaviour(
        steps=(
            (("connect", "poll"), "woken", "first_contact_s"), (("notice",), "first_contact_s", "notified_s"),
            (("download",), "download_started_s", "downloaded_s"), (("wake",), "woken", "notified_s"),
        ),
        polls=Polls(HAWKBIT_SLEEP_S, POLL_JITTER, registration_s, window_sleep_s, asks_first=True),
        round_trips_there=1.5,
        round_trips_back=0.5,
        fixed_settings={
            "need_push": 0, "push_interval_s": 0.0, "checked_by_cloud": 0, "retries": 0, "retries_failed": 0,
            "retries_timed_out": 0,
        },
        without_effect={
            "delivery.need_push": False, "delivery.push_interval": 0.0, "preconditions.on_unmet": "defer",
            "preconditions.checked_by": "device", "retry.number_of_retries": 0, "retry.criteria": [],
        },
        parameters_without_effect=frozenset({
            "message_loss_nb_iot", "message_loss_nb_iot_bad", "message_loss_lte", "nat_timeout_s", "duplicate_identity",
            "duplicate_takeover_s",
        }),
    )  # fmt: skip


HAWKBIT = _behaviour(0.0, HAWKBIT_LEAST_SLEEP_S)
"""A request has a connection of its own: TCP and the request, then the answer. The first poll is the connection; from it
to the notice lie attributes and deployment. Such a server never speaks first, knows no battery, and an action that failed
is closed."""
GOOSEBIT = _behaviour(GOOSEBIT_REGISTRATION_S, 0.0)


class Ddi(CloudAdapter):
    """See CloudAdapter."""

    title = "Direct Device Integration (hawkBit, goosebit)"
    servers = ("hawkbit", "goosebit")
    takes_url = True

    def behaviour(self, server: str | None) -> VirtualBehaviour:
        """See CloudAdapter."""
        return GOOSEBIT if server == "goosebit" else HAWKBIT

    def refusals(self, scenario: Scenario) -> Iterable[str]:
        """See CloudAdapter."""
        strategy = scenario.plan.strategy
        if strategy.rollback or strategy.in_flight.on_revoked == "rollback":
            yield "such a server cannot roll back; leave out rollback and on_revoked"

    def live(self) -> LiveSide:
        """See CloudAdapter."""
        from sim.engines.live.ddi.ddi_cloud import DdiSide

        return DdiSide()

    def control(self, server: str | None) -> ControlSide | None:
        """See CloudAdapter."""
        from sim.engines.live.ddi.publish import DdiControlSide

        return None if server is None else DdiControlSide()


ADAPTER = Ddi()
