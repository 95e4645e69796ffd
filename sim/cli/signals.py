"""SIGINT and SIGTERM around a long run: its event loop has them meanwhile, and what was measured is written whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sim.cli.common import say
from sim.exit_status import ExitStatus

_STATUS = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}


@contextmanager
def handlers_kept() -> Iterator[None]:
    """An event loop that lets go of a signal leaves the system's handler behind; afterwards those of before are back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _STATUS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held(what: str) -> Iterator[None]:
    """A signal waits until `what` is written, then ends the command with its own exit status."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def later(number: int, _frame: object) -> None:
        if not came:
            say(f"{what} is being written first")
        came.append(number)

    with handlers_kept():
        for number in _STATUS:
            signal.signal(number, later)
        yield
    if came:
        raise typer.Exit(_STATUS[signal.Signals(came[0])])


__all__ = ["handlers_kept", "held"]
