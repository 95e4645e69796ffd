"""What a package file may be: its name, and for archives its table of contents. Nothing is ever unpacked.

A module gets the bytes as they are, so an archive matters only to whoever opens it later: names that climb out of the
folder and archives that would burst are refused from their declared contents, read within fixed bounds.
"""

from __future__ import annotations

import struct
import tarfile
import zipfile
from pathlib import Path

from sim.cloud.catalog import FILE_FORMATS, MAX_FILE_BYTES
from sim.service.errors import Refused

MAX_NAME_CHARS = 200
MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 1 << 20
MAX_UNPACKED_BYTES = 10 * MAX_FILE_BYTES
MAX_RATIO = 200
"""Firmware compresses two- to tenfold, empty flash more; a bomb a thousandfold and up."""

_END_OF_DIRECTORY = struct.Struct("<4s4H2LH")
_ZIP_SEARCH_BYTES = _END_OF_DIRECTORY.size + 0xFFFF
_ENTRY_MAGIC = b"PK\x03\x04"
_RAR_MAGIC = b"Rar!\x1a\x07"


def check_name(name: str) -> str:
    """The name of an uploaded file; Refused when it is a path, hidden, or of a format the console does not take."""
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Refused(f"file name: 1 to {MAX_NAME_CHARS} printable characters are allowed")
    if any(c in name for c in '/\\:"<>|?*') or name.startswith("."):
        raise Refused(f"file name {name!r}: a plain name without folders is wanted")
    if "." not in name or _format(name) not in FILE_FORMATS:
        raise Refused(f"file {name!r} must end in one of {', '.join(FILE_FORMATS)}")
    return name


def check_contents(name: str, path: Path) -> None:
    """Refused when the bytes at `path` are not what the name says, or an archive is dangerous to open."""
    kind = _format(name)
    if kind == "zip":
        _check_zip(name, path)
    elif kind == "tar":
        _check_tar(name, path)
    elif kind == "rar":
        with path.open("rb") as file:
            if file.read(len(_RAR_MAGIC)) != _RAR_MAGIC:
                raise Refused(f"file {name!r} is not a rar archive")


def _format(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _check_zip(name: str, path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _ZIP_SEARCH_BYTES))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_OF_DIRECTORY.size:
        raise Refused(f"file {name!r} is not a zip archive")
    _, _, _, _, entries, directory_bytes, _, _ = _END_OF_DIRECTORY.unpack_from(tail, at)
    if entries > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise Refused(f"file {name!r}: at most {MAX_ENTRIES} entries are allowed in an archive")
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except Exception:
        raise Refused(f"file {name!r} is not a sound zip archive") from None
    with path.open("rb") as file:
        for entry in listed:
            _check_entry(name, entry.filename)
            file.seek(max(0, entry.header_offset))
            if entry.header_offset < 0 or file.read(4) != _ENTRY_MAGIC:
                raise Refused(f"file {name!r} is not a sound zip archive")
    if sum(entry.compress_size for entry in listed) > size:
        raise Refused(f"file {name!r}: the entries of the archive overlap")
    _check_size(name, sum(entry.file_size for entry in listed), size)


def _check_tar(name: str, path: Path) -> None:
    """Headers only; a compressed tar does not pass as one, so members are as large as they stand there."""
    try:
        with tarfile.open(path, "r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_ENTRIES:
                    raise Refused(f"file {name!r}: at most {MAX_ENTRIES} entries are allowed in an archive")
                _check_entry(name, member.name)
                if not (member.isreg() or member.isdir()):
                    raise Refused(f"file {name!r}: entry {member.name[:80]!r} is neither a file nor a folder")
                _check_size(name, member.size, path.stat().st_size)
    except Refused:
        raise
    except Exception:  # whatever the library makes of hostile headers: chains of long names exhaust its recursion
        raise Refused(f"file {name!r} is not a sound, uncompressed tar archive") from None


def _check_entry(name: str, entry: str) -> None:
    parts = entry.replace("\\", "/").split("/")
    if entry.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in entry:
        raise Refused(f"file {name!r}: entry {entry[:80]!r} points outside the archive")


def _check_size(name: str, unpacked: int, packed: int) -> None:
    if unpacked > MAX_UNPACKED_BYTES or unpacked > MAX_RATIO * max(packed, 1):
        raise Refused(f"file {name!r} would unpack to {unpacked} bytes: it is taken for a decompression bomb")
