"""MQTT 3.1.1 packets for both ends: encoders, and a parser for a stream in pieces, bounded by a packet size.

This is the load path: packets are preformatted bytes, and the parser calls one handler instead of building objects.
A CONNECT with a password but no user name, which the standard forbids and the QuecThing SDK sends, is read and written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sim.errors import LocalProtocolError, RemoteProtocolError

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(8, 15)

ACCEPTED, BAD_VERSION, BAD_CLIENT_ID, UNAVAILABLE, BAD_LOGIN, NOT_AUTHORIZED = range(6)
"""Return codes of CONNACK."""
SUBSCRIPTION_FAILED = 0x80

PINGREQ_PACKET = b"\xc0\x00"
PINGRESP_PACKET = b"\xd0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

MAX_PACKET_BYTES = 64 * 1024
"""Default limit of a packet's remaining length: a DP frame and its topic fit."""
LARGEST_PACKET_BYTES = 268_435_455
MAX_FILTERS = 64
"""Topic filters in one SUBSCRIBE or UNSUBSCRIBE: a packet holds 20,000, which take a tenth of a second to look at."""
MAX_TEXT_BYTES = MAX_KEEPALIVE_S = 0xFFFF
_PROTOCOL_3_1_1 = b"\x00\x04MQTT\x04"

Handler = Callable[[int, int, str, bytes, int], object]
"""What the parser calls for each packet: kind, packet id (CONNACK: return code), topic, payload, flags.

`topic` is set for PUBLISH alone. `payload` is PUBLISH's message, SUBACK's codes, and the body of CONNECT, SUBSCRIBE
and UNSUBSCRIBE for their parse functions. `flags` are the four low bits of the first byte, for CONNACK its flags.
"""

_ACK = struct.Struct(">BBH")
_ACK_FLAGS = {PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, UNSUBACK: 0}
_FLAGS = {**_ACK_FLAGS, CONNECT: 0, CONNACK: 0, SUBSCRIBE: 2, SUBACK: 0, UNSUBSCRIBE: 2, PINGREQ: 0, PINGRESP: 0, DISCONNECT: 0}  # fmt: skip


# --- encoders --------------------------------------------------------------------------------------------------------


def _remaining(length: int) -> bytes:
    """A remaining length in one to four bytes."""
    if length < 128:
        return bytes((length,))
    if length > LARGEST_PACKET_BYTES:
        raise LocalProtocolError(f"a packet of {length} bytes: MQTT allows {LARGEST_PACKET_BYTES}")
    out = bytearray()
    while length > 127:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)


