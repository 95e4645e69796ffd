"""Small scenarios and helpers the tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest

from sim.engines.run import Outcome, simulate
from sim.scenario import Scenario

BASE = """\
name: small
horizon: 7d
fleet:
  size: 200
  groups:
    - name: all
      share: 1.0
      technology: lte-m
      power: battery
      components: {fw: "1.0.0"}
      battery: {capacity: 9.36 Wh}
      check_in: {every: 6h, jitter: 10min}
plan:
  name: fw-1.1.0
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
"""

HARMLESS = tuple(
    f"fleet.failures.{name}=0"
    for name in (
        "never_online", "long_offline", "message_loss_lte", "link_drop_factor", "server_error", "checksum_error",
        "image_mismatch", "flash_error", "boot_failure", "brick", "no_reattach", "user_refusal",
        "power_loss_low_battery",
    )
)  # fmt: skip
"""Overrides that leave nothing to chance but the fleet itself."""


def scenario(*overrides: str, text: str = BASE) -> Scenario:
    """The base scenario with overrides."""
    from sim.scenario.load import check

    return check(text, "small.yaml", overrides)


def run(*overrides: str, text: str = BASE, **options: Any) -> Outcome:
    """Simulates the base scenario with overrides, on the reference engine unless told otherwise."""
    return simulate(scenario(*overrides, text=text), **{"engine": "simpy", **options})


def require(name: str, *places: str) -> str:
    """Path of a program a test needs, looked up on PATH and in `places` (globs).

    Without it the test is skipped with the reason; in continuous integration (CI=true) it fails.
    """
    found = shutil.which(name) or next(
        (str(p) for place in places for p in sorted(Path("/").glob(place.lstrip("/")))), None
    )
    return found if found is not None else missing(f"needs {name}, which is not installed")


def missing(reason: str) -> NoReturn:
    """What a test needs is not there: skipped with the reason; in continuous integration (CI=true) it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def plain(html: str) -> str:
    """A page with ordinary blanks: numbers and units are held together by no-break ones."""
    return html.replace("\u00a0", " ")
