"""SWUpdate's container (.swu): a cpio archive whose first entry describes the release, for servers that want one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from sim.errors import FotasimError

_MAGIC = "070702"
"""cpio "new CRC" format: the sum of a file's bytes stands in its header."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TEXT = re.compile(r"[A-Za-z0-9._+-]{1,64}")


def swu(version: str, data: bytes, board: str, hardware: Sequence[str]) -> bytes:
    """A package of one image for these hardware revisions of a board. FotasimError for names that need escaping."""
    if not _WORD.fullmatch(board) or not all(_TEXT.fullmatch(text) for text in (version, *hardware)):
        raise FotasimError(f"{board} {version} {', '.join(hardware)}: letters, digits and ._+- can stand in a .swu")
    revisions = ", ".join(f'"{h}"' for h in hardware)
    description = (
        f'software = {{\n  version = "{version}";\n  {board} = {{\n    hardware-compatibility: [ {revisions} ];\n'
        f'    images: ( {{ filename = "image.bin"; sha256 = "{sha256(data).hexdigest()}"; }} );\n  }};\n}};\n'
    )
    entries = [("sw-description", description.encode()), ("image.bin", data), ("TRAILER!!!", b"")]
    archive = b"".join(_entry(number, name, body) for number, (name, body) in enumerate(entries, 1))
    return archive + b"\0" * (-len(archive) % 512)


def _entry(number: int, name: str, body: bytes) -> bytes:
    fields = (number, 0o100644, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name) + 1, sum(body) & 0xFFFFFFFF)
    head = _MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(body)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
