"""Speed of the engines in one run: the compiled engine against SimPy, its queue against SimPy, salabim and C++.

    python -m benchmarks.engines                      # 100,000 modules on both engines, 1,000,000 compiled, hold model
    python -m benchmarks.engines --modules 10000000   # one more size for the compiled engine
    python -m benchmarks.engines --only hold

Times are of the processor, the best of `--repeat` runs; on a shared machine only the ratios mean something.
"""

from __future__ import annotations

import argparse
import gc
import platform
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np

from sim.engines import layout
from sim.engines.compiled import queue
from sim.engines.compiled.bag import Bag
from sim.engines.compiled.compiler import Mirror, machine_code_of
from sim.engines.compiled.engine import CompiledEngine, prepare
from sim.engines.virtual import VirtualEngine
from sim.engines.world import build
from sim.scenario import Scenario

QUICKSTART = Path(__file__).parents[1] / "scenarios" / "quickstart.yaml"
CPP = r"""
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <queue>
#include <random>
#include <vector>
int main(int, char** argv) {
  const long pending = atol(argv[1]), events = atol(argv[2]);
  std::mt19937_64 dice(1);
  std::exponential_distribution<double> law(1.0);
  std::vector<double> gaps(65536);
  for (auto& gap : gaps) gap = law(dice);
  using Entry = std::pair<double, long>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> queue;
  for (long i = 0; i < pending; ++i) queue.push({gaps[i % 65536], i});
  const clock_t started = clock();
  for (long i = 0; i < events; ++i) {
    const Entry first = queue.top();
    queue.pop();
    queue.push({first.first + gaps[(i * 40503) % 65536], first.second});
  }
  printf("%f\n", double(clock() - started) / CLOCKS_PER_SEC);
}
"""


def main() -> None:
    """Prints one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", type=int, action="append", default=[], help="further sizes, compiled engine only")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=("engines", "hold"))
    asked = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("simpy", "salabim", "numba", "numpy"))
    print(f"Python {platform.python_version()}, {versions}")
    prepare(print)
    if asked.only != "hold":
        engines(asked.modules, asked.repeat)
    if asked.only != "engines":
        hold()


# --- engines -------------------------------------------------------------------------------------------------------


def engines(further: list[int], repeat: int) -> None:
    """The quickstart at several sizes."""
    per_module = {n: compiled_s(n, repeat) / n for n in (100_000, 1_000_000, *further)}
    for n, seconds in per_module.items():
        print(f"compiled, {n:>10,} modules: {seconds * n:7.2f} s, {seconds * 1e6:6.2f} us a module")
    with_parquet(1_000_000)
    small = compiled_s(100_000, repeat) / 100_000
    simpy_s = timed(VirtualEngine(build(quickstart(100_000))).run) / 100_000
    print(f"SimPy,       100,000 modules: {simpy_s * 1e5:7.2f} s, {simpy_s * 1e6:6.2f} us a module")
    print(f"ratio at 100,000 modules: {simpy_s / min(small, per_module[100_000]):.0f}")
    for n in further:
        print(f"cost a module at {n:,} against 100,000: {per_module[n] / per_module[100_000]:.2f}")
    print(f"largest memory so far: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def quickstart(modules: int) -> Scenario:
    """The quickstart at another size; beyond a million modules its cloud grows with it, or it would be another story."""
    times = max(1, modules // 1_000_000)
    larger = [
        f"plan.strategy.rollout.max_in_progress={10_000 * times}",
        f"cloud.capacity={{connections_per_s: {500 * times}, request_workers: {32 * times}, request_time: 40ms, "
        f"downloads: {2000 * times}, egress: {times} Gbit/s}}",
    ]
    return Scenario.load(QUICKSTART, [f"fleet.size={modules}", *(larger if times > 1 else [])])


def compiled_s(modules: int, repeat: int) -> float:
    """Processor seconds of a run, without sampling the fleet and without records."""
    best = np.inf
    for _ in range(1 if modules > 2_000_000 else repeat):
        engine = CompiledEngine(build(quickstart(modules)))
        best = min(best, timed(engine.run))
        del engine
        gc.collect()
    return float(best)


def with_parquet(modules: int) -> None:
    """A run with its table of modules on disk."""
    engine = CompiledEngine(build(quickstart(modules)))

    def run() -> None:
        engine.run()
        table = engine.records(complete=True, wall_s=0.0).modules
        with tempfile.TemporaryDirectory() as folder:
            table.to_parquet(Path(folder) / "modules.parquet", index=False)

    print(f"compiled, {modules:>10,} modules with modules.parquet: {timed(run):.2f} s")


def timed(action: Callable[[], Any]) -> float:
    """Processor seconds of a call."""
    started = time.process_time()
    action()
    return time.process_time() - started


# --- the hold model: take the first event, put it back an exponential time later --------------------------------------


def hold() -> None:
    """Events a second with so many pending."""
    for pending, events in ((10_000, 3_000_000), (1_000_000, 3_000_000)):
        cpp = events / cpp_s(pending, events)
        ours = events / queue_s(pending, events)
        print(
            f"hold, {pending:>9,} pending: C++ priority_queue {cpp / 1e6:5.1f} M/s, compiled queue {ours / 1e6:5.1f} M/s "
            f"({cpp / ours:.2f} of C++'s time), SimPy {simpy_rate(pending) / 1e6:.2f} M/s",
            end="",
        )
        print(f", salabim {salabim_rate(pending) / 1e6:.2f} M/s" if pending <= 10_000 else "")


def cpp_s(pending: int, events: int) -> float:
    """A plain loop over std::priority_queue."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "hold.cpp", Path(folder) / "hold"
        source.write_text(CPP)
        subprocess.run(["g++", "-O3", "-march=native", "-o", str(program), str(source)], check=True)
        return min(
            float(subprocess.run([str(program), str(pending), str(events)], check=True, capture_output=True).stdout)
            for _ in range(3)
        )


