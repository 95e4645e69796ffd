"""Recording a live run: the records every engine leaves, and what only sockets can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sim.engines.live.fetch import Broken
from sim.engines.recording import tally
from sim.engines.recording.simpy_recorder import Recorder
from sim.engines.world.build import World

MAX_REASONS = 20


class LiveRecorder(Recorder):
    """The recorder of an engine, with the load of the real network by real second.

    Times are seconds of the run; what happens beyond the horizon is booked at it.
    """

    def __init__(self, world: World, real_s: Callable[[], float]) -> None:
        super().__init__(world, tally.tally(world.horizon_s), events=True)
        self._real_s = real_s
        self._requests_by_second: Counter[int] = Counter()
        self._bits_by_second: Counter[int] = Counter()
        self._sessions = self._most_sessions = self._transfers = 0
        self.delivered_bits = 0.0
        self.damaged = self.lost = self.dropped = self.dials = 0
        self.refusals: Counter[int] = Counter()
        self.broken_downloads: Counter[str] = Counter()

    # --- what sockets tell -------------------------------------------------------------------------------------------

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

    def bytes_arrived(self, count: int) -> None:
        """Bytes of packages came in."""
        self.delivered_bits += 8.0 * count
        self._bits_by_second[int(self._real_s())] += 8 * count

    # --- load --------------------------------------------------------------------------------------------------------

    def online(self, now: float, change: int) -> None:
        """A module logged in, or its session ended."""
        now = min(now, self.world.horizon_s)
        tally.online(self.load, now, change)
        if change > 0:
            tally.connects(self.load, now)
        self._sessions += change
        self._most_sessions = max(self._most_sessions, self._sessions)

    def requests(self, now: float, count: int) -> None:
        """Messages and requests of modules to the cloud."""
        tally.requests(self.load, min(now, self.world.horizon_s), count)
        self._requests_by_second[int(self._real_s())] += count

    def requests_per_s(self, since_s: float, until_s: float) -> float:
        """Mean rate of messages and requests over whole real seconds between two moments of the run."""
        first, last = int(since_s), max(int(until_s), int(since_s) + 1)
        return sum(self._requests_by_second[second] for second in range(first, last)) / (last - first)

    def beat(self) -> None:
        """A running transfer reported itself; the timeline counts that with the transfer."""
        self._requests_by_second[int(self._real_s())] += 1

    def transfer_began(self) -> None:
        """The answer to a GET begins."""
        self._transfers += 1
        tally.downloads(self.load, self._transfers)

    def transfer_ended(self, since: float, now: float, count: int) -> None:
        """A transfer that began at `since` is over, complete or not, with so many bytes."""
        self._transfers -= 1
        horizon_s = self.world.horizon_s
        tally.transfer(self.load, min(since, horizon_s), min(now, horizon_s), 8.0 * count)

    @property
    def under_way(self) -> tuple[int, int]:
        """Sessions and transfers open now."""
        return self._sessions, self._transfers

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw; rates by real second, whatever the time scale."""
        return {
            "peak_connections": float(self._most_sessions),
            "peak_requests_per_s": float(max(self._requests_by_second.values(), default=0)),
            "peak_downloads": float(self.load.peak_downloads[0]),
            "peak_egress_bit_s": float(max(self._bits_by_second.values(), default=0)),
        }
