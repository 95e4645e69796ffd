"""HTTP connections with an end: limits by source, deadlines in total for heads, however they dribble in, and for answers.

An answer that the client takes, however slowly, is whole, also one that refuses a request before all of it has come;
one that nobody takes ends its connection.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from sim.service.lingering_close import LingeringClose
from sim.service.throttle import Connections, source_of

HEAD_S = 15.0
"""From the connection, or from the last answer that has left, to the end of a request's head."""
STALLED_S = 300.0
"""An answer of which the client takes nothing for this long ends the connection."""
LOOK_S = 15.0
MAX_HEAD_BYTES = 64 * 1024
PIECE_BYTES = 4 * 1024
"""Of what one read has brought, parsed at a time: a head is too long however many of its bytes come at once."""

_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 24\r\nConnection: close\r\n\r\nThe headers are too long"
)


class _Transport:
    """A transport that closes as its connection wants it."""

    def __init__(self, transport: asyncio.Transport, connection: Limited) -> None:
        self._transport, self._connection = transport, connection
        self._leave: LingeringClose | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._leave is not None or self._transport.is_closing()

    def close(self) -> None:
        """Lets a client that still sends read its answer first; a second call ends that, too."""
        if self._leave is None and not self.is_closing() and self._connection.is_sending():
            self._leave = LingeringClose(self._transport)
        else:
            self._transport.close()

    def over(self) -> None:
        """The connection is gone."""
        if self._leave is not None:
            self._leave.over()


class Limited(H11Protocol):
    """uvicorn's protocol within these limits: one connection."""

    by_source: Connections

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._source: str | None = None
        self._head: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._unsent, self._taken_at = 0, 0.0

    def begin(self, transport: asyncio.Transport, source: str, head: bytes, due: float) -> None:
        """Takes over a connection that has said this and has until `due`; `FirstHead` has admitted its source."""
        self._source = source
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]
        self._head = self.loop.call_at(due, self._head_due)
        self.data_received(head)

    def data_received(self, data: bytes) -> None:
        """Bytes of a connection that is not ending."""
        for start in range(0, len(data), PIECE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE_BYTES])

    def is_sending(self) -> bool:
        """Whether the client has not come to the end of what it sends, or sends what is no HTTP."""
        return self.conn.their_state in (h11.SEND_BODY, h11.ERROR) or bool(self.conn.trailing_data[0])

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so; a head that does not end within the parser's limit is told 431."""
        if len(self.conn.trailing_data[0]) > MAX_HEAD_BYTES:
            self.transport.write(_TOO_LONG)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def handle_events(self) -> None:
        """A head that has come in time stops its clock."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """From here the next head has its time."""
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client is slow: from here it is looked whether it takes anything at all."""
        super().pause_writing()
        if self._look is None:
            self._look = self.loop.call_later(min(LOOK_S, STALLED_S), self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        """Its source may have another one."""
        self._stop_waiting()
        self.transport.over()  # type: ignore[attr-defined]
        if self._look is not None:
            self._look.cancel()
        if self._source is not None:
            self.by_source.gone(self._source)
            self._source = None
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(HEAD_S, self._head_due)

    def _head_due(self) -> None:
        if self._is_taken():  # the last answer is still on its way: a slow client has not begun to be late
            self._await_head()
        else:
            self.transport.abort()

    def _look_again(self) -> None:
        self._look = None
        if not self.flow.write_paused:
            return
        if self._is_taken():
            self._look = self.loop.call_later(min(LOOK_S, STALLED_S), self._look_again)
        else:
            self.transport.abort()

    def _is_taken(self) -> bool:
        """Whether bytes of an answer wait, and the client took some of them not long ago."""
        unsent, now = self.transport.get_write_buffer_size(), self.loop.time()
        if unsent != self._unsent:
            self._unsent, self._taken_at = unsent, now
        return unsent > 0 and now - self._taken_at < STALLED_S

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class FirstHead(asyncio.Protocol):
    """A connection until its first head is whole: what is half open costs a few hundred bytes, and no parser.

    It goes over to a `Limited` when the head has its end, cannot be one, or is long.
    """

    __slots__ = ("_config", "_due", "_head", "_source", "_state", "transport")

    def __init__(self, config: Config, server_state: ServerState) -> None:
        self._config, self._state = config, server_state
        self._source: str | None = None
        self._due: asyncio.TimerHandle | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection in, or ends it when its source has too many."""
        self.transport = transport
        source = source_of(transport.get_extra_info("peername"))
        if not self._protocol.by_source.admit(source):
            transport.abort()
            return
        self._source = source
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._due = asyncio.get_running_loop().call_later(HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Gathers the head."""
        self._head += data
        whole = b"\n\r\n" in self._head or b"\n\n" in self._head
        if self._source is not None and (whole or len(self._head) > PIECE_BYTES or self._head[0] <= ord(" ")):
            source, self._source = self._source, None
            due = self._over()
            limited = self._protocol(config=self._config, server_state=self._state, app_state={})
            self.transport.set_protocol(limited)
            limited.begin(self.transport, source, self._head, due)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Its source may have another one."""
        self._over()
        if self._source is not None:
            self._protocol.by_source.gone(self._source)

    def shutdown(self) -> None:
        """The server ends."""
        self.transport.close()

    @property
    def _protocol(self) -> type[Limited]:
        return self._config.http_protocol_class  # type: ignore[return-value]

    def _over(self) -> float:
        """No longer waited for; when its head was due, by the loop's time."""
        self._state.connections.discard(self)
        if self._due is None:
            return 0.0
        self._due.cancel()
        return self._due.when()


def protocol(connections: Connections) -> type[H11Protocol]:
    """The protocol of a server whose connections are counted here."""
    return type("LimitedHere", (Limited,), {"by_source": connections})
