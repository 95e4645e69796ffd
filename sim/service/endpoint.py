"""The MQTT endpoint: terminates MQTT 3.1.1 for many modules, so that a cloud needs no broker.

Each module talks to the cloud alone, so there is no routing: what clients publish goes to one callback, and `publish`
sends to one client by its id. Acknowledgements can wait until a message is stored.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sim.errors import ProtocolError
from sim.wire import mqtt
from sim.wire.session import ServerSession

RESEND_TICK_S = 0.25
SILENCE_TICK_S = 2.5
WRITE_LIMIT_BYTES = 1 << 20
"""A client that leaves this much unread is dropped."""
BACKLOG = 4096

OnConnect = Callable[[str, str | None, bytes | None], bool | int]
"""Client id, user name, password; True, or a return code of CONNACK (False is BAD_LOGIN)."""
OnMessage = Callable[[str, str, bytes], "Awaitable[object] | None"]
"""Client id, topic, payload; a future that is returned delays the acknowledgement until it is done."""
OnDisconnect = Callable[[str], object]
OnSubscribe = Callable[[str, Sequence[str]], object]


@dataclass(slots=True)
class Counts:
    """What went through an endpoint since its start."""

    connects: int = 0
    refused: int = 0
    disconnects: int = 0
    received: int = 0
    sent: int = 0
    unacknowledged: int = 0
    protocol_errors: int = 0


def _nothing(*_: object) -> None:
    """Default of the callbacks one may leave out."""


class Endpoint:
    """Accepts modules, hands over what they publish, publishes to them.

    Callbacks run in the event loop and must not block. A client that connects while its id is connected takes over:
    the older connection is closed without `on_disconnect`.
    """

    def __init__(
        self,
        on_connect: OnConnect,
        on_message: OnMessage,
        on_disconnect: OnDisconnect = _nothing,
        on_subscribe: OnSubscribe = _nothing,
        *,
        max_packet_bytes: int = mqtt.MAX_PACKET_BYTES,
    ) -> None:
        self.on_connect = on_connect
        self.on_message = on_message
        self.on_disconnect = on_disconnect
        self.on_subscribe = on_subscribe
        self.max_packet_bytes = max_packet_bytes
        self.counts = Counts()
        self.port = 0
        self._clients: dict[str, _Connection] = {}
        self._open: set[_Connection] = set()
        self._in_flight: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._tickers: list[asyncio.Task[None]] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0, ssl: tls.SSLContext | None = None) -> None:
        """Listens; `port` 0 takes a free one, found in `self.port` afterwards."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, ssl=ssl, backlog=BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tickers = [
            loop.create_task(self._tick(RESEND_TICK_S, self._in_flight)),
            loop.create_task(self._tick(SILENCE_TICK_S, self._open)),
        ]

    async def stop(self) -> None:
        """Stops listening and drops every client."""
        for ticker in self._tickers:
            ticker.cancel()
        await asyncio.gather(*self._tickers, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.abort()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # the transports' last callbacks

    @property
    def clients(self) -> Sequence[str]:
        """Ids of the clients that are connected."""
        return list(self._clients)

    def is_connected(self, client_id: str) -> bool:
        """Whether a client is connected."""
        return client_id in self._clients

    def publish(self, client_id: str, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Sends to one client; False when it is not connected or has not subscribed to the topic."""
        connection = self._clients.get(client_id)
        if connection is None:
            return False
        granted = connection.session.granted_qos(topic)
        if granted < 0:
            return False
        qos = min(qos, granted)
        connection.session.publish(topic.encode(), payload, qos, connection.loop.time())
        self.counts.sent += 1
        if qos:
            self._in_flight.add(connection)
        return True

    def drop(self, client_id: str) -> None:
        """Cuts a client's connection, as a failing network would."""
        connection = self._clients.get(client_id)
        if connection is not None:
            connection.abort()

    async def _tick(self, every_s: float, watched: set[_Connection]) -> None:
        """Wakes the sessions that may have something due."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every_s)
            now = loop.time()
            for connection in list(watched):
                session = connection.session
                if session.deadline <= now:
                    session.wake(now)
                if not session.in_flight:
                    self._in_flight.discard(connection)


class _Connection(asyncio.Protocol):
    """One client: owner of its session, between transport and endpoint."""

    __slots__ = ("client_id", "endpoint", "loop", "session", "transport")

    session: ServerSession

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.get_running_loop()
        self.client_id: str | None = None
        self.transport: asyncio.Transport | None = None

    # --- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.transport = transport
        transport.set_write_buffer_limits(WRITE_LIMIT_BYTES)
        endpoint = self.endpoint
        self.session = ServerSession(self, transport.write, self.loop.time(), endpoint.max_packet_bytes)
        endpoint._open.add(self)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        try:
            self.session.receive(data, self.loop.time())
        except ProtocolError:
            self.endpoint.counts.protocol_errors += 1
            self.abort()

    def pause_writing(self) -> None:
        self.abort()  # it does not read; memory is for those who do

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._gone()

    def abort(self) -> None:
        """Closes at once, unsent data lost."""
        transport = self.transport
        self._gone()
        if transport is not None:
            transport.abort()

    def _gone(self) -> None:
        """Leaves the endpoint's books; tells once."""
        if self.transport is None:
            return
        self.transport = None
        endpoint = self.endpoint
        endpoint._open.discard(self)
        endpoint._in_flight.discard(self)
        if self.client_id is not None and endpoint._clients.get(self.client_id) is self:
            del endpoint._clients[self.client_id]
            endpoint.counts.disconnects += 1
            endpoint.on_disconnect(self.client_id)

    # --- session -----------------------------------------------------------------------------------------------------

    def on_connect(self, request: mqtt.Connect) -> int:
        endpoint = self.endpoint
        if not request.client_id:
            answer: bool | int = mqtt.BAD_CLIENT_ID
        else:
            answer = endpoint.on_connect(request.client_id, request.username, request.password)
        code = mqtt.ACCEPTED if answer is True else mqtt.BAD_LOGIN if answer is False else answer
        if code != mqtt.ACCEPTED:
            endpoint.counts.refused += 1
            return code
        before = endpoint._clients.pop(request.client_id, None)
        self.client_id = request.client_id
        endpoint._clients[request.client_id] = self
        endpoint.counts.connects += 1
        if before is not None:
            before.abort()
        return code

    def on_subscribe(self, filters: Sequence[str]) -> None:
        if self.client_id is not None:
            self.endpoint.on_subscribe(self.client_id, filters)

    def on_end(self, why: str) -> None:
        transport = self.transport
        if why == "keep-alive":
            self.abort()
        elif transport is not None:
            self._gone()
            transport.close()  # what is written still goes out: a CONNACK that refuses

    def on_message(self, topic: str, payload: bytes, qos: int, packet_id: int) -> bool:
        if self.client_id is None or self.transport is None:
            return False
        endpoint = self.endpoint
        endpoint.counts.received += 1
        stored = endpoint.on_message(self.client_id, topic, payload)
        if stored is None or qos == 0:
            return True
        future = asyncio.ensure_future(stored)
        future.add_done_callback(lambda done: self._stored(done, qos, packet_id))
        return False

    def _stored(self, done: asyncio.Future[object], qos: int, packet_id: int) -> None:
        if self.transport is not None and not done.cancelled() and done.exception() is None:
            self.session.acknowledge(qos, packet_id)

    def on_acknowledged(self, packet_id: int) -> None:
        pass

    def on_unacknowledged(self, packet_id: int) -> None:  # noqa: ARG002 - it is lost, whichever it was
        self.endpoint.counts.unacknowledged += 1
