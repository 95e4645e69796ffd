"""Progress of long work that comes in pieces: a bar on a terminal, a line now and then in a pipe.

The time left is told once it can be known: pieces that ran side by side end together, and the first may have waited for
a compilation, so the pace counts from the first wave on.
"""

from __future__ import annotations

import os
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


class Pace:
    """The time left by the pace of what was done since the work was first heard of.

    What was done before, such as the campaigns a resumed sweep finds in its folder, took no time now and says nothing of
    the pace; nor does the time before the first news, when an engine may have been compiled, nor the first `wave` of
    pieces that run side by side, whose processes had to start.
    """

    def __init__(self, wave: int = 0) -> None:
        self._wave = wave
        self._found: float | None = None
        self._first: tuple[float, float] | None = None
        self._done = 0.0

    def left_s(self, now: float, done: float, total: float) -> float | None:
        """Seconds left at a time in seconds, when so much of the total is done; None while that cannot be told."""
        if self._found is None or done < self._done:
            self._found, self._first = done, None
        self._done = done
        if self._first is None and done >= self._found + self._wave:
            self._first = (now, done)
        if self._first is None:
            return None
        since, before = self._first
        return time_left_s(now - since, (done - before) / (total - before)) if total > before else None


class TimeLeft(ProgressColumn):
    """The time left of a task; a dash until it can be told."""

    def __init__(self, wave: int = 0) -> None:
        super().__init__()
        self._wave = wave
        self._paces: dict[int, Pace] = {}

    def render(self, task: Task) -> Text:
        """The text of the column."""
        heard_of = task.total is not None and (task.completed > 0 or task.id in self._paces)
        if not heard_of:
            return Text("–")
        pace = self._paces.setdefault(task.id, Pace(self._wave))
        left = pace.left_s(task.elapsed or 0.0, task.completed, task.total or 0.0)
        return Text("–" if left is None else f"about {show_duration(left)}")


class Reporter:
    """Tells how many of the pieces are done and how long the rest will take; use as a context, call with both numbers.

    `workers` pieces run side by side; None is one on each core.
    """

    def __init__(self, title: str, *, quiet: bool = False, workers: int | None = None) -> None:
        wave = workers or os.cpu_count() or 1
        console = Console(stderr=True)
        self._title = title
        self._quiet = quiet
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("campaigns"),
            TimeElapsedColumn(), TextColumn("left"), TimeLeft(wave),
            console=console, disable=quiet or not console.is_terminal, transient=True,
        )  # fmt: skip
        self._lines = not quiet and not console.is_terminal
        self._task = self._bar.add_task(title, total=None)
        self._pace = Pace(wave)
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
        left = self._pace.left_s(now, done, total)
        if self._lines and now - self._told >= _LINE_EVERY_S and done < total:
            self._told = now
            rest = "" if left is None else f", about {show_duration(left)} left"
            print(f"{self._title}: {done:,} of {total:,} campaigns{rest}", file=sys.stderr)
