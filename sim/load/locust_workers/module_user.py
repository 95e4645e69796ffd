"""`ModuleUser`: a Locust user that is a module, for any locustfile. The gevent side; asyncio never runs beside it.

It suits hundreds of modules among other users; the native worker carries tens of thousands.
"""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from locust import User, constant, task

from sim.engines.live import failure_reasons
from sim.engines.live.fetch import check_url
from sim.engines.live.json_documents import mapping, parsed
from sim.engines.live.live_target import TOKEN, Limits, Target, checked_url, target_of
from sim.engines.world.build import World, build
from sim.errors import FotasimError, RemoteProtocolError
from sim.load.locust_workers.blocking_module import BlockingModule
from sim.load.locust_workers.worker_protocol import METHOD
from sim.scenario import Scenario

TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 1 << 20
_first = threading.Lock()
"""The first user builds, the others of its process wait; Locust has made it a lock of greenlets."""


class ModuleUser(User):
    """Subclass it in a locustfile and set `scenario`; `host` is the cloud, http(s)://… or mqtt(s)://….

    Every leg of an upgrade is a Locust request of type OTA. A user is one module of the scenario's fleet, the next one
    that is free; with several workers each takes its share by `workers`.
    """

    abstract = True
    wait_time = constant(1)
    scenario: ClassVar[str] = ""
    time_scale: ClassVar[float] = 1.0
    allow: ClassVar[tuple[str, ...]] = ()
    workers: ClassVar[int] = 1
    plan: ClassVar[int | None] = None
    _world: ClassVar[World | None] = None
    _target: ClassVar[Target | None] = None
    _numbers: ClassVar[count[int]]
    _module: BlockingModule

    def on_start(self) -> None:
        """Takes a module; the first user of a process builds the fleet and finds the cloud."""
        kind, limits = type(self), Limits(self.allow, 1.0)
        with _first:
            if kind._world is None or kind._target is None:
                kind._target, kind._numbers = find(self.host or "", limits, self.plan), count()
                kind._world = build(_spoken(Scenario.load(Path(self.scenario))))
        world, index = kind._world, max(getattr(self.environment.runner, "worker_index", 0), 0)
        number = (index + self.workers * next(kind._numbers)) % len(world.modules)
        firmware = next((c.component for c in world.scenario.plan.components if c.type == "firmware"), "")
        self._module = BlockingModule(
            world.modules[number], kind._target, firmware, self._measured, time_scale=self.time_scale
        )
        self._module.allow(lambda url: check_url(url, limits))

    @task
    def live(self) -> None:
        """The module's life, until Locust stops the user."""
        self._module.run()

    def on_stop(self) -> None:
        """Takes leave of the cloud."""
        self._module.stopped = True
        self._module.run()

    def _measured(self, leg: str, seconds: float | None, reason: str) -> None:
        failed = None if seconds is not None else FotasimError(reason)
        self.environment.events.request.fire(
            request_type=METHOD, name=leg, response_time=None if seconds is None else 1000.0 * seconds,
            response_length=0, exception=failed, context={},
        )  # fmt: skip


def _spoken(scenario: Scenario) -> Scenario:
    """The scenario, if its cloud is one that these users can talk to."""
    kind = scenario.cloud.kind
    if not scenario.cloud.adapter.speaks_quecthing:
        raise FotasimError(
            f"cloud.kind {kind}: ModuleUser speaks to the Developer Center; `fotasim load` carries modules of other clouds"
        )
    return scenario


def find(cloud: str, limits: Limits, plan: int | None) -> Target:
    """The target behind a URL, asked for over plain blocking HTTP."""
    url = checked_url(cloud, ("http", "https", "mqtt", "mqtts"))
    assert url.hostname is not None
    limits.check(url.hostname)
    if url.scheme.startswith("mqtt"):
        return target_of(cloud, api=None, found={} if plan is None else {"plan": plan}, limits=limits)
    token = os.environ.get(TOKEN, "")
    address = f"{cloud.rstrip('/')}/api/v1/live" + ("" if plan is None else f"?plan_id={plan}")
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            found = mapping(parsed(answer.read(MAX_ANSWER_BYTES)), "the answer")
    except urllib.error.HTTPError as error:
        raise FotasimError(f"{address}: the cloud answered HTTP {error.code}") from None
    except RemoteProtocolError as error:
        raise FotasimError(f"{address}: the cloud's answer cannot be used: {error}") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        words = failure_reasons.of_error(reason) if isinstance(reason, OSError) else str(reason)
        raise FotasimError(f"{address}: the cloud cannot be asked: {words}") from None
    named = f"{address}: mqtt in the cloud's answer"
    return target_of(str(found.get("mqtt", "")), api=cloud, found=found, limits=limits, what=named)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token goes to the cloud alone, wherever that points."""

    def redirect_request(self, *_: Any) -> None:
        """See HTTPRedirectHandler: the redirect itself is the answer."""


_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
"""Straight to the cloud."""


__all__ = ["ModuleUser"]
