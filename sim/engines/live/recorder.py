"""Recording a live run: the records every engine leaves, and what only sockets can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sim.engines.live.fetch import Broken
from sim.engines.recorder import Recorder
from sim.engines.world import World

MAX_REASONS = 20


class LiveRecorder(Recorder):
    """The recorder of an engine, with the load of the real network by real second."""

    def __init__(self, world: World, real_s: Callable[[], float]) -> None:
        super().__init__(world, events=True)
        self._real_s = real_s
        self._requests_by_second: Counter[int] = Counter()
        self._bits_by_second: Counter[int] = Counter()
        self.delivered_bits = 0.0
        self.damaged = self.lost = self.dials = 0
        self.refusals: Counter[int] = Counter()
        self.broken_downloads: Counter[str] = Counter()

    def dialled(self) -> None:
        """A module opens a connection."""
        self.dials += 1

    def refused(self, code: int) -> None:
        """A login was refused, or the connection failed, with this code of the SDK."""
        self.refusals[code] += 1

    def broken(self, error: Broken) -> None:
        """A download broke; the kinds of errors kept are bounded."""
        reason = str(error)[:120]
        if reason in self.broken_downloads or len(self.broken_downloads) < MAX_REASONS:
            self.broken_downloads[reason] += 1

    def online(self, now: float, change: int) -> None:
        """A module logged in, or its session ended."""
        if change > 0:
            self.connects(now)
        super().online(now, change)

    def requests(self, now: float, count: int) -> None:
        """Messages and requests of modules to the cloud."""
        super().requests(now, count)
        self._requests_by_second[int(self._real_s())] += count

    def downloads(self, now: float, change: int) -> None:
        """A transfer began or ended; books the time and the bytes since the last change."""
        self._spread(self._download_s, self._downloads_since, now, self._downloads * (now - self._downloads_since))
        bits = self.delivered_bits
        self._spread(self._egress_bits, self._downloads_since, now, bits - self._bits_before)
        self._bits_by_second[int(self._real_s())] += int(bits - self._bits_before)
        self._downloads_since, self._bits_before = now, bits
        self._downloads += change
        self._peak_downloads = max(self._peak_downloads, self._downloads)

    @property
    def under_way(self) -> tuple[int, int]:
        """Sessions and transfers open now."""
        return self._online, self._downloads

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw; rates by real second, whatever the time scale."""
        return {
            "peak_connections": float(self._peak_online),
            "peak_requests_per_s": float(max(self._requests_by_second.values(), default=0)),
            "peak_downloads": float(self._peak_downloads),
            "peak_egress_bit_s": float(max(self._bits_by_second.values(), default=0)),
        }
