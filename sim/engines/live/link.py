"""MQTT connections of one process: a thin asyncio protocol over the sans-IO session, thousands of them."""

from __future__ import annotations

import asyncio
import ssl as tls
import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from sim.engines.live import failure_reasons
from sim.engines.live.dial import dial
from sim.errors import LocalProtocolError, RemoteProtocolError
from sim.wire import mqtt
from sim.wire.session import ClientSession

RESEND_TICK_S = 0.25
PING_TICK_S = 1.0
CONNECTING = 1000
"""Connections being opened at once; the others wait their turn."""
CONNECT_TIMEOUT_S = 10.0
FLUSH_S, FLUSH_TICK_S = 1.0, 0.01
"""How long the last messages and farewells of a run may take to leave this host."""
NETWORK_FAILED = -1
"""Instead of a return code of CONNACK: no connection, or no answer."""


AWAY = "an outage is played"
"""Why a link is lost that nothing is wrong with."""


class LinkOwner(Protocol):
    """What a link tells its module."""

    def on_up(self, link: Link) -> None:
        """Logged in and subscribed."""

    def on_down(self, link: Link, code: int) -> None:
        """The connection is gone, or never came: 0 after `on_up`, else CONNACK's code or NETWORK_FAILED; `link.why` in words."""

    def on_message(self, link: Link, topic: str, payload: bytes) -> None:
        """A message from the cloud."""

    def on_acknowledged(self, link: Link, packet_id: int) -> None:
        """The cloud has the message."""


