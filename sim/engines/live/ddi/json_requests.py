"""JSON requests of a fleet of devices: one connection each, bounded answers, no redirects."""

from __future__ import annotations

import ssl as tls
from collections.abc import Mapping

import aiohttp

from sim.engines.live.client_reasons import reason_of
from sim.wire.ddi.client import Request
from sim.wire.ddi.documents import MAX_BODY_BYTES

CONNECT_S, TIMEOUT_S = 10.0, 30.0
"""How long a connection may take, TLS included, and a request as a whole."""


class NoAnswer(Exception):
    """No connection, no answer in time, or one that is no HTTP; the text is the reason, see failure_reasons."""


class Http:
    """Sends requests. Devices that sleep between polls keep no connection, so each request opens its own."""

    def __init__(self) -> None:
        self.sent = self.received = self.under_way = 0
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S), auto_decompress=False, headers={"Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
        )  # fmt: skip

    async def send(self, request: Request, ssl: tls.SSLContext) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers by lower-case name, and body; `ssl` is the device's own. Raises NoAnswer."""
        self.sent += 1
        self.under_way += 1
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body or None,
                allow_redirects=False,
                ssl=ssl,
            ) as answer:
                body = await answer.content.read(MAX_BODY_BYTES + 1)
                while len(body) <= MAX_BODY_BYTES and not answer.content.at_eof():
                    body += await answer.content.read(MAX_BODY_BYTES + 1 - len(body))
                self.received += 1
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, body
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise NoAnswer(reason_of(error)) from None
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        """Frees what is open."""
        await self._session.close()
