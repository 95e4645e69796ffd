"""OTA payloads: plan notice (0x0111), firmware URL (0x0113), status (0x0114) and request (0x0115).

The frozen values of sim.messages know components by their place in the plan; the wire knows them by name and type.
`Firmware` and `Status` stand between: as sent, with the step to and from the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import floor

from sim.errors import LocalProtocolError, RemoteProtocolError
from sim.messages import (
    FIRMWARE,
    MCU,
    STATUS_TEXT,
    SUBMITTED,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    ComponentNotice,
    FirmwareUrl,
    Notice,
    StatusReport,
)
from sim.wire.http import MAX_URL_CHARS
from sim.wire.quecthing import ttlv
from sim.wire.quecthing.commands import (
    MAX_MCU_LIST_BYTES,
    MAX_SIGNAL_DBM,
    MIN_SIGNAL_DBM,
    SEEN,
    check_component,
    component_of,
    mcu_list,
    parse_mcu_list,
    split_versions,
    version_of,
)
from sim.wire.quecthing.ttlv import Fields, Node

MAX_COMPONENTS = 20
MAX_FILES = 5
MD5_CHARS, SHA256_CHARS, CRC_CHARS = 32, 64, 8
_HEXADECIMAL = frozenset("0123456789abcdef")
SHA256_SIGN = "sha256"
_SILENT = 1


# --- plan notice -----------------------------------------------------------------------------------------------------


def encode_notice(notice: Notice, kinds: Sequence[int]) -> bytes:
    """Payload of 0x0111: one component flat, several as an array. `kinds` says FIRMWARE or MCU for each."""
    if not 1 <= len(notice.components) <= MAX_COMPONENTS:
        raise LocalProtocolError(f"{len(notice.components)} components: 1 to {MAX_COMPONENTS} fit into a notice")
    structs = [_notice_nodes(c, kind) for c, kind in zip(notice.components, kinds, strict=True)]
    if notice.silent:
        for nodes in structs:
            nodes.append((27, _SILENT))
    if len(structs) == 1:
        return ttlv.encode(structs[0])
    return ttlv.encode([(28, [(0, nodes) for nodes in structs])])


def _notice_nodes(c: ComponentNotice, kind: int) -> list[Node]:
    check_component(c.component, c.target_version)
    fraction = fraction_in_limits(c.min_battery_percent, c.min_rsrp_dbm)
    if fraction:
        raise ValueError(fraction)
    nodes: list[Node] = [(4, c.component)]
    if c.source_version:
        nodes.append((5, c.source_version))
    return [
        *nodes, (6, c.target_version), (7, kind), (8, int(c.min_battery_percent)), (10, int(c.min_rsrp_dbm)),
        (9, c.needed_bytes),
    ]  # fmt: skip


def fraction_in_limits(min_battery_percent: float, min_rsrp_dbm: float) -> str:
    """Why these limits cannot be sent, or "": the SDK reads and prints whole numbers (`%u`, `%d`)."""
    for name, limit in (("min_battery_percent", min_battery_percent), ("min_rsrp_dbm", min_rsrp_dbm)):
        if limit != int(limit):
            low = floor(limit)
            return f"{name} {limit:g}: QuecThing notices carry whole numbers; write {low} or {low + 1}"
    return ""


@lru_cache(maxsize=SEEN)
def decode_notice(payload: bytes) -> tuple[Notice, tuple[int, ...]]:
    """0x0111 and the kind of each component; missing numbers are 0. Handle type (27) present means silent."""
    fields = Fields.of(payload, "command 0x0111")
    structs = fields.structs(28) if 28 in fields else [fields]
    if not 1 <= len(structs) <= MAX_COMPONENTS:
        raise RemoteProtocolError(f"command 0x0111: {len(structs)} components; 1 to {MAX_COMPONENTS} are allowed")
    components = tuple(
        ComponentNotice(
            component_of(s, 4), version_of(s, 5, ""), version_of(s, 6), s.whole(8, 0, high=100),
            s.whole(10, 0, low=int(MIN_SIGNAL_DBM), high=int(MAX_SIGNAL_DBM)), s.whole(9, 0),
        )
        for s in structs
    )  # fmt: skip
    return Notice(components, silent=all(27 in s for s in structs)), tuple(_kind(s) for s in structs)


def _kind(fields: Fields) -> int:
    kind = fields.whole(7, high=0xFFFF)
    if kind not in (FIRMWARE, MCU):
        raise RemoteProtocolError(f"component type {kind}: 0 (module) or 1 (MCU) is known")
    return kind


# --- firmware URL ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UrlFile:
    """One file of a version: where it is, how long, its MD5 in hex."""

    url: str
    size_bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class Firmware:
    """Command 0x0113 as sent: a component by name with its one to five files."""

    component: str
    target_version: str
    files: tuple[UrlFile, ...]
    kind: int = FIRMWARE
    crc32: int = 0
    sha256: str = ""

    @classmethod
    def of(cls, url: FirmwareUrl, component: str, target_version: str) -> Firmware:
        """The message as it is sent, with one file."""
        file = UrlFile(url.url, url.size_bytes, url.md5)
        return cls(component, target_version, (file,), url.kind, url.crc32, url.sha256)

    def message(self, components: Sequence[str]) -> FirmwareUrl:
        """The message for a module whose plan has these components; several files count as one length."""
        first = self.files[0]
        size = sum(file.size_bytes for file in self.files)
        index = place(self.component, components)
        return FirmwareUrl(index, size, self.kind, first.url, first.md5, self.crc32, self.sha256)


def encode_url(firmware: Firmware) -> bytes:
    """Payload of 0x0113; several files of a module go as an array, which has no place for CRC and SHA-256."""
    if not 1 <= len(firmware.files) <= MAX_FILES:
        raise LocalProtocolError(f"{len(firmware.files)} files: 1 to {MAX_FILES} are allowed")
    check_component(firmware.component, firmware.target_version)
    head: list[Node] = [(4, firmware.component), (6, firmware.target_version), (7, firmware.kind)]
    if len(firmware.files) > 1:
        files = [(0, [(30, i), *_file_nodes(file)]) for i, file in enumerate(firmware.files)]
        return ttlv.encode([*head, (20, files)])  # type: ignore[list-item]
    tail: list[Node] = [(15, f"{firmware.crc32:08X}")]
    if firmware.sha256:
        tail.append((16, firmware.sha256))
    return ttlv.encode([*head, *_file_nodes(firmware.files[0]), *tail])


def _file_nodes(file: UrlFile) -> list[Node]:
    if len(file.md5) != MD5_CHARS:
        raise LocalProtocolError(f"MD5 {file.md5!r}: exactly {MD5_CHARS} characters are needed")
    return [(1, file.url), (2, file.size_bytes), (3, file.md5)]


@lru_cache(maxsize=SEEN)
def decode_url(payload: bytes, *, needs_sha256: bool = False) -> Firmware:
    """0x0113; a missing mandatory value is a ProtocolError (the SDK then reports status 12)."""
    fields = Fields.of(payload, "command 0x0113")
    head = component_of(fields, 4), version_of(fields, 6)
    kind = _kind(fields)
    if 20 in fields:
        structs = sorted(fields.structs(20), key=lambda s: s.whole(30, high=0xFFFF))
        if not 1 <= len(structs) <= MAX_FILES:
            raise RemoteProtocolError(f"command 0x0113: {len(structs)} files; 1 to {MAX_FILES} are allowed")
        return Firmware(*head, tuple(_file(s) for s in structs), kind)
    crc32 = int(_hexadecimal(fields, 15, 1, CRC_CHARS), 16)
    sha256 = "" if 16 not in fields and not needs_sha256 else _hexadecimal(fields, 16, SHA256_CHARS, SHA256_CHARS)
    return Firmware(*head, (_file(fields),), kind, crc32, sha256)


def _hexadecimal(fields: Fields, id_: int, least: int, most: int) -> str:
    """A text of hexadecimal digits, in lower case; ProtocolError when it is none, or too short or long."""
    text = fields.text(id_, most=most).lower()
    if len(text) < least or set(text) - _HEXADECIMAL:
        raise RemoteProtocolError(f"command 0x0113: value {id_} is not {least} to {most} hexadecimal digits")
    return text


def _file(fields: Fields) -> UrlFile:
    url = fields.text(1, most=MAX_URL_CHARS)
    return UrlFile(url, fields.whole(2, low=1), _hexadecimal(fields, 3, MD5_CHARS, MD5_CHARS))


# --- status ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Status:
    """Command 0x0114 as sent: the component by name; the running version with statuses 11 and 12."""

    status: int
    component: str
    kind: int = FIRMWARE
    version: str = ""
    wants_sha256: bool = False

    @classmethod
    def of(cls, report: StatusReport, component: str, kind: int) -> Status:
        """The report as it is sent."""
        return cls(report.status, component, kind, report.version)

    def message(self, components: Sequence[str]) -> StatusReport:
        """The report for a plan with these components."""
        return StatusReport(self.status, place(self.component, components), self.version)


@lru_cache(maxsize=SEEN)
def encode_status(status: Status) -> bytes:
    """Payload of 0x0114."""
    nodes: list[Node] = [
        (13, status.status), (14, STATUS_TEXT[status.status]), (7, status.kind), (4, status.component),
    ]  # fmt: skip
    if status.status == SUBMITTED and status.wants_sha256:
        nodes.append((19, SHA256_SIGN))
    if status.status in (UPDATE_SUCCESS, UPDATE_ERROR):
        if status.kind == FIRMWARE:
            nodes.append((25, status.version))
        else:
            nodes.append((26, mcu_list({status.component: status.version})))
    return ttlv.encode(nodes)


@lru_cache(maxsize=SEEN)
def decode_status(payload: bytes) -> Status:
    """0x0114 from its payload; a status no SDK sends is a ProtocolError."""
    fields = Fields.of(payload, "command 0x0114")
    status, component, kind = fields.whole(13, high=0xFFFF), component_of(fields, 4), _kind(fields)
    if status not in STATUS_TEXT or status == 0:
        raise RemoteProtocolError(f"command 0x0114: status {status} is unknown")
    if kind == FIRMWARE:
        version = version_of(fields, 25, "")
    else:
        version = parse_mcu_list(fields.text(26, "", most=MAX_MCU_LIST_BYTES)).get(component, "")
    return Status(status, component, kind, version, fields.text(19, "") == SHA256_SIGN)


# --- request ---------------------------------------------------------------------------------------------------------


def encode_request(versions: Mapping[str, str], firmware: str) -> bytes:
    """Payload of 0x0115: the module's version, and the list of its other components when it has some."""
    return _request(tuple(versions.items()), firmware)


@lru_cache(maxsize=SEEN)
def _request(versions: tuple[tuple[str, str], ...], firmware: str) -> bytes:
    own, others = split_versions(dict(versions), firmware)
    nodes: list[Node] = [(25, own)]
    if others:
        nodes.append((26, others))
    return ttlv.encode(nodes)


def place(component: str, components: Sequence[str]) -> int:
    """Where a component stands in a plan; ProtocolError when it does not."""
    try:
        return components.index(component)
    except ValueError:
        raise RemoteProtocolError(f"component {component[:40]!r} is not of this plan") from None
