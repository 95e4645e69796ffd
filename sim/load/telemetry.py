"""Figures of a run while it runs: a Prometheus endpoint, OpenTelemetry metrics, lines of JSON."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from sim.engines.live.latency import HISTOGRAM_SCALE, ExponentialHistogram
from sim.engines.live.live_target import checked_url
from sim.engines.live.snapshot import Snapshot, Watch
from sim.errors import FotasimError, MissingExtra
from sim.load import prometheus_protobuf
from sim.version import version

OTLP_EVERY_MS = 5000
SERVICE = "fotasim"
"""Name of the service in OpenTelemetry; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise."""
_GAUGES = {
    "modules": ("Modules of this run", "{module}"), "done": ("Modules nothing more is expected of", "{module}"),
    "connections": ("Sessions open", "{connection}"), "downloads": ("Transfers under way", "{download}"),
    "workers": ("Processes that carry the modules", "{process}"),
}  # fmt: skip
_COUNTERS = {
    "sent": ("Messages sent", "{message}"), "received": ("Messages received", "{message}"),
    "delivered_bits": ("Bits of packages that came in", "bit"),
}  # fmt: skip
LEG_DURATION = ("leg_duration_seconds", "Latency of each leg from the intended start")
CLASSIC_BOUNDS = range(-10, 13)
"""Powers of two, seconds, that bound the buckets of a classic histogram: 1 ms to 68 min."""


class Row(NamedTuple):
    """One figure; `kind` is gauge or counter, `unit` as UCUM writes it."""

    kind: str
    name: str
    text: str
    unit: str
    labels: dict[str, str]
    value: float


def rows(now: Snapshot) -> list[Row]:
    """Everything a snapshot tells, but for the histograms."""
    found = [Row("gauge", name, *words, {}, float(getattr(now, name))) for name, words in _GAUGES.items()]
    found += [Row("counter", name, *words, {}, float(getattr(now, name))) for name, words in _COUNTERS.items()]
    found.append(
        Row("gauge", "faults", "Reasons why the figures cannot be trusted", "{reason}", {}, float(len(now.faults)))
    )
    for state, count in now.states.items():
        found.append(Row("gauge", "modules_by_state", "Modules by state", "{module}", {"state": state}, float(count)))
    for leg, quantiles in now.latencies_s.items():
        for quantile, value in zip(("0.5", "0.99"), quantiles, strict=True):
            if value is not None:
                labels = {"leg": leg, "quantile": quantile}
                found.append(Row("gauge", "leg_seconds", "Latency from the intended start", "s", labels, value))
    for name, text, unit, counted in (
        ("leg_measurements", "Measurements of a leg", "{measurement}", now.counts),
        ("leg_failures", "Failures of a leg", "{failure}", now.failures),
    ):
        found += [Row("counter", name, text, unit, {"leg": leg}, float(count)) for leg, count in counted.items()]
    return found


def classic(found: ExponentialHistogram) -> list[tuple[str, float]]:
    """The same measurements in cumulative buckets, each with its bound: CLASSIC_BOUNDS are bounds of both."""
    cumulated = []
    for power in CLASSIC_BOUNDS:
        last = power * 2**HISTOGRAM_SCALE
        cumulated.append((str(2.0**power), float(sum(n for index, n in found.buckets if index <= last))))
    return [*cumulated, ("+Inf", float(found.measurements))]


class Latest:
    """The newest snapshot, for whoever asks from another thread."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def rows(self) -> list[Row]:
        """See `rows`; nothing before the first snapshot."""
        now = self.snapshot
        return [] if now is None else rows(now)

    @property
    def histograms(self) -> dict[str, ExponentialHistogram]:
        """Those of each leg."""
        return {} if self.snapshot is None else self.snapshot.histograms


