"""Commands of a session: numbers and topics of all, payloads of status, information, exception and configuration.

A module's Hello is three commands on the wire: 0x0034 (status), 0x0044 (information) and, when it asks for its plan,
0x0115 (ota.py). `Reported` puts them together again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sim.errors import LocalProtocolError, RemoteProtocolError
from sim.messages import Hello
from sim.wire.quecthing import ttlv
from sim.wire.quecthing.ttlv import Fields, Node

STATUS_GET, STATUS_REPLY, STATUS_REPORT = 0x0031, 0x0032, 0x0034
INFO_GET, INFO_REPLY, INFO_REPORT = 0x0041, 0x0042, 0x0044
EXCEPTION, EXCEPTION_REPLY = 0x00A3, 0x00A4
CONFIG = 0x00B4
OTA_NOTICE, OTA_CONFIRM, OTA_URL, OTA_STATUS, OTA_REQUEST = 0x0111, 0x0112, 0x0113, 0x0114, 0x0115
TSL_READ, TSL_READ_REPLY, TSL_WRITE, TSL_REPORT = 0x0011, 0x0012, 0x0013, 0x0014
DATA_DOWN, DATA_UP = 0x0023, 0x0024
UPLINK = frozenset({
    TSL_READ_REPLY, TSL_REPORT, DATA_UP, STATUS_REPLY, STATUS_REPORT, INFO_REPLY, INFO_REPORT, EXCEPTION_REPLY,
    OTA_CONFIRM, OTA_STATUS, OTA_REQUEST, *range(0x00C0, 0x00C9),
})  # fmt: skip
"""What devices send; gateways' own commands are among them."""

SDK_VERSION = "2.9.0"
DATA_PROTOCOL = "1.3.0"
COMMUNICATION_PROTOCOL = "3.0.0"
MAX_MCU_LIST_BYTES = 512
MAX_COMPONENT_CHARS = 32
MAX_VERSION_CHARS = 64
MAX_PRODUCT_KEY_CHARS = 32
MAX_DEVICE_KEY_CHARS = 16
MAX_SECRET_CHARS = 64
SESSION_KEY_BYTES = 16
MIN_SIGNAL_DBM, MAX_SIGNAL_DBM = -200.0, 100.0
"""Signal figures as devices send them: RSRP and RSSI in dBm, but also the 0 … 99 of AT+CSQ."""
MAX_ERROR_CODE = 0xFFFF
SUPPLY_V = 3.6
SEEN = 1024
"""Payloads remembered by each reader and writer: the modules of one plan say and hear the same things."""

# Local error codes of an exception notice (0x00A3/0x00A4); 10xxx are the platform's, see login.py.
BAD_PROTOCOL, BAD_LENGTH, BAD_SUM, BAD_COMMAND, BAD_FORMAT = 1, 2, 3, 4, 5
RATE_LIMIT, QUANTITY_LIMIT = 10428, 10429


def topic_kind(command: int) -> str:
    """The last level of the topic a command travels on: bus, sys or ota."""
    if command <= DATA_UP:
        return "bus"
    return "ota" if OTA_NOTICE <= command <= OTA_REQUEST else "sys"


# --- versions of components ------------------------------------------------------------------------------------------


def mcu_list(versions: Mapping[str, str]) -> str:
    """Component numbers and versions as the SDK lists them, `no:ver;no:ver;`; ValueError when they cannot be."""
    for name, version in versions.items():
        check_component(name, version)
    text = "".join(f"{name}:{version};" for name, version in versions.items())
    if len(text.encode()) > MAX_MCU_LIST_BYTES:
        raise LocalProtocolError(
            f"version list of {len(text.encode())} bytes: at most {MAX_MCU_LIST_BYTES} are allowed"
        )
    return text


