"""Figures of a run while it runs: a Prometheus endpoint, OpenTelemetry metrics, lines of JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from sim.engines.live.live_target import checked_url
from sim.engines.live.snapshot import Snapshot, Watch
from sim.errors import FotasimError, MissingExtra

OTLP_EVERY_MS = 5000
_GAUGES = {
    "modules": "Modules of this run", "done": "Modules nothing more is expected of", "connections": "Sessions open",
    "downloads": "Transfers under way", "workers": "Processes that carry the modules",
}  # fmt: skip
_COUNTERS = {
    "sent": "Messages sent", "received": "Messages received", "delivered_bits": "Bits of packages that came in",
}  # fmt: skip


class Row(NamedTuple):
    """One figure; `kind` is gauge or counter."""

    kind: str
    name: str
    text: str
    labels: dict[str, str]
    value: float


def rows(now: Snapshot) -> list[Row]:
    """Everything a snapshot tells."""
    found: list[Row] = []
    for name, text in _GAUGES.items():
        found.append(Row("gauge", name, text, {}, float(getattr(now, name))))
    for name, text in _COUNTERS.items():
        found.append(Row("counter", name, text, {}, float(getattr(now, name))))
    found.append(Row("gauge", "faults", "Reasons why the figures cannot be trusted", {}, float(len(now.faults))))
    for state, count in now.states.items():
        found.append(Row("gauge", "modules_by_state", "Modules by state", {"state": state}, float(count)))
    for leg, (p50, p99) in now.latencies_s.items():
        for quantile, value in (("0.5", p50), ("0.99", p99)):
            if value is not None:
                found.append(
                    Row(
                        "gauge",
                        "leg_seconds",
                        "Latency from the intended start",
                        {"leg": leg, "quantile": quantile},
                        value,
                    )
                )
    for leg, count in now.counts.items():
        found.append(Row("counter", "leg_measurements", "Measurements of a leg", {"leg": leg}, float(count)))
    for leg, count in now.failures.items():
        found.append(Row("counter", "leg_failures", "Failures of a leg", {"leg": leg}, float(count)))
    return found


class Latest:
    """The newest snapshot, for whoever asks from another thread."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def rows(self) -> list[Row]:
        """See `rows`; nothing before the first snapshot."""
        now = self.snapshot
        return [] if now is None else rows(now)


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
            file.write((json.dumps({"time": time.time(), **asdict(now)}) + "\n").encode())

        yield write


@contextmanager
def _prometheus(latest: Latest, port: int) -> Iterator[None]:
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector
    except ModuleNotFoundError:
        raise MissingExtra("Prometheus' client is missing: pip install 'fotasim[load]'") from None

    class Figures(Collector):
        def collect(self) -> Iterator[Any]:
            families: dict[str, Any] = {}
            for kind, name, text, labels, value in latest.rows():
                made = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily
                if name not in families:
                    families[name] = made(f"fotasim_{name}", text, labels=list(labels))
                families[name].add_metric(list(labels.values()), value)
            yield from families.values()

    registry = CollectorRegistry()
    registry.register(Figures())
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise FotasimError(f"metrics cannot be served at 127.0.0.1:{port}: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _otlp(latest: Latest, endpoint: str) -> Iterator[None]:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.metrics import CallbackOptions, Observation
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ModuleNotFoundError:
        raise MissingExtra("OpenTelemetry's exporter is missing: pip install 'fotasim[load]'") from None
    checked_url(endpoint, ("http", "https"), what="the collector's URL")
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint), export_interval_millis=OTLP_EVERY_MS)
    provider = MeterProvider(metric_readers=[reader])
    meter = provider.get_meter("fotasim")

    def of(wanted: str) -> Callable[[CallbackOptions], list[Observation]]:
        return lambda _: [Observation(value, labels) for _, name, _, labels, value in latest.rows() if name == wanted]

    empty = Snapshot(0.0, 0.0, 0, 0, {"": 0}, 0, 0, 0, 0, 0.0, {"": (0.0, 0.0)}, {"": 0}, {"": 0})
    for name, (kind, text) in {name: (kind, text) for kind, name, text, _, _ in rows(empty)}.items():
        make = meter.create_observable_gauge if kind == "gauge" else meter.create_observable_counter
        make(f"fotasim.{name}", callbacks=[of(name)], description=text)
    try:
        yield
    finally:
        provider.shutdown()


__all__ = ["Latest", "exported", "rows"]
