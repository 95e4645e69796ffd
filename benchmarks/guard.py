"""Whether this checkout is slower than another commit: both measured by turns, part by part.

    python -m benchmarks.guard                       # against the commit before
    python -m benchmarks.guard v1.2 --rounds 7       # against a release
    python -m benchmarks.guard --parts engine simpy  # some parts only

Times are processor seconds, children included. A round measures each part once in either checkout, the order changing from
round to round, and gives one ratio, now / before. The table shows the geometric mean of the ratios and its 95 % interval
by Student's t over their logarithms; a host that is busy widens the interval and does not move the mean. Ends with status 1
when a part is slower by more than `--tolerance`: when the whole interval lies above it.

The other commit is checked out into a temporary worktree. With the part `compile` both checkouts compile into folders of
their own, which the other parts then use; without it, into the usual folder, before anything is measured.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.stats.replicated import t_interval

HERE = Path(__file__).resolve().parents[1]
SCENARIO = "scenarios/quickstart.yaml"
ENGINE = f"""
import sys, time
from sim.engines.run import driver_for
from sim.engines.world.build import build
from sim.scenario import Scenario
_, make = driver_for(sys.argv[1])
driver = make(build(Scenario.load("{SCENARIO}", ["fleet.size=" + sys.argv[2]])))
started = time.process_time()
driver.run()
print(time.process_time() - started)
"""
COMPILE = """
import time
from sim.engines.compiled.compiled_engine import prepare
started = time.process_time()
prepare()
print(time.process_time() - started)
"""
SWEEP = f"""
import sys, time
from sim.scenario import Scenario
from sim.study.campaign import Job, run_campaign
from sim.study.sweep import sweep
scenario = Scenario.load("{SCENARIO}", ["fleet.size=2000"])
run_campaign(Job(scenario.with_(fleet__size=100), 0))
started = time.process_time()
sweep(scenario, ["plan.strategy.preconditions.min_battery_percent=10:50:10"], replications=5, workers=1)
print(time.process_time() - started)
"""


@dataclass(frozen=True, slots=True)
class Part:
    """What is measured: the words after the interpreter, and whether they print their seconds or are measured whole."""

    title: str
    words: tuple[str, ...]
    prints: bool = False


PARTS: dict[str, Part] = {
    "compile": Part("compiling", ("-c", COMPILE), prints=True),
    "engine": Part("compiled engine, 100,000 modules", ("-c", ENGINE, "compiled", "100000"), prints=True),
    "simpy": Part("SimPy engine, 1,000 modules", ("-c", ENGINE, "simpy", "1000"), prints=True),
    "sweep": Part("sweep, 5 × 5 × 2,000 modules, one worker", ("-c", SWEEP), prints=True),
    "help": Part("`fotasim --help`", ("-m", "sim.cli", "--help")),
    "validate": Part("`fotasim validate`", ("-m", "sim.cli", "validate", SCENARIO)),
    "run": Part("`fotasim run`, 10,000 modules, with its page", ("-m", "sim.cli", "run", SCENARIO, "--out", "{out}")),
    "report": Part("`fotasim report` of that run", ("-m", "sim.cli", "report", "{out}", "--format", "html")),
}
ANSWERS = (0, 1, 4)
"""Status of a command that did its work, whatever the verdict of the run."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Geometric mean of now / before over the rounds, and its 95 % interval; infinitely wide for a single round."""

    value: float
    low: float
    high: float

    def verdict(self, tolerance: float) -> str:
        """What the interval says: slower beyond the tolerance, slower, faster, or neither."""
        if self.low > tolerance:
            return f"slower by more than {tolerance - 1:.0%}"
        if self.low > 1.0:
            return "slower"
        return "faster" if self.high < 1.0 else "no significant difference"


def ratio_of(before_s: Sequence[float], now_s: Sequence[float]) -> Ratio:
    """The ratio of paired times, seconds above zero, one pair for each round."""
    if len(before_s) != len(now_s) or not before_s:
        raise ValueError(f"pairs need equally many times, found {len(before_s)} and {len(now_s)}")
    logs = np.log(np.asarray(now_s) / np.asarray(before_s))
    if len(logs) == 1:
        return Ratio(math.exp(logs[0]), 0.0, math.inf)
    found = t_interval(logs)
    return Ratio(*(math.exp(value) for value in (found.value, found.low, found.high)))


