"""Progress of long work that comes in pieces: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sim.units import show_duration

_LINE_EVERY_S = 10.0


class Reporter:
    """Tells how many of the pieces are done and how long the rest will take; use as a context, call with both numbers."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._title = title
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("campaigns"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console, disable=quiet or not console.is_terminal, transient=True,
        )  # fmt: skip
        self._lines = not quiet and not console.is_terminal
        self._task = self._bar.add_task(title, total=None)
        self._first: tuple[float, int] | None = None
        self._told = time.monotonic()

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        """Pieces done and wanted so far."""
        self._bar.update(self._task, completed=done, total=total)
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done)
        elif self._lines and now - self._told >= _LINE_EVERY_S and done < total:
            self._told = now
            print(f"{self._title}: {done:,} of {total:,} campaigns{self._left(now, done, total)}", file=sys.stderr)

    def _left(self, now: float, done: int, total: int) -> str:
        assert self._first is not None
        since, before = self._first
        if done <= before:
            return ""
        return f", about {show_duration((now - since) / (done - before) * (total - done))} left"
