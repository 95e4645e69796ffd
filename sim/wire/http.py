"""HTTP/1.1 as a module's downloader speaks it: one GET with a Range, one answer. Sans-IO, bounded, no redirects.

An answer carries Content-Length or chunks; names of headers are taken in any case (the SDK wants `Content-Length`
spelled so). The body goes on as it comes, nothing of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from sim.errors import RemoteProtocolError

MAX_HEAD_BYTES = 16 * 1024
MAX_URL_CHARS = 8 * 1024
_END = b"\r\n\r\n"

OK, PARTIAL_CONTENT = 200, 206


class Place(NamedTuple):
    """Where a URL leads: what to connect to, whether by TLS, and the request's target and Host."""

    host: str
    port: int
    secure: bool
    target: str
    host_field: str


@lru_cache(maxsize=256)
def place(url: str) -> Place:
    """The parts of an http or https URL; ProtocolError when it is none, or holds what would break a request."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RemoteProtocolError(f"URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host or len(url) > MAX_URL_CHARS:
        raise RemoteProtocolError("URL: http or https with a host is needed")
    if any(c <= " " or c >= "\x7f" for c in url):
        raise RemoteProtocolError("URL: only printable ASCII may stand in a request")
    secure = parts.scheme == "https"
    number = port if port is not None else 443 if secure else 80
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    name = f"[{host}]" if ":" in host else host
    return Place(host, number, secure, target, f"{name}:{number}")


def get(where: Place, first: int, last: int, authorization: str = "") -> bytes:
    """The module's request: its headers and no others but an Authorization, one connection a request."""
    credentials = f"Authorization: {authorization}\r\n" if authorization else ""
    return (
        f"GET {where.target} HTTP/1.1\r\nHost: {where.host_field}\r\nAccept-Ranges: bytes\r\n"
        f"Range: bytes={first}-{last}\r\n{credentials}Connection: close\r\n\r\n"
    ).encode("ascii")


class Answer:
    """Reads one answer: calls `begin` with its status, then `body` with each run of bytes; `done` when it is whole."""

    __slots__ = ("_begin", "_body", "_chunked", "_head", "_left", "_line", "done")

    def __init__(self, begin: Callable[[int], object], body: Callable[[memoryview], object]) -> None:
        self._begin, self._body = begin, body
        self._head: bytearray | None = bytearray()
        self._line: bytearray | None = None  # of a chunk's size, or of trailers
        self._chunked = False
        self._left = 0
        self.done = False

    def feed(self, data: memoryview) -> None:
        """Bytes as they arrived; ProtocolError when they are no such answer, or go on behind it."""
        if self._head is not None:
            rest = self._feed_head(data)
            if rest is None:
                return
            data = rest
        if self._chunked:
            self._feed_chunks(data)
            return
        if len(data) > self._left:
            raise RemoteProtocolError("more bytes than Content-Length says")
        self._left -= len(data)
        if len(data):
            self._body(data)
        self.done = self._left == 0

    def _feed_head(self, data: memoryview) -> memoryview | None:
        assert self._head is not None
        before = len(self._head)
        self._head += data[: MAX_HEAD_BYTES + 4 - before]
        end = self._head.find(_END, max(0, before - 3))
        if end < 0:
            if len(self._head) > MAX_HEAD_BYTES:
                raise RemoteProtocolError("a head of more than 16 KiB")
            return None
        head, self._head = bytes(self._head[:end]), None
        status = self._parse_head(head)
        self._begin(status)
        return data[end + 4 - before :]

    def _parse_head(self, head: bytes) -> int:
        line, *fields = head.split(b"\r\n")
        parts = line.split(b" ", 2)
        if len(parts) < 2 or parts[0] != b"HTTP/1.1" or len(parts[1]) != 3 or not parts[1].isdigit():
            raise RemoteProtocolError("the answer is not HTTP/1.1")
        headers: dict[bytes, bytes] = {}
        for field in fields:
            name, colon, value = field.partition(b":")
            if not colon or (name.lower() in (b"content-length", b"transfer-encoding") and name.lower() in headers):
                raise RemoteProtocolError("a header is malformed or stands twice")
            headers[name.lower()] = value.strip()
        if b"transfer-encoding" in headers:
            if headers[b"transfer-encoding"].lower() != b"chunked" or b"content-length" in headers:
                raise RemoteProtocolError("a transfer encoding other than chunked")
            self._chunked, self._line = True, bytearray()
            return int(parts[1])
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or len(length) > 15:
            raise RemoteProtocolError("neither Content-Length nor chunks")
        self._left = int(length)
        return int(parts[1])

    def _feed_chunks(self, data: memoryview) -> None:
        while len(data):
            if self.done:
                raise RemoteProtocolError("bytes follow the last chunk")
            if self._line is not None:
                data = self._feed_line(data)
                continue
            size = min(self._left, len(data))
            self._left -= size
            self._body(data[:size])
            data = data[size:]
            if self._left == 0:
                self._line = bytearray(b"\n")  # the line break behind a chunk, then the next size

    def _feed_line(self, data: memoryview) -> memoryview:
        """Takes up to the end of a line: a chunk's size, the break behind a chunk, or the end of the trailers."""
        assert self._line is not None
        end = bytes(data).find(b"\n") + 1
        self._line += data[: end or len(data)]
        if len(self._line) > 1024:
            raise RemoteProtocolError("a chunk's line of more than 1 KiB")
        if not end:
            return data[len(data) :]
        line = bytes(self._line)
        if line.startswith(b"\n"):
            if line != b"\n\r\n":
                raise RemoteProtocolError("a chunk is longer than its size")
            self._line = bytearray()
        elif self._left < 0:  # trailers
            self.done = line == b"\r\n"
            self._line = bytearray()
        else:
            self._chunk_size(line)
        return data[end:]

    def _chunk_size(self, line: bytes) -> None:
        digits = line.partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            size = -1
        if size < 0 or not digits.isalnum() or len(digits) > 12:
            raise RemoteProtocolError("a chunk without a size")
        if size == 0:
            self._left, self._line = -1, bytearray()
        else:
            self._left, self._line = size, None
