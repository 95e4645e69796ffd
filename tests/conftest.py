"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Commands under test hear Ctrl-C even where whoever started the tests ignores it, as shells do for background jobs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
