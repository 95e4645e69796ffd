"""One scenario simulated and run live on loopback: outcomes and durations of the stages, compared.

    python benchmarks/sim_vs_live.py [--modules 300] [--time-scale 20] [--ddi]

The live fleet runs with the modelled radio (--radio), so both sides have the same physics; what differs is a real
cloud, real sockets and real bytes. Since draws are keyed, modules are compared one by one too. Durations are compared
by two one-sided Kolmogorov-Smirnov tests: is live later, or earlier, by more than ten real milliseconds, which the time
scale makes longer? With --ddi the cloud is a DDI server of documented answers, polled every three real seconds. Exit status 1 when outcomes differ or a distribution is told apart at 1 %.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import uvloop
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

STAGES = (
    ("activation to notice", None, "notified_s"), ("notice to confirmation", "notified_s", "confirmed_s"),
    ("confirmation to download begun", "confirmed_s", "download_started_s"),
    ("download", "download_started_s", "downloaded_s"), ("download to update", "downloaded_s", "updating_s"),
    ("update", "updating_s", "upgraded_s"), ("upgraded to reported", "upgraded_s", "reported_s"),
    ("activation to upgraded", None, "upgraded_s"),
)  # fmt: skip
LEVEL = 0.01
SLEEP_S = 3
TOLERANCE_S = 0.01
"""Real time by which a stage may differ: scheduling and sockets of a busy host."""


def main() -> None:
    """Runs both and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--time-scale", type=float, default=20.0)
    parser.add_argument(
        "--ddi", action="store_true", help="a DDI server that is polled, instead of the Developer Center"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(given))
        return
    simulated, lived = _simulated(given), _lived(given)
    sys.exit(0 if _compare(simulated, lived) else 1)


def _scenario(given: argparse.Namespace) -> Any:
    from tests.support import scenario

    return scenario(
        f"fleet.size={given.modules}", *(_polled(given.time_scale) if given.ddi else ()), "horizon=1h", "fleet.groups.0.check_in={every: 10min, jitter: 2min}",
        "fleet.failures.never_online=0", "fleet.failures.long_offline=0", "fleet.failures.server_error=0",
        "fleet.failures.message_loss_lte=0", "fleet.failures.boot_failure=0.02", "fleet.failures.checksum_error=0.05",
        "cloud.capacity={connections_per_s: 10000, request_workers: 100, request_time: 1ms, downloads: 10000}",
    )  # fmt: skip


def _polled(time_scale: float) -> tuple[str, ...]:
    """The server's sleep keeps real time: a scaled fleet sees it longer."""
    return (
        "cloud.kind=ddi",
        "plan.strategy.preset=goosebit",
        f"plan.strategy.delivery.polling_time={SLEEP_S * time_scale:g}s",
    )


def _simulated(given: argparse.Namespace) -> Any:
    from sim.engines.run import simulate

    return simulate(_scenario(given))


def _lived(given: argparse.Namespace) -> Any:
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.live_run import run_live

    command = [
        sys.executable,
        __file__,
        "--serve",
        "--modules",
        str(given.modules),
        "--time-scale",
        str(given.time_scale),
        *(["--ddi"] if given.ddi else []),
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        settings = Settings(ramp_per_s=100_000.0, time_scale=given.time_scale, radio=True)
        return run_live(_scenario(given), url, settings)
    finally:
        server.terminate()
        server.wait()


async def _serve(given: argparse.Namespace) -> None:
    from tests.ddi_server import DocumentedServer
    from tests.live_cloud import LiveCloud, package_bytes

    cloud: Any
    if given.ddi:
        cloud = DocumentedServer(package_bytes(200_000), sleep=f"00:00:{SLEEP_S:02d}")
    else:
        cloud = LiveCloud(_scenario(given), time_scale=given.time_scale)
    await cloud.start()
    print(cloud.url, flush=True)
    await asyncio.sleep(3600 / given.time_scale + 60)


def _compare(simulated: Any, lived: Any) -> bool:
    a = simulated.records.modules.set_index("module")
    b = lived.outcome.records.modules.set_index("module").loc[a.index]
    print(f"{len(a):,} modules; live: {lived.outcome.summary['wall_s']:.0f} s at time scale "
          f"{lived.outcome.manifest['live']['time_scale']:g}")  # fmt: skip
    print("\n".join(lived.reconciliation.lines()))
    table = pd.DataFrame({"simulated": a["outcome"].value_counts(), "live": b["outcome"].value_counts()})
    table = table[table.sum(axis=1) > 0].fillna(0).astype(int)
    print(f"\n{table.to_string()}")
    same = a["outcome"].astype(str) == b["outcome"].astype(str)
    print(f"same outcome, module by module: {same.sum():,} of {len(a):,}")
    differing = stats.chi2_contingency(table.to_numpy()).pvalue if len(table) > 1 else 1.0
    print(f"chi-squared test of the outcomes: p = {differing:.3f}\n")
    tolerance_s = TOLERANCE_S * lived.outcome.manifest["live"]["time_scale"]
    print(f"durations; live may be {tolerance_s:g} s of the fleet's time off ({1000 * TOLERANCE_S:g} ms of real time)")
    passed = [_stage(name, a, b, begin, end, tolerance_s) for name, begin, end in STAGES]
    return bool(differing > LEVEL and all(passed) and lived.reconciliation.agrees)


def _stage(name: str, a: pd.DataFrame, b: pd.DataFrame, begin: str | None, end: str, tolerance_s: float) -> bool:
    def durations(table: pd.DataFrame) -> pd.Series[float]:
        return table[end] if begin is None else table[end] - table[begin]

    x, y = durations(a), durations(b)
    both = x.notna() & y.notna()
    off = (y - x)[both]
    later = stats.ks_2samp(x.dropna() + tolerance_s, y.dropna(), alternative="greater").pvalue
    earlier = stats.ks_2samp(x.dropna() - tolerance_s, y.dropna(), alternative="less").pvalue
    p = min(1.0, 2.0 * min(later, earlier))
    verdict = "same" if p > LEVEL else "DIFFERENT"
    print(
        f"{name:<32}median {x.median():8.2f} s simulated {y.median():8.2f} s live; "
        f"module by module {off.median():+6.2f} s, 95 % within {off.abs().quantile(0.95):6.2f} s; p = {p:.3f}  {verdict}"
    )
    return bool(p > LEVEL)


if __name__ == "__main__":
    main()