def check_component(name: str, version: str) -> None:
    """ValueError when a component or version is longer than the SDK allows or would break a version list."""
    if not 0 < len(name) <= MAX_COMPONENT_CHARS or len(version) > MAX_VERSION_CHARS:
        raise LocalProtocolError(
            f"component {name!r}, version {version!r}: "
            f"at most {MAX_COMPONENT_CHARS} and {MAX_VERSION_CHARS} characters are allowed"
        )
    if not (name + version).isprintable():
        raise LocalProtocolError(f"component {name!r}, version {version!r}: only printable characters are allowed")
    if set(":;") & set(name + version):
        raise LocalProtocolError(
            f"component {name!r}, version {version!r}: ':' and ';' are separators of the version list"
        )


def parse_mcu_list(text: str) -> dict[str, str]:
    """The versions of a list `no:ver;no:ver;` within the SDK's limits; ProtocolError when it is none."""
    if len(text.encode()) > MAX_MCU_LIST_BYTES:
        raise RemoteProtocolError(f"version list: at most {MAX_MCU_LIST_BYTES} bytes are allowed")
    versions = {}
    for entry in filter(None, text.split(";")):
        name, colon, version = entry.partition(":")
        if not colon or not name:
            raise RemoteProtocolError(f"version list: {entry[:80]!r} is not `component:version`")
        if len(name) > MAX_COMPONENT_CHARS or len(version) > MAX_VERSION_CHARS or ":" in version:
            raise RemoteProtocolError(f"version list: {entry[:80]!r} is longer than a component and its version may be")
        versions[name] = version
    return versions


def version_of(fields: Fields, id_: int, default: str | None = None) -> str:
    """A version: at most 64 printable characters, none of them a separator of the version list."""
    text = fields.text(id_, default, most=MAX_VERSION_CHARS)
    if ":" in text or ";" in text:
        raise RemoteProtocolError(f"version {text!r}: ':' and ';' are separators of the version list")
    return text


def component_of(fields: Fields, id_: int, default: str | None = None) -> str:
    """A component's number: 1 to 32 printable characters, none of them a separator of the version list."""
    text = fields.text(id_, default, most=MAX_COMPONENT_CHARS)
    if ":" in text or ";" in text or (not text and default is None):
        raise RemoteProtocolError(f"component {text!r}: 1 to {MAX_COMPONENT_CHARS} characters without ':' and ';'")
    return text


def split_versions(versions: Mapping[str, str], firmware: str) -> tuple[str, str]:
    """The module's own version and the list of the other components."""
    others = {name: version for name, version in versions.items() if name != firmware}
    own = versions.get(firmware, "")
    check_component(firmware, own)
    return own, mcu_list(others)


# --- status and information --------------------------------------------------------------------------------------------


def encode_status_report(hello: Hello) -> bytes:
    """Payload of 0x0034 and 0x0032: battery %, supply, signal and free flash.

    The SDK itself sends values 1-4; the RSRP (5), which the plan's precondition needs, is the application's addition.
    Figures carry two decimals, so that both ends compare the same value with a limit.
    """
    signal = round(hello.rsrp_dbm, 2)
    return ttlv.encode(
        [(1, round(hello.battery_percent, 2)), (2, SUPPLY_V), (3, signal), (4, hello.free_bytes), (5, signal)]
    )


def encode_info_report(versions: Mapping[str, str], firmware: str) -> bytes:
    """Payload of 0x0044 and 0x0042: model, module version, MCU list and protocol versions.

    `firmware` names the component that is the module's own firmware; on the wire it is the model.
    """
    return _info_report(tuple(versions.items()), firmware)


@lru_cache(maxsize=SEEN)
def _info_report(versions: tuple[tuple[str, str], ...], firmware: str) -> bytes:
    own, others = split_versions(dict(versions), firmware)
    nodes: list[Node] = [(1, firmware), (2, own)]
    if others:
        nodes.append((3, others))
    return ttlv.encode([*nodes, (11, SDK_VERSION), (13, DATA_PROTOCOL), (14, COMMUNICATION_PROTOCOL)])