@contextmanager
def exported(
    *, prometheus: int | None = None, otlp: str | None = None, lines: Path | None = None, then: Watch | None = None
) -> Iterator[Watch]:
    """A watch that hands each snapshot to everything asked for, and to `then`.

    Prometheus is served at 127.0.0.1; `otlp` is the endpoint of a collector, http(s)://HOST:PORT/v1/metrics; `lines` is
    a file that gets a line of JSON for each snapshot. FotasimError when one of them cannot be had, before anything runs.
    """
    latest = Latest()
    with ExitStack() as stack:
        if prometheus is not None:
            stack.enter_context(_prometheus(latest, prometheus))
        if otlp is not None:
            stack.enter_context(_otlp(latest, otlp))
        told = [] if lines is None else [_outlived(stack.enter_context(_lines(lines)), str(lines))]
        told += [] if then is None else [_outlived(then, "what is shown of the run")]

        def watch(now: Snapshot) -> None:
            latest.snapshot = now
            for tell in told:
                tell(now)

        yield watch


def _outlived(tell: Watch, what: str) -> Watch:
    """A full disk or a closed terminal ends what is told of a run, and not the run."""
    failed: list[Exception] = []

    def outlived(now: Snapshot) -> None:
        if failed:
            return
        try:
            tell(now)
        except (OSError, ValueError) as error:  # ValueError: of a file that is closed
            failed.append(error)
            words = getattr(error, "strerror", None) or str(error)
            with suppress(OSError, ValueError):
                print(f"fotasim: {what} ends here, the run goes on: {words}", file=sys.stderr)

    return outlived


@contextmanager
def _lines(path: Path) -> Iterator[Callable[[Snapshot], None]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab", buffering=0)  # nothing is left to fail as it is closed
    except OSError as error:
        raise FotasimError(f"{path}: progress cannot be written there: {error.strerror}") from None
    with file:

        def write(now: Snapshot) -> None:
            told = asdict(replace(now, histograms={}))  # they would make each line ten times as long
            del told["histograms"]
            file.write((json.dumps({"time": time.time(), **told}) + "\n").encode())

        yield write


@contextmanager
def _prometheus(latest: Latest, port: int) -> Iterator[None]:
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
        from prometheus_client.registry import Collector
    except ModuleNotFoundError:
        raise MissingExtra("Prometheus' client is missing: pip install 'fotasim[load]'") from None

    class Figures(Collector):
        def collect(self) -> Iterator[Any]:
            families: dict[str, Any] = {}
            for kind, name, text, _, labels, value in latest.rows():
                made = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
                if name not in families:
                    families[name] = made(f"fotasim_{name}", text, labels=list(labels))
                families[name].add_metric(list(labels.values()), value)
            yield from families.values()
            name, text = LEG_DURATION
            durations = HistogramMetricFamily(f"fotasim_{name}", text, labels=["leg"])
            for leg, found in latest.histograms.items():
                durations.add_metric([leg], classic(found), found.sum_s)
            yield durations

    registry = CollectorRegistry()
    registry.register(Figures())
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise FotasimError(f"metrics cannot be served at 127.0.0.1:{port}: {error.strerror}") from None
    server.set_app(_negotiated(latest, server.get_app()))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _negotiated(latest: Latest, in_text: Any) -> Any:
    """A WSGI application that answers in protobuf, with native histograms, who asks for that before text."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        if not environ.get("HTTP_ACCEPT", "").startswith("application/vnd.google.protobuf"):
            return in_text(environ, start_response)
        start_response("200 OK", [("Content-Type", prometheus_protobuf.CONTENT_TYPE)])
        return [_in_protobuf(latest)]

    return app


def _in_protobuf(latest: Latest) -> bytes:
    kinds = {"gauge": prometheus_protobuf.GAUGE, "counter": prometheus_protobuf.COUNTER}
    families: dict[tuple[str, str, int], list[Any]] = {}
    for kind, name, text, _, labels, value in latest.rows():
        whole = f"fotasim_{name}_total" if kind == "counter" else f"fotasim_{name}"
        families.setdefault((whole, text, kinds[kind]), []).append((labels, value))
    name, text = LEG_DURATION
    histograms = [({"leg": leg}, found) for leg, found in latest.histograms.items()]
    if histograms:
        families[f"fotasim_{name}", text, prometheus_protobuf.HISTOGRAM] = histograms
    return b"".join(prometheus_protobuf.family(*key, metrics) for key, metrics in families.items())


@contextmanager
def _otlp(latest: Latest, endpoint: str) -> Iterator[None]:
    try:
        from opentelemetry.metrics import CallbackOptions, Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        exporter = _exporter(latest, endpoint)
    except ModuleNotFoundError:
        raise MissingExtra("OpenTelemetry's exporter is missing: pip install 'fotasim[load]'") from None
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=OTLP_EVERY_MS)
    provider = MeterProvider(metric_readers=[reader], resource=_resource())
    meter = provider.get_meter(SERVICE, version())

    def of(wanted: str) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda _: [Observation(row.value, row.labels) for row in latest.rows() if row.name == wanted]

    empty = Snapshot(0.0, 0.0, 0, 0, {"": 0}, 0, 0, 0, 0, 0.0, {"": (0.0, 0.0)}, {"": 0}, {"": 0})
    for row in {row.name: row for row in rows(empty)}.values():
        make = meter.create_observable_gauge if row.kind == "gauge" else meter.create_observable_counter
        make(f"fotasim.{row.name}", callbacks=[of(row.name)], description=row.text, unit=row.unit)
    try:
        yield
    finally:
        provider.shutdown()


def _resource() -> Any:
    """What sends the metrics: the service's name, version and process, and what the environment adds."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    given = Resource.create(
        {"service.version": version(), "service.instance.id": f"{socket.gethostname()}-{os.getpid()}"}
    )
    unnamed = str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given.merge(Resource({SERVICE_NAME: SERVICE})) if unnamed else given


