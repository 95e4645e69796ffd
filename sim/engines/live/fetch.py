"""Downloads of a module: the real bytes by Range request, one connection a piece, checked and optionally paced."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp

from sim.wire.quecthing.ota import UrlFile

SOCKET_TIMEOUT_S = 10.0
CHUNK_BYTES = 64 * 1024
UNKNOWN_MD5 = "0" * 32


class Broken(Exception):
    """A download that did not come whole."""


class ServerRefused(Broken):
    """The server answered with something else than 200 or 206."""


class WrongChecksum(Broken):
    """The bytes came whole, but their MD5 is not the announced one."""


class Downloader(Protocol):
    """How the bytes come; another HTTP client may stand behind it."""

    async def get(
        self, url: str, first: int, last: int, source: int, header: Callable[[], None], body: Callable[[bytes], float]
    ) -> None:
        """Bytes `first` to `last` of a URL. `header` is called when the answer begins, `body` with each chunk; it
        gives the seconds to wait before the next one is read. Raises Broken when they do not come whole.
        """

    async def close(self) -> None:
        """Frees the connections."""


class AiohttpDownloader:
    """Downloads through aiohttp: a new connection for each piece, as the SDK opens it; no redirects."""

    def __init__(self, sources: Sequence[str] = ()) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=SOCKET_TIMEOUT_S, sock_read=SOCKET_TIMEOUT_S)
        self._sessions = [
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True, local_addr=(address, 0) if address else None),
                timeout=timeout, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
            for address in sources or (None,)
        ]  # fmt: skip

    async def get(
        self, url: str, first: int, last: int, source: int, header: Callable[[], None], body: Callable[[bytes], float]
    ) -> None:
        """See Downloader."""
        session = self._sessions[source % len(self._sessions)]
        headers = {"Accept-Ranges": "bytes", "Range": f"bytes={first}-{last}"}
        missing = last - first + 1
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                if answer.status not in (200, 206) or (answer.status == 200 and first > 0):
                    raise ServerRefused(f"HTTP status {answer.status}")
                header()
                async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                    missing -= len(chunk)
                    if missing < 0:
                        raise Broken("more bytes than were asked for")
                    pause_s = body(chunk)
                    if pause_s > 0.0:
                        await asyncio.sleep(pause_s)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Broken(str(error) or type(error).__name__) from None
        if missing:
            raise Broken(f"{missing} bytes are missing")

    async def close(self) -> None:
        """See Downloader."""
        for session in self._sessions:
            await session.close()


class Package:
    """The files of a component as one run of bytes: which request fetches a piece, and whether each file is whole.

    A piece may span files; every file's MD5 is compared as its last byte arrives.
    """

    __slots__ = ("_digest", "_position", "files")

    def __init__(self, files: Sequence[UrlFile]) -> None:
        self.files = files
        self._position = 0
        self._digest = hashlib.md5(usedforsecurity=False)

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
        """A transfer goes on at `start`; False when the bytes before it are not here, so that it must begin anew."""
        if start == 0:
            self._position, self._digest = 0, hashlib.md5(usedforsecurity=False)
        return self._position == start

    def feed(self, data: bytes) -> bool:
        """Takes bytes in order; False when a file is complete and its MD5 is not the announced one."""
        offset = 0
        view = memoryview(data)
        for file in self.files:
            room = offset + file.size_bytes - self._position
            offset += file.size_bytes
            if room <= 0 or not view:
                continue
            self._digest.update(view[:room])
            self._position += len(view[:room])
            view = view[room:]
            if self._position == offset:
                found, self._digest = self._digest.hexdigest(), hashlib.md5(usedforsecurity=False)
                if file.md5 not in (UNKNOWN_MD5, found):
                    return False
        return True
