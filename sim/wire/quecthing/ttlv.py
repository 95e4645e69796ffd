"""TTLV: the tagged values inside a QuecThing payload.

A head u16 is `id << 3 | type`; type 0 false, 1 true, 2 number, 3 bytes or text, 4 struct. A number is one byte
(bit 7 negative, bits 6-3 decimal exponent, bits 2-0 length - 1) and a big-endian magnitude; bytes are a u16 length and
data; a struct is a u16 count and its nodes. Elements of an array are nodes with id 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Union

from sim.errors import LocalProtocolError, RemoteProtocolError

Value = Union[bool, int, float, bytes, str, "list[Node]"]
"""What a node holds. Text is given as str and comes back as bytes: the wire does not tell them apart."""
Node = tuple[int, Value]

FALSE, TRUE, NUMBER, BYTES, STRUCT = range(5)
MAX_ID = 0x1FFF
MAX_DEPTH = 8
MAX_WHOLE = 2**53 - 1
"""The largest whole number a field may hold unless its reader says less: exact as an integer of 64 bits and as a float."""
MAX_TEXT_CHARS = 1024
MAX_EXPONENT = 15
_MAX_MAGNITUDE_BYTES = 8


def encode(nodes: Sequence[Node]) -> bytes:
    """The nodes as payload bytes; ValueError when an id or a value does not fit."""
    out = bytearray()
    for id_, value in nodes:
        _encode_node(out, id_, value)
    return bytes(out)


def _encode_node(out: bytearray, id_: int, value: Value) -> None:
    if not 0 <= id_ <= MAX_ID:
        raise LocalProtocolError(f"id {id_}: 0 to {MAX_ID} are allowed")
    head = id_ << 3
    if isinstance(value, bool):
        out += (head | value).to_bytes(2, "big")
    elif isinstance(value, int | float):
        out += (head | NUMBER).to_bytes(2, "big")
        out += _number(value)
    elif isinstance(value, bytes | str):
        data = value.encode() if isinstance(value, str) else value
        out += (head | BYTES).to_bytes(2, "big")
        out += _count(len(data), "bytes")
        out += data
    else:
        out += (head | STRUCT).to_bytes(2, "big")
        out += _count(len(value), "nodes")
        out += encode(value)


def _count(number: int, what: str) -> bytes:
    if number > 0xFFFF:
        raise LocalProtocolError(f"{number} {what}: at most 65535 fit into a value")
    return number.to_bytes(2, "big")


def _number(value: int | float) -> bytes:
    """A number with as few decimals and bytes as it takes."""
    exponent = 0
    if isinstance(value, float):
        exact = Decimal(repr(value))
        if not exact.is_finite():
            raise LocalProtocolError(f"{value}: only finite numbers can be sent")
        exponent = max(0, -int(exact.normalize().as_tuple().exponent))
        value = int(exact.scaleb(exponent))
    magnitude = abs(value)
    size = max(1, (magnitude.bit_length() + 7) // 8)
    if exponent > MAX_EXPONENT or size > _MAX_MAGNITUDE_BYTES:
        raise LocalProtocolError(
            f"{value}e-{exponent}: at most {MAX_EXPONENT} decimals and {_MAX_MAGNITUDE_BYTES} bytes fit"
        )
    return bytes([(value < 0) << 7 | exponent << 3 | size - 1]) + magnitude.to_bytes(size, "big")


def decode(payload: bytes) -> list[Node]:
    """The nodes of a payload; ProtocolError when it is cut short, of unknown type or nested too deeply."""
    nodes: list[Node] = []
    position = 0
    while position < len(payload):
        node, position = _decode_node(payload, position, 1)
        nodes.append(node)
    return nodes


def _decode_node(payload: bytes, position: int, depth: int) -> tuple[Node, int]:
    head, position = _u16(payload, position)
    id_, kind = head >> 3, head & 7
    if kind in (FALSE, TRUE):
        return (id_, kind == TRUE), position
    if kind == NUMBER:
        return _decode_number(payload, position, id_)
    if kind == BYTES:
        length, position = _u16(payload, position)
        end = position + length
        _need(payload, end)
        return (id_, payload[position:end]), end
    if kind == STRUCT:
        if depth >= MAX_DEPTH:
            raise RemoteProtocolError(f"value {id_}: nested more than {MAX_DEPTH} deep")
        count, position = _u16(payload, position)
        nodes: list[Node] = []
        for _ in range(count):
            node, position = _decode_node(payload, position, depth + 1)
            nodes.append(node)
        return (id_, nodes), position
    raise RemoteProtocolError(f"value {id_}: type {kind} is unknown")


def _decode_number(payload: bytes, position: int, id_: int) -> tuple[Node, int]:
    _need(payload, position + 1)
    flags = payload[position]
    end = position + 2 + (flags & 7)
    _need(payload, end)
    value = int.from_bytes(payload[position + 1 : end], "big")
    if flags & 0x80:
        value = -value
    exponent = flags >> 3 & 0xF
    if exponent:
        return (id_, float(Decimal(value).scaleb(-exponent))), end
    return (id_, value), end


def _u16(payload: bytes, position: int) -> tuple[int, int]:
    _need(payload, position + 2)
    return payload[position] << 8 | payload[position + 1], position + 2


def _need(payload: bytes, end: int) -> None:
    if end > len(payload):
        raise RemoteProtocolError(f"a payload of {len(payload)} bytes ends inside a value that needs {end}")


class Fields:
    """Decoded nodes by id, with the type each reader expects; what is missing or of another type is a ProtocolError.

    Of nodes with the same id the first counts.
    """

    __slots__ = ("_by_id", "_what")

    def __init__(self, nodes: Sequence[Node], what: str) -> None:
        self._by_id = dict(reversed(nodes))
        self._what = what

    @classmethod
    def of(cls, payload: bytes, what: str) -> Fields:
        """The fields of a payload; `what` names the command in error texts."""
        return cls(decode(payload), what)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._by_id

    def text(self, id_: int, default: str | None = None, *, most: int = MAX_TEXT_CHARS) -> str:
        """A text of at most `most` printable characters (UTF-8)."""
        try:
            text = self.data(id_, None if default is None else default.encode(), most=4 * most).decode()
        except UnicodeDecodeError:
            raise RemoteProtocolError(f"{self._what}: value {id_} is not UTF-8") from None
        if len(text) > most:
            raise RemoteProtocolError(f"{self._what}: value {id_} has {len(text)} characters; {most} are allowed")
        if not text.isprintable():
            raise RemoteProtocolError(f"{self._what}: value {id_} holds characters that cannot be printed")
        return text

    def data(self, id_: int, default: bytes | None = None, *, most: int = 4 * MAX_TEXT_CHARS) -> bytes:
        """At most `most` bytes as they are."""
        value = self._by_id.get(id_, default)
        if not isinstance(value, bytes):
            raise self._wrong(id_, "a text")
        if len(value) > most:
            raise RemoteProtocolError(f"{self._what}: value {id_} has {len(value)} bytes; {most} are allowed")
        return value

    def number(
        self, id_: int, default: float | None = None, *, low: float = -MAX_WHOLE, high: float = MAX_WHOLE
    ) -> float:
        """A number, whole or not, from `low` to `high`."""
        value = self._by_id.get(id_, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(id_, "a number")
        if not low <= value <= high:
            raise RemoteProtocolError(f"{self._what}: value {id_} is {value}; {low} to {high} is allowed")
        return value

    def whole(self, id_: int, default: int | None = None, *, low: int = 0, high: int = MAX_WHOLE) -> int:
        """A whole number from `low` to `high`."""
        value = self.number(id_, default, low=low, high=high)
        if not isinstance(value, int):
            raise self._wrong(id_, "a whole number")
        return value

    def structs(self, id_: int) -> list[Fields]:
        """The elements of an array of structs (each under id 0)."""
        value = self._by_id.get(id_)
        if not isinstance(value, list):
            raise self._wrong(id_, "an array")
        elements = []
        for element_id, element in value:
            if element_id != 0 or not isinstance(element, list):
                raise self._wrong(id_, "an array of structs")
            elements.append(Fields(element, f"{self._what}, value {id_}"))
        return elements

    def _wrong(self, id_: int, expected: str) -> RemoteProtocolError:
        fault = "is not" if id_ in self._by_id else "is missing; it should be"
        return RemoteProtocolError(f"{self._what}: value {id_} {fault} {expected}")
