"""What commands with real load show and export while they run: a live table, Prometheus, OpenTelemetry, lines of JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sim.units import show_duration

if TYPE_CHECKING:
    from rich.table import Table

    from sim.engines.live.snapshot import Snapshot, Watch

Prometheus = Annotated[
    int | None, typer.Option(min=1, max=65535, metavar="PORT", help="Serve metrics at 127.0.0.1:PORT.")
]
Otlp = Annotated[
    str | None, typer.Option(metavar="URL", help="Send metrics to this OpenTelemetry collector (OTLP/HTTP).")
]
Progress = Annotated[Path | None, typer.Option(metavar="FILE", help="Append a line of JSON for every look at the run.")]
QUIET_LINE_S = 10.0
_ORDER = (
    "offline", "refused", "back-off", "long back-off", "connecting", "idle", "notified", "confirmed", "downloading", "downloaded", "updating", "upgraded",
    "dark",
)  # fmt: skip


@contextmanager
def watching(
    prometheus: int | None, otlp: str | None, progress: Path | None, *, quiet: bool
) -> Iterator[Callable[[Snapshot], None]]:
    """What a run tells its snapshots to: everything asked for, and a person unless `quiet`."""
    from sim.load.telemetry import exported

    with shown(quiet) as show, exported(prometheus=prometheus, otlp=otlp, lines=progress, then=show) as watch:
        yield watch


@contextmanager
def shown(quiet: bool) -> Iterator[Watch | None]:
    """A table that lives on a terminal; a line every ten seconds in a pipe; nothing when quiet."""
    console = Console(stderr=True)
    if quiet:
        yield None
    elif not console.is_terminal:
        yield _lines()
    else:
        from rich.live import Live

        with Live(console=console, transient=True, auto_refresh=False) as screen:
            before: list[Snapshot] = []

            def show(now: Snapshot) -> None:
                screen.update(_table(now, before[-1] if before else None), refresh=True)
                before[:] = [now]

            yield show


def _lines() -> Watch:
    last, told = [-QUIET_LINE_S], set[str]()

    def show(now: Snapshot) -> None:
        for fault in (*now.notes, *now.faults):
            if fault not in told:
                told.add(fault)
                print(f"{now.real_s:7.0f} s  {fault}", file=sys.stderr)
        if now.modules and now.real_s - last[0] >= QUIET_LINE_S:
            last[0] = now.real_s
            states = ", ".join(f"{name} {now.states[name]:,}" for name in _ORDER if now.states.get(name))
            reasons = "".join(f"; {reason} {n:,}" for reason, n in now.reasons.items())
            left = "" if now.left_s is None else f"; {_left(now.left_s)}"
            print(
                f"{now.real_s:7.0f} s  {now.done:,} of {now.modules:,} done; {states}{reasons}{left}", file=sys.stderr
            )

    return show


def _left(seconds: float) -> str:
    """How long a run goes on; once its time is over connections still end one after the other, and counts are compared."""
    return f"{show_duration(seconds)} left at most" if seconds > 0.0 else "its time is over: the modules disconnect"


def _table(now: Snapshot, before: Snapshot | None) -> Table:
    """Modules by state, rates since the last look, latencies so far."""
    from rich.table import Table

    span_s = max(now.real_s - before.real_s, 1e-3) if before else max(now.real_s, 1e-3)

    def per_s(name: str) -> float:
        return float(getattr(now, name) - (getattr(before, name) if before else 0)) / span_s

    table = Table.grid(padding=(0, 2))
    table.add_row("time", f"{now.real_s:.0f} s", f"({now.run_s:,.0f} s of the fleet)")
    if now.left_s is not None:
        table.add_row("left", _left(now.left_s))
    table.add_row("done", f"{now.done:,} of {now.modules:,}")
    for name in _ORDER:
        if now.states.get(name):
            table.add_row(name, f"{now.states[name]:,}")
    table.add_row("connections", f"{now.connections:,}", f"downloads {now.downloads:,}")
    table.add_row("messages", f"{per_s('sent'):,.0f}/s up", f"{per_s('received'):,.0f}/s down")
    table.add_row("traffic", f"{per_s('delivered_bits') / 1e6:,.1f} Mbit/s")
    for leg, (p50, p99) in now.latencies_s.items():
        if p50 is not None and p99 is not None:
            table.add_row(leg, f"p50 {1000 * p50:,.1f} ms", f"p99 {1000 * p99:,.1f} ms")
    for reason, n in now.reasons.items():
        table.add_row("failed", f"{n:,}", reason)
    for note in now.notes:
        table.add_row("note", note)
    for fault in now.faults:
        table.add_row("FAULT", fault)
    return table
