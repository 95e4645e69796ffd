"""What holds for every test."""

from __future__ import annotations

import os
import signal

import pytest

LONG_FILES = ("test_notebooks.py", "test_console.py", "test_wheel.py", "test_web_ui.py")
LONG_TESTS = ("test_commands_and_snippets_run", "test_api_keeps_its_openapi_document")
LONG_FIXTURES = {"postgresql", "new_database"}
"""What `make test` leaves to `make test-all`: notebooks, browsers, the wheel, every command of the documentation, PostgreSQL."""


def pytest_configure() -> None:
    """Commands under test hear Ctrl-C even where whoever started the tests ignores it, as shells do for background jobs.

    No compiler goes on in the background.
    """
    os.environ["FOTASIM_BACKGROUND_COMPILE"] = "0"  # a test that wants the compiler in the background starts it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is long."""
    for item in items:
        name, fixtures = getattr(item, "originalname", item.name), set(getattr(item, "fixturenames", ()))
        if item.path.name in LONG_FILES or name in LONG_TESTS or fixtures & LONG_FIXTURES:
            item.add_marker("long")
