"""Latencies of each leg of an upgrade as HDR histograms: mergeable, measured from the intended start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from math import ceil, log2
from typing import Any, NamedTuple

from hdrh.histogram import HdrHistogram

from sim.records import SPANS

LEGS = {
    "connect": "from the moment the module was to connect until its transport stands",
    "login": "CONNECT until SUBACK (after a bootstrap: until the device secret is there)",
    "request": "request (0x0115) published at QoS 2 until the exchange is complete",
    "notice": "request (0x0115) until the plan notice (0x0111); DDI: first poll answered until the deployment is read",
    "url": "confirmation (status 2) until the URL (0x0113)",
    "header": "GET until the answer begins",
    "download": "GET until the last byte",
    "poll": "DDI: poll until its answer",
    "configData": "DDI: attributes sent until the answer",
    "deploymentBase": "DDI: deployment, confirmation or cancel asked for until it is read",
    "feedback": "DDI: one feedback request until its answer",
    "report": "status published (QoS 2, or DDI feedback) until the cloud has it",
}
"""Each leg, a step of the way, and what it covers. Waits that the module's own timers begin count from when the timer was
due."""
SESSION = "session"
"""The step that only fails: a session that stood and broke, or a message in it that could not be used."""
_SESSION_MEANING = "failures only: a session that stood and broke, or a message of the server that could not be used"

LOWEST_US, HIGHEST_US, DIGITS = 1, 3_600_000_000, 3
MAX_REASONS = 50
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


HISTOGRAM_SCALE = 3
"""Of exponential histograms: 2^3 buckets for each doubling, so each is 9 % wide."""

_BITS = 11
"""Bits of a value that count: a histogram of three digits has 2048 steps up to 2048, then 1024 for each doubling."""


def step_of(seconds: float) -> int:
    """The smallest value, in microseconds, of the histogram's step that a time falls into."""
    return _step(max(int(seconds * 1e6), LOWEST_US))


def _step(value: int) -> int:
    shift = value.bit_length() - _BITS
    return value >> shift << shift if shift > 0 else value


@cache
def _bucket(step_us: int) -> int:
    """The exponential bucket of a step, see ExponentialHistogram; there are only some 24,000 steps."""
    return ceil(log2(step_us / 1e6) * (1 << HISTOGRAM_SCALE))


class ExponentialHistogram(NamedTuple):
    """Measurements in exponential buckets, as Prometheus and OpenTelemetry take them, and their sum in seconds.

    Bucket i holds what is longer than 2^((i - 1) / 2^HISTOGRAM_SCALE) s and at most 2^(i / 2^HISTOGRAM_SCALE) s. `buckets`
    are pairs of index and count, by index, none of them empty.
    """

    sum_s: float
    buckets: list[tuple[int, int]]

    @property
    def measurements(self) -> int:
        """How many there are in all."""
        return sum(count for _, count in self.buckets)


def added(parts: Iterable[ExponentialHistogram]) -> ExponentialHistogram:
    """Several histograms as one."""
    counts, sum_s = Counter[int](), 0.0
    for part_s, buckets in parts:
        sum_s += part_s
        counts.update(dict(buckets))
    return ExponentialHistogram(sum_s, sorted(counts.items()))


