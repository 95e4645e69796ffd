"""HTTP as a module's downloader speaks it: one GET with a Range, one answer of HTTP/1.1 or 1.0. Sans-IO and bounded.

An answer's body ends by its Content-Length, by its last chunk, or where the server closes the connection (RFC 9112, 6.3);
names of headers are taken in any case (the SDK wants `Content-Length` spelled so). `Wanted` picks the bytes that were asked
for, wherever the body begins: a server may ignore the Range and send the whole file. Nothing of a body is kept.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from sim.errors import RemoteProtocolError

MAX_HEAD_BYTES = 16 * 1024
MAX_URL_CHARS = 8 * 1024
_MAX_LINE_BYTES = 1024
_END = b"\r\n\r\n"

OK, PARTIAL_CONTENT = 200, 206
REDIRECTS = (301, 302, 303, 307, 308)
DECODED_AT_ONCE = 64 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(?:\d{1,15}|\*)")


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


class Head(NamedTuple):
    """Status and headers of an answer; names in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def encoding(self) -> str:
        """How the body is encoded; "" when it is not."""
        encoding = self.headers.get("content-encoding", "").strip().lower()
        return "" if encoding == "identity" else encoding

    def location(self, url: str) -> str:
        """Where a redirect of `url` leads; ProtocolError when it does not say, or leads from TLS to plain text."""
        target = urljoin(url, self.headers.get("location", "").strip())
        if not self.headers.get("location", "").strip():
            raise RemoteProtocolError(f"HTTP status {self.status} without a Location")
        if place(url).secure and not place(target).secure:
            raise RemoteProtocolError("a redirect from https to http")
        return target


class Wanted:
    """Bytes `first` to `last` of a file, picked from the body of an answer whose head is known.

    A 200 begins at byte 0 whatever was asked for, a 206 where its Content-Range says, and as asked when it does not say.
    A body with Content-Encoding gzip or deflate is decoded, never beyond `last`. ProtocolError for what cannot hold the bytes.
    """

    __slots__ = ("_at", "_decoder", "_exact", "_first", "_last")

    def __init__(self, head: Head, first: int, last: int) -> None:
        self._first, self._last = first, last
        self._at = 0 if head.status == OK else _begins_at(head, first)
        self._exact = head.status == PARTIAL_CONTENT and self._at == first
        if self._at > first:
            raise RemoteProtocolError(f"the answer begins at byte {self._at}, and {first} was asked for")
        if head.encoding not in ("", "gzip", "x-gzip", "deflate"):
            raise RemoteProtocolError(f"Content-Encoding {head.encoding[:20]!r} cannot be decoded")
        if head.encoding and head.status != OK:
            raise RemoteProtocolError(f"a part of a file with Content-Encoding {head.encoding}")
        self._decoder = zlib.decompressobj(wbits=47) if head.encoding else None

    @property
    def missing(self) -> int:
        """Bytes that have not come yet."""
        return max(0, self._last + 1 - max(self._at, self._first))

    def pick(self, data: memoryview) -> Iterator[memoryview]:
        """The wanted ones of some bytes of the body, in order; ProtocolError for more than a 206 was asked for."""
        for part in (data,) if self._decoder is None else self._decoded(self._decoder, data):
            start, self._at = self._at, self._at + len(part)
            if self._exact and self._at > self._last + 1:
                raise RemoteProtocolError("more bytes than were asked for")
            wanted = part[max(0, self._first - start) : max(0, self._last + 1 - start)]
            if len(wanted):
                yield wanted

    def _decoded(self, decoder: zlib._Decompress, data: memoryview) -> Iterator[memoryview]:
        """Some decoded bytes at a time: little of a body may be a lot of bytes."""
        rest: bytes | memoryview = data
        while len(rest) and self.missing:
            try:
                part = decoder.decompress(rest, DECODED_AT_ONCE)
            except zlib.error:
                raise RemoteProtocolError("the body is not what its Content-Encoding says") from None
            rest = decoder.unconsumed_tail
            yield memoryview(part)


def _begins_at(head: Head, first: int) -> int:
    """The first byte of a 206, by its Content-Range; as asked without one, as module downloaders take it."""
    text = head.headers.get("content-range", "").strip()
    match = _CONTENT_RANGE.fullmatch(text)
    if text and match is None:
        raise RemoteProtocolError("a Content-Range that names no bytes")
    return first if match is None else int(match[1])


class Answer:
    """Reads one answer: calls `begin` with its head, then `body` with each run of bytes; `done` when it is whole."""

    __slots__ = ("_begin", "_body", "_chunked", "_head", "_left", "_line", "_until_closed", "done")

    def __init__(self, begin: Callable[[Head], object], body: Callable[[memoryview], object]) -> None:
        self._begin, self._body = begin, body
        self._head: bytearray | None = bytearray()
        self._line: bytearray | None = None  # of a chunk's size, or of trailers
        self._chunked = self._until_closed = False
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
        if self._until_closed:
            if len(data):
                self._body(data)
            return
        if len(data) > self._left:
            raise RemoteProtocolError("more bytes than Content-Length says")
        self._left -= len(data)
        if len(data):
            self._body(data)
        self.done = self._left == 0

    def closed(self) -> bool:
        """The server closed the connection; whether that is the end of the answer."""
        self.done = self.done or (self._head is None and self._until_closed)
        return self.done

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
        self._begin(self._parse_head(head))
        return data[end + 4 - before :]

    def _parse_head(self, head: bytes) -> Head:
        line, *fields = head.split(b"\r\n")
        parts = line.split(b" ", 2)
        versions = (b"HTTP/1.1", b"HTTP/1.0")
        if len(parts) < 2 or parts[0] not in versions or len(parts[1]) != 3 or not parts[1].isdigit():
            raise RemoteProtocolError("the answer is not HTTP/1.1 or 1.0")
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
        elif b"content-length" in headers:
            length = headers[b"content-length"]
            if not length.isdigit() or len(length) > 15:
                raise RemoteProtocolError("a Content-Length that is no number")
            self._left = int(length)
        else:
            self._until_closed = True
        return Head(int(parts[1]), {n.decode("latin-1"): v.decode("latin-1") for n, v in headers.items()})

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
        end = (
            bytes(data[: _MAX_LINE_BYTES + 1]).find(b"\n") + 1
        )  # no copy of all there is for each of many small chunks
        self._line += data[: end or len(data)]
        if len(self._line) > _MAX_LINE_BYTES:
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
            self._left -= len(line)
            if -self._left > MAX_HEAD_BYTES:
                raise RemoteProtocolError("trailers of more than 16 KiB")
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
