"""A platform without POSIX parts: they are taken away, and the commands do what they can or say what they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = str(Path(__file__).parents[1] / "scenarios" / "quickstart.yaml")
WITHOUT_POSIX = """
import os, sys
for name in ("fcntl", "resource", "uvloop", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "nice", "getloadavg", "killpg", "fork", "getuid", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
from sim.cli import main
main()
"""


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command where POSIX parts are not there."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_run_needs_no_posix(tmp_path: Path) -> None:
    done = command(tmp_path, "run", SCENARIO, "--modules", "50", "--engine", "simpy", "--out", "out")
    assert (tmp_path / "out" / "report.html").exists(), done.stderr
    checked = command(tmp_path, "validate", SCENARIO)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("arguments", [
    ("cloud", "--http", "0", "--mqtt", "0"),
    ("load", SCENARIO, "--cloud", "http://127.0.0.1:1", "--headless"),
], ids=lambda arguments: arguments[0])  # fmt: skip
def test_what_needs_posix_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = command(tmp_path, *arguments)
    assert done.returncode == 3, done.stderr
    assert f"needs Linux or macOS ({sys.platform} has no " in done.stderr and "use WSL or the container" in done.stderr
    assert "pip install" not in done.stderr and "Traceback" not in done.stderr