def queue_s(pending: int, events: int) -> float:
    """The engine's queue, alone."""
    compiled = Mirror("sim.engines.compiled.queue")["sim.engines.compiled.queue"]
    push, pop, next_time, next_who = compiled.push, compiled.pop, compiled.next_time, compiled.next_who

    def fill(q: Any, gaps: Any, pending: int) -> None:
        for i in range(pending):
            push(q, gaps[i % 65536], i)

    def loop(q: Any, gaps: Any, events: int) -> None:
        for i in range(events):
            now = next_time(q)
            who = next_who(q)
            pop(q)
            push(q, now + gaps[(i * 40503) % 65536], who)

    gaps = np.random.default_rng(1).exponential(size=65536)
    jitted = [numba.njit(error_model="numpy")(function) for function in (fill, loop)]
    best = np.inf
    for _ in range(3):
        q = _queue(pending, 1.2 * events / pending + 30.0)
        for function, count in zip(jitted, (pending, events), strict=True):
            with machine_code_of(function.py_func.__qualname__):
                function(_queue(2, 40.0), gaps, 1)
            started = time.process_time()
            function(q, gaps, count)
            seconds = time.process_time() - started
        best = min(best, seconds)
    return float(best)


def _queue(pending: int, horizon: float) -> Bag:
    buckets = queue.bucket_count(int(pending * horizon))
    blank = np.zeros(max(pending, 2), layout.record(queue.QueueRow))
    return Bag(
        row=layout.single(queue.QueueRow(width_s=horizon / buckets, buckets=buckets)),
        heap=np.empty(2 * pending + 64, queue.HEAP_ENTRY), buckets=np.full(buckets, -1, np.int32),
        pool=np.empty(2 * pending + 64, queue.POOL_ENTRY), drives=blank, modules=blank, executions=blank,
    )  # fmt: skip


def simpy_rate(pending: int, events: int = 300_000) -> float:
    """Events a second of SimPy's processes and timeouts."""
    import simpy

    gaps = np.random.default_rng(1).exponential(size=65536).tolist()
    env = simpy.Environment()

    def life(number: int) -> Any:
        while True:
            yield env.timeout(gaps[number % 65536])
            number += 40503

    for i in range(pending):
        env.process(life(i))
    env.run(until=1e-9)
    return events / timed(lambda: [env.step() for _ in range(events)])


def salabim_rate(pending: int) -> float:
    """Events a second of salabim's components that hold, as generators."""
    import salabim

    salabim.yieldless(False)
    gaps = np.random.default_rng(1).exponential(size=65536).tolist()
    env = salabim.Environment(trace=False)
    passed = [0]

    class Life(salabim.Component):
        def process(self) -> Any:
            number = self.sequence_number()
            while True:
                yield self.hold(gaps[number % 65536])
                number += 40503
                passed[0] += 1

    for _ in range(pending):
        Life()
    seconds = timed(lambda: env.run(duration=15.0))
    return passed[0] / seconds


if __name__ == "__main__":
    main()
