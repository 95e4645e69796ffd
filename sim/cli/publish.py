"""The command publish: a scenario's plan becomes a rollout on a hawkBit or goosebit server."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sim.cli.common import AsJson, Overrides, ScenarioPath, app, fail, load_scenario, say, with_options
from sim.cli.live import Allowed, Certificates, Modules, RateCap, Seed, rate_of

ServerUrl = Annotated[
    str | None,
    typer.Option(
        "--cloud", envvar="FOTASIM_CLOUD", help="http(s)://… of the server; default: the scenario's cloud.url."
    ),
]
Register = Annotated[bool, typer.Option("--register", help="Create the targets first (hawkBit: always done).")]


Accept = Annotated[
    bool, typer.Option("--accept-losses", help="Publish without what the server cannot hold, and name it.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the requests (JSON) and send nothing.")]


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
    accept_losses: Accept = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Publish a scenario's plan on a hawkBit or goosebit server and start its rollout there.

    Group sizes are shown first, as the server will cut them. A setting that the server cannot hold stops the command
    (exit 2), a rollout that it stored otherwise is not started (exit 3). Ends once the rollout runs. Login from
    FOTASIM_DDI_USER and FOTASIM_DDI_PASSWORD. Targets made here get FOTASIM_DDI_TARGET_TOKEN as their security token. A
    package is the component's file, or made-up bytes of its size. Run the fleet with `fotasim live` then.
    """
    import asyncio

    from sim.engines.live.live_target import Limits
    from sim.engines.live.publishing import How

    loaded = load_scenario(scenario, with_options(set_, seed, modules))
    url = cloud or loaded.cloud.url
    control = loaded.cloud.adapter.control(loaded.cloud.server)
    if control is None:
        fail("publish: a scenario with cloud.kind ddi and cloud.server hawkbit or goosebit is needed")
    how = How(
        Limits(tuple(allow), None if rate_cap is None else rate_of("--rate-cap", rate_cap)),
        register=register,
        ca_file=None if ca is None else str(ca),
        accept_losses=accept_losses,
        file=str(scenario),
    )
    if dry_run:
        print(json.dumps(control.requests(loaded, how, say), indent=2))
        return
    if url is None:
        fail("--cloud: the server's URL is needed, there or as cloud.url")
    found = asyncio.run(control.publish(loaded, url, how, say))
    if as_json:
        print(json.dumps({"rollout": found.rollout, "losses": [loss.as_dict() for loss in found.losses]}))
    else:
        print(f"rollout {found.rollout} runs at {url}: {loaded.plan.name}")
