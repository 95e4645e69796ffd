"""The bytes of a fleet file, bounded before they are believed, and the text in them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from sim.errors import FleetFileError, Problem
from sim.units import show_size

MAX_BYTES = 1 << 30
"""The most a file may hold, unpacked."""
GZIP, ZIP, PARQUET, OLE2 = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe\x00\x00", "utf-32-le"), (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"),
)  # fmt: skip
_STEP = 1 << 22


def refuse(path: Path, found: str, cure: str, key: str = "file") -> FleetFileError:
    """The error for a file that cannot be read at all."""
    return FleetFileError([Problem(str(path), None, key, found, cure)])


def read_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked when it is gzip; at most MAX_BYTES. Raises FleetFileError."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise refuse(
                path, show_size(size), f"at most {show_size(MAX_BYTES)}: save it as Parquet, or split it into groups"
            )
        data = path.read_bytes()
    except OSError as error:
        raise refuse(path, error.strerror or "an unreadable file", "give the path of a fleet file") from None
    return _unpacked(path) if data[:2] == GZIP else data


def _unpacked(path: Path) -> bytes:
    parts, total = [], 0
    try:
        with gzip.open(path) as packed:
            while part := packed.read(_STEP):
                total += len(part)
                if total > MAX_BYTES:
                    raise refuse(path, f"more than {show_size(MAX_BYTES)} unpacked", "save it as Parquet, or split it")
                parts.append(part)
    except (OSError, EOFError, zlib.error) as error:
        raise refuse(path, f"a damaged gzip file ({error})", "pack it anew, or give it unpacked") from None
    return b"".join(parts)


def decode(path: Path, data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding: by its mark, else UTF-8, UTF-16 by its zero bytes, else Windows-1252."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _decoded(path, data[len(mark) :], encoding), encoding
    head = data[:4096]
    of_high, of_low = head[::2].count(0), head[1::2].count(0)
    if max(of_high, of_low) > len(head) // 4 and min(of_high, of_low) < len(head) // 16:
        encoding = "utf-16-le" if of_low > of_high else "utf-16-be"
        return _decoded(path, data, encoding), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        _check_text(path, head)
        return data.decode("cp1252", errors="replace"), "windows-1252"


def _check_text(path: Path, head: bytes) -> None:
    """Refuses what is no text in any encoding: bytes of control characters that no table has."""
    if head[:2] == GZIP:
        raise refuse(path, "a file packed twice", "unpack it once")
    if any(byte < 32 and byte not in b"\t\n\r\x0b\x0c\x1e" for byte in head):
        raise refuse(path, "a file that is no text", "give CSV, Excel (.xlsx), Parquet or JSON; gz")


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise refuse(path, f"bytes that are not {encoding}", "save it as UTF-8") from None
