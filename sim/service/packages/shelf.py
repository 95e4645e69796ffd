"""Where package files lie: a folder of files named by their SHA-256, written aside and renamed when complete."""

from __future__ import annotations

import hashlib
import mmap
import os
import secrets
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

from sim.cloud.catalog import MAX_FILE_BYTES
from sim.service.errors import Refused, StoreFailing, TooLarge
from sim.service.packages.inspect import check_contents, check_name

MAPPED_FILES = 64
SHA256_CHARS = 64


class Shelf:
    """The folder of packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left in folder.glob("incoming-*"):
            left.unlink(missing_ok=True)  # uploads that a crash cut off
        self._mapped: OrderedDict[str, mmap.mmap] = OrderedDict()

    def sweep(self, known: set[str]) -> None:
        """Removes files that no version names: uploads that were refused after their last byte."""
        for path in self.folder.iterdir():
            if path.name not in known and len(path.name) == SHA256_CHARS:
                path.unlink(missing_ok=True)

    def receive(self, name: str) -> Incoming:
        """Begins an upload; Refused when the name is not one of a package."""
        return Incoming(self, check_name(name))

    def bytes_of(self, sha256: str) -> mmap.mmap:
        """The bytes of a stored file; those asked for last stay mapped."""
        mapped = self._mapped.pop(sha256, None)
        if mapped is None:
            with (self.folder / sha256).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._mapped[sha256] = mapped
        while len(self._mapped) > MAPPED_FILES:
            self._mapped.popitem(last=False)
        return mapped


class Incoming:
    """One file being uploaded: length, MD5, SHA-256 and CRC32 are computed while the bytes come in."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self.name = name
        self.size_bytes = 0
        self._shelf = shelf
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._crc32 = 0
        self._path = shelf.folder / f"incoming-{secrets.token_hex(8)}"
        try:
            self._file: BinaryIO = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except OSError as error:
            raise StoreFailing(f"the package cannot be stored: {error.strerror}") from None

    def write(self, data: bytes) -> None:
        """More bytes; TooLarge beyond 100 MB, StoreFailing when the disk is full."""
        self.size_bytes += len(data)
        if self.size_bytes > MAX_FILE_BYTES:
            raise TooLarge(f"file {self.name!r}: at most {MAX_FILE_BYTES // 10**6} MB are allowed")
        self._md5.update(data)
        self._sha256.update(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        try:
            self._file.write(data)
        except OSError as error:
            raise StoreFailing(f"the package cannot be stored: {error.strerror}") from None

    def finish(self) -> dict[str, Any]:
        """Checks and keeps the file; returns its name, size and checksums. Refused when it is not acceptable."""
        if self.size_bytes == 0:
            raise Refused(f"file {self.name!r} is empty")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreFailing(f"the package cannot be stored: {error.strerror}") from None
        self._file.close()
        check_contents(self.name, self._path)
        sha256 = self._sha256.hexdigest()
        self._path.replace(self._shelf.folder / sha256)
        return {
            "name": self.name, "size_bytes": self.size_bytes, "md5": self._md5.hexdigest(), "sha256": sha256,
            "crc32": self._crc32,
        }  # fmt: skip

    def discard(self) -> None:
        """Gives the upload up; nothing stays behind. Harmless after `finish`."""
        self._file.close()
        self._path.unlink(missing_ok=True)
