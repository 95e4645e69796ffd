"""Downloads of a module: the real bytes by Range request, one connection a piece, checked and optionally paced."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

from sim.engines.live import failure_reasons
from sim.engines.live.dial import dial
from sim.engines.live.known_files import File, FileCheck, KnownFiles
from sim.engines.live.live_target import Limits
from sim.errors import FotasimError, ProtocolError
from sim.wire import http
from sim.wire.ddi.client import same_origin

SOCKET_TIMEOUT_S = 10.0
MOST_REDIRECTS = 5
MOST_HOST_CHARS = 80
BUFFER_BYTES = 256 * 1024


class Broken(Exception):
    """A download that did not come whole."""


class ServerRefused(Broken):
    """The server answered with something else than 200, 206 or a redirect."""


class _Redirected(Exception):
    """The server answered that the file is elsewhere."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def check_url(url: str, limits: Limits) -> None:
    """Broken for a URL that may not be fetched: only HTTP, only hosts the run may reach."""
    host = http.place(url).host
    try:
        limits.check(host)
    except FotasimError:
        raise Broken(f"host not allowed: {host}"[:MOST_HOST_CHARS]) from None


class WrongChecksum(Broken):
    """The bytes came whole, but their checksum is not the announced one."""


class Ask(NamedTuple):
    """Bytes `first` to `last` of a URL, from the source address of that number, with this Authorization if any.

    `ssl` is used instead of the run's own TLS, by a module that shows a certificate.
    """

    url: str
    first: int
    last: int
    source: int
    authorization: str = ""
    ssl: tls.SSLContext | None = None


Body = Callable[[memoryview], float]
"""Takes bytes while they are there; gives the seconds to wait before more are read."""


class Downloader(Protocol):
    """How the bytes come; another HTTP client may stand behind it."""

    async def get(self, ask: Ask, header: Callable[[], None], body: Body) -> None:
        """Fetches; `header` is called as the answer begins.

        Raises Broken when they do not come whole.
        """


class ThinDownloader:
    """Downloads over a bare asyncio protocol: a new connection for each piece, as the SDK opens it.

    Redirects are followed to where `check` allows, with credentials only within the same origin. All connections read into one buffer: what arrived is used up before the next one reads. `window_bytes` keeps
    receive windows as small as a module's, so that a slow reader keeps the server's download open as a module does.
    """

    def __init__(
        self, sources: Sequence[str] = (), context: Callable[[], tls.SSLContext] | None = None,
        window_bytes: int | None = None, check: Callable[[str], None] = lambda _url: None,
    ) -> None:  # fmt: skip
        """`check` raises Broken for a URL that may not be fetched."""
        self._check = check
        self._loop = asyncio.get_running_loop()
        self._sources = sources
        self._window_bytes = window_bytes
        self._make = context or tls.create_default_context
        self._ssl: tls.SSLContext | None = None
        self._buffer = memoryview(bytearray(BUFFER_BYTES))

    async def get(self, ask: Ask, header: Callable[[], None], body: Body) -> None:
        """See Downloader."""
        for _ in range(MOST_REDIRECTS + 1):
            try:
                return await self._get(ask, header, body)
            except _Redirected as moved:
                self._check(moved.url)
                same = same_origin(moved.url, ask.url)
                ask = ask._replace(url=moved.url) if same else ask._replace(url=moved.url, authorization="", ssl=None)
        raise Broken(f"more than {MOST_REDIRECTS} redirects")

    async def _get(self, ask: Ask, header: Callable[[], None], body: Body) -> None:
        transfer: _Transfer | None = None
        try:
            where = http.place(ask.url)
            transfer = _Transfer(self._loop, self._buffer, where, ask, header, body, self._window_bytes)
            given = transfer
            local = self._sources[ask.source % len(self._sources)] if self._sources else ""
            async with asyncio.timeout(SOCKET_TIMEOUT_S):
                await dial(lambda: given, where.host, where.port, ssl=self._context(where.secure, ask), source=local)
            await transfer.whole
        except (OSError, TimeoutError, ProtocolError) as error:
            raise Broken(failure_reasons.of_error(error)) from None
        finally:
            if transfer is not None:
                transfer.end()

    def _context(self, secure: bool, ask: Ask) -> tls.SSLContext | None:
        if secure and ask.ssl is not None:
            return ask.ssl
        if secure and self._ssl is None:
            self._ssl = self._make()
        return self._ssl if secure else None


