"""HTTP connections with an end: limits by source, and deadlines in total for a request's head, however it dribbles in."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from sim.service.throttle import Connections, source_of

HEAD_S = 15.0
"""From the connection, or from the last answer, to the end of a request's head."""


def protocol(connections: Connections) -> type[H11Protocol]:
    """uvicorn's protocol within these limits."""

    class Limited(H11Protocol):
        """One connection."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._source: str | None = None
            self._head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            source = source_of(transport.get_extra_info("peername"))
            super().connection_made(transport)
            if not connections.admit(source):
                transport.abort()
                return
            self._source = source
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self._source is not None:
                super().data_received(data)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            self._await_head()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            if self._source is not None:
                connections.gone(self._source)
                self._source = None
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._stop_waiting()
            self._head = self.loop.call_later(HEAD_S, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Limited
