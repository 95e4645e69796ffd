"""The OTA settings of a ThingsBoard server (thingsboard.yml) as a strategy: so many devices are told in so long.

Packages are assigned to devices or profiles without stages, thresholds or retries; the pace of the queue is all there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sim.scenario.imports.dialect import Options
from sim.scenario.imports.fields import Fields
from sim.scenario.imports.findings import Findings, Refusal, short

PRODUCT = "ThingsBoard"
MANY = 2**31 - 1
PACK_SIZE, INTERVAL_MS = 100, 60_000
_PLACEHOLDER = re.compile(r"\$\{(\w+):(\d{1,15})\}")
_VARIABLES = {
    f"TB_QUEUE_CORE_{kind}_{name}": setting
    for kind in ("OTA", "FW")  # as the server's own file, and as its manual calls them
    for name, setting in (("PACK_SIZE", "pack-size"), ("PACK_INTERVAL_MS", "pack-interval-ms"))
}


def _settings(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """`queue.core.ota`, or the same as variables of the environment."""
    node: Any = document
    for name in ("queue", "core", "ota"):
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, dict):
        return node
    found = {_VARIABLES[name]: document[name] for name in reversed(_VARIABLES) if name in document}
    return found or None


def recognises(document: Mapping[str, Any]) -> bool:
    """Whether it has these settings."""
    return _settings(document) is not None


def convert(document: Mapping[str, Any], findings: Findings, _options: Options) -> tuple[str, dict[str, Any]]:
    """The strategy; such settings have no name."""
    settings = dict(_settings(document) or {})
    by_variable = "queue" not in document
    for setting in ("pack-size", "pack-interval-ms"):
        named = [name for name, of in _VARIABLES.items() if of == setting and name in document]
        if len({str(document[name]) for name in named}) > 1:
            values = ", ".join(f"{name} {short(document[name])}" for name in named)
            findings.refusals.append(Refusal(named[-1], values, "two values of one setting: take one out"))
    others = [name for name in document if name not in (*_VARIABLES, "queue")]
    if others:
        findings.notes.append(f"{short(', '.join(others))}: other settings of the server, not read")
    for name, value in settings.items():
        match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            settings[name] = int(match[2])
            findings.notes.append(
                f"queue.core.ota.{name}: the default of {match[1]} is read; the server's environment may set another"
            )
    given = Fields(settings, "" if by_variable else "queue.core.ota", findings, lenient=True)
    size = given.count("pack-size", 1, MANY) or PACK_SIZE
    interval_ms = given.number("pack-interval-ms", 1, 2**31 - 1) or float(INTERVAL_MS)
    given.leave("it names the queue", "topic")
    given.done()
    rate = size * 60_000.0 / interval_ms
    strategy: dict[str, Any] = {"preset": "thingsboard"}
    if not 1 <= rate <= 1_000_000:
        given.lose(
            "pack-size",
            f"{size} in {interval_ms:g} ms",
            "rates here are from 1 to 1,000,000 a minute",
            "choose such a pace",
        )
        rate = min(max(rate, 1.0), 1_000_000.0)
    if rate != int(rate):
        given.note("pack-size", f"{rate:.6g} a minute, rounded down to {int(rate)}")
    given.note("pack-interval-ms", "the server tells a pack at once; here its devices are spread over the minute")
    strategy["rollout"] = {"maximum_per_minute": int(rate)}
    return "", strategy
