"""Whether the generator itself was the bottleneck: lag of its event loop, CPU, open files, local ports."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK_S = 0.05
MAX_LAG_S = 0.1
"""A timer later than this is not the cloud's doing: such measurements are too long by as much."""
LAG_PERCENTILE = 0.99
TOLERATED = 2
"""So many late timers prove nothing, however short the stretch."""
MAX_CPU = 0.95
"""Share of one core; an asyncio process has no more."""
MAX_SHARE = 0.9
"""Share of the open files, and of the local ports, that may be in use."""
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
DEFAULT_PORTS = (32768, 60999)


@dataclass(frozen=True, slots=True)
class Health:
    """How the generator stood over a stretch of time."""

    span_s: float
    lag_p99_s: float
    lag_max_s: float
    cpu: float
    """Share of one core."""
    files: int
    file_limit: int
    connections: int
    port_limit: int
    lag_limit_s: float = MAX_LAG_S

    @property
    def faults(self) -> list[str]:
        """Why measurements of this stretch are void; empty when they stand."""
        found = []
        if self.lag_p99_s > self.lag_limit_s:
            found.append(
                f"its timers were late: p99 {1000 * self.lag_p99_s:,.0f} ms, more than {1000 * self.lag_limit_s:,.0f} ms"
            )
        if self.cpu > MAX_CPU:
            found.append(f"it used {100 * self.cpu:.0f} % of its core")
        if self.files > MAX_SHARE * self.file_limit:
            found.append(f"{self.files:,} of {self.file_limit:,} open files in use (ulimit -n)")
        if self.connections > MAX_SHARE * self.port_limit:
            found.append(
                f"{self.connections:,} of {self.port_limit:,} local ports in use (ip_local_port_range, --source)"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For reports."""
        return {
            "span_s": round(self.span_s, 3), "lag_p99_s": round(self.lag_p99_s, 4), "lag_max_s": round(self.lag_max_s, 4),
            "cpu": round(self.cpu, 3), "files": self.files, "file_limit": self.file_limit,
            "connections": self.connections, "port_limit": self.port_limit, "faults": self.faults,
        }  # fmt: skip


class SelfCheck:
    """Watches this process while a load runs. `look` gives the stretch since the last look.

    `lag_limit_s` is how late timers may be: with an objective of 2 s a lateness of 0.2 s is still a tenth of it.
    """

    def __init__(self, sources: int = 1, lag_limit_s: float = MAX_LAG_S) -> None:
        self._lag_limit_s = lag_limit_s
        self._sources = max(1, sources)
        self._lags: list[float] = []
        self._task: asyncio.Task[None] | None = None
        self._begin()

    def start(self) -> None:
        """Begins to tick."""
        self._begin()
        self._task = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        """Ends the ticks."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def span_s(self) -> float:
        """Seconds since the last look."""
        return time.monotonic() - self._since

    def look(self, connections: int = 0) -> Health:
        """How it went since the last look; `connections` are those open or opened and not yet free."""
        span_s = max(self.span_s, 1e-9)
        cpu = (time.process_time() - self._cpu) / span_s
        lags = sorted(self._lags) or [0.0]
        found = Health(
            span_s, lags[max(0, min(int(LAG_PERCENTILE * len(lags)), len(lags) - 1 - TOLERATED))], lags[-1], cpu, open_files(),
            file_limit(), connections, self._sources * local_ports(), self._lag_limit_s,
        )  # fmt: skip
        self._begin()
        return found

    def _begin(self) -> None:
        self._lags, self._since, self._cpu = [], time.monotonic(), time.process_time()

    async def _tick(self) -> None:
        """A timer that should come every TICK_S; how late it comes is how late everything else is."""
        loop = asyncio.get_running_loop()
        due = loop.time() + TICK_S
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            lag_s = loop.time() - due
            self._lags += [max(0.0, lag_s - k * TICK_S) for k in range(1 + int(lag_s / TICK_S))]  # ticks it missed
            due = max(due + TICK_S, loop.time())


def open_files() -> int:
    """Files and sockets this process has open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd" if sys.platform.startswith("linux") else "/dev/fd")
    with suppress(OSError):
        return sum(1 for _ in folder.iterdir())
    return 0


def file_limit() -> int:
    """How many files this process may have open; as good as without limit where the system has none."""
    try:
        import resource
    except ImportError:
        return sys.maxsize
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def local_ports() -> int:
    """Local ports of one source address."""
    low, high = DEFAULT_PORTS
    with suppress(OSError, ValueError):
        low, high = map(int, PORT_RANGE.read_text(encoding="ascii").split())
    return high - low + 1


__all__ = ["Health", "SelfCheck", "local_ports", "open_files"]
