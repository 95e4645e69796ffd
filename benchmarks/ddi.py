"""How polite a DDI fleet is: 1,000 modules over a server restart, or all upgrading at once; requests and CPU.

    python -m benchmarks.ddi [--modules 1000] [--sleep 30] [--picture docs/images/ddi-polite.png]
    python -m benchmarks.ddi --upgrade [--modules 1000] [--sleep 30] [--time-scale 1]

The server runs in a process of its own. Without --upgrade it answers polls with nothing to do, and is away in the
middle third. With it every module finds the deployment at its first poll, and all come within one sleep.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import multiprocessing.connection
from pathlib import Path

from aiohttp import web

from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import LiveOutcome, live, run_live
from sim.scenario.load import check

SCENARIO = """\
name: polite
horizon: 1d
cloud: {kind: ddi}
fleet:
  size: %d
  failures: {never_online: 0, long_offline: 0}
  groups:
    - {name: all, share: 1.0, technology: lte-m, power: mains, check_in: always, rsrp_dbm: -90}
plan:
  name: none
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
"""


def main() -> None:
    """Measures and prints; draws when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", type=int, default=1000)
    parser.add_argument("--sleep", type=int, default=30, help="the server's sleep, seconds")
    parser.add_argument("--third", type=int, default=60, help="seconds before, during and after the outage")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--upgrade", action="store_true", help="every module upgrades")
    parser.add_argument("--time-scale", type=float, default=1.0, help="with --upgrade: shortens the modules' own waits")
    given = parser.parse_args()
    if given.upgrade:
        print(json.dumps(upgrade(given.modules, given.sleep, given.time_scale), indent=1))
        return
    found = asyncio.run(measure(given.modules, given.sleep, given.third))
    figures = found.outcome.manifest["live"]
    polls = {int(s): n for s, n in figures["requests_over_time"]["poll"].items()}
    thirds = [range(given.third * i + (given.sleep if i == 0 else 0), given.third * (i + 1)) for i in range(3)]
    names = ("before", "away", "after")
    rates = {n: [polls.get(s, 0) for s in seconds] for n, seconds in zip(names, thirds, strict=True)}
    result = {
        "modules": given.modules, "sleep_s": given.sleep, "wanted_polls_per_s": round(given.modules / given.sleep, 1),
        **{f"{n}_mean_per_s": round(sum(r) / len(r), 1) for n, r in rates.items()},
        **{f"{n}_peak_per_s": max(r) for n, r in rates.items()},
        "cpu_s": figures["cpu_s"], "wall_s": round(found.outcome.summary["wall_s"], 1),
        "cores": round(figures["cpu_s"] / found.outcome.summary["wall_s"], 3),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if given.picture is not None:
        draw(given.picture, polls, given.sleep, given.third, given.modules)


def upgrade(modules: int, sleep_s: int, time_scale: float) -> dict[str, object]:
    """Every module upgrades, all within one sleep of the server: what that costs this process."""
    server = Server(sleep_s, upgrades=True)
    port = server.start()
    try:
        settings = Settings(ramp_per_s=modules / sleep_s, time_scale=time_scale, duration_s=900.0)
        found = run_live(check(SCENARIO % modules, "upgrade.yaml", ()), f"http://127.0.0.1:{port}", settings)
    finally:
        server.stop()
    figures, summary = found.outcome.manifest["live"], found.outcome.summary
    requests = sum(figures["requests"].values())
    return {
        "modules": modules, "sleep_s": sleep_s, "time_scale": time_scale,
        "outcomes": {name: count for name, count in summary["outcomes"].items() if count},
        "requests": requests, "peak_requests_per_s": summary["cloud"]["peak_requests_per_s"],
        "downloaded_mb": round(figures["bytes_downloaded"] / 1e6, 1),
        "cpu_s": figures["cpu_s"], "wall_s": round(summary["wall_s"], 1),
        "cores": round(figures["cpu_s"] / summary["wall_s"], 3),
        "cpu_ms_per_upgrade": round(1000.0 * figures["cpu_s"] / modules, 1),
    }  # fmt: skip


async def measure(modules: int, sleep_s: int, third_s: int) -> LiveOutcome:
    """The run: a third with the server, a third without, a third with it again."""
    server = Server(sleep_s)
    port = server.start()
    given = check(SCENARIO % modules, "polite.yaml", ())
    settings = Settings(ramp_per_s=modules / sleep_s, duration_s=3.0 * third_s)
    outage = asyncio.create_task(_outage(server, third_s))
    try:
        return await live(given, f"http://127.0.0.1:{port}", settings)
    finally:
        outage.cancel()
        server.stop()


async def _outage(server: Server, third_s: float) -> None:
    await asyncio.sleep(third_s)
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(third_s)
    await asyncio.to_thread(server.start)  # the fleet goes on polling meanwhile


class Server:
    """A process that answers polls, and with `upgrades` hands out a deployment."""

    def __init__(self, sleep_s: int, *, upgrades: bool = False) -> None:
        self._serve = _serve_upgrades if upgrades else _serve
        self._sleep = f"{sleep_s // 3600:02d}:{sleep_s // 60 % 60:02d}:{sleep_s % 60:02d}"
        self._port = 0
        self._process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> int:
        """Starts it, on the same port each time."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(target=self._serve, args=(theirs, self._port, self._sleep), daemon=True)
        self._process.start()
        self._port = int(ours.recv())
        return self._port

    def stop(self) -> None:
        """Ends it, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.join()


def _serve(pipe: multiprocessing.connection.Connection, port: int, sleep: str) -> None:
    async def poll(_: web.Request) -> web.Response:
        return web.json_response({"config": {"polling": {"sleep": sleep}}, "_links": {}})

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/DEFAULT/controller/v1/{id}", poll)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        pipe.send(runner.addresses[0][1])
        while True:
            await asyncio.sleep(3600.0)

    asyncio.run(serve())


def _serve_upgrades(pipe: multiprocessing.connection.Connection, _port: int, sleep: str) -> None:
    from tests.ddi_server import DocumentedServer
    from tests.live_cloud import package_bytes

    async def serve() -> None:
        server = DocumentedServer(package_bytes(200_000), sleep=sleep)
        await server.start()
        pipe.send(int(server.url.rsplit(":", 1)[1]))
        while True:
            await asyncio.sleep(3600.0)

    asyncio.run(serve())


def draw(picture: Path, polls: dict[int, int], sleep_s: int, third_s: int, modules: int) -> None:
    """Polls in each second, the outage shaded, what the server wants as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    axes = figure.subplots()
    seconds = range(3 * third_s)
    axes.bar(seconds, [polls.get(s, 0) for s in seconds], width=1.0, color="#3b6ea5")
    axes.axvspan(third_s, 2 * third_s, color="#d9534f", alpha=0.15, label="server away")
    axes.axhline(
        modules / sleep_s, color="#333333", linewidth=1.0, linestyle="--", label="what the server's sleep asks for"
    )
    axes.set(xlabel="seconds", ylabel="polls per second", xlim=(0, 3 * third_s))
    axes.set_ylim(0, max(axes.get_ylim()[1], 3.0 * modules / sleep_s))
    axes.legend(loc="upper right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main()