class Link(asyncio.Protocol):
    """One connection, from dialling to its end; told once to its owner when it is gone."""

    __slots__ = ("_finishing", "_links", "_login", "_owner", "_transport", "made_at", "session", "up", "why")

    session: ClientSession

    def __init__(self, links: Links, owner: LinkOwner, login: tuple[str, bytes, str]) -> None:
        self._links = links
        self._owner: LinkOwner | None = owner
        self._login: tuple[str, bytes, str] | None = login
        self._transport: asyncio.Transport | None = None
        self._finishing = False
        self.made_at = 0.0
        self.up = False
        self.why = ""

    # --- for the module ----------------------------------------------------------------------------------------------

    @property
    def given_up(self) -> bool:
        """Nobody waits for it any more."""
        return self._owner is None

    def publish(self, topic: bytes, payload: bytes, qos: int) -> int:
        """Sends a message; its packet id, 0 for QoS 0."""
        links = self._links
        packet_id = self.session.publish(topic, payload, qos, links.clock())
        if qos:
            links.in_flight.add(self)
        links.sent += 1
        return packet_id

    def finish(self) -> bool:
        """Takes leave as soon as everything sent is acknowledged; True when that was so already.

        Until then the owner hears of acknowledgements, and of the end if it comes first.
        """
        if self._transport is None or not self.session.in_flight:
            self.close()
            return True
        self._finishing = True
        return False

    def close(self) -> None:
        """Says DISCONNECT and goes; nothing more is told."""
        transport = self._leave()
        if transport is not None:
            if not transport.is_closing():
                self.session.close()
            transport.close()

    def abort(self) -> None:
        """The socket dies, as with the supply or the radio; nothing more is told."""
        transport = self._leave()
        if transport is not None:
            transport.abort()

    # --- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        links = self._links
        if self._owner is None or self._login is None:  # given up while dialling
            transport.abort()
            return
        if links.away:
            transport.abort()
            self._lost(NETWORK_FAILED, AWAY)
            return
        self._transport = transport
        self.made_at = links.clock()
        self.session = ClientSession(self, transport.write, keepalive_s=links.keepalive_s)
        links.open.add(self)
        client_id, password, subscription = self._login
        self._login = None
        self.session.connect(client_id, (subscription, 1), self.made_at, username=links.username, password=password)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._owner is None:
            return
        try:
            self.session.receive(data, self._links.clock())
        except RemoteProtocolError as error:
            self._links.protocol_errors += 1
            self._lost(NETWORK_FAILED, failure_reasons.of_protocol(error))
        except LocalProtocolError as error:  # a cloud that acknowledges nothing, or asks for what cannot be sent
            self._links.local_errors += 1
            self._lost(NETWORK_FAILED, failure_reasons.of_protocol(error))
        except Exception as error:  # a callback of ours: its connection ends, the others go on
            self.broke(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._links.leaving.pop(self, None)
        self._lost(NETWORK_FAILED, failure_reasons.CLOSED if exc is None else failure_reasons.of_error(exc))

    def failed(self, why: str) -> None:
        """No connection could be opened."""
        self._lost(NETWORK_FAILED, why)

    def broke(self, error: Exception) -> None:
        """A callback raised."""
        self._links.surprised(error)
        self._lost(NETWORK_FAILED, failure_reasons.of_surprise(error))

    def _lost(self, code: int, why: str) -> None:
        owner, self.why = self._owner, why
        transport = self._leave()
        if transport is not None:
            transport.abort()
        if owner is not None:
            owner.on_down(self, 0 if self.up else code)

    def _leave(self) -> asyncio.Transport | None:
        """No longer counted as open; gives the transport to end, once."""
        transport, self._transport, self._owner = self._transport, None, None
        self._links.open.discard(self)
        self._links.in_flight.discard(self)
        if transport is not None:
            self._links.leaving[self] = transport
        return transport

    # --- session -----------------------------------------------------------------------------------------------------

    def on_connack(self, code: int) -> None:
        """See ClientOwner."""
        if code != mqtt.ACCEPTED:
            self._lost(code, failure_reasons.of_connack(code))

    def on_suback(self, codes: bytes) -> None:
        """See ClientOwner."""
        if codes[:1] == b"\x80":
            self._lost(NETWORK_FAILED, failure_reasons.SUBSCRIPTION_REFUSED)
        elif self._owner is not None:
            self.up = True
            self._owner.on_up(self)

    def on_silence(self, what: str) -> None:
        """See ClientOwner."""
        self._lost(NETWORK_FAILED, f"{failure_reasons.NO_ANSWER} ({what})")

    def on_message(self, topic: str, payload: bytes, qos: int, packet_id: int) -> bool:  # noqa: ARG002
        """See ClientOwner."""
        self._links.received += 1
        if self._owner is not None:
            self._owner.on_message(self, topic, payload)
        return True

    def on_acknowledged(self, packet_id: int) -> None:
        """See ClientOwner."""
        if self._owner is not None:
            self._owner.on_acknowledged(self, packet_id)
            if self._finishing and not self.session.in_flight:
                self.close()

    def on_unacknowledged(self, packet_id: int) -> None:  # noqa: ARG002
        """See ClientOwner."""
        self._links.unacknowledged += 1
        self._lost(NETWORK_FAILED, f"{failure_reasons.NO_ANSWER} (acknowledgement)")  # three sends: nobody is there


class Links:
    """All connections to one broker: opens them, wakes their sessions, counts."""

    def __init__(
        self, host: str, port: int, *, ssl: tls.SSLContext | None = None, sources: Sequence[str] = (),
        keepalive_s: int = 120, username: str | None = None, surprised: Callable[[Exception], None] = lambda _error: None,
    ) -> None:  # fmt: skip
        """`surprised` hears of errors that only a fault of ours can cause."""
        self.surprised = surprised
        self.loop = asyncio.get_running_loop()
        self.clock = time.monotonic  # the loop's own time, which uvloop rounds to a millisecond
        self.keepalive_s = keepalive_s
        self.username = username  # the SDK sends none, which strict brokers refuse
        self.open: set[Link] = set()
        self.in_flight: set[Link] = set()
        self.leaving: dict[Link, asyncio.Transport] = {}
        """Ended by us, and not closed by the system yet: what was written is still on its way out."""
        self.sent = self.received = self.unacknowledged = self.protocol_errors = self.local_errors = 0
        self.away = False
        """An outage is played: nobody is let through."""
        self._address, self._ssl, self._sources = (host, port), ssl, sources
        self._turn = asyncio.Semaphore(CONNECTING)
        self._dials: set[asyncio.Task[None]] = set()
        self._dialled = 0
        self._tickers = [
            self.loop.create_task(self._resend()),
            self.loop.create_task(self._ping()),
        ]

    def dial(self, owner: LinkOwner, client_id: str, password: str, subscription: str) -> Link:
        """Begins to open a connection; its owner hears how it went."""
        link = Link(self, owner, (client_id, password.encode(), subscription))
        source = self._sources[self._dialled % len(self._sources)] if self._sources else ""
        self._dialled += 1
        task = self.loop.create_task(self._dial(link, source))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)
        return link

    async def _dial(self, link: Link, source: str) -> None:
        host, port = self._address
        try:
            async with self._turn, asyncio.timeout(CONNECT_TIMEOUT_S):
                if link.given_up:
                    return
                if self.away:
                    link.failed(AWAY)
                    return
                await dial(lambda: link, host, port, ssl=self._ssl, source=source)
        except OSError as error:  # of which TimeoutError and TLS are kinds
            link.failed(failure_reasons.of_error(error))
        except Exception as error:
            self.surprised(error)
            link.failed(failure_reasons.of_surprise(error))

    def cut(self) -> None:
        """Every connection is gone at once, and none comes about until `away` is False again; the server runs on."""
        self.away = True
        for link in list(self.open):
            link.failed(AWAY)

    async def _resend(self) -> None:
        """Sends again what was not acknowledged in time."""
        while True:
            await asyncio.sleep(RESEND_TICK_S)
            now = self.clock()
            for link in list(self.in_flight):
                session = link.session
                if session.retry_at <= now:
                    self._wake(link, now)
                if not session.in_flight:
                    self.in_flight.discard(link)

    async def _ping(self) -> None:
        """Keeps connections alive, and ends those that nobody answers."""
        while True:
            await asyncio.sleep(PING_TICK_S)
            now = self.clock()
            for link in list(self.open):
                if link.session.ping_at <= now:
                    self._wake(link, now)

    @staticmethod
    def _wake(link: Link, now: float) -> None:
        """One session's timers; what it raises ends it and not the others' timers."""
        try:
            link.session.wake(now)
        except Exception as error:
            link.broke(error)

    async def close(self) -> None:
        """Takes leave of the broker with every connection."""
        for task in [*self._tickers, *self._dials]:
            task.cancel()
        await asyncio.gather(*self._tickers, *self._dials, return_exceptions=True)
        for link in list(self.open):
            link.close()
        until = self.clock() + FLUSH_S
        while self.leaving and self.clock() < until:
            await asyncio.sleep(FLUSH_TICK_S)
        for transport in self.leaving.values():  # a peer that reads no more
            transport.abort()
        await asyncio.sleep(FLUSH_TICK_S)  # they close as the loop comes by