class _Transfer(asyncio.BufferedProtocol):
    """One request and its answer."""

    __slots__ = (
        "_answer", "_ask", "_body", "_buffer", "_header", "_heard_at", "_loop", "_pause", "_request", "_silence",
        "_transport", "_wanted", "_window_bytes", "whole",
    )  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, buffer: memoryview, where: http.Place, ask: Ask,
        header: Callable[[], None], body: Body, window_bytes: int | None,
    ) -> None:  # fmt: skip
        self._loop, self._buffer, self._window_bytes = loop, buffer, window_bytes
        self._request = http.get(where, ask.first, ask.last, ask.authorization)
        self._ask = ask
        self._wanted: http.Wanted | None = None
        self._header, self._body = header, body
        self._answer = http.Answer(self._begin, self._take)
        self._transport: asyncio.Transport | None = None
        self._heard_at = 0.0
        self._pause = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self.whole: asyncio.Future[None] = loop.create_future()

    def end(self) -> None:
        """Whatever happens, the connection does not outlive its request."""
        if self._silence is not None:
            self._silence.cancel()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self.whole.done() and not self.whole.cancelled():
            self.whole.exception()  # seen, when nobody waited for it
        else:
            self.whole.cancel()

    # --- transport ---------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._window_bytes is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._window_bytes)
        self._heard_at = self._loop.time()
        self._silence = self._loop.call_later(SOCKET_TIMEOUT_S, self._check_silence)
        self._transport.write(self._request)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's name
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.whole.done():
            return
        self._heard_at = self._loop.time()
        try:
            self._answer.feed(self._buffer[:nbytes])
        except (ProtocolError, Broken, _Redirected) as error:
            self._fail(error)
            return
        if self._wanted is None:
            return
        if not self._wanted.missing:
            self._complete()  # of a server that ignored the Range there may be more to come
        elif self._answer.done:
            self._fail(Broken(f"{self._wanted.missing} bytes are missing"))
        elif self._pause > 0.0 and self._transport is not None:
            self._transport.pause_reading()
            self._loop.call_later(self._pause, self._resume)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        whole = exc is None and self._answer.closed() and self._wanted is not None and not self._wanted.missing
        if whole:
            self._complete()
        else:
            self._fail(exc if isinstance(exc, OSError) else Broken(f"{failure_reasons.CLOSED} before the last byte"))

    def _resume(self) -> None:
        if self._transport is not None and not self.whole.done():
            self._heard_at = self._loop.time()
            self._transport.resume_reading()

    def _check_silence(self) -> None:
        left_s = self._heard_at + max(self._pause, 0.0) + SOCKET_TIMEOUT_S - self._loop.time()
        if left_s <= 0.0:
            self._fail(Broken(failure_reasons.NO_ANSWER))
        else:
            self._silence = self._loop.call_later(left_s, self._check_silence)

    def _complete(self) -> None:
        if not self.whole.done():
            self.whole.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)

    # --- answer ------------------------------------------------------------------------------------------------------

    def _begin(self, head: http.Head) -> None:
        if head.status in http.REDIRECTS:
            raise _Redirected(head.location(self._ask.url))
        if head.status not in (http.OK, http.PARTIAL_CONTENT):
            raise ServerRefused(failure_reasons.of_status(head.status))
        self._wanted = http.Wanted(head, self._ask.first, self._ask.last)
        self._header()

    def _take(self, data: memoryview) -> None:
        assert self._wanted is not None
        for part in self._wanted.pick(data):
            if not self.whole.done():  # the module may have given up as the answer began
                self._pause = self._body(part)


class Package:
    """The files of a component as one run of bytes: which request fetches a piece, and whether each file is whole.

    A piece may span files; every file's checksum is compared as its last byte arrives. `algorithm` names the last one.
    """

    __slots__ = ("_check", "_known", "_position", "algorithm", "files")

    def __init__(self, files: Sequence[File], known: KnownFiles | None = None) -> None:
        """`known` is what all modules of a process share."""
        self.files = files
        self._known = KnownFiles() if known is None else known
        self._position = 0
        self._check = FileCheck(files[0], self._known)
        self.algorithm = files[0].algorithm.upper()

    def requests(self, start: int, end: int) -> list[tuple[str, int, int]]:
        """URL, first and last byte of each request that together fetch [start, end)."""
        wanted, offset = [], 0
        for file in self.files:
            first, last = max(start - offset, 0), min(end - offset, file.size_bytes) - 1
            if first <= last:
                wanted.append((file.url, first, last))
            offset += file.size_bytes
        return wanted

    def begin(self, start: int) -> bool:
        """A transfer goes on at `start`; False when the bytes before it are not here, so that it must restart."""
        if start == 0:
            self._position, self._check = 0, FileCheck(self.files[0], self._known)
        return self._position == start

    def feed(self, data: bytes | memoryview) -> bool:
        """Takes bytes in order; False when a file is complete and its checksum is not the announced one."""
        offset = 0
        view = memoryview(data)
        for file in self.files:
            room = offset + file.size_bytes - self._position
            offset += file.size_bytes
            if room <= 0 or not view:
                continue
            if room == file.size_bytes:
                self._check = FileCheck(file, self._known)
            self._check.update(view[:room])
            self._position += len(view[:room])
            view = view[room:]
            if self._position == offset:
                self.algorithm = file.algorithm.upper()
                if not self._check.is_right():
                    return False
        return True
