"""Checksums of downloads: the first module that gets a file hashes it, the others compare their bytes with that copy.

MD5 takes 1.5 to 4 ms per megabyte, which was most of what a downloading module cost; comparing takes 0.07 ms. Equal bytes have equal
checksums, and where one byte differs the file is hashed after all, so the answer is always that of the announced checksum.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

MOST_BYTES = 64 << 20
"""Copies kept in one process; what does not fit is hashed by every module."""


class File(NamedTuple):
    """One file: where it is, how long, its checksum in hex; zeros or "" where none is announced."""

    url: str
    size_bytes: int
    digest: str
    algorithm: str = "md5"

    @property
    def is_announced(self) -> bool:
        """Whether there is a checksum to compare with."""
        return bool(self.digest.strip("0"))


class KnownFiles:
    """Files whose checksum was found right in this process, by checksum and size."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._left_bytes = most_bytes
        self._copies: dict[tuple[str, str, int], bytes] = {}

    def copy_of(self, file: File) -> bytes | None:
        """The bytes of a file with this checksum, where they are known."""
        return self._copies.get(_key(file))

    def has_room(self, file: File) -> bool:
        """Whether a copy of it would be kept."""
        return file.size_bytes <= self._left_bytes

    def keep(self, file: File, copy: bytes) -> None:
        """Bytes whose checksum is right."""
        if _key(file) not in self._copies and self.has_room(file):
            self._copies[_key(file)] = copy
            self._left_bytes -= len(copy)


def _key(file: File) -> tuple[str, str, int]:
    return file.algorithm, file.digest, file.size_bytes


class FileCheck:
    """One module's download of one file: takes its bytes in order, then says whether the checksum is the announced one."""

    __slots__ = ("_copy", "_digest", "_file", "_files", "_position", "_record")

    def __init__(self, file: File, files: KnownFiles) -> None:
        self._file, self._files = file, files
        self._copy = files.copy_of(file)
        self._position = 0
        self._digest = _digest(file) if file.is_announced and self._copy is None else None
        self._record = bytearray() if self._digest is not None and files.has_room(file) else None

    def update(self, part: memoryview) -> None:
        """The next bytes."""
        if self._copy is not None:
            if self._copy.startswith(part, self._position):  # takes any buffer, and compares without copying
                self._position += len(part)
                return
            self._digest = _digest(self._file)
            self._digest.update(memoryview(self._copy)[: self._position])
            self._copy = None
        if self._digest is not None:
            self._digest.update(part)
        if self._record is not None:
            if self._files.copy_of(self._file) is None:
                self._record += part
            else:  # another module was faster
                self._record = None

    def is_right(self) -> bool:
        """Whether all bytes together have the announced checksum; so where none is announced."""
        if self._digest is None:
            return True
        right = self._digest.hexdigest() == self._file.digest
        if right and self._record is not None:
            self._files.keep(self._file, bytes(self._record))
        return right


def _digest(file: File) -> hashlib._Hash:
    return hashlib.new(file.algorithm or "md5", usedforsecurity=False)


__all__ = ["File", "FileCheck", "KnownFiles"]
