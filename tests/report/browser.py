"""A real Chromium for the tests of pages: skipped with its reason where there is none, failed under CI=true."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support import missing


@contextmanager
def chromium(width: int = 1440, height: int = 1000) -> Iterator[Any]:
    """A page of a headless Chromium of that size in CSS pixels."""
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        missing("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()
