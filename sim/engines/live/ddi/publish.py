"""From a scenario's plan to a rollout that runs on a DDI server, or to the list of what that server cannot hold."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha512
from typing import Any

from sim.cloud_kinds.adapter import Published
from sim.engines.live.ddi import goosebit_api, hawkbit_bodies
from sim.engines.live.ddi.control import MANAGEMENT, Control, control_of
from sim.engines.live.ddi.ddi_target import PASSWORD, TARGET_TOKEN, USER, ddi_target
from sim.engines.live.ddi.publication import Publication, publication_of, refuse_losses
from sim.engines.live.json_documents import as_documented
from sim.engines.live.publishing import DEFAULTS, How
from sim.engines.world.build import build
from sim.errors import FotasimError, InputError
from sim.scenario import Scenario
from sim.scenario.imports.findings import Loss

HIDDEN = "***"


class DdiControlSide:
    """See ControlSide; for the servers of `control.SERVERS`."""

    def requests(self, scenario: Scenario, how: How, tell: Callable[[str], None]) -> list[dict[str, Any]]:
        """See ControlSide."""
        how = _with_token(how)
        publication = prepared(scenario)
        if not how.accept_losses:
            refuse_losses(publication.losses, how.file)
        for line in told(publication, tuple(publication.losses)):
            tell(line)
        return requests_of(publication, scenario.cloud.server or "", register=how.register, token=how.token)

    async def publish(self, scenario: Scenario, url: str, how: How, tell: Callable[[str], None]) -> Published:
        """See ControlSide."""
        return await publish(scenario, url, _with_token(how), tell)


def _with_token(how: How) -> How:
    return replace(how, token=os.environ.get(TARGET_TOKEN, ""))


def prepared(scenario: Scenario) -> Publication:
    """What would be published, without asking the server."""
    world = build(scenario)
    return publication_of(scenario, [m.name for m in world.modules], packages_of(scenario), world.fleet.hardware)


async def publish(scenario: Scenario, url: str, how: How = DEFAULTS, tell: Callable[[str], None] = print) -> Published:
    """Uploads what the plan needs, creates its rollout, reads it back and starts it; `tell` hears of it before.

    ScenarioError naming every setting that the server cannot hold, FotasimError where it stored another rollout: that one
    is not started.
    """
    section = scenario.cloud
    target = ddi_target(url, section.tenant, section.server or "", how.limits)
    publication = prepared(scenario)
    if not how.accept_losses:
        refuse_losses(publication.losses, how.file)
    control = control_of(target, target.ssl_context(how.ca_file))
    if control is None:
        raise InputError(f"cloud.server must be hawkbit or goosebit, and {USER} and {PASSWORD} its login")
    async with control:
        with as_documented(MANAGEMENT):
            return await _published(control, publication, section.server or "", how, tell)


async def _published(
    control: Control, publication: Publication, server: str, how: How, tell: Callable[[str], None]
) -> Published:
    """Publishes at a server that is logged in to."""
    losses = (*publication.losses, *await control.differences(publication))
    if not how.accept_losses:
        refuse_losses(losses, how.file)
    for line in told(publication, losses):
        tell(line)
    if how.register or server == "hawkbit":
        await control.register(publication, how.token)
    return Published(await _roll_out(control, publication), losses)


async def _roll_out(control: Control, publication: Publication) -> int:
    package = await control.upload(publication)
    rollout = await control.create(publication, package)
    differences = await control.stored(publication, rollout)
    if differences:
        listed = "; ".join(differences)
        raise FotasimError(f"rollout {rollout} is created and not started, the server stored another one: {listed}")
    await control.start(rollout)
    return rollout


def told(publication: Publication, losses: tuple[Loss, ...]) -> Iterator[str]:
    """What a person should know before anything is sent."""
    yield f"{publication.name}: {len(publication.targets):,} targets"
    for group in publication.groups:
        yield f"  group {group.name}: {group.targets:,} targets"
    for note in publication.notes:
        yield f"  {note}"
    for loss in losses:
        yield f"LOST {loss}"


def requests_of(publication: Publication, server: str, *, register: bool, token: str) -> list[dict[str, Any]]:
    """The requests that create something, in order, without secrets; numbers the server will give stand in < >."""
    if server == "goosebit":
        return _goosebit_requests(publication, register=register, token=token)
    hidden = HIDDEN if token else ""
    found = [
        _request(
            "POST", "/rest/v1/targets", [hawkbit_bodies.target(publication, n, hidden) for n in publication.targets]
        )
    ]
    numbers = []
    for release in publication.releases:
        number = f"<{release.component}>"
        numbers.append(number)
        found.append(
            _request("POST", "/rest/v1/softwaremodules", [hawkbit_bodies.software_module(publication, release)])
        )
        found.append(_request("POST", f"/rest/v1/softwaremodules/{number}/artifacts", {
            "file": hawkbit_bodies.artifact_name(release), "bytes": len(release.data), "sha256": release.sha256,
        }))  # fmt: skip
    found.append(_request("POST", "/rest/v1/distributionsets", [hawkbit_bodies.distribution_set(publication, numbers)]))
    found.append(_request("POST", "/rest/v1/rollouts", hawkbit_bodies.rollout(publication, "<distribution set>", 0)))
    found.append(_request("POST", "/rest/v1/rollouts/<rollout>/start", None))
    return found


def _goosebit_requests(publication: Publication, *, register: bool, token: str) -> list[dict[str, Any]]:
    own = {"auth_token": HIDDEN} if token else {}
    release = publication.releases[0]
    found = [
        _request("PUT", "/api/v1/devices", {"devices": [n], "feed": goosebit_api.FEED, "software": "rollout", **own})
        for n in (publication.targets if register else ())
    ]
    artifact = {"file": hawkbit_bodies.artifact_name(release), "bytes": len(release.data), "sha256": release.sha256}
    found.append(_request("PUT", "/api/v1/software", artifact))
    found.append(_request("PUT", "/api/v1/rollouts", goosebit_api.rollout_body(publication, "<software>")))
    return found


def _request(method: str, path: str, body: Any) -> dict[str, Any]:
    return {"method": method, "path": path, "body": body}


def packages_of(scenario: Scenario) -> dict[str, bytes]:
    """The package of each component: its file, or bytes of its size that do not repeat from one component to the next."""
    found = {}
    for component in scenario.plan.components:
        if component.file is not None:
            found[component.component] = component.file.read_bytes()
        else:
            block = sha512(f"{component.component} {component.target_version}".encode()).digest()
            found[component.component] = (block * (component.total_size // len(block) + 1))[: component.total_size]
    return found
