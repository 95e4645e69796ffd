"""Metrics in Prometheus' protobuf exposition format, the only one in which a server takes native histograms.

Messages of `io.prometheus.client` (prometheus/client_model, metrics.proto), each with its length before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence

from sim.engines.live.latency import HISTOGRAM_SCALE, ExponentialHistogram

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4
"""MetricType."""
_VALUE_FIELD = {COUNTER: 3, GAUGE: 2}
_VARINT, _DOUBLE, _BYTES = 0, 1, 2
ZERO_THRESHOLD = 2.0**-128


def family(
    name: str, text: str, kind: int, metrics: Sequence[tuple[Mapping[str, str], float | ExponentialHistogram]]
) -> bytes:
    """A MetricFamily with its length: each metric has its labels, and a value or a histogram of seconds."""
    body = _field(1, name.encode()) + _field(2, text.encode()) + _number(3, kind)
    body += b"".join(_field(4, _metric(labels, value, kind)) for labels, value in metrics)
    return _varint(len(body)) + body


def _metric(labels: Mapping[str, str], value: float | ExponentialHistogram, kind: int) -> bytes:
    pairs = b"".join(_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in labels.items())
    if isinstance(value, ExponentialHistogram):
        return pairs + _field(7, _histogram(value))
    return pairs + _field(_VALUE_FIELD[kind], _double(1, value))


def _histogram(found: ExponentialHistogram) -> bytes:
    """Buckets that follow each other are a span; each count is told as its difference to the one before."""
    body = _number(1, found.measurements) + _double(2, found.sum_s) + _number(5, _zigzag(HISTOGRAM_SCALE))
    body += _double(6, ZERO_THRESHOLD) + _number(7, 0)
    for offset, length in _spans([index for index, _ in found.buckets]):
        body += _field(12, _number(1, _zigzag(offset)) + _number(2, length))
    before = 0
    for _, count in found.buckets:
        body += _number(13, _zigzag(count - before))
        before = count
    return body


def _spans(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Runs of buckets: the first one's index, then for each the gap before it, and how many there are."""
    begins, end = 0, 0
    for place, index in enumerate(indices):
        if place and index == indices[place - 1] + 1:
            continue
        if place:
            yield indices[begins] - end, place - begins
            end = indices[place - 1] + 1
        begins = place
    if indices:
        yield indices[begins] - end, len(indices) - begins


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(number)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | _DOUBLE) + struct.pack("<d", number)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(data)) + data


__all__ = ["CONTENT_TYPE", "COUNTER", "GAUGE", "HISTOGRAM", "family"]
