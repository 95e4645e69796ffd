"""What holds for every test."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Commands under test hear Ctrl-C even where whoever started the tests ignores it, as shells do for background jobs.

    No compiler goes on in the background.
    """
    os.environ["FOTASIM_BACKGROUND_COMPILE"] = "0"  # a test that wants the compiler in the background starts it
    signal.signal(signal.SIGINT, signal.default_int_handler)
