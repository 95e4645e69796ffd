"""Speed of the engines in one run: every figure the compiled engine is held to, each beside its peer.

    python -m benchmarks.engines                   # all of it: 100,000 to 10,000,000 modules, and the hold model
    python -m benchmarks.engines --most 1000000    # without the ten million, which take 4 GiB and some minutes
    python -m benchmarks.engines --only hold

Times are of the processor, all threads together, the best of `--repeat` runs; on a shared machine only the ratios mean
something. Each size runs in a process of its own, so that its memory is its own, too.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np

from sim.engines.compiled import queue
from sim.engines.compiled.compiled_engine import CompiledEngine, prepare
from sim.engines.compiled.engine_state import queue_of
from sim.engines.compiled.numba_layer.mirror import Mirror
from sim.engines.compiled.numba_layer.one_function import machine_code_of
from sim.engines.compiled.numba_layer.pointer_table import PointerTable
from sim.engines.compiled.numba_layer.split_rows import SplitRows
from sim.engines.reference.simpy_engine import SimpyEngine
from sim.engines.world import record_layout
from sim.engines.world.build import build
from sim.records import write_blocks
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


REFERENCE_PER_S = 0.70e6
"""Events a second of SimPy on the hold model at 10,000 pending, on the host for which the targets were set."""
SIZES = (100_000, 1_000_000, 10_000_000)


def main() -> None:
    """Prints one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=SIZES[-1], help="largest fleet")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=("engines", "hold"))
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    prepare(print)
    if asked.measure:
        print(json.dumps(measured(asked.measure, asked.repeat)))
        return
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("simpy", "salabim", "numba", "numpy"))
    print(f"Python {platform.python_version()}, {versions}", flush=True)
    if asked.only != "hold":
        engines([n for n in SIZES if n <= asked.most], asked.repeat)
    if asked.only != "engines":
        hold()


# --- engines -------------------------------------------------------------------------------------------------------


def engines(sizes: list[int], repeat: int) -> None:
    """The quickstart at several sizes, and on SimPy at the smallest.

    The host may change its speed between two sizes: the cost of a module in a larger fleet is held against the smallest
    fleet before and after it, each by the median of its runs.
    """
    small, *larger = sizes
    beside = shown(small, repeat)
    found, ratios = {small: beside}, {}
    for n in larger:
        before, found[n], beside = beside, shown(n, repeat), apart(small, repeat)
        beside_s = (before["median_s"] + beside["median_s"]) / 2
        ratios[n] = found[n]["median_s"] / n / (beside_s / small)
    simpy_s = timed(SimpyEngine(build(quickstart(small))).run)
    print(f"SimPy,    {small:>10,} modules: run {simpy_s:6.2f} s, {simpy_s / small * 1e6:5.1f} us a module")
    print(f"compiled against SimPy at {small:,} modules: {simpy_s / beside['run_s']:.0f} x as fast")
    here = simpy_rate(10_000) / REFERENCE_PER_S
    scaled = ", ".join(
        f"{one['run_s'] * here:.2f} s for {n:,} ({one['written_s'] * here:.2f} s)" for n, one in found.items()
    )
    print(
        f"SimPy's bare events go {here:.2f} x as fast here as where the targets were set; there, run (with table): {scaled}"
    )
    for n, ratio in ratios.items():
        print(f"cost a module at {n:,} against {small:,} before and after it: {ratio:.2f}", flush=True)


def shown(modules: int, repeat: int) -> dict[str, float]:
    """What `apart` finds, printed as well."""
    one = apart(modules, repeat)
    print(
        f"compiled, {modules:>10,} modules: run {one['run_s']:6.2f} s, {one['run_s'] / modules * 1e6:5.2f} us a module; with "
        f"modules.parquet {one['written_s']:6.2f} s; sampling the fleet {one['built_s']:.2f} s; {one['peak_gib']:.2f} GiB",
        flush=True,
    )
    return one


def apart(modules: int, repeat: int) -> dict[str, float]:
    """What `measured` finds in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engines", "--measure", str(modules), "--repeat", str(repeat)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(modules: int, repeat: int) -> dict[str, float]:
    """Processor seconds of sampling, of a run, and of a run with its table of modules on disk, the best of each; the
    median of the runs; the most memory used.
    """
    best = dict.fromkeys(("built_s", "run_s", "written_s"), np.inf)
    runs = []
    for _ in range(1 if modules > 2_000_000 else repeat):
        started = time.process_time()
        engine = CompiledEngine(build(quickstart(modules)))
        built = time.process_time()
        engine.run()
        ran = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            write_blocks(Path(folder) / "modules.parquet", engine.records(complete=True, wall_s=0.0).table)
        written = time.process_time()
        del engine
        gc.collect()
        seconds = {"built_s": built - started, "run_s": ran - built, "written_s": written - built}
        runs.append(seconds["run_s"])
        best = {name: min(best[name], value) for name, value in seconds.items()}
    return best | {
        "median_s": float(np.median(runs)),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def quickstart(modules: int) -> Scenario:
    """The quickstart at another size; beyond a million modules its cloud grows with it, or it would be another story."""
    times = max(1, modules // 1_000_000)
    larger = [
        f"plan.strategy.rollout.max_in_progress={10_000 * times}",
        f"cloud.capacity={{connections_per_s: {500 * times}, request_workers: {32 * times}, request_time: 40ms, "
        f"downloads: {2000 * times}, egress: {times} Gbit/s}}",
    ]
    return Scenario.load(QUICKSTART, [f"fleet.size={modules}", *(larger if times > 1 else [])])


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
            f"({cpp / ours:.2f} of C++'s time), SimPy {simpy_rate(pending) / 1e6:.2f} M/s, "
            f"salabim {salabim_rate(pending) / 1e6:.3f} M/s",
            flush=True,
        )


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
    small = _queue(2, 40.0)
    for function in jitted:
        with machine_code_of(function.py_func.__qualname__):
            function(small, gaps, 1)
    best = np.inf
    for _ in range(3):
        q = _queue(pending, 1.2 * events / pending + 30.0)
        for function, count in zip(jitted, (pending, events), strict=True):
            started = time.process_time()
            function(q, gaps, count)
            seconds = time.process_time() - started
        best = min(best, seconds)
    return float(best)


def _queue(pending: int, horizon: float) -> PointerTable:
    blank = np.zeros(max(pending, 2), record_layout.record(queue.QueueRow))
    rows = SplitRows(np.zeros(len(blank), np.int32), blank, blank[:1])
    return queue_of(rows, rows, horizon, int(pending * horizon), 2 * pending + 64)


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


def salabim_rate(pending: int, events: int = 150_000) -> float:
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
    env.run(duration=1e-9)  # everybody begins to hold
    seconds = timed(lambda: env.run(duration=events / pending))
    return passed[0] / seconds


if __name__ == "__main__":
    main()
