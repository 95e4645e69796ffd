"""A plain HTTP cloud as a kind of cloud for fotasim: a device asks `GET /update?version=…` every hour, and the answer is the order.

There is no session, no document to read afterwards and no request for attributes: the poll carries the version, its answer
the URL of the package. It runs in virtual time; a live side and a management side can be added later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sim.cloud_kinds.adapter import CloudAdapter, Polls, VirtualBehaviour

if TYPE_CHECKING:
    from sim.scenario import Scenario

BEHAVIOUR = VirtualBehaviour(
    steps=(
        (("connect", "poll"), "woken", "first_contact_s"),
        (("download",), "download_started_s", "downloaded_s"),
        (("wake",), "woken", "notified_s"),
    ),
    polls=Polls(sleep_s=3600.0, sleep_jitter=0.1, reads_document=False, tells_attributes=False),
    round_trips_there=2.5,
    round_trips_back=0.5,
    fixed_settings={
        "need_push": 0, "push_interval_s": 0.0, "checked_by_cloud": 0, "retries": 0, "retries_failed": 0, "retries_timed_out": 0,
    },
)  # fmt: skip
"""TCP, TLS 1.3 and the request, then the answer. The cloud knows nothing of batteries and tries nothing again by itself."""


class HttpPoll(CloudAdapter):
    """See CloudAdapter: what is not said here is as that class has it."""

    title = "Plain HTTP poll"

    def behaviour(self, server: str | None) -> VirtualBehaviour:
        """See CloudAdapter."""
        del server
        return BEHAVIOUR

    def refusals(self, scenario: Scenario) -> Iterable[str]:
        """See CloudAdapter."""
        strategy = scenario.plan.strategy
        if strategy.rollback or strategy.in_flight.on_revoked == "rollback":
            yield "it cannot roll back; leave out rollback and on_revoked"
        if strategy.delivery.confirmation == "user":
            yield "it asks nobody; leave out delivery.confirmation"
        if strategy.schedule.maintenance_windows and strategy.schedule.window_gates == "install":
            yield "its order is to install at once; let maintenance windows gate the release"


ADAPTER = HttpPoll()
