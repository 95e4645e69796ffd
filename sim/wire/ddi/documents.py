"""DDI's JSON documents as values: what a server answers, read with bounds, and what a device sends.

Read leniently (unknown keys are ignored), but never without a bound: sizes, counts and texts have limits, and what a
device relies on must be there. RemoteProtocolError says which document of the server's is wrong and where, LocalProtocolError what a
device may not send; nothing of it goes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from sim.errors import LocalProtocolError, RemoteProtocolError

MAX_BODY_BYTES = 1 << 20
MAX_CHUNKS = 20
MAX_ARTIFACTS = 20
MAX_TEXT_CHARS = 512
MAX_SIZE_BYTES = 1 << 40
MAX_DETAILS = 50
"""Messages a server keeps of one feedback (hawkBit's quota)."""
MAX_ATTRIBUTES, MAX_ATTRIBUTE_CHARS = 100, 128
"""Attributes that a server keeps of one device, and the length of a name or a value (hawkBit's quotas)."""
_HASHES = (("sha256", 64), ("sha1", 40), ("md5", 32))
_SLEEP = re.compile(r"(\d{1,5}):([0-5]\d):([0-5]\d)")
_ISO_SLEEP = re.compile(
    r"P(?=[\dT])(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})(?:\.\d{1,9})?S)?)?"
)
MAX_SLEEP_S = 366 * 86400.0

FORCED, ATTEMPT, SKIP = "forced", "attempt", "skip"


@dataclass(frozen=True, slots=True)
class Base:
    """The root document: how long to sleep until the next poll, seconds, and the links of what is to be done."""

    sleep_s: float
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file: where it is, how long, and its strongest checksum (`algorithm` "" where none is announced)."""

    filename: str
    url: str
    size_bytes: int
    algorithm: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One component of a deployment with its files."""

    part: str
    name: str
    version: str
    artifacts: tuple[Artifact, ...]
    metadata: Mapping[str, str]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(a.size_bytes for a in self.artifacts)


@dataclass(frozen=True, slots=True)
class Deployment:
    """An action: `download` and `update` are forced, attempt or skip; `window` is "", available or unavailable."""

    action: str
    download: str
    update: str
    window: str
    chunks: tuple[Chunk, ...]

    @property
    def forced(self) -> bool:
        """The server does not leave it to the device's user."""
        return FORCED in (self.download, self.update)

    @property
    def hold(self) -> bool:
        """Download, but do not install (yet): outside the maintenance window, or download-only."""
        return self.update == SKIP

    @property
    def download_only(self) -> bool:
        """Nothing will ever be installed: an update that is skipped although no window is scheduled."""
        return self.hold and not self.window


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a device says of an action. `finished` is none, success or failure; `progress` is (count, of)."""

    execution: str
    finished: str = "none"
    code: int | None = None
    details: tuple[str, ...] = ()
    progress: tuple[int, int] | None = None

    def body(self, timestamp_ms: int) -> bytes:
        """As it is posted."""
        result: dict[str, Any] = {"finished": self.finished}
        if self.progress is not None:
            result["progress"] = {"cnt": self.progress[0], "of": self.progress[1]}
        status: dict[str, Any] = {"execution": self.execution, "result": result}
        if self.code is not None:
            status["code"] = self.code
        status["details"] = [text[:MAX_TEXT_CHARS] for text in self.details[:MAX_DETAILS]]
        return _json({"timestamp": timestamp_ms, "status": status})


def confirmation(confirmed: bool, code: int, details: Sequence[str]) -> bytes:
    """The answer to a confirmationBase."""
    word = "confirmed" if confirmed else "denied"
    return _json({"confirmation": word, "code": code, "details": [d[:MAX_TEXT_CHARS] for d in details[:MAX_DETAILS]]})


def attributes(data: Mapping[str, str], mode: str = "merge") -> bytes:
    """The device's attributes (configData); mode is merge, replace or remove. LocalProtocolError beyond the quotas."""
    if len(data) > MAX_ATTRIBUTES:
        raise LocalProtocolError(f"{len(data)} attributes; a device has at most {MAX_ATTRIBUTES}")
    for name, value in data.items():
        if not name or max(len(name), len(value)) > MAX_ATTRIBUTE_CHARS:
            raise LocalProtocolError(
                f"attribute {name[:40]!r}: name and value have at most {MAX_ATTRIBUTE_CHARS} characters, the name at least one"
            )
    return _json({"mode": mode, "data": dict(data)})


def _json(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()


# --- reading -----------------------------------------------------------------------------------------------------------


def read_base(body: bytes, url: str) -> Base:
    """The root document; links become absolute."""
    tree = _tree(body, "base")
    polling = _mapping(_mapping(tree.get("config"), "config").get("polling"), "config.polling")
    links = {}
    for name, link in _mapping(tree.get("_links", {}), "_links").items():
        if isinstance(link, dict):
            links[str(name)] = _href(link, url, f"_links.{name}")
    return Base(sleep_s(str(polling.get("sleep"))), links)


def sleep_s(text: str) -> float:
    """A sleep in seconds: `HH:mm:ss`, or an ISO 8601 duration such as `PT48H`, as hawkBit writes 24 hours and more."""
    clock, iso = _SLEEP.fullmatch(text), _ISO_SLEEP.fullmatch(text)
    if clock is not None:
        factors, numbers = [3600.0, 60.0, 1.0], clock.groups()
    elif iso is not None:
        factors, numbers = [604800.0, 86400.0, 3600.0, 60.0, 1.0], iso.groups()
    else:
        raise RemoteProtocolError(f"base: sleep {text[:40]!r} is no HH:mm:ss and no duration such as PT48H")
    seconds = sum(factor * int(part or 0) for factor, part in zip(factors, numbers, strict=True))
    if seconds > MAX_SLEEP_S:
        raise RemoteProtocolError(f"base: sleep {text[:40]!r} is longer than a year")
    return seconds


def read_deployment(body: bytes, url: str, key: str = "deployment") -> Deployment | None:
    """A deploymentBase, or with key "confirmation" a confirmationBase; None when the server holds it back (null)."""
    tree = _parsed(body, f"{key}Base")
    if tree is None or (isinstance(tree, dict) and tree.get(key, True) is None):
        return None
    base = _mapping(tree, f"{key}Base")
    inner = _mapping(base.get(key), key)
    chunks = _sequence(inner.get("chunks", []), "chunks", MAX_CHUNKS)
    window = inner.get("maintenanceWindow") or ""
    if window not in ("", "available", "unavailable"):
        raise RemoteProtocolError(f"{key}: maintenanceWindow {window!r:.40} is not available or unavailable")
    return Deployment(
        _id(base), _handling(inner, "download"), _handling(inner, "update"), window,
        tuple(_chunk(_mapping(c, "chunk"), url) for c in chunks),
    )  # fmt: skip


def read_cancel(body: bytes) -> tuple[str, str]:
    """A cancelAction: its own id and the id of the action to stop."""
    tree = _tree(body, "cancelAction")
    stop = _mapping(tree.get("cancelAction"), "cancelAction").get("stopId", "")
    return _id(tree), _text(stop, "stopId")


def _handling(tree: Mapping[str, Any], key: str) -> str:
    word = tree.get(key, FORCED)
    if word not in (FORCED, ATTEMPT, SKIP):
        raise RemoteProtocolError(f"deployment: {key} {word!r:.40} is not skip, attempt or forced")
    return str(word)


def _chunk(tree: Mapping[str, Any], url: str) -> Chunk:
    artifacts = _sequence(tree.get("artifacts", []), "artifacts", MAX_ARTIFACTS)
    metadata = {}
    for pair in _sequence(tree.get("metadata") or [], "metadata", 100):
        entry = _mapping(pair, "metadata")
        metadata[_text(entry.get("key", ""), "metadata.key")] = _text(entry.get("value", ""), "metadata.value")
    return Chunk(
        _text(tree.get("part", ""), "part"), _text(tree.get("name", ""), "name"), _text(tree.get("version", ""), "version"),
        tuple(_artifact(_mapping(a, "artifact"), url) for a in artifacts), metadata,
    )  # fmt: skip


def _artifact(tree: Mapping[str, Any], url: str) -> Artifact:
    size = tree.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= MAX_SIZE_BYTES:
        raise RemoteProtocolError("artifact: size must be a positive number of bytes")
    links = _mapping(tree.get("_links", {}), "artifact._links")
    link = links.get("download") or links.get("download-http")
    hashes = _mapping(tree.get("hashes") or {}, "hashes")
    algorithm, digest = next(((a, str(hashes[a]).lower()) for a, _ in _HASHES if hashes.get(a)), ("", ""))
    if algorithm and not re.fullmatch(f"[0-9a-f]{{{dict(_HASHES)[algorithm]}}}", digest):
        raise RemoteProtocolError(f"artifact: {algorithm} is not a hexadecimal digest")
    return Artifact(
        _text(tree.get("filename", ""), "filename"), _href(_mapping(link, "artifact._links.download"), url, "download"),
        size, algorithm, digest,
    )  # fmt: skip


def _href(link: Mapping[str, Any], url: str, where: str) -> str:
    href = link.get("href")
    if not isinstance(href, str) or len(href) > 4 * MAX_TEXT_CHARS:
        raise RemoteProtocolError(f"{where}: an href is needed")
    try:
        absolute = urljoin(url, href)
        parts = urlsplit(absolute)
    except ValueError as error:
        raise RemoteProtocolError(f"{where}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RemoteProtocolError(f"{where}: an http or https URL is needed")
    return absolute


def _tree(body: bytes, what: str) -> Mapping[str, Any]:
    return _mapping(_parsed(body, what), what)


def _parsed(body: bytes, what: str) -> Any:
    if len(body) > MAX_BODY_BYTES:
        raise RemoteProtocolError(f"{what}: more than {MAX_BODY_BYTES} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteProtocolError(f"{what}: the answer is not JSON") from None


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{where}: an object is needed")
    return value


def _sequence(value: Any, where: str, most: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise RemoteProtocolError(f"{where}: a list of at most {most} is needed")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str | int) or len(str(value)) > MAX_TEXT_CHARS:
        raise RemoteProtocolError(f"{where}: a text of at most {MAX_TEXT_CHARS} characters is needed")
    return str(value)


def _id(tree: Mapping[str, Any]) -> str:
    text = _text(tree.get("id", ""), "id")
    if not text:
        raise RemoteProtocolError("id: the action's id is needed")
    return text
