"""The command publish: a scenario's plan becomes a rollout on a hawkBit or goosebit server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sim.cli.common import AsJson, Overrides, ScenarioPath, app, fail, load_scenario, with_options
from sim.cli.live import Allowed, Certificates, Modules, RateCap, Seed, rate_of

ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--cloud", envvar="FOTASIM_CLOUD", help="http(s)://… of the server; default: the scenario's cloud.url."
    ),
]
Register = Annotated[bool, typer.Option("--register", help="Create the targets first (hawkBit: always done).")]


@app.command()
def publish(
    scenario: ScenarioPath,
    cloud: ServerUrl = None,
    register: Register = False,
    modules: Modules = None,
    allow: Allowed = [],  # noqa: B006 - typer copies it
    rate_cap: RateCap = None,
    ca: Certificates = None,
    set_: Overrides = [],  # noqa: B006
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Publish a scenario's package on a hawkBit or goosebit server and start its rollout there.

    Login from FOTASIM_DDI_USER and FOTASIM_DDI_PASSWORD. Targets made here get FOTASIM_DDI_TARGET_TOKEN as their security
    token. The package is the component's file, or made-up bytes of its size. Run the fleet with `fotasim live` then.
    """
    import asyncio
    import os

    from sim.engines.live.ddi import publish as publishing
    from sim.engines.live.ddi.ddi_target import TARGET_TOKEN
    from sim.engines.live.live_target import Limits

    loaded = load_scenario(scenario, with_options(set_, seed, modules))
    url = cloud or loaded.cloud.url
    if loaded.cloud.kind != "ddi" or loaded.cloud.server is None:
        fail("publish: a scenario with cloud.kind ddi and cloud.server hawkbit or goosebit is needed")
    if url is None:
        fail("--cloud: the server's URL is needed, there or as cloud.url")
    limits = Limits(tuple(allow), None if rate_cap is None else rate_of("--rate-cap", rate_cap))
    token = os.environ.get(TARGET_TOKEN, "")
    rollout = asyncio.run(
        publishing.publish(
            loaded,
            url,
            publishing.packages_of(loaded),
            limits=limits,
            token=token,
            register=register,
            ca_file=None if ca is None else str(ca),
        )
    )
    print(json.dumps({"rollout": rollout}) if as_json else f"rollout {rollout} started at {url}: {loaded.plan.name}")
