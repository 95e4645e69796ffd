"""A multipart upload taken as a stream: every byte is hashed and written once, and too much is refused as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from sim.cloud.catalog import MAX_FILES
from sim.service.errors import Refused, TooLarge
from sim.service.packages.shelf import Incoming, Shelf

MAX_FIELD_BYTES = 4096
MAX_FIELDS = 32
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY_CHARS = 70
"""As RFC 2046 has it."""
Fields = dict[str, list[str]]


class Upload:
    """The fields and files of one multipart body."""

    def __init__(self, shelf: Shelf, boundary: bytes, check: Callable[[Fields], None] = lambda _fields: None) -> None:
        self.fields: Fields = {}
        self._check = check
        self.files: list[dict[str, Any]] = []
        self._shelf = shelf
        self._headers: dict[bytes, bytes] = {}
        self._header = self._value = b""
        self._field: tuple[str, bytearray] | None = None
        self._incoming: Incoming | None = None
        self._complete = False
        self._count = 0
        handlers: dict[str, Callable[..., None]] = {
            "on_part_begin": self._begin, "on_header_field": self._name, "on_header_value": self._text,
            "on_header_end": self._header_end, "on_headers_finished": self._headers_end, "on_part_data": self._data,
            "on_part_end": self._end, "on_end": self._finish,
        }  # fmt: skip
        self._parser = MultipartParser(boundary, callbacks=handlers)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> None:
        """More of the body. Refused, TooLarge or StoreFailing as soon as it is known."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Refused("the body is not sound multipart/form-data") from None

    def close(self) -> None:
        """The body has ended; Refused when it was cut off."""
        if not self._complete:
            raise Refused("the body of the upload was cut off")

    def discard(self) -> None:
        """Drops a file that is only half there."""
        if self._incoming is not None:
            self._incoming.discard()

    # --- what the parser finds -------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._headers = {}
        self._count += 1
        if self._count > MAX_FIELDS:
            raise Refused(f"at most {MAX_FIELDS} fields and files are allowed")

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound(self._header)

    def _text(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound(self._value)

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            self._field = (name, bytearray())
            return
        filename = options[b"filename"].decode("utf-8", "replace")
        if filename == "":
            self._field = ("", bytearray())  # a form's file input left empty
            return
        if len(self.files) >= MAX_FILES:
            raise Refused(f"at most {MAX_FILES} files are allowed")
        self._check(self.fields)
        self._incoming = self._shelf.receive(filename)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._incoming is not None:
            self._incoming.write(data[start:end])
        elif self._field is not None:
            self._field[1].extend(data[start:end])
            if len(self._field[1]) > MAX_FIELD_BYTES:
                raise TooLarge(f"field {self._field[0][:40]!r}: at most {MAX_FIELD_BYTES} bytes are allowed")

    def _end(self) -> None:
        if self._incoming is not None:
            self.files.append(self._incoming.finish())
            self._incoming = None
        elif self._field is not None and self._field[0]:
            name, value = self._field
            try:
                self.fields.setdefault(name, []).append(value.decode("utf-8"))
            except UnicodeDecodeError:
                raise Refused(f"field {name[:40]!r} is not UTF-8 text") from None
        self._field = None

    def _finish(self) -> None:
        self._complete = True

    def _bound(self, header: bytes) -> None:
        if len(header) > MAX_HEADER_BYTES:
            raise TooLarge("a header of the upload is too long")


async def receive(
    shelf: Shelf, content_type: str, body: AsyncIterator[bytes], check: Callable[[Fields], None] = lambda _fields: None
) -> Upload:
    """Takes a whole upload; what was kept of a refused one is dropped.

    `check` is given the fields that came before the first file, and refuses by raising.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= MAX_BOUNDARY_CHARS:
        raise Refused(
            f"an upload is sent as multipart/form-data, its boundary has 1 to {MAX_BOUNDARY_CHARS} characters"
        )
    upload = Upload(shelf, boundary, check)
    try:
        async for chunk in body:
            await asyncio.to_thread(upload.feed, chunk)  # the disk may be slow; modules do not wait for it
        upload.close()
    except BaseException:
        upload.discard()
        raise
    return upload
