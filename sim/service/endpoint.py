"""The MQTT endpoint: terminates MQTT 3.1.1 for many modules, so that a cloud needs no broker.

Each module talks to the cloud alone, so there is no routing: what clients publish goes to one callback, and `publish`
sends to one client by its id. Acknowledgements can wait until a message is stored. Nothing a client sends, and nothing
a callback raises, reaches beyond its connection.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from sim.errors import LocalProtocolError, RemoteProtocolError
from sim.service.handshakes import Handshakes
from sim.service.lingering_close import LingeringClose
from sim.service.throttle import Connections, Throttle, source_of
from sim.service.trouble import Trouble
from sim.wire import mqtt
from sim.wire.session import ServerSession

RESEND_TICK_S = 0.25
SILENCE_TICK_S = 2.5
WRITE_LIMIT_BYTES = 1 << 20
"""A client that leaves this much unread is dropped."""
BACKLOG = 4096
SLICE_BYTES = 4096
"""Of what one client has sent, read at a time before the others have their turn."""
TLS_HANDSHAKE_S = 10.0
"""From the connection to the end of its handshake, of MQTT and of HTTP."""
STRANGER_S = 5.0
"""A client that is let in only to be told why it is refused has this long to hear it."""
MAX_STRANGERS = 8192
"""Connections of one source that have not logged in."""
MAX_CONNECTIONS = 1_000_000
MAX_CLIENT_ID_CHARS = 128


@dataclass(frozen=True, slots=True)
class Stranger:
    """A refused login that is told why: let in under no name, sent one message when it subscribes, then cut off."""

    topic: str
    payload: bytes


OnConnect = Callable[[str, "str | None", "bytes | None"], "bool | int | Stranger"]
"""Client id, user name, password; True, a return code of CONNACK (False is BAD_LOGIN), or a Stranger."""
OnMessage = Callable[[str, str, bytes], "Awaitable[object] | None"]
"""Client id, topic, payload; a future that is returned delays the acknowledgement until it is done."""
OnDisconnect = Callable[[str], object]
OnSubscribe = Callable[[str, Sequence[str]], object]
MaySubscribe = Callable[[str, str], bool]
"""Client id, topic filter."""


@dataclass(slots=True)
class Counts:
    """What went through an endpoint since its start."""

    connects: int = 0
    refused: int = 0
    received: int = 0
    sent: int = 0
    unacknowledged: int = 0
    protocol_errors: int = 0
    throttled: int = 0
    """Logins that were not looked at after too many wrong ones."""
    overflows: int = 0
    """Clients dropped because they acknowledge nothing."""
    errors: int = 0
    """Connections ended by an error of a callback."""


def _nothing(*_: object) -> None:
    """Default of the callbacks one may leave out."""


def _always(*_: object) -> bool:
    """Default of what may be subscribed to."""
    return True


class Endpoint:
    """Accepts modules, hands over what they publish, publishes to them.

    Callbacks run in the event loop and must not block. A client that logs in while its id is connected takes over: the
    older connection is closed without `on_disconnect`, so `on_connect` has to treat it as gone.
    """

    def __init__(
        self,
        on_connect: OnConnect,
        on_message: OnMessage,
        on_disconnect: OnDisconnect = _nothing,
        on_subscribe: OnSubscribe = _nothing,
        *,
        may_subscribe: MaySubscribe = _always,
        max_packet_bytes: int = mqtt.MAX_PACKET_BYTES,
        max_connections: int = MAX_CONNECTIONS,
        trouble: Trouble | None = None,
    ) -> None:
        self.on_connect = on_connect
        self.on_message = on_message
        self.on_disconnect = on_disconnect
        self.on_subscribe = on_subscribe
        self.may_subscribe = may_subscribe
        self.throttle = Throttle()
        self.strangers = Connections(MAX_STRANGERS, max_connections)
        self.trouble = trouble or Trouble()
        self.max_connections = max_connections
        self.max_packet_bytes = max_packet_bytes
        self.counts = Counts()
        self.port = 0
        self._clients: dict[str, _Connection] = {}
        self._open: set[_Connection] = set()
        self._in_flight: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._handshakes: Handshakes | None = None
        self._tickers: list[asyncio.Task[None]] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0, ssl: tls.SSLContext | None = None) -> None:
        """Listens; `port` 0 takes a free one, found in `self.port` afterwards."""
        loop = asyncio.get_running_loop()
        if ssl is not None:
            self._handshakes = Handshakes(self._connected, ssl, self.strangers, TLS_HANDSHAKE_S)
        self._server = await loop.create_server(self._handshakes or self._connected, host, port, backlog=BACKLOG)
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
        if self._handshakes is not None:
            self._handshakes.abort()
        if self._server is not None:
            await self._server.wait_closed()
        await asyncio.sleep(0)  # the transports' last callbacks

    @property
    def clients(self) -> Sequence[str]:
        """Ids of the clients that are connected."""
        return list(self._clients)

    def publish(self, client_id: str, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Sends to one client; False when it is not connected or has not subscribed to the topic."""
        connection = self._clients.get(client_id)
        if connection is None:
            return False
        granted = connection.session.granted_qos(topic)
        if granted < 0:
            return False
        qos = min(qos, granted)
        if not connection.send(topic, payload, qos):
            return False
        self.counts.sent += 1
        if qos:
            self._in_flight.add(connection)
        return True

    def drop(self, client_id: str) -> None:
        """Cuts a client's connection, as a failing network would."""
        connection = self._clients.get(client_id)
        if connection is not None:
            connection.abort()

    def _connected(self) -> asyncio.Protocol:
        return _Connection(self)

    async def _tick(self, every_s: float, watched: set[_Connection]) -> None:
        """Wakes the sessions that may have something due."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(every_s)
            now = loop.time()
            for connection in list(watched):
                if connection.transport is None:
                    continue
                session = connection.session
                if session.deadline <= now:
                    connection.guarded(session.wake, now)
                if not session.in_flight:
                    self._in_flight.discard(connection)


class _Connection(asyncio.Protocol):
    """One client: owner of its session, between transport and endpoint."""

    __slots__ = (
        "_leave",
        "_socket",
        "_unread",
        "client_id",
        "endpoint",
        "loop",
        "session",
        "source",
        "stranger",
        "transport",
    )

    session: ServerSession

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.get_running_loop()
        self.client_id: str | None = None
        self.stranger: Stranger | None = None
        self.source: str | None = None  # while it counts among those that have not logged in
        self.transport: asyncio.Transport | None = None  # while its session lasts
        self._socket: asyncio.Transport | None = None
        self._leave: LingeringClose | None = None
        self._unread = b""

    # --- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        endpoint, source = self.endpoint, source_of(transport.get_extra_info("peername"))
        if len(endpoint._open) >= endpoint.max_connections or not endpoint.strangers.admit(source):
            transport.abort()
            return
        self.transport, self._socket, self.source = transport, transport, source
        transport.set_write_buffer_limits(WRITE_LIMIT_BYTES)
        self.session = ServerSession(self, transport.write, self.loop.time(), endpoint.max_packet_bytes)
        endpoint._open.add(self)

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        if len(data) > SLICE_BYTES:
            self.transport.pause_reading()
            self._unread, data = data[SLICE_BYTES:], data[:SLICE_BYTES]
            self.loop.call_soon(self._go_on)
        self.guarded(self.session.receive, data, self.loop.time())

    def _go_on(self) -> None:
        """The next slice of what one read has brought."""
        if self.transport is None:
            return
        data, self._unread = self._unread[:SLICE_BYTES], self._unread[SLICE_BYTES:]
        if self._unread:
            self.loop.call_soon(self._go_on)
        else:
            self.transport.resume_reading()
        self.guarded(self.session.receive, data, self.loop.time())

    def guarded(self, call: Callable[..., object], *arguments: object) -> None:
        """Runs what may fail by the client's fault or a callback's: the connection ends, nothing else."""
        counts = self.endpoint.counts
        try:
            call(*arguments)
        except RemoteProtocolError:
            counts.protocol_errors += 1
            self.abort()
        except LocalProtocolError:
            counts.overflows += 1
            self.abort()
        except Exception as error:
            counts.errors += 1
            self.endpoint.trouble.report("a module's message", error)
            self.abort()

    def send(self, topic: str, payload: bytes, qos: int) -> bool:
        """Publishes to this client; False, and the end of it, when it acknowledges nothing any more."""
        if self.transport is None:
            return False
        self.guarded(self.session.publish, topic.encode(), payload, qos, self.loop.time())
        return self.transport is not None

    def pause_writing(self) -> None:
        self.abort()  # it does not read; memory is for those who do

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._closed()

    def abort(self) -> None:
        """Closes at once, unsent data lost."""
        open_ = self._socket
        self._closed()
        if open_ is not None:
            open_.abort()

    def close(self) -> None:
        """Ends the session; what is written still goes out, and its source has the connection until it is closed."""
        if self.transport is not None and self._socket is not None:
            self._gone()
            self._leave = LingeringClose(self._socket)

    def _closed(self) -> None:
        """The socket is gone, and the session with it."""
        self._gone()
        self._socket = None
        if self._leave is not None:
            self._leave.over()
        self._known()
        self.endpoint._open.discard(self)

    def _gone(self) -> None:
        """The session is over; tells once."""
        if self.transport is None:
            return
        self.transport = None
        endpoint = self.endpoint
        endpoint._in_flight.discard(self)
        if self.client_id is not None and endpoint._clients.get(self.client_id) is self:
            del endpoint._clients[self.client_id]
            try:
                endpoint.on_disconnect(self.client_id)
            except Exception as error:
                endpoint.counts.errors += 1
                endpoint.trouble.report("a module's leave", error)

    def _known(self) -> None:
        """Counts no longer among those that have not logged in."""
        if self.source is not None:
            self.endpoint.strangers.gone(self.source)
            self.source = None

    # --- session -----------------------------------------------------------------------------------------------------

    def on_connect(self, request: mqtt.Connect) -> int:
        endpoint, client_id, source = self.endpoint, request.client_id, self.source or ""
        now = self.loop.time()
        if endpoint.throttle.wait_s(source, client_id, now) > 0.0:
            endpoint.counts.throttled += 1
            raise RemoteProtocolError("too many wrong logins")  # a return code would make a module forget its secret
        if not client_id or len(client_id) > MAX_CLIENT_ID_CHARS:
            answer: bool | int | Stranger = mqtt.BAD_CLIENT_ID
        else:
            answer = endpoint.on_connect(client_id, request.username, request.password)
        if isinstance(answer, Stranger):
            self._strange(answer)
        elif answer is True:
            self._take_over(client_id)
        if answer is not True:
            endpoint.counts.refused += 1
            endpoint.throttle.failed(source, client_id, now)
        if isinstance(answer, bool):
            return mqtt.ACCEPTED if answer else mqtt.BAD_LOGIN
        return mqtt.ACCEPTED if isinstance(answer, Stranger) else answer

    def _take_over(self, client_id: str) -> None:
        """The connection is the client's from now on; an older one of the same id ends."""
        endpoint = self.endpoint
        endpoint.throttle.passed(self.source or "", client_id)
        self._known()
        before = endpoint._clients.pop(client_id, None)
        self.client_id = client_id
        endpoint._clients[client_id] = self
        endpoint.counts.connects += 1
        if before is not None:
            before.abort()

    def _strange(self, told: Stranger) -> None:
        """Let in under no name, to be told why."""
        self.stranger = told
        self.loop.call_later(STRANGER_S, self.abort)

    def may_subscribe(self, topic_filter: str) -> bool:
        if self.client_id is None:
            return self.stranger is not None and mqtt.matches(topic_filter, self.stranger.topic)
        return self.endpoint.may_subscribe(self.client_id, topic_filter)

    def on_subscribe(self, filters: Sequence[str]) -> None:
        told = self.stranger
        if self.client_id is not None:
            self.endpoint.on_subscribe(self.client_id, filters)
        elif told is not None and filters:
            self.send(told.topic, told.payload, min(1, self.session.granted_qos(told.topic)))

    def on_end(self, why: str) -> None:
        if why == "keep-alive":
            self.abort()
        else:
            self.close()  # a CONNACK that refuses still goes out

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

    def on_acknowledged(self, packet_id: int) -> None:  # noqa: ARG002 - a stranger was sent one message
        if self.stranger is not None:
            self.close()

    def on_unacknowledged(self, packet_id: int) -> None:  # noqa: ARG002 - it is lost, whichever it was
        self.endpoint.counts.unacknowledged += 1
