"""What holds for every test."""

from __future__ import annotations

import os
import signal

import pytest

LONG_FILES = ("test_notebooks.py", "test_console.py", "test_wheel.py", "test_web_ui.py")
LONG_TESTS = (
    "test_commands_and_snippets_run", "test_api_keeps_its_openapi_document", "test_a_million_rows",
    "test_a_tidy_export_of_100_000_devices_in_two_commands",
)  # fmt: skip
LONG_FIXTURES = {"postgresql", "new_database"}
"""What `make test` leaves to `make test-all`: notebooks, browsers, the wheel, every command of the documentation, PostgreSQL, fleet files
whose size alone is the matter."""


def pytest_configure() -> None:
    """Commands under test hear Ctrl-C even where whoever started the tests ignores it, as shells do for background jobs.

    No compiler goes on in the background.
    """
    os.environ["FOTASIM_BACKGROUND_COMPILE"] = "0"  # a test that wants the compiler in the background starts it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is long, and gives tests of random cases the time that many of them need on a busy host."""
    for item in items:
        name, fixtures = getattr(item, "originalname", item.name), set(getattr(item, "fixturenames", ()))
        if item.path.name in LONG_FILES or name in LONG_TESTS or fixtures & LONG_FIXTURES:
            item.add_marker("long")
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(850))
