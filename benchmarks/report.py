"""Time and memory of the report of a large fleet, from its run folder on disk to the files, in a fresh process each.

python benchmarks/report.py [--modules 1000000] [--scenario scenarios/bad_release.yaml] [--folder RUN]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sim.engines.run import save, simulate
from sim.report.formats.write import FORMATS, write_formats
from sim.report.from_runs import single
from sim.scenario import Scenario

_SETS = {"html": ["html"], "all formats": list(FORMATS)}


def measured(folder: Path, formats: list[str], out: Path) -> dict[str, float]:
    """Wall and processor seconds from the folder to the files, their bytes, and the most memory of this process, MiB."""
    started, worked = time.perf_counter(), time.process_time()
    page, plain = single(folder)
    written = write_formats(page, out, formats, runs=plain)
    return {
        "wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - worked,
        "bytes": float(sum(path.stat().st_size for path in written)),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0,
    }  # fmt: skip


def main() -> None:
    """Runs the scenario unless a folder is given, then prints a line for HTML alone and one for all formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, default=1_000_000)
    parser.add_argument("--scenario", type=Path, default=Path("scenarios/bad_release.yaml"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--formats", choices=_SETS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if given.formats:
            print(json.dumps(measured(given.folder, _SETS[given.formats], Path(name))))
            return
        folder = given.folder or Path(name) / "run"
        if given.folder is None:
            save(simulate(Scenario.load(given.scenario, [f"fleet.size={given.modules}"])), folder)
        print(f"report of {folder}, Python {platform.python_version()}, {platform.machine()}")
        for formats in _SETS:
            command = [sys.executable, __file__, "--folder", str(folder), "--formats", formats]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{formats:<12} {found['wall_s']:6.2f} s, {found['cpu_s']:6.2f} s of the processor, "
                f"{found['rss_mib']:,.0f} MiB, {found['bytes'] / 1e6:.2f} MB written"
            )


if __name__ == "__main__":
    main()
