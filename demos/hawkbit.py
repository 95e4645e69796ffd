"""A fleet against a real DDI server: publishes a package, starts a rollout, runs the modules, lays both sides together.

python -m demos.hawkbit                                   # starts goosebit on loopback, 300 modules
python -m demos.hawkbit --url http://127.0.0.1:8080       # a hawkBit that runs already (see docs/ddi.md)
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from demos.goosebit_server import PASSWORD, USER, GoosebitServer, Unavailable
from sim.engines.live.ddi import publish
from sim.engines.live.live_engine import Settings, Snapshot
from sim.engines.live.live_run import LiveOutcome, run_live, save_live
from sim.errors import FotasimError
from sim.report.formats.html_page import render
from sim.report.from_runs import single
from sim.scenario import Scenario

SCENARIO = Path(__file__).with_name("mixed_fleet.yaml")


def main() -> int:
    """The demonstration; 0 when client and server agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--time-scale", type=float, default=60.0)
    parser.add_argument("--url", help="a hawkBit server on this machine instead of goosebit")
    parser.add_argument("--out", type=Path, default=Path("reports/demo-hawkbit"))
    given = parser.parse_args()
    try:
        with ExitStack() as stack:
            url = given.url or _goosebit(stack, given.modules)
            server = "hawkbit" if given.url else "goosebit"
            settings = {"fleet.size": given.modules, "cloud.server": server, "cloud.url": url}
            found = run(Scenario.load(SCENARIO).with_(settings), given.time_scale)
    except (Unavailable, FotasimError) as error:
        print(error, file=sys.stderr)
        return 2
    saved = save_live(found, given.out, overwrite=True)
    page = saved.path / "report.html"
    page.write_text(render(single(saved.path)[0]), encoding="utf-8")
    tell(found)
    if given.url:
        _tell_what_is_left(Scenario.load(SCENARIO).with_(settings), given.url)
    print(f"report: {page}")
    return 0 if found.reconciliation.agrees else 3


POLLS_PER_S = 30
"""Polls goosebit gets at most: a worker answers some hundred requests a second, downloads and feedback among them."""


def _goosebit(stack: ExitStack, modules: int) -> str:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goosebit-")))
    sleep_s = max(3, modules // POLLS_PER_S)
    poll_time = f"{sleep_s // 3600:02d}:{sleep_s // 60 % 60:02d}:{sleep_s % 60:02d}"
    print("goosebit: installing (once) and starting", file=sys.stderr)
    server = stack.enter_context(GoosebitServer(folder, poll_time=poll_time))
    os.environ.setdefault("FOTASIM_DDI_USER", USER)
    os.environ.setdefault("FOTASIM_DDI_PASSWORD", PASSWORD)
    print(f"goosebit: {server.url}", file=sys.stderr)
    return server.url


def run(scenario: Scenario, time_scale: float, *, ramp_per_s: float = 50.0, duration_s: float = 300.0) -> LiveOutcome:
    """Publishes a package of the plan's size, starts the rollout and runs the fleet."""
    assert scenario.cloud.url is not None
    asyncio.run(
        publish.publish(
            scenario, scenario.cloud.url, publish.How(accept_losses=True), lambda line: print(line, file=sys.stderr)
        )
    )
    settings = Settings(ramp_per_s=ramp_per_s, time_scale=time_scale, radio=True, duration_s=duration_s)
    return run_live(scenario, scenario.cloud.url, settings, watch=_lines())


def _tell_what_is_left(scenario: Scenario, url: str) -> None:
    """A server of somebody else's keeps what was made there."""
    found = publish.prepared(scenario)
    packages = ", ".join(f"{r.component} {r.version}" for r in found.releases)
    print(f"left at {url}; delete there what is not wanted any more, in this order:")
    print(f"  rollout {found.name!r}, its distribution set, the software modules {packages}")
    print(f"  {len(found.targets):,} targets, found by name=={found.prefix}*")


def _lines() -> object:
    last = [0.0]

    def show(now: Snapshot) -> None:
        if now.real_s - last[0] >= 10.0:
            last[0] = now.real_s
            states = ", ".join(f"{name} {count}" for name, count in sorted(now.states.items()))
            print(f"{now.real_s:5.0f} s  {now.done} of {now.modules} done; {states}", file=sys.stderr)

    return show


def tell(found: LiveOutcome) -> None:
    """The outcome of each group, and how client and server compare."""
    modules = found.outcome.records.modules
    rows = zip(modules["group"], modules["outcome"], modules["cause"], strict=True)
    for (group, outcome, cause), count in sorted(Counter(rows).items()):
        print(f"  {group:<22}{outcome:<12}{cause or '':<16}{count:>6,}")
    for line in found.reconciliation.lines():
        print(line)


if __name__ == "__main__":
    sys.exit(main())
