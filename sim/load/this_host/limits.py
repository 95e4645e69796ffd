"""What this host can carry of a live or load run, which limit comes first, and the commands that raise it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sim.engines.live.host_limits import CONNECTIONS_PER_SOURCE, SPARE_FILES
from sim.engines.live.self_check import local_ports
from sim.load.this_host.module_cost import PACKAGE_BYTES, SHIPPED, Figures

MAX_USE = 0.7
"""Share of a core that modules may take; beyond it the generator begins to be late itself."""
WIDE_PORTS = 64_512


@dataclass(frozen=True, slots=True)
class Host:
    """Limits of this host. `source_addresses` are usable without setting anything up."""

    cores: int
    memory_free_bytes: int
    file_limit: int
    file_limit_hard: int
    ports: int
    source_addresses: int
    loopback_addresses: bool
    backlog: int
    figures: Figures = SHIPPED
    package_bytes: float = PACKAGE_BYTES
    """What an upgrade downloads."""

    @property
    def workers(self) -> int:
        """One for each core but one, which is the master's or the cloud's."""
        return max(1, self.cores - 1)

    @property
    def carries(self) -> dict[str, int]:
        """The most modules at once by each limit: all of them connected, and downloading at their radio's pace."""
        cost = self.figures
        free = max(0, self.memory_free_bytes - self.workers * cost.worker_bytes)
        return {
            "open files": self.workers * max(0, self.file_limit_hard - SPARE_FILES) // 2,
            "local ports": self.ports * self.source_addresses,
            "memory": free // max(1, cost.module_bytes + cost.kernel_bytes),
            "cores": round(self.workers * MAX_USE / cost.module_cpu),
        }

    @property
    def generates(self) -> dict[str, int]:
        """The largest loads a capacity search can make here, by CPU."""
        seconds = self.workers * MAX_USE
        return {
            "releases per minute": round(60.0 * seconds / self.figures.upgrade_s(self.package_bytes)),
            "wake-ups per 10 minutes": round(600.0 * seconds / self.figures.wakeup_cpu_s),
        }

    @property
    def first(self) -> str:
        """The limit that comes first."""
        carries = self.carries
        return min(carries, key=lambda name: carries[name])

    def advice(self) -> list[tuple[str, str]]:
        """What to change, and the command for it; most wanted first."""
        found = []
        carries, wanted = self.carries, self.carries["cores"]
        if carries["open files"] < wanted:
            found.append((
                f"open files: {self.file_limit_hard:,} allow {carries['open files']:,} modules that download",
                f"echo '* - nofile {2 * wanted + SPARE_FILES}' | sudo tee /etc/security/limits.d/fotasim.conf  # then log in again",
            ))  # fmt: skip
        if self.ports < WIDE_PORTS * 0.9:
            found.append((
                f"local ports: {self.ports:,} for each source address",
                'sudo sysctl -w net.ipv4.ip_local_port_range="1024 65535"',
            ))  # fmt: skip
        if carries["local ports"] < wanted:
            more = -(-wanted // CONNECTIONS_PER_SOURCE)
            found.append((
                f"source addresses: {more} would carry {wanted:,} modules to one target",
                "sudo ip address add 10.0.0.2/24 dev eth0  # one for each --source",
            ))  # fmt: skip
        if self.backlog < 4096:
            found.append(
                (f"backlog of a server on this host: {self.backlog}", "sudo sysctl -w net.core.somaxconn=4096")
            )
        if carries["memory"] < wanted:
            found.append(("memory: less than the cores could use", "fotasim load … --workers 1  # or another machine"))
        return found

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        advice = [{"what": what, "command": command} for what, command in self.advice()]
        return {
            **asdict(self), "workers": self.workers, "carries": self.carries, "first_limit": self.first,
            "generates": self.generates, "measured_here": self.figures.here, "advice": advice,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """As printed."""
        lines = [
            f"cores {self.cores}, memory free {self.memory_free_bytes / 1e9:.1f} GB, open files {self.file_limit:,} "
            f"(at most {self.file_limit_hard:,}), local ports {self.ports:,}, source addresses {self.source_addresses:,}"
        ]
        lines += [f"  {name:<14}{count:>12,} modules at once" for name, count in self.carries.items()]
        lines.append(
            f"this host carries about {self.carries[self.first]:,} modules that download at once; the first limit is: {self.first}"
        )
        shown = ", ".join(f"{count:,} {name}" for name, count in self.generates.items())
        lines += [
            f"its load generators, {self.workers} process(es), make about {shown}",
            *self.figures.lines(self.package_bytes),
        ]
        for what, command in self.advice():
            lines += [f"- {what}", f"    {command}"]
        return lines


def look(figures: Figures = SHIPPED, package_bytes: float = PACKAGE_BYTES) -> Host:
    """The limits as they are now, for modules that cost so much and download so much."""
    import psutil

    soft, hard = _files()
    linux = sys.platform.startswith("linux")
    mine = {a.address for interface in psutil.net_if_addrs().values() for a in interface if a.family.name == "AF_INET"}
    return Host(
        os.cpu_count() or 1, psutil.virtual_memory().available, soft, hard, local_ports(), max(1, len(mine)), linux,
        _number("/proc/sys/net/core/somaxconn", 128), figures, package_bytes,
    )  # fmt: skip


def _files() -> tuple[int, int]:
    try:
        import resource
    except ImportError:
        return 8192, 8192
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = _number("/proc/sys/fs/nr_open", 1_048_576)
    return soft, endless if hard == resource.RLIM_INFINITY else hard


def _number(path: str, otherwise: int) -> int:
    with suppress(OSError, ValueError):
        return int(Path(path).read_text(encoding="ascii"))
    return otherwise


__all__ = ["Host", "look"]