def _exporter(latest: Latest, endpoint: str) -> Any:
    """Sends histograms beside what the SDK has collected: its observable instruments know none."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Buckets,
        ExponentialHistogramDataPoint,
        Metric,
    )
    from opentelemetry.sdk.metrics.export import ExponentialHistogram as OtlpHistogram

    checked_url(endpoint, ("http", "https"), what="the collector's URL")
    began_ns = time.time_ns()

    def point(leg: str, found: ExponentialHistogram) -> ExponentialHistogramDataPoint:
        first, last, counts = found.buckets[0][0], found.buckets[-1][0], dict(found.buckets)
        buckets = [counts.get(index, 0) for index in range(first, last + 1)]
        return ExponentialHistogramDataPoint(
            {"leg": leg}, began_ns, time.time_ns(), found.measurements, found.sum_s, HISTOGRAM_SCALE, 0,
            Buckets(first - 1, buckets), Buckets(0, []), 0, _bound_s(first - 1), _bound_s(last),
        )  # fmt: skip

    class Exporter(OTLPMetricExporter):
        def export(self, metrics_data: Any, *arguments: Any, **options: Any) -> Any:
            histograms = latest.histograms
            if histograms and metrics_data.resource_metrics:
                points = [point(leg, found) for leg, found in histograms.items()]
                data = OtlpHistogram(points, AggregationTemporality.CUMULATIVE)
                made = Metric("fotasim.leg_duration", LEG_DURATION[1], "s", data)
                ours = metrics_data.resource_metrics[0]
                scope = replace(ours.scope_metrics[0], metrics=[*ours.scope_metrics[0].metrics, made])
                ours = replace(ours, scope_metrics=[scope, *ours.scope_metrics[1:]])
                metrics_data = replace(metrics_data, resource_metrics=[ours, *metrics_data.resource_metrics[1:]])
            return super().export(metrics_data, *arguments, **options)

    return Exporter(endpoint=endpoint)


def _bound_s(index: int) -> float:
    """The upper bound of an exponential bucket."""
    return float(2.0 ** (index / 2**HISTOGRAM_SCALE))


__all__ = ["Latest", "exported", "rows"]
