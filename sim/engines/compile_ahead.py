"""When to compile: whether a run is over sooner without it, and the compiler at work in the background for the next run.

Knows no compiler until it compiles. One process at a time compiles for a cache folder: it holds the lock of a file there,
which the system lets go of however the process ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from sim.engines.compiled.code_folder import cache_folder
from sim.scenario import Scenario

SETTING = "FOTASIM_BACKGROUND_COMPILE"
"""1: compile in the background in continuous integration too; 0: never."""
SIMPY_S_PER_EVENT = 40e-6
"""Processor seconds of an event of a module with SimPy: 18 to 65 µs on the hosts of docs/performance.md."""
CYCLE_EVENTS = 14
"""Events of a module's upgrade, besides its check-ins: 28 on the quickstart, which has 14 of those."""
FIRST_COMPILE_S = 40.0
"""How long compiling takes, until it has been seen here: 20 to 65 s on the hosts of docs/performance.md."""
_NICE = 15
_started: list[subprocess.Popen[bytes]] = []


def simpy_s(scenario: Scenario, modules: int) -> float:
    """Estimated seconds of one campaign with SimPy: check-ins until the horizon, and the upgrade, of every module."""
    groups = scenario.fleet.groups
    check_ins = [scenario.horizon / group.check_in.every for group in groups]
    mean = sum(check_ins) / len(check_ins)
    return SIMPY_S_PER_EVENT * modules * (CYCLE_EVENTS + mean)


def expected_s() -> float:
    """Estimated seconds of compiling: what it took here the last time."""
    folder = cache_folder()
    if folder is None:
        return FIRST_COMPILE_S
    try:
        return float(json.loads((folder / "compile_time.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return FIRST_COMPILE_S


def note_time(seconds: float) -> None:
    """Keeps how long compiling took, for the next estimate."""
    folder = cache_folder()
    if folder is not None:
        aside = folder / f"compile_time.{os.getpid()}"
        aside.write_text(json.dumps({"seconds": round(seconds, 1)}), encoding="utf-8")
        aside.replace(folder / "compile_time.json")


@contextmanager
def alone() -> Iterator[None]:
    """The only process that compiles for this cache folder; waits for another one to end."""
    held = _lock(wait=True)
    try:
        yield
    finally:
        if held is not None:
            held.close()


def running() -> int | None:
    """The number of the process that compiles for this cache folder; None when there is none."""
    folder = cache_folder()
    if folder is None or not _lockable():
        return None
    held = _lock(wait=False)
    if held is not None:
        held.close()
        return None
    try:
        return int((folder / "compile.lock").read_text())
    except (OSError, ValueError):
        return None


def allowed() -> bool:
    """Whether the compiler may work in the background here."""
    asked = os.environ.get(SETTING, "")
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return cache_folder() is not None and _lockable() and asked != "0" and (asked == "1" or not in_ci)


def start() -> bool:
    """Has the compiler work in a process of its own, which outlives this one; False where that is not so.

    With a process already at work there is nothing to start.
    """
    if not allowed() or running() is not None:
        return False
    nowhere = subprocess.DEVNULL
    command = [sys.executable, "-m", "sim.engines.compile_ahead"]
    try:
        _started.append(
            subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
        )
    except OSError:
        return False
    return True


def _lockable() -> bool:
    """Whether files can be locked as this module does: on POSIX systems."""
    try:
        import fcntl  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        return False
    return True


def _lock(*, wait: bool) -> IO[Any] | None:
    """The lock file, held until it is closed; None where another process holds it, or nothing can be locked."""
    folder = cache_folder()
    if folder is None or not _lockable():
        return None
    import fcntl

    held = (folder / "compile.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        held.close()
        return None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def main() -> None:
    """Compiles in the background: behind everybody else, and not where another process does."""
    os.nice(_NICE)
    held = _lock(wait=False)
    if held is None:
        return
    from sim.engines.compiled.compiled_engine import is_kept, prepare

    if not is_kept():
        began = time.process_time()
        prepare()
        note_time(time.process_time() - began)
    held.close()


if __name__ == "__main__":
    main()
