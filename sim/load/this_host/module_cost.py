"""What a module costs the host that plays it: measured here, or on the machine these figures came from."""

from __future__ import annotations

import json
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = "host.json"
PACKAGE_BYTES = 400_000
"""Of the upgrades whose cost is known."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Memory in bytes, CPU in seconds of one core; `source` says what measured them, where and when."""

    module_bytes: int
    """Of a module of the live engine with its connection and its part of a download."""
    worker_bytes: int
    """Of a worker without modules."""
    kernel_bytes: int
    """Of a module's connections in the kernel."""
    module_cpu: float
    """Share of a core that a module takes while it downloads at its radio's pace and reports every five seconds."""
    upgrade_cpu_s: float
    """Of a whole upgrade, with a download of PACKAGE_BYTES as fast as the network gives it."""
    wakeup_cpu_s: float
    """Of a wake-up: connect, log in, ask, take the notice, leave."""
    source: str
    host: str = ""
    megabyte_cpu_s: float = 0.0
    """Of each further megabyte of a download."""

    @property
    def here(self) -> bool:
        """Whether they are this host's."""
        return self.host == platform.node()

    def upgrade_s(self, package_bytes: float) -> float:
        """CPU of a whole upgrade with a package of this size, seconds."""
        return max(0.0, self.upgrade_cpu_s + self.megabyte_cpu_s * (package_bytes - PACKAGE_BYTES) / 1e6)

    def lines(self, package_bytes: float = PACKAGE_BYTES) -> list[str]:
        """As printed, of upgrades with a package of this size."""
        return [
            f"cost of a module: {self.source}",
            f"  while it downloads {self.module_bytes / 1000:.1f} KB, {self.kernel_bytes / 1000:.1f} KB in the kernel, "
            f"{100 * self.module_cpu:.3f} % of a core; an upgrade with {package_bytes / 1e6:g} MB "
            f"{1000 * self.upgrade_s(package_bytes):.2f} ms, a wake-up {1000 * self.wakeup_cpu_s:.2f} ms of CPU",
        ]


SHIPPED = Figures(
    9_700, 226_000_000, 10_500, 0.000146, 0.0025, 0.0008,
    "not measured on this host, but with `fotasim doctor --measure` on two cores of an AMD EPYC, Python 3.11", "", 0.00086,
)  # fmt: skip
"""Used where nothing was measured."""


def now_here() -> str:
    """The source of what is measured now."""
    return f"measured on this host on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}"


def keep(figures: Figures, folder: Path | None) -> None:
    """Remembers what was measured, where there is a place to."""
    if folder is not None:
        with suppress(OSError):
            (folder / FILE).write_text(json.dumps(asdict(figures), indent=1), encoding="utf-8")


def known(folder: Path | None) -> Figures:
    """What was last measured on this host, else what is shipped."""
    if folder is None:
        return SHIPPED
    try:
        found = Figures(**json.loads((folder / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return SHIPPED
    return found if found.here else SHIPPED


__all__ = ["SHIPPED", "Figures", "keep", "known", "now_here"]
