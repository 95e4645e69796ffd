"""Recording a live run: the records every engine leaves, and what only sockets can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sim.engines import tally
from sim.engines.live.fetch import Broken
from sim.engines.recorder import Recorder
from sim.engines.world import World

MAX_REASONS = 20


class LiveRecorder(Recorder):
    """The recorder of an engine, with the load of the real network by real second."""

    def __init__(self, world: World, real_s: Callable[[], float]) -> None:
        super().__init__(world, tally.tally(world.horizon_s), events=True)
        self._online = self._downloads = self._peak_online = 0
        self._since_s = self._bits_before = 0.0
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
        now = self._inside(now)
        if change > 0:
            tally.connects(self.load, now)
        tally.online(self.load, now, change)
        self._online += change
        self._peak_online = max(self._peak_online, self._online)

    def requests(self, now: float, count: int) -> None:
        """Messages and requests of modules to the cloud."""
        tally.requests(self.load, self._inside(now), count)
        self._requests_by_second[int(self._real_s())] += count

    def downloads(self, now: float, change: int) -> None:
        """A transfer began or ended; books the time and the bytes since the last change."""
        now, load, since = self._inside(now), self.load, self._since_s
        bits = self.delivered_bits - self._bits_before
        tally.spread(load.download_s, load.width_s, since, now, self._downloads * (now - since))
        tally.spread(load.egress_bits, load.width_s, since, now, bits)
        self._bits_by_second[int(self._real_s())] += int(bits)
        self._since_s, self._bits_before = now, self.delivered_bits
        self._downloads += change
        tally.downloads(load, self._downloads)

    def close(self, now: float) -> None:
        """The run is over at `now`."""
        self.downloads(now, 0)
        self.end_s = now

    def _inside(self, now: float) -> float:
        """What happens in the moments after the horizon belongs to its last second."""
        return min(now, self.world.horizon_s)

    @property
    def under_way(self) -> tuple[int, int]:
        """Sessions and transfers open now."""
        return self._online, self._downloads

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw; rates by real second, whatever the time scale."""
        return {
            "peak_connections": float(self._peak_online),
            "peak_requests_per_s": float(max(self._requests_by_second.values(), default=0)),
            "peak_downloads": float(self.load.peak_downloads[0]),
            "peak_egress_bit_s": float(max(self._bits_by_second.values(), default=0)),
        }
