"""TLS connections from their acceptance to the end of the handshake: counted by source, ended by a deadline."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Callable
from typing import cast

from sim.service.throttle import Connections, source_of


class Handshakes:
    """Makes the protocols of a listening socket without TLS; who comes through goes over to what `connected` makes.

    A handshake counts in `by_source`, as a connection does that says nothing, until that protocol counts it by itself.
    """

    def __init__(
        self, connected: Callable[[], asyncio.Protocol], ssl: tls.SSLContext, by_source: Connections, within_s: float
    ) -> None:
        self.connected, self.ssl, self.by_source, self.within_s = connected, ssl, by_source, within_s
        self.open: dict[asyncio.Transport, asyncio.Task[None]] = {}

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one accepted connection."""
        return _Handshake(self)

    def abort(self) -> None:
        """Ends those under way."""
        for transport in list(self.open):
            transport.abort()


class _Handshake(asyncio.Protocol):
    """One connection. It keeps what comes between the end of the handshake and the next turn of the loop."""

    __slots__ = ("_all", "_early", "_lost")

    def __init__(self, handshakes: Handshakes) -> None:
        self._all = handshakes
        self._early: list[bytes] = []
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Takes a connection in, or ends it when its source has too many."""
        transport = cast("asyncio.Transport", transport)
        source = source_of(transport.get_extra_info("peername"))
        if not self._all.by_source.admit(source):
            transport.abort()
            return
        transport.pause_reading()  # its bytes are those of TLS
        self._all.open[transport] = asyncio.get_running_loop().create_task(self._secure(transport, source))

    def data_received(self, data: bytes) -> None:
        """The client was faster than the loop's next turn."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Nobody is left to go over."""
        self._lost = True

    async def _secure(self, transport: asyncio.Transport, source: str) -> None:
        secured = None
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, self, self._all.ssl, server_side=True, ssl_handshake_timeout=self._all.within_s
            )
        except (OSError, tls.CertificateError):  # no TLS, cut off or late: nobody to tell
            transport.abort()
        finally:
            del self._all.open[transport]
            self._all.by_source.gone(source)
        if secured is None or self._lost:
            return
        protocol = self._all.connected()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        for data in self._early:  # the protocol may have handed over to another one
            cast("asyncio.Protocol", secured.get_protocol()).data_received(data)
