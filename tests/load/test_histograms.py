"""Latencies as native histograms of Prometheus, as classic ones, and as exponential histograms over OTLP."""

import struct
import urllib.request
from dataclasses import replace

import pytest

from sim.engines.live.latency import Latencies, added
from sim.engines.live.snapshot import Snapshot, from_json, together
from sim.load import prometheus_protobuf
from sim.load.telemetry import classic, exported
from tests.load.master import free_port

PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.3"
)
SECONDS = (0.25, 0.25, 0.26, 0.5, 4.0, 4.0, 4.0)
"""Bounds of buckets, and one value just above a bound: 2^-2, 2^-1, 2^2."""


def measured(seconds=SECONDS):
    found = Latencies()
    for value in seconds:
        found.add("wake", value)
    return found.exponential()


def snapshot(histograms):
    return Snapshot(
        1.0, 1.0, 5, 2, {"idle": 5}, 5, 0, 10, 9, 0.0, {"wake": (0.5, None)}, {"wake": 7}, histograms=histograms
    )


def test_a_bucket_holds_what_is_at_most_its_bound():
    found = measured()["wake"]
    assert found.buckets == [(-16, 2), (-15, 1), (-8, 1), (16, 3)]
    assert (found.measurements, found.sum_s) == (7, pytest.approx(sum(SECONDS), rel=1e-3))


def test_classic_buckets_are_cumulative_and_count_the_same():
    cumulated = dict(classic(measured()["wake"]))
    assert (cumulated["0.125"], cumulated["0.25"], cumulated["0.5"], cumulated["2.0"]) == (0, 2, 4, 4)
    assert (cumulated["4.0"], cumulated["+Inf"]) == (7, 7)


def test_histograms_of_processes_and_of_a_line_of_json_are_the_same():
    import json
    from dataclasses import asdict

    one = snapshot(measured())
    assert from_json(json.dumps(asdict(one))).histograms["wake"].measurements == 7
    both = together([one, from_json(json.dumps(asdict(one)))])
    assert both.histograms["wake"] == added([one.histograms["wake"]] * 2)
    assert both.histograms["wake"].buckets == [(-16, 4), (-15, 2), (-8, 2), (16, 6)]


def fields(data):
    """The fields of a protobuf message, in order: number and value."""
    found, at = [], 0

    def varint():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 128:
                return number

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        elif key & 7 == 1:
            found.append((key >> 3, struct.unpack("<d", data[at : at + 8])[0]))
            at += 8
        else:
            size = varint()
            found.append((key >> 3, data[at : at + size]))
            at += size
    return found


def families(data):
    """Delimited families by name."""
    found = {}
    while data:
        size, at = 0, 0
        while True:
            size |= (data[at] & 0x7F) << 7 * at
            at += 1
            if data[at - 1] < 128:
                break
        family = fields(data[at : at + size])
        found[dict(family)[1].decode()] = family
        data = data[at + size :]
    return found


def signed(number):
    return (number >> 1) ^ -(number & 1)


def test_who_asks_for_protobuf_gets_native_histograms():
    """Field by field as metrics.proto numbers them; the buckets are put together again from spans and differences."""
    port = free_port()
    with exported(prometheus=port) as watch:
        watch(snapshot(measured()))
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": PROTOBUF})
        with urllib.request.urlopen(request) as answer:
            kind, told = answer.headers["Content-Type"], families(answer.read())
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode().splitlines()
    assert kind == prometheus_protobuf.CONTENT_TYPE
    assert [value for field, value in told["fotasim_sent_total"] if field == 3] == [prometheus_protobuf.COUNTER]
    metric = dict(fields(dict(told["fotasim_leg_duration_seconds"])[4]))
    assert fields(metric[1]) == [(1, b"leg"), (2, b"wake")]
    histogram = fields(metric[7])
    assert (dict(histogram)[1], dict(histogram)[2]) == (7, pytest.approx(sum(SECONDS), rel=1e-3))
    assert signed(dict(histogram)[5]) == 3
    index, count, buckets = 0, 0, {}
    deltas = iter([signed(value) for field, value in histogram if field == 13])
    for _, span in (pair for pair in histogram if pair[0] == 12):
        offset, length = (value for _, value in fields(span))
        index += signed(offset)
        for _ in range(length):
            count += next(deltas)
            buckets[index] = count
            index += 1
    assert buckets == {-16: 2, -15: 1, -8: 1, 16: 3}
    assert {
        'fotasim_leg_duration_seconds_bucket{le="0.25",leg="wake"} 2.0', 'fotasim_leg_duration_seconds_count{leg="wake"} 7.0'
    } <= set(text)  # fmt: skip


@pytest.mark.parametrize(("environment", "name"), [({}, "fotasim"), ({"OTEL_SERVICE_NAME": "staging"}, "staging")])
def test_a_collector_gets_service_units_and_histograms(collector, monkeypatch, environment, name):
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with exported(otlp=collector.url) as watch:
        watch(snapshot(measured()))
    (sent,) = ExportMetricsServiceRequest.FromString(collector.bodies[-1]).resource_metrics
    resource = {pair.key: pair.value.string_value for pair in sent.resource.attributes}
    assert (resource["service.name"], bool(resource["service.version"])) == (name, True)
    metrics = {metric.name: metric for metric in sent.scope_metrics[0].metrics}
    assert (metrics["fotasim.sent"].unit, metrics["fotasim.leg_seconds"].unit) == ("{message}", "s")
    (point,) = metrics["fotasim.leg_duration"].exponential_histogram.data_points
    assert (point.count, point.scale, point.positive.offset) == (7, 3, -17)
    counts = {point.positive.offset + 1 + k: n for k, n in enumerate(point.positive.bucket_counts) if n}
    assert counts == {-16: 2, -15: 1, -8: 1, 16: 3}


def test_lines_of_progress_stay_short(tmp_path):
    path = tmp_path / "p.jsonl"
    with exported(lines=path) as watch:
        watch(replace(snapshot(measured()), modules=6))
    assert "histograms" not in path.read_text()
    assert '"modules": 6' in path.read_text()
