"""Downloads: GET and HEAD of a signed link, whole or by range, straight from the mapped file.

A plain ASGI application below the web framework, because modules send most of their requests here. Header names are
written as QuecThing's HTTP client expects them: it looks for `Content-Length: ` to the letter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from sim.service.errors import StoreFailing
from sim.service.faults import Injector
from sim.service.packages.links import Links
from sim.service.packages.shelf import Shelf

PREFIX = "/packages/"
CHUNK_BYTES = 256 * 1024
STALLED_S = 900.0
"""A client that does not take a chunk in this time is cut off."""
Find = Callable[[int], dict[str, Any] | None]
Header = tuple[bytes, bytes]


class Downloads:
    """Answers below `/packages/`. `find` gives a file's row by id and may block; rows never change and are kept."""

    def __init__(self, shelf: Shelf, links: Links, injector: Injector, find: Find) -> None:
        self.shelf, self.links, self.injector = shelf, links, injector
        self.active = 0
        self.served_bytes = 0
        self._find = find
        self.clock: Callable[[], float] = time.time
        self._rows: dict[int, dict[str, Any]] = {}

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """The ASGI application."""
        faults = self.injector.faults
        delay = self.injector.delay_s(time.monotonic())
        if delay > 0.0:
            await asyncio.sleep(delay)
        if scope["method"] not in ("GET", "HEAD"):
            await _short(send, 405, "only GET and HEAD are allowed", [(b"Allow", b"GET, HEAD")])
        elif self.injector.hits(faults.download_error):
            await _short(send, 500, "injected error")
        elif faults.max_downloads and self.active >= faults.max_downloads:
            await _short(send, 503, "too many downloads at once", [(b"Retry-After", b"1")])
        else:
            try:
                row = await self._allowed(scope)
            except StoreFailing:
                await _short(send, 503, "the store cannot be read", [(b"Retry-After", b"1")])
                return
            if row is None:
                await _short(send, 403, "this link is not valid, or has expired")
                return
            self.active += 1
            try:
                await self._serve(scope, send, row)
            finally:
                self.active -= 1

    async def _allowed(self, scope: Any) -> dict[str, Any] | None:
        """The file that a link names, None unless the link is good."""
        number = scope["path"][len(PREFIX) :].partition("/")[0]
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            return None
        expires, signature = query.get("e", [""])[0], query.get("s", [""])[0]
        if not self.links.check(int(number), expires, signature, self.clock()):
            return None
        if int(number) not in self._rows:
            found = await asyncio.to_thread(self._find, int(number))
            if found is None:
                return None
            self._rows[int(number)] = found
        return self._rows[int(number)]

    async def _serve(self, scope: Any, send: Any, row: dict[str, Any]) -> None:
        size = row["size_bytes"]
        try:
            data = self.shelf.bytes_of(row["sha256"])
        except OSError:
            await _short(send, 503, "the package cannot be read")
            return
        wanted = next((value for name, value in scope["headers"] if name == b"range"), b"")
        part = byte_range(wanted.decode("latin-1"), size)
        if part is None:
            await _short(send, 416, "no such range", [(b"Content-Range", f"bytes */{size}".encode())])
            return
        start, end, partial = part
        headers = [
            (b"Content-Type", b"application/octet-stream"), (b"Accept-Ranges", b"bytes"),
            (b"Content-Length", str(end - start).encode()), (b"ETag", f'"{row["sha256"]}"'.encode()),
        ]  # fmt: skip
        if partial:
            headers.append((b"Content-Range", f"bytes {start}-{end - 1}/{size}".encode()))
        await send({"type": "http.response.start", "status": 206 if partial else 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        if self.injector.hits(self.injector.faults.download_cut):
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            raise Cut
        await self._body(send, data, start, end)

    async def _body(self, send: Any, data: Any, start: int, end: int) -> None:
        for at in range(start, end, CHUNK_BYTES):
            until = min(at + CHUNK_BYTES, end)
            try:
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": data[at:until], "more_body": until < end})
            except TimeoutError:
                raise Cut from None
            self.served_bytes += until - at


class Cut(Exception):
    """The transfer breaks off: an injected fault, or a client that takes nothing."""


def byte_range(header: str, size: int) -> tuple[int, int, bool] | None:
    """The bytes [start, end) that a Range header asks for, and whether it is a range at all.

    A header that names no single range of bytes is ignored, as HTTP wants it; None when the range is not in the file.
    """
    whole = 0, size, False
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    digits = all(part == "" or (part.isascii() and part.isdigit() and len(part) < 16) for part in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not digits or first + last == "":
        return whole
    if first == "":
        return (max(0, size - int(last)), size, True) if int(last) > 0 else None
    if last and int(last) < int(first):
        return whole
    if int(first) >= size:
        return None
    return int(first), min(int(last) + 1, size) if last else size, True


async def _short(send: Any, status: int, text: str, more: list[Header] | None = None) -> None:
    body = text.encode()
    headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Content-Length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + (more or [])})
    await send({"type": "http.response.body", "body": body})
