"""The DP frame: the envelope of every QuecThing command, escaped so that its start mark is unique in a stream.

`AA AA | length u16 | sum u8 | packet id u16 | command u16 | payload`, big-endian. The length counts from the sum to
the end, before escaping; the sum is the byte sum of everything after it, modulo 256. After the first byte a 0x55 is
inserted behind every 0xAA that is followed by 0xAA or 0x55 or that ends the frame.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, NoReturn

from sim.errors import LocalProtocolError, RemoteProtocolError

MAX_PAYLOAD_BYTES = 0xFFFF - 5
MAX_PACKET_ID = 0xFFFE
"""Ids 0 and 0xFFFF are invalid."""

_MARK = b"\xaa\xaa"
_HEAD = struct.Struct(">HBHH")
_HEAD_BYTES = 2 + _HEAD.size
_SUMMED_FROM = 5


class Frame(NamedTuple):
    """One command: its packet id (1 … 0xFFFE; an answer repeats the request's), number and payload."""

    packet_id: int
    command: int
    payload: bytes = b""


def encode(packet_id: int, command: int, payload: bytes = b"") -> bytes:
    """The escaped frame; ValueError when id, command or payload do not fit."""
    if not 1 <= packet_id <= MAX_PACKET_ID:
        raise LocalProtocolError(f"packet id {packet_id}: 1 to {MAX_PACKET_ID} are allowed")
    if not 0 <= command <= 0xFFFF:
        raise LocalProtocolError(f"command {command}: 0 to 65535 are allowed")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise LocalProtocolError(f"payload of {len(payload)} bytes: at most {MAX_PAYLOAD_BYTES} fit into a frame")
    total = (packet_id >> 8) + (packet_id & 0xFF) + (command >> 8) + (command & 0xFF) + sum(payload)
    return _escape(_MARK + _HEAD.pack(len(payload) + 5, total & 0xFF, packet_id, command) + payload)


def _escape(raw: bytes) -> bytes:
    if raw.find(b"\xaa", 2) < 0 and raw[2] != 0x55:
        return raw  # nothing to escape but the mark itself: the usual case
    escaped = bytearray(raw[:1])
    last = len(raw) - 1
    for i in range(1, len(raw)):
        escaped.append(raw[i])
        if raw[i] == 0xAA and (i == last or raw[i + 1] in (0xAA, 0x55)):
            escaped.append(0x55)
    return bytes(escaped)


def decode(data: bytes) -> Frame:
    """The one frame that `data` holds from its first to its last byte (an MQTT payload); else ProtocolError."""
    decoder = Decoder()
    decoder.feed(data)
    frame = decoder.next_frame()
    if frame is None:
        raise RemoteProtocolError(f"a frame is cut short after {len(data)} bytes")
    if decoder.unread:
        raise RemoteProtocolError("bytes follow the frame")
    return frame


class Decoder:
    """Frames out of a stream that comes in pieces of any size.

    Feed bytes, then take frames until None. A damaged frame raises ProtocolError once and is skipped: the next call
    goes on behind it. Memory is bounded by one frame and what was fed since the last None.
    """

    __slots__ = ("_buffer", "_need")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = 0  # with fewer bytes than this another look at the frame cannot succeed

    @property
    def unread(self) -> int:
        """Bytes waiting for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Takes bytes as they arrived."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next whole frame, or None until more is fed; ProtocolError for what is no frame."""
        buffer = self._buffer
        if not buffer.startswith(_MARK[: len(buffer)]):
            self._skip("a frame starts with AA AA")
        if len(buffer) < self._need:
            return None
        raw, used, marked = _unescape(buffer)
        if marked:
            self._skip("a frame starts inside another", used)
        if len(raw) < 4:
            return None
        length = raw[2] << 8 | raw[3]
        if length < 5:
            self._skip(f"a frame of length {length}; 5 is the shortest", 2)
        missing = 4 + length - len(raw)
        if missing > 0:
            self._need = len(buffer) + max(1, missing - 1)  # a trailing 0xAA may be one of them
            return None
        self._need = 0
        del buffer[:used]
        _, checksum, packet_id, command = _HEAD.unpack_from(raw, 2)
        if sum(raw[_SUMMED_FROM:]) & 0xFF != checksum:
            raise RemoteProtocolError(f"command 0x{command:04X}: the sum of the frame is wrong")
        if not 1 <= packet_id <= MAX_PACKET_ID:
            raise RemoteProtocolError(f"command 0x{command:04X}: packet id {packet_id} is invalid")
        return Frame(packet_id, command, bytes(raw[_HEAD_BYTES:]))

    def _skip(self, rule: str, at_least: int = 1) -> NoReturn:
        """Drops damaged bytes up to the next start mark and says which rule they broke."""
        position = self._buffer.find(_MARK, at_least)
        if position < 0:
            position = len(self._buffer) - (self._buffer[-1] == 0xAA)
        del self._buffer[: max(position, at_least)]
        self._need = 0
        raise RemoteProtocolError(rule)


def _unescape(buffer: bytearray) -> tuple[bytearray, int, bool]:
    """The first frame of the buffer without its escapes, how many bytes it took, and whether a new mark cut it off."""
    size = len(buffer)
    if size >= 4 and buffer[2] != 0x55 and buffer.find(b"\xaa", 2) < 0:  # no escapes: the usual case
        wanted = 4 + (buffer[2] << 8 | buffer[3])
        return buffer[:wanted], min(wanted, size), False
    raw = bytearray(buffer[:1])
    wanted = 4
    i = 1
    while i < size and len(raw) < wanted:
        byte = buffer[i]
        i += 1
        if byte == 0xAA:
            if i == size:
                break  # what follows decides
            if buffer[i] == 0x55:
                i += 1
            elif buffer[i] == 0xAA:
                return raw, i - 1, True
        raw.append(byte)
        if len(raw) == 4:
            wanted = 4 + (raw[2] << 8 | raw[3])
    return raw, i, False