@dataclass(frozen=True, slots=True)
class Checkout:
    """A commit that is measured, and where it keeps its compiled code and its run; None: where everybody does."""

    path: Path
    out: Path
    cache: Path | None

    def cost_s(self, part: Part) -> float:
        """Processor seconds of a part."""
        env = {**os.environ, "PYTHONPATH": str(self.path), "CI": "true", "FOTASIM_BACKGROUND_COMPILE": "0"}
        if self.cache is not None:
            env["FOTASIM_CACHE"] = str(self.cache)
            if part is PARTS["compile"]:
                shutil.rmtree(self.cache, ignore_errors=True)
        if part is PARTS["run"]:
            shutil.rmtree(self.out, ignore_errors=True)
        command = [sys.executable, *(word if part.prints else word.format(out=self.out) for word in part.words)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=self.path, env=env, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in (ANSWERS if not part.prints else (0,)):
            raise SystemExit(f"{self.path}: {part.title}: status {done.returncode}\n{done.stderr}")
        if part.prints:
            return float(done.stdout.split()[-1])
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@contextmanager
def worktree(revision: str, folder: Path) -> Iterator[Path]:
    """The revision checked out in a folder, which is given up at the end."""
    git = ("git", "-C", str(HERE), "worktree")
    done = subprocess.run([*git, "add", "--detach", str(folder), revision], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"git cannot check out {revision}: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], capture_output=True, check=False)


def measured(part: Part, before: Checkout, now: Checkout, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds before and now, a pair for each round."""
    found: dict[Checkout, list[float]] = {before: [], now: []}
    for turn in range(rounds):
        for checkout in (before, now) if turn % 2 == 0 else (now, before):
            found[checkout].append(checkout.cost_s(part))
    return found[before], found[now]


def line(part: Part, before_s: Sequence[float], now_s: Sequence[float], tolerance: float) -> str:
    """A row of the table."""
    ratio = ratio_of(before_s, now_s)
    return (
        f"| {part.title} | {np.median(before_s):.2f} s | {np.median(now_s):.2f} s | {ratio.value:.3f} | "
        f"{ratio.low:.3f} to {ratio.high:.3f} | {len(now_s)} | {ratio.verdict(tolerance)} |"
    )


def asked() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", default="HEAD~1", help="what to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile-rounds", type=int, default=2, help="rounds of compiling, which takes long")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tolerance", type=float, default=1.05, help="largest ratio that is taken")
    return parser.parse_args()


def main() -> None:
    """Measures and prints a table, part by part; status 1 when a part is too slow."""
    given = asked()
    names = [name for name in PARTS if name in given.parts]  # compiling first, the run before its report
    if "report" in names and "run" not in names:
        raise SystemExit("the part report needs the part run, whose folder it reads")
    too_slow = False
    with tempfile.TemporaryDirectory() as kept, worktree(given.revision, Path(kept) / "before") as other:
        caches = [Path(kept) / f"cache-{i}" if "compile" in names else None for i in range(2)]
        before = Checkout(other, Path(kept) / "run-before", caches[0])
        now = Checkout(HERE, Path(kept) / "run-now", caches[1])
        if "compile" not in names:
            measured(PARTS["compile"], before, now, 1)
        print(f"load average {os.getloadavg()[0]:.1f} at the start", flush=True)
        print("| part | before, median | now, median | now / before | 95 % interval | rounds | |")
        print("|---|---|---|---|---|---|---|", flush=True)
        for name in names:
            rounds = given.compile_rounds if name == "compile" else given.rounds
            times = measured(PARTS[name], before, now, rounds)
            print(line(PARTS[name], *times, given.tolerance), flush=True)
            too_slow |= ratio_of(*times).low > given.tolerance
        print(f"load average {os.getloadavg()[0]:.1f} at the end")
    raise SystemExit(int(too_slow))


if __name__ == "__main__":
    main()