@dataclass(slots=True)
class Reported:
    """What one module has reported so far; put together from its commands, on the cloud's side.

    `firmware` names the module's own component until 0x0044 gives the model.
    """

    firmware: str = ""
    battery_percent: float = 100.0
    rsrp_dbm: float = -140.0
    free_bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def take(self, command: int, payload: bytes) -> Hello | None:
        """Takes a report; gives the Hello that is complete with it, after 0x0044 or 0x0115.

        Other commands give None; a payload that breaks its format is a ProtocolError.
        """
        if command in (STATUS_REPORT, STATUS_REPLY):
            self._take_status(Fields.of(payload, f"command 0x{command:04X}"))
            return None
        if command in (INFO_REPORT, INFO_REPLY):
            fields = Fields.of(payload, f"command 0x{command:04X}")
            versions = version_of(fields, 2, ""), fields.text(3, "", most=MAX_MCU_LIST_BYTES)
            self._take_versions(component_of(fields, 1, self.firmware), *versions)
            return self._hello(asks=False)
        if command == OTA_REQUEST:
            fields = Fields.of(payload, "command 0x0115")
            versions = version_of(fields, 25), fields.text(26, "", most=MAX_MCU_LIST_BYTES)
            self._take_versions(self.firmware, *versions)
            return self._hello(asks=True)
        return None

    def _take_status(self, fields: Fields) -> None:
        battery = float(fields.number(1, self.battery_percent, low=0, high=100))
        limits = {"low": MIN_SIGNAL_DBM, "high": MAX_SIGNAL_DBM}
        rsrp = float(fields.number(5, fields.number(3, self.rsrp_dbm, **limits), **limits))
        self.battery_percent, self.rsrp_dbm, self.free_bytes = battery, rsrp, fields.whole(4, self.free_bytes)

    def _take_versions(self, firmware: str, own: str, others: str) -> None:
        """All or nothing: a list that breaks the format leaves what is known as it was."""
        self.versions = parse_mcu_list(others)
        self.firmware = firmware
        if own or self.firmware:
            self.versions[self.firmware] = own

    def _hello(self, *, asks: bool) -> Hello:
        return Hello(self.battery_percent, self.rsrp_dbm, self.free_bytes, dict(self.versions), asks)


# --- exceptions and configuration ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExceptionNotice:
    """Command 0x00A3: why the platform refused a packet or a login; 0 and "" where not given."""

    code: int
    packet_id: int = 0
    product_key: str = ""
    device_key: str = ""


def encode_exception(notice: ExceptionNotice) -> bytes:
    """Payload of 0x00A3."""
    nodes: list[Node] = [(1, notice.code), (2, notice.packet_id)]
    if notice.product_key:
        nodes += [(3, notice.product_key), (4, notice.device_key)]
    return ttlv.encode(nodes)


def decode_exception(payload: bytes) -> ExceptionNotice:
    """0x00A3 from its payload."""
    fields = Fields.of(payload, "command 0x00A3")
    return ExceptionNotice(
        fields.whole(1, high=MAX_ERROR_CODE), fields.whole(2, 0, high=0xFFFF),
        fields.text(3, "", most=MAX_PRODUCT_KEY_CHARS), fields.text(4, "", most=MAX_DEVICE_KEY_CHARS),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Command 0x00B4 after a bootstrap: the device's secret and, with encryption, its session key."""

    device_secret: str
    session_key: bytes = b""


def encode_config(config: Config) -> bytes:
    """Payload of 0x00B4."""
    nodes: list[Node] = [(5, config.device_secret)]
    if config.session_key:
        nodes.append((6, config.session_key))
    return ttlv.encode(nodes)


def decode_config(payload: bytes) -> Config:
    """0x00B4 from its payload."""
    fields = Fields.of(payload, "command 0x00B4")
    secret, key = fields.text(5, most=MAX_SECRET_CHARS), fields.data(6, b"", most=SESSION_KEY_BYTES)
    if not secret or len(key) not in (0, SESSION_KEY_BYTES):
        raise RemoteProtocolError(
            f"command 0x00B4: a device secret, and a session key of {SESSION_KEY_BYTES} bytes or none"
        )
    return Config(secret, key)
