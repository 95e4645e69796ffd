"""Servers with known limits and known faults: is the verdict of a capacity search right on each, in how many of twenty runs?

python -m benchmarks.capacity_verdicts --runs 20

Capacities have to lie within 10 % of the limit that arithmetic gives. The servers are models (queues by Lindley's recursion,
with chance of their own), measured by the same evidence, trend and lost-update rules as a live probe. A load is in upgrades
per minute; each asks the server REQUESTS times.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.engines.live.latency import Latencies
from sim.engines.live.slo import completed, parse
from sim.load.capacity.search import Bounds, Measurement, SearchResult, legs_of, search
from sim.load.capacity.server_counts import lost_updates
from sim.load.capacity.wake_ups import KINDS, wake_times
from sim.stats.evidence import falls_behind

SLO, _ = completed(parse("p99(notify)<2s"), parse("p99(wake)<2s"), "upgrade")
BOUNDS = Bounds(start=600.0, high=20_000.0, precision=0.04, hold_s=30.0, confirm_s=60.0)
REQUESTS = 2
UPGRADE_S = 6.0
"""What an upgrade takes besides the server."""

Times = NDArray[np.float64]


@dataclass(slots=True)
class Server:
    """How long each module waits for the server; `failed` are those whose upgrade fails, `lost` those it does not count."""

    wait: Callable[[Times, np.random.Generator], Times]
    failed: float = 0.0
    lost: float = 0.0
    reject_per_s: float = np.inf

    def probe(self, generator: np.random.Generator) -> Callable[[float, float], Measurement]:
        """A probe of this server."""

        def measure(load: float, hold_s: float) -> Measurement:
            due_s = wake_times(KINDS["releases"], load, hold_s)
            waited_s = self.wait(due_s, generator)
            rejected = 1.0 - min(1.0, self.reject_per_s / (load / 60.0))
            fails = generator.random(len(due_s)) < 1.0 - (1.0 - self.failed) * (1.0 - rejected)
            return _measured(due_s, waited_s, fails, int((~fails).sum() * (1.0 - self.lost)))

        return measure


def _measured(due_s: Times, waited_s: Times, fails: NDArray[np.bool_], counted: int) -> Measurement:
    found = Latencies()
    for seconds, fail in zip(waited_s.tolist(), fails.tolist(), strict=True):
        found.add("wake", seconds)
        found.add("notice", min(seconds, 0.05))  # who is not let in has not asked yet
        if fail:
            found.fail("upgrade", "the upgrade failed")
        else:
            found.add("upgrade", seconds + UPGRADE_S)
    faults = (*falls_behind("wake", due_s, waited_s), *lost_updates(counted, int((~fails).sum())))
    return Measurement(SLO.values(found), SLO.evidence(found), {"modules": float(len(due_s))}, legs_of(found), faults)


def queue(service_s: Callable[[int, np.random.Generator], Times], servers: int = 1) -> Callable[..., Times]:
    """First come, first served: each module brings one job of `service_s`."""

    def wait(due_s: Times, generator: np.random.Generator) -> Times:
        jobs, free_s = service_s(len(due_s), generator), np.zeros(servers)
        waited = np.empty(len(due_s))
        for k in range(len(due_s)):
            next_free = int(free_s.argmin())
            free_s[next_free] = max(free_s[next_free], due_s[k]) + jobs[k]
            waited[k] = free_s[next_free] - due_s[k]
        return waited

    return wait


def fixed(seconds: float) -> Callable[[int, np.random.Generator], Times]:
    """Every job takes as long."""
    return lambda count, _: np.full(count, seconds)


def drawn(seconds: float) -> Callable[[int, np.random.Generator], Times]:
    """Jobs take exponential times."""
    return lambda count, generator: generator.exponential(seconds, count)


def leaking(seconds: float, growth: float) -> Callable[[int, np.random.Generator], Times]:
    """Each job takes a little longer than the one before."""
    return lambda count, _: seconds * (1.0 + growth * np.arange(count))


def frozen(of_s: float, every_s: float) -> Callable[..., Times]:
    """Answers at once, but stands still for the first seconds of every period, wherever the probe begins in it."""

    def wait(due_s: Times, generator: np.random.Generator) -> Times:
        at = (due_s + every_s * generator.random()) % every_s
        return 0.02 + np.where(at < of_s, of_s - at, 0.0)

    return wait


def slow(seconds: float) -> Callable[..., Times]:
    """Answers everybody late, however few there are."""
    return lambda due_s, generator: seconds * (1.0 + 0.1 * generator.random(len(due_s)))


def tail(share: float) -> Callable[..., Times]:
    """A share of the modules waits three seconds at any load."""
    return lambda due_s, generator: np.where(generator.random(len(due_s)) < share, 3.0, 0.05)


Expected = tuple[float, float] | str
SERVERS: dict[str, tuple[Server, Expected]] = {
    "one worker of 20 ms": (Server(queue(fixed(REQUESTS * 0.010))), (2700.0, 3300.0)),
    "one worker of 20 ms, exponential": (Server(queue(drawn(REQUESTS * 0.010))), (2700.0, 3300.0)),
    "eight workers of 100 ms": (Server(queue(drawn(0.1), 8)), (4320.0, 5280.0)),
    "leaking: a job takes 1 % longer after a hundred": (Server(queue(leaking(0.01, 1e-4))), (3800.0, 5300.0)),
    "100 a second, more is rejected": (Server(queue(fixed(0.001)), reject_per_s=100.0), (5400.0, 6600.0)),
    "as good as any": (Server(queue(fixed(1e-4))), (20_000.0, 20_000.0)),
    "0.5 % of the modules wait 3 s": (Server(tail(0.005)), (20_000.0, 20_000.0)),
    "2 % of the modules wait 3 s": (Server(tail(0.02)), "not confirmed"),
    "stands still 5 s of every 17": (Server(frozen(5.0, 17.0)), "always"),
    "slow: 3 s for everybody": (Server(slow(3.0)), "none"),
    "35 % of the upgrades fail at any load": (Server(queue(fixed(0.001)), failed=0.35), "always"),
    "3 % of the upgrades fail at any load": (Server(queue(fixed(0.001)), failed=0.03), "not confirmed"),
    "8 % of the updates are lost": (Server(queue(fixed(0.001)), lost=0.08), "always"),
}


def is_right(found: SearchResult, expected: Expected) -> bool:
    """Whether a verdict is the one of a server: a capacity in a range, none, or what is broken at any load."""
    if isinstance(expected, tuple):
        return found.confirmed and found.capacity is not None and expected[0] <= found.capacity <= expected[1]
    if expected == "not confirmed":  # so close to what is allowed that little load cannot show it within the budget
        return found.capacity is None and not found.confirmed
    always = "does not depend on the load" in found.reason or "at any load" in found.reason
    return found.capacity is None and not found.confirmed and not found.undecided and always == (expected == "always")


def main() -> None:
    """Prints a row for each server; 19 of 20 right is the aim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    print(f"{'server':<50} {'expected':>16} {'right':>8}  found")
    for number, (name, (server, expected)) in enumerate(SERVERS.items()):
        found = [search(server.probe(np.random.default_rng([number, run])), SLO, BOUNDS) for run in range(runs)]
        right = sum(is_right(verdict, expected) for verdict in found)
        capacities = sorted({round(v.capacity) for v in found if v.capacity is not None})
        span = f"{capacities[0]:,} to {capacities[-1]:,}" if capacities else found[0].reason[:60]
        wanted = expected if isinstance(expected, str) else f"{expected[0]:,.0f}-{expected[1]:,.0f}"
        print(f"{name:<50} {wanted:>16} {right:>4}/{runs:<3}  {span}", flush=True)


if __name__ == "__main__":
    main()
