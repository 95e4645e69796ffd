"""For the Locust master: `locust --master -f …`. Its users are modules that native workers carry.

The master adds up its own statistics; beside them this file merges the workers' histograms, notes who went missing and
whose generator was the bottleneck, and writes `--fotasim-report FILE` at the end.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from locust import User, constant, events, task

from sim.load.merge import Gathered

logger = logging.getLogger(__name__)
gathered = Gathered()


class Module(User):
    """Stands for a module of the scenario; the worker knows which."""

    wait_time = constant(1)
    host = "the cloud of the workers"

    @task
    def live(self) -> None:
        """Lived by the worker."""


def _options(parser: Any) -> None:
    for name, text in (
        ("report", "Write merged histograms and the workers' health here."), ("progress", "Append lines of JSON here."),
    ):  # fmt: skip
        parser.add_argument(f"--fotasim-{name}", default="", help=text, include_in_web_ui=False)


def _begin(**_: Any) -> None:
    gathered.clear()


def _take(client_id: str, data: dict[str, Any], **_: Any) -> None:
    gathered.take(client_id, data)
    path = gathered.options.get("fotasim_progress")
    if path and gathered.is_due():
        with Path(path).open("a", encoding="utf-8") as lines:
            lines.write(gathered.progress() + "\n")


def _write(**_: Any) -> None:
    path = gathered.options.get("fotasim_report")
    if path:
        Path(path).write_text(gathered.to_json(), encoding="utf-8")
    for line in gathered.faults():
        logger.warning(line)


def _remember(environment: Any, **_: Any) -> None:
    gathered.options = vars(environment.parsed_options) if environment.parsed_options else {}


_LISTENERS: dict[str, Any] = {
    "init_command_line_parser": _options, "init": _remember, "test_start": _begin, "worker_report": _take,
    "quit": _write,
}  # fmt: skip
for _name, _listener in _LISTENERS.items():
    _hook: Any = getattr(events, _name)
    _hook.add_listener(_listener)
