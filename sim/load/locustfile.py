"""For the Locust master: `locust --master -f …`. Its users are modules that native workers carry.

The master adds up its own statistics; beside them this file merges the workers' histograms, notes who went missing and
whose generator was the bottleneck, and writes `--fotasim-report FILE` at the end.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from locust import User, constant, events

from sim.load.merge import Gathered

logger = logging.getLogger(__name__)
gathered = Gathered()


class Module(User):
    """Stands for a module of the scenario; the worker knows which."""

    wait_time = constant(1)


def _options(parser: Any) -> None:
    parser.add_argument("--fotasim-report", default="", help="Write merged histograms and the workers' health here.")


def _begin(**_: Any) -> None:
    gathered.clear()


def _take(client_id: str, data: dict[str, Any], **_: Any) -> None:
    gathered.take(client_id, data)


def _write(**_: Any) -> None:
    path = gathered.options.get("fotasim_report")
    if path:
        Path(path).write_text(gathered.to_json(), encoding="utf-8")
    for line in gathered.faults():
        logger.warning(line)


def _remember(environment: Any, **_: Any) -> None:
    gathered.options = vars(environment.parsed_options) if environment.parsed_options else {}


events.init_command_line_parser.add_listener(_options)
events.init.add_listener(_remember)
events.test_start.add_listener(_begin)
events.worker_report.add_listener(_take)
events.quit.add_listener(_write)