class Latencies:
    """One histogram per leg, in microseconds up to an hour, three digits; what failed, by leg and reason.

    While the run goes, values are only counted in the histogram's own steps; the histograms are made at its end.
    """

    def __init__(self) -> None:
        self._legs: dict[str, dict[int, int]] = {name: {} for name in (*SPANS, *LEGS)}
        self.failures: Counter[tuple[str, str]] = Counter()
        self.groups: dict[str, Latencies] = {}
        """Beside the whole: those of single groups of the fleet, by name."""

    def of_group(self, name: str) -> Latencies:
        """The latencies of one group of the fleet, apart from those of the whole."""
        return self.groups.setdefault(name, Latencies())

    def clear(self) -> None:
        """Forgets what was measured; whoever measures here goes on."""
        for counts in self._legs.values():
            counts.clear()
        self.failures.clear()

    def add(self, leg: str, seconds: float) -> None:
        """One measurement."""
        value = step_of(seconds)
        counts = self._legs[leg]
        counts[value] = counts.get(value, 0) + 1

    def counts(self, leg: str) -> dict[int, int]:
        """Measurements of a leg by step, see `step_of`."""
        return self._legs[leg]

    def fail(self, leg: str, reason: str) -> None:
        """A leg that did not come to its end; the kinds of reasons kept are bounded."""
        if (leg, reason) not in self.failures and len(self.failures) >= MAX_REASONS:
            reason = "other"
        self.failures[leg, reason] += 1

    def count(self, leg: str) -> int:
        """Measurements of a leg."""
        return sum(self._legs[leg].values())

    def failed(self, leg: str) -> dict[str, int]:
        """Failures of a leg by reason."""
        return {reason: n for (of, reason), n in self.failures.items() if of == leg}

    def failures_by_reason(self) -> Counter[str]:
        """Failures of all steps by reason."""
        found: Counter[str] = Counter()
        for (_, reason), n in self.failures.items():
            found[reason] += n
        return found

    def tries(self, leg: str) -> tuple[int, int]:
        """How often a step was tried, and how often it failed. Sessions are tried by connecting."""
        failed = sum(n for (of, _), n in self.failures.items() if of == leg)
        if leg == SESSION:
            return max(failed, self.count("connect")), failed
        return self.count(leg) + failed, failed

    def totals(self) -> tuple[dict[str, int], dict[str, int]]:
        """Measurements and failures by leg, of legs that have any."""
        failed: Counter[str] = Counter()
        for (leg, _), n in self.failures.items():
            failed[leg] += n
        return {leg: self.count(leg) for leg, counts in self._legs.items() if counts}, dict(failed)

    def shown_s(self, legs: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
        """p50 and p99 of some legs, seconds."""
        return {leg: (self.quantile_s(leg, 50.0), self.quantile_s(leg, 99.0)) for leg in legs}

    def exponential(self) -> dict[str, ExponentialHistogram]:
        """Each leg that was measured as an exponential histogram."""
        found = {}
        for leg, counts in self._legs.items():
            if counts:
                sum_s = sum(step_us * n for step_us, n in counts.items()) / 1e6
                buckets = Counter[int]()
                for step_us, n in counts.items():
                    buckets[_bucket(step_us)] += n
                found[leg] = ExponentialHistogram(sum_s, sorted(buckets.items()))
        return found

    def encoded(self, leg: str) -> str:
        """The leg's histogram, compressed and in base64, to be merged elsewhere."""
        return str(self.histogram(leg).encode().decode("ascii"))

    def merge(self, leg: str, encoded: str, failures: Mapping[str, int]) -> None:
        """Adds another run's histogram and failures of a leg."""
        if encoded:
            counts = self._legs[leg]
            for step in HdrHistogram.decode(encoded).get_recorded_iterator():
                value = _step(step.value_iterated_to)
                counts[value] = counts.get(value, 0) + step.count_added_in_this_iter_step
        for reason, n in failures.items():
            self.failures[leg, reason] += n

    def quantile_s(self, leg: str, percent: float) -> float | None:
        """A quantile in seconds, None without measurements."""
        counts = self._legs[leg]
        wanted = percent / 100.0 * sum(counts.values())
        seen = 0
        for value in sorted(counts):
            seen += counts[value]
            if seen >= wanted:
                return value / 1e6
        return None

    def histogram(self, leg: str) -> HdrHistogram:
        """The measurements of a leg."""
        made = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
        for value, count in self._legs[leg].items():
            made.record_value(min(value, HIGHEST_US), count)
        return made

    def table(self) -> dict[str, dict[str, Any]]:
        """For each leg: what it is, count, mean, quantiles in seconds and the encoded histogram, to be merged later."""
        rows = {name: self._row(name) for name in (*SPANS, *LEGS)}
        tried, failed = self.tries(SESSION)
        if failed:
            rows[SESSION] = {
                "meaning": _SESSION_MEANING, "count": 0, "tries": tried, "failures": self.failed(SESSION), "hdr": "",
            }  # fmt: skip
        return rows

    def _row(self, name: str) -> dict[str, Any]:
        histogram = self.histogram(name)
        count = int(histogram.get_total_count())
        row: dict[str, Any] = {"meaning": (SPANS | LEGS)[name], "count": count}
        row["tries"], _ = self.tries(name)
        row["failures"] = self.failed(name)
        if count:
            row["mean_s"] = histogram.get_mean_value() / 1e6
            row.update({f"p{p:g}_s": histogram.get_value_at_percentile(p) / 1e6 for p in PERCENTILES})
            row["max_s"] = histogram.get_max_value() / 1e6
        row["hdr"] = self.encoded(name)
        return row


class InGroup:
    """Where a module of one group measures: in the whole, and in the group's own."""

    __slots__ = ("_group", "_whole")

    def __init__(self, whole: Latencies, group: Latencies) -> None:
        self._whole, self._group = whole, group

    def add(self, leg: str, seconds: float) -> None:
        """See Latencies."""
        self._whole.add(leg, seconds)
        self._group.add(leg, seconds)

    def fail(self, leg: str, reason: str) -> None:
        """See Latencies."""
        self._whole.fail(leg, reason)
        self._group.fail(leg, reason)