def _text(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_TEXT_BYTES:
        raise LocalProtocolError(f"a text of {len(data)} bytes: MQTT allows {MAX_TEXT_BYTES}")
    return len(data).to_bytes(2, "big") + data


def connect(
    client_id: str, keepalive_s: int, *, username: str | None = None, password: bytes | None = None, clean: bool = True
) -> bytes:
    """CONNECT without a will; the password may go without a user name, as the SDK sends it."""
    if not 0 <= keepalive_s <= MAX_KEEPALIVE_S:
        raise LocalProtocolError(f"a keep-alive of {keepalive_s} s: MQTT allows 0 to {MAX_KEEPALIVE_S}")
    flags = 2 * clean | 0x80 * (username is not None) | 0x40 * (password is not None)
    body = _PROTOCOL_3_1_1 + struct.pack(">BH", flags, keepalive_s) + _text(client_id)
    if username is not None:
        body += _text(username)
    if password is not None:
        body += _text(password)
    return b"\x10" + _remaining(len(body)) + body


def connack(code: int, *, session_present: bool = False) -> bytes:
    """CONNACK with a return code."""
    return bytes((0x20, 2, session_present, code))


def publish(
    topic: bytes, payload: bytes, qos: int = 0, packet_id: int = 0, *, dup: bool = False, retain: bool = False
) -> bytes:
    """PUBLISH; `packet_id` counts for QoS 1 and 2 only."""
    first = 0x30 | 8 * dup | qos << 1 | retain
    size = len(topic)
    if size > MAX_TEXT_BYTES:
        raise LocalProtocolError(f"a topic of {size} bytes: MQTT allows {MAX_TEXT_BYTES}")
    if qos:
        length = 4 + size + len(payload)
        return b"%c%b%b%b%b%b" % (
            first, _remaining(length), size.to_bytes(2, "big"), topic, packet_id.to_bytes(2, "big"), payload,
        )  # fmt: skip
    return b"%c%b%b%b%b" % (first, _remaining(2 + size + len(payload)), size.to_bytes(2, "big"), topic, payload)


def ack(kind: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    return _ACK.pack(kind << 4 | _ACK_FLAGS[kind], 2, packet_id)


def subscribe(packet_id: int, filters: Sequence[tuple[str, int]]) -> bytes:
    """SUBSCRIBE to topic filters, each with its QoS."""
    body = packet_id.to_bytes(2, "big") + b"".join(_text(name) + bytes((qos,)) for name, qos in filters)
    return b"\x82" + _remaining(len(body)) + body


def suback(packet_id: int, codes: bytes) -> bytes:
    """SUBACK: for each filter the granted QoS, or 0x80."""
    return b"\x90" + _remaining(2 + len(codes)) + packet_id.to_bytes(2, "big") + codes


def unsubscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """UNSUBSCRIBE from topic filters."""
    body = packet_id.to_bytes(2, "big") + b"".join(map(_text, filters))
    return b"\xa2" + _remaining(len(body)) + body


# --- parser ----------------------------------------------------------------------------------------------------------


class Parser:
    """Packets out of a stream. Memory: one packet of at most `max_packet_bytes`, and what was fed at once.

    ProtocolError ends the stream: MQTT has no way to go on behind a broken packet.
    """

    __slots__ = ("_limit", "_need", "_rest")

    def __init__(self, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._limit = max_packet_bytes
        self._rest: bytearray | None = None
        self._need = 0

    def feed(self, data: bytes, handle: Handler) -> None:
        """Calls `handle` for every packet that is complete; ProtocolError after the last good one."""
        if self._rest is not None:
            self._rest += data
            if len(self._rest) < self._need:
                return
            data = bytes(self._rest)
            self._rest = None
        position, end = 0, len(data)
        while end - position >= 2:
            length = data[position + 1]
            body = position + 2
            if length > 127:
                length, body = _long_length(data, position + 1, end)
                if body == 0:
                    break
            if length > self._limit:
                raise RemoteProtocolError(f"a packet of {length} bytes; the limit is {self._limit}")
            stop = body + length
            if stop > end:
                _check_flags(data[position])  # no waiting for the rest of what is no packet
                self._keep(data, position, stop)
                return
            if data[position] >> 4 == PUBLISH:
                _publish(data, data[position], body, stop, handle)
            else:
                _other(data, data[position], body, stop, handle)
            position = stop
        if position < end:
            self._keep(data, position, position + 2)

    def _keep(self, data: bytes, position: int, stop: int) -> None:
        self._rest = bytearray(data[position:])
        self._need = stop - position


def _long_length(data: bytes, position: int, end: int) -> tuple[int, int]:
    """A remaining length of two to four bytes and where its body starts; (0, 0) when it is not complete."""
    length = 0
    for i in range(4):
        if position + i == end:
            return 0, 0
        byte = data[position + i]
        length |= (byte & 0x7F) << 7 * i
        if byte < 128:
            return length, position + i + 1
    raise RemoteProtocolError("a remaining length of more than four bytes")


def _publish(data: bytes, first: int, body: int, stop: int, handle: Handler) -> None:
    if stop - body < 2:
        raise RemoteProtocolError("PUBLISH without a topic")
    start = body + 2
    end = start + (data[body] << 8 | data[body + 1])
    qos = first >> 1 & 3
    packet_id = 0
    payload = end
    if qos:
        payload += 2
        if payload > stop or qos == 3:
            raise RemoteProtocolError("PUBLISH of QoS 3" if qos == 3 else "PUBLISH without a packet id")
        packet_id = data[end] << 8 | data[end + 1]
        if packet_id == 0:
            raise RemoteProtocolError("packet id 0")
    elif end > stop or first & 8:
        raise RemoteProtocolError("PUBLISH is shorter than its topic" if end > stop else "DUP on a PUBLISH of QoS 0")
    topic = _decoded(data[start:end])
    if not topic or "+" in topic or "#" in topic:
        raise RemoteProtocolError("PUBLISH to an empty topic or to a wildcard")
    handle(PUBLISH, packet_id, topic, data[payload:stop], first & 15)


def _other(data: bytes, first: int, body: int, stop: int, handle: Handler) -> None:
    _check_flags(first)
    kind, flags, size = first >> 4, first & 15, stop - body
    if kind in _ACK_FLAGS:
        if size != 2:
            raise RemoteProtocolError(f"an acknowledgement of {size} bytes; 2 are right")
        handle(kind, _packet_id(data, body), "", b"", flags)
    elif kind == CONNACK:
        if size != 2 or data[body] > 1:
            raise RemoteProtocolError("CONNACK is malformed")
        handle(kind, data[body + 1], "", b"", data[body])
    elif kind in (PINGREQ, PINGRESP, DISCONNECT):
        if size:
            raise RemoteProtocolError(f"packet type {kind} has no body")
        handle(kind, 0, "", b"", flags)
    elif kind == CONNECT:
        handle(kind, 0, "", data[body:stop], flags)
    else:  # SUBSCRIBE, SUBACK, UNSUBSCRIBE
        if size < 3:
            raise RemoteProtocolError(f"packet type {kind} without its list")
        handle(kind, _packet_id(data, body), "", data[body + 2 : stop], flags)


def _check_flags(first: int) -> None:
    kind, flags = first >> 4, first & 15
    if kind != PUBLISH and _FLAGS.get(kind) != flags:
        raise RemoteProtocolError(f"packet type {kind} with flags {flags}")


def _packet_id(data: bytes, position: int) -> int:
    packet_id = data[position] << 8 | data[position + 1]
    if packet_id == 0:
        raise RemoteProtocolError("packet id 0")
    return packet_id


def _decoded(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("a text is not UTF-8") from None
    if "\0" in text:
        raise RemoteProtocolError("a text holds U+0000")
    return text


# --- bodies a server reads -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """What a CONNECT asks for. `level` is 4 for MQTT 3.1.1; for any other the rest is not read."""

    level: int
    client_id: str = ""
    keepalive_s: int = 0
    clean: bool = True
    username: str | None = None
    password: bytes | None = None
    will: tuple[str, bytes, int, bool] | None = None
    """Topic, payload, QoS and retain flag."""


class _Reader:
    """Lengths and texts of a body, in order."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise RemoteProtocolError("a packet is shorter than what it announces")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def field(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return _decoded(self.field())

    @property
    def done(self) -> bool:
        return self.position == len(self.data)


def parse_connect(body: bytes) -> Connect:
    """A CONNECT's body; another protocol level is the server's to refuse (BAD_VERSION)."""
    reader = _Reader(body)
    name, level, flags = reader.field(), reader.number(1), 0
    if name != b"MQTT" or level != 4:
        if name not in (b"MQTT", b"MQIsdp"):
            raise RemoteProtocolError("CONNECT of another protocol")
        return Connect(level if name == b"MQTT" else 3)
    flags, keepalive_s = reader.number(1), reader.number(2)
    if flags & 1 or flags >> 3 & 3 == 3 or (flags & 0x38 and not flags & 4):
        raise RemoteProtocolError(f"CONNECT with flags 0x{flags:02X}")
    client = reader.text()
    will = (reader.text(), reader.field(), flags >> 3 & 3, bool(flags & 0x20)) if flags & 4 else None
    username = reader.text() if flags & 0x80 else None
    password = reader.field() if flags & 0x40 else None
    if not reader.done:
        raise RemoteProtocolError("bytes follow the CONNECT")
    return Connect(4, client, keepalive_s, bool(flags & 2), username, password, will)


def parse_subscribe(body: bytes) -> list[tuple[str, int]]:
    """Filters and QoS of a SUBSCRIBE's body (without its packet id)."""
    reader = _Reader(body)
    filters: list[tuple[str, int]] = []
    while not reader.done:
        _room_for_one_more(filters)
        name, qos = reader.text(), reader.number(1)
        if qos > 2:
            raise RemoteProtocolError(f"SUBSCRIBE with QoS {qos}")
        filters.append((checked_filter(name), qos))
    return filters


def parse_unsubscribe(body: bytes) -> list[str]:
    """Filters of an UNSUBSCRIBE's body (without its packet id)."""
    reader = _Reader(body)
    filters: list[str] = []
    while not reader.done:
        _room_for_one_more(filters)
        filters.append(checked_filter(reader.text()))
    return filters


def _room_for_one_more(filters: Sequence[object]) -> None:
    if len(filters) >= MAX_FILTERS:
        raise RemoteProtocolError(f"more than {MAX_FILTERS} topic filters in one packet")


def checked_filter(name: str) -> str:
    """The topic filter, if its wildcards stand where they may; else ProtocolError."""
    levels = name.split("/")
    for i, level in enumerate(levels):
        if ("+" in level and level != "+") or ("#" in level and (level != "#" or i < len(levels) - 1)):
            raise RemoteProtocolError("a topic filter with a misplaced wildcard")
    if not name:
        raise RemoteProtocolError("an empty topic filter")
    return name


def matches(filter_: str, topic: str) -> bool:
    """Whether a topic is covered by a filter."""
    if filter_ == topic:
        return True
    wanted, levels = filter_.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(levels) or level not in ("+", levels[i]):
            return False
    return len(wanted) == len(levels)
