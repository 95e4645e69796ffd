"""A DDI deployment as the module's messages: the notice, and for each component its URL and files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from sim import messages as msg
from sim.cloud.center import PlannedComponent
from sim.engines.live.known_files import File
from sim.errors import RemoteProtocolError
from sim.strategy.settings import Settings
from sim.wire.ddi.documents import Chunk, Deployment

MIN_BATTERY, MIN_RSRP = "min_battery_percent", "min_rsrp_dbm"
"""Keys of a software module's target metadata that set a module's limits; else the plan's preconditions hold."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a deployment means to a module whose plan has these components, in their order."""

    deployment: Deployment
    notice: msg.Notice
    urls: tuple[msg.FirmwareUrl, ...]
    files: tuple[list[File], ...]


def offer_of(deployment: Deployment, components: Sequence[PlannedComponent], settings: Settings) -> Offer:
    """The deployment for these components. RemoteProtocolError when its chunks are not theirs."""
    chunks = _matched(deployment.chunks, components)
    pairs = list(zip(components, chunks, strict=True))
    notice = msg.Notice(tuple(_notice(c, chunk, settings) for c, chunk in pairs))
    urls = tuple(
        msg.FirmwareUrl(i, chunk.size_bytes, c.kind, chunk.artifacts[0].url, hold=deployment.hold)
        for i, (c, chunk) in enumerate(pairs)
    )  # fmt: skip
    files = tuple([File(a.url, a.size_bytes, a.digest, a.algorithm) for a in chunk.artifacts] for chunk in chunks)
    return Offer(deployment, notice, urls, files)


def _matched(chunks: Sequence[Chunk], components: Sequence[PlannedComponent]) -> list[Chunk]:
    """The chunk of each component: by name, or in order where the names say nothing."""
    if len(chunks) != len(components):
        raise RemoteProtocolError(f"{len(chunks)} software modules for {len(components)} components of the plan")
    if any(not chunk.artifacts for chunk in chunks):
        raise RemoteProtocolError("a software module without an artifact")
    by_name = {chunk.name: chunk for chunk in chunks}
    if all(c.component in by_name for c in components):
        return [by_name[c.component] for c in components]
    return list(chunks)


def _notice(component: PlannedComponent, chunk: Chunk, settings: Settings) -> msg.ComponentNotice:
    return msg.ComponentNotice(
        component.component, component.source_version, chunk.version or component.target_version,
        _limit(chunk, MIN_BATTERY, settings.min_battery_percent), _limit(chunk, MIN_RSRP, settings.min_rsrp_dbm),
        chunk.size_bytes,
    )  # fmt: skip


def _limit(chunk: Chunk, key: str, default: float) -> float:
    text = chunk.metadata.get(key)
    if text is None:
        return default
    try:
        limit = float(text)
    except ValueError:
        limit = nan
    if not isfinite(limit):
        raise RemoteProtocolError(f"metadata {key} {text[:40]!r} is not a number")
    return limit
