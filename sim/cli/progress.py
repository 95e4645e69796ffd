"""Progress of long work that comes in pieces: a bar on a terminal, a line now and then in a pipe.

The time left is told once it can be known: pieces that ran side by side end together, and the first may have waited for
a compilation, so the pace counts from the first wave on.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from sim.units import show_duration

_LINE_EVERY_S = 10.0


_LEAST_S = 3.0
"""No estimate before so much time has passed."""
_LEAST_SHARE = 0.03
"""… and so much of the work is done: an estimate from less is a guess."""


def time_left_s(elapsed_s: float, done: float) -> float | None:
    """Seconds left when `done` (0 to 1) of the work took so long; None while that cannot be told."""
    if elapsed_s < _LEAST_S or not _LEAST_SHARE <= done < 1.0:
        return None
    return elapsed_s * (1.0 - done) / done


class TimeLeft(ProgressColumn):
    """The time left of a task; a dash until it can be told."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        share = task.completed / task.total if task.total else 0.0
        left = time_left_s(task.elapsed or 0.0, share)
        return Text("–" if left is None else f"about {show_duration(left)}")


class Reporter:
    """Tells how many of the pieces are done and how long the rest will take; use as a context, call with both numbers."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._title = title
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("campaigns"),
            TimeElapsedColumn(), TextColumn("left"), TimeLeft(),
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
        left = time_left_s(now - since, (done - before) / (total - before)) if total > before else None
        return "" if left is None else f", about {show_duration(left)} left"
