"""For the Locust master: `locust --master -f …`. Its users are modules that native workers carry.

The master adds up its own statistics; beside them this file merges the workers' histograms, notes who went missing and
whose generator was the bottleneck, waits at the end until every worker has compared its counts with the cloud's, and
writes `--fotasim-report FILE`.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import gevent
from locust import User, constant, events, task
from locust.html import get_html_report
from locust.runners import STATE_MISSING
from locust.stats import CSV_STATS_INTERVAL_SEC

from sim.load.locust_workers.scenario_shape import CurveShape
from sim.load.locust_workers.worker_reports import Gathered

logger = logging.getLogger(__name__)
gathered = Gathered()
LAST_REPORTS_S = 60.0
"""How long the workers may take to stop, to disconnect from the cloud and to compare."""
LOOK_S = 0.1
PARENT_S = 0.5


class Module(User):
    """Stands for a module of the scenario; the worker knows which."""

    wait_time = constant(1)
    host = "the cloud of the workers"

    @task
    def live(self) -> None:
        """Lived by the worker."""


_OPTIONS = {
    "report": "Write merged histograms and the workers' health here.",
    "progress": "Append lines of JSON here.",
    "curve": "When the modules of a whole fleet begin: seconds in a .npy file.",
    "parent": "End when this process is gone.",
    "slo": "Objectives the run is judged by.",
}


def _options(parser: Any) -> None:
    for name, text in _OPTIONS.items():
        parser.add_argument(f"--fotasim-{name}", default="", help=text, include_in_web_ui=False)


def _remember(environment: Any, **_: Any) -> None:
    gathered.options = vars(environment.parsed_options) if environment.parsed_options else {}
    curve, parent = gathered.options.get("fotasim_curve"), gathered.options.get("fotasim_parent")
    if curve:
        environment.shape_class = CurveShape.load(Path(curve))
        environment.shape_class.runner = environment.runner
    if parent:
        gevent.spawn(_end_with, int(parent))


def _end_with(parent: int) -> None:
    """A load that nobody looks after ends."""
    while os.getppid() == parent:
        gevent.sleep(PARENT_S)
    logger.error("the command that started this master is gone: the load ends")
    os.kill(os.getpid(), signal.SIGTERM)


def _begin(environment: Any, **_: Any) -> None:
    gathered.clear()
    for client in environment.runner.clients.all:
        gathered.expect(client.id)
    _tell()
    gevent.spawn(_watch_workers, environment.runner)


def _watch_workers(runner: Any) -> None:
    """A worker whose heart stands still is told at once, not at the end of the run."""
    while gathered.ended is None:
        if any([gathered.silent(client.id) for client in _unheard(runner)]):  # noqa: C419 - every one is to be told
            _tell()
        gevent.sleep(LOOK_S)


def _unheard(runner: Any) -> list[Any]:
    """Workers that Locust misses, and those whose last three heartbeats it has not had: it counts them down from three."""
    return [client for client in runner.clients.all if client.state == STATE_MISSING or client.heartbeat <= 0]


def _take(client_id: str, data: dict[str, Any], **_: Any) -> None:
    gathered.take(client_id, data)
    if gathered.is_due():
        _tell()


def _tell() -> None:
    path = gathered.options.get("fotasim_progress")
    if path:
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(gathered.progress() + "\n")


def _end(environment: Any, **_: Any) -> None:
    """A test is over: waits for the last reports of the workers that are still there."""
    gathered.ended = time.time()
    runner = environment.runner
    for worker in _awaited(runner):
        runner.send_message("stop", client_id=worker)
    until = time.monotonic() + LAST_REPORTS_S
    while _awaited(runner) and time.monotonic() < until:
        gevent.sleep(LOOK_S)
    _tell()
    _write()  # whatever Locust's own reports meet
    gevent.sleep(CSV_STATS_INTERVAL_SEC + LOOK_S)  # Locust's own files are to have the last reports too
    html = gathered.options.get("html_file")
    if html:  # Locust itself writes none when it is told to end
        page = get_html_report(environment, show_download_link=False)  # type: ignore[no-untyped-call]
        Path(html).write_text(page, encoding="utf-8")


def _awaited(runner: Any) -> list[str]:
    """Workers whose last report is still to come. One that stops is unknown to Locust for a moment."""
    gone = {client.id for client in runner.clients.missing}
    return [w for w, part in gathered.parts.items() if not part.final and w in runner.clients and w not in gone]


def _write() -> None:
    path = gathered.options.get("fotasim_report")
    if path:
        Path(path).write_text(gathered.to_json(), encoding="utf-8")


def _quit(**_: Any) -> None:
    _write()
    for line in gathered.faults():
        logger.warning(line)


_LISTENERS: dict[str, Any] = {
    "init_command_line_parser": _options, "init": _remember, "test_start": _begin, "worker_report": _take,
    "test_stop": _end, "quit": _quit,
}  # fmt: skip
for _name, _listener in _LISTENERS.items():
    _hook: Any = getattr(events, _name)
    _hook.add_listener(_listener)
