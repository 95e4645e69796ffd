"""What a command costs from its start to its end, in processor seconds, part by part, beside another checkout.

python -m benchmarks.startup [--against PATH] [--repeat 5]

Both checkouts run by turns with the interpreter that runs this, so that the load of the host falls on both. Compiled code
is made before anything is measured.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SCENARIO = "scenarios/quickstart.yaml"
PARTS: dict[str, list[str]] = {
    "`fotasim --help`": ["-m", "sim.cli", "--help"],
    "`fotasim validate`": ["-m", "sim.cli", "validate", SCENARIO],
    "`fotasim run`, 10,000 modules, with its page": ["-m", "sim.cli", "run", SCENARIO, "--out", "{out}"],
    "`fotasim report` of that run": ["-m", "sim.cli", "report", "{out}", "--format", "html"],
    "`import sim.engines.run`": ["-c", "import sim.engines.run"],
    "compiled code loaded": ["-c", "from sim.engines.run import driver_for; driver_for('compiled')"],
}
"""What is measured: a name, and the words after the interpreter."""


def cost_s(checkout: Path, words: list[str], out: Path) -> float:
    """Processor seconds, of all threads and children, of one command in a checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout), "CI": "true"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *(word.format(out=out) for word in words)],
        cwd=checkout, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1, 4):
        raise SystemExit(f"{checkout}: {' '.join(words)}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measures and prints a table: the least and the median of each part, in each checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, measured by turns with this one")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    checkouts = {"this": HERE} if given.against is None else {"other": given.against.resolve(), "this": HERE}
    with tempfile.TemporaryDirectory() as folder:
        print("| part | " + " | ".join(f"{name}, least | {name}, median" for name in checkouts) + " |")
        print("|---|" + "---|---|" * len(checkouts))
        for checkout in checkouts.values():
            cost_s(checkout, PARTS["compiled code loaded"], Path(folder))
        for part, words in PARTS.items():
            found: dict[str, list[float]] = {name: [] for name in checkouts}
            for _ in range(given.repeat):
                for name, checkout in checkouts.items():
                    if "run" in words:  # into a folder that is not there
                        shutil.rmtree(Path(folder) / name, ignore_errors=True)
                    found[name].append(cost_s(checkout, words, Path(folder) / name))
            row = (f"{min(times):.2f} s | {statistics.median(times):.2f} s" for times in found.values())
            print(f"| {part} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
