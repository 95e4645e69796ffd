"""Prediction and measurement in one table with their ratio: the capacity, what lies beyond it, the return after an outage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

CLOUDS = ("simulated", "live")


class Row(NamedTuple):
    """One figure; `kind` is how it reads (count, share, duration, number), `ratio` predicted / measured where both are."""

    group: str
    what: str
    kind: str
    predicted: float | None
    measured: float | None

    @property
    def ratio(self) -> float | None:
        """Predicted / measured; 1 where both are nothing."""
        if self.predicted is None or self.measured is None:
            return None
        if self.measured == 0.0:
            return 1.0 if self.predicted == 0.0 else None
        return self.predicted / self.measured


_BEYOND = (
    ("p99_s", "p99 of the wait while more is offered", "duration"), ("over_limit", "over the limit, of those that come meanwhile", "share"),
    ("served", "notices meanwhile, of the capacity", "share"), ("recovered_s", "recovered after the load is gone", "duration"),
)  # fmt: skip
_OUTAGE = (
    ("peak_attempts_per_s", "peak of connection attempts per second", "number"), ("peak_logins_per_s", "peak of logins per second", "number"),
    ("half_s", "half are back after", "duration"), ("most_s", "99 % are back after", "duration"), ("all_s", "all are back after", "duration"),
)  # fmt: skip


def rows(found: Mapping[str, Any]) -> list[Row]:
    """The table of what was found (`capacity.json`); rows that neither side has are left out."""
    made = [Row("capacity", str(found["unit"]), "count", *(_of(found, cloud, "capacity") for cloud in CLOUDS))]
    for group, names in (("beyond", _BEYOND), ("outage", _OUTAGE)):
        sides = [(found.get(group) or {}).get(cloud) for cloud in CLOUDS]
        if any(sides):
            made += [Row(group, text, kind, *((side or {}).get(name) for side in sides)) for name, text, kind in names]
    return made


def _of(found: Mapping[str, Any], cloud: str, name: str) -> float | None:
    verdict = found.get(cloud)
    value: float | None = None if verdict is None else verdict[name]
    return value


__all__ = ["Row", "rows"]
