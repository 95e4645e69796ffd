"""The command cloud: the mock Developer Center as a server, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import AsJson, Overrides, app, fail, load_scenario, needs_extra, option_value
from sim.exit_status import ExitStatus
from sim.units import duration

if TYPE_CHECKING:
    from sim.service.faults import Faults
    from sim.service.server import Options, Server

TOKEN = "FOTASIM_TOKEN"
BROKER_PASSWORD = "FOTASIM_BROKER_PASSWORD"
MIN_TOKEN_CHARS = 16


@app.command()
def cloud(
    mqtt: Annotated[int, typer.Option(min=0, max=65535, help="MQTT port; 0 takes a free one.")] = 1883,
    http: Annotated[int, typer.Option(min=0, max=65535, help="HTTP port; 0 takes a free one.")] = 8080,
    broker: Annotated[str | None, typer.Option(metavar="URL", help="Serve behind this broker instead: mqtt://[USER@]HOST:PORT; its password from FOTASIM_BROKER_PASSWORD.")] = None,
    db: Annotated[str | None, typer.Option(metavar="URL", help="Store: sqlite:///FILE or postgresql://USER@HOST/NAME.")] = None,
    data: Annotated[Path, typer.Option(help="Folder of packages and of the SQLite store.")] = Path("fotasim-cloud"),
    scenario: Annotated[Path | None, typer.Option(help="Load product, versions and plan of a scenario.")] = None,
    set_: Overrides = [],  # noqa: B006 - typer copies it
    activate: Annotated[bool, typer.Option("--activate", help="Activate the scenario's plan at once.")] = False,
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Allow an address that others can reach.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM): MQTT and HTTP speak TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    link_lifetime: Annotated[str, typer.Option(help="How long a download link is good.")] = "24h",
    time_scale: Annotated[float, typer.Option(min=0.001, max=1e6, help="Let the plan's clock run this much faster.")] = 1.0,
    fault: Annotated[list[str], typer.Option(metavar="NAME=VALUE", help="Inject a fault, like wrong_md5=0.01.")] = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run the mock Developer Center: MQTT endpoint, HTTP API, downloads, web console."""
    with needs_extra("cloud"):
        from sim.service.server import Options
    given = os.environ.get(TOKEN)
    if given is not None and len(given) < MIN_TOKEN_CHARS:
        fail(f"{TOKEN} must have at least {MIN_TOKEN_CHARS} characters")
    if activate and scenario is None:
        fail("--activate needs --scenario")
    options = Options(
        data, _without_password(db, "--db", "PGPASSWORD"), listen, allow_remote, mqtt, http, _broker_url(broker), tls_cert, tls_key,
        link_lifetime_s=option_value(f"--link-lifetime {link_lifetime}", link_lifetime, duration), time_scale=time_scale, faults=_faults(fault),
        **({"token": given} if given is not None else {}),
    )  # fmt: skip
    loaded = load_scenario(scenario, set_) if scenario else None
    status = _loop()(_serve(options, loaded, activate, as_json, given is None))
    raise typer.Exit(status)


def _without_password(url: str | None, option: str, variable: str) -> str | None:
    """A URL as given; refused with a password in it, which every user of this machine could read."""
    from urllib.parse import urlsplit

    try:
        password = urlsplit(url).password if url else None
    except ValueError as error:
        fail(f"{option}: {error}")
    if password:
        fail(f"{option}: arguments can be read by others on this machine; put the password into {variable} instead")
    return url


def _broker_url(url: str | None) -> str | None:
    """The broker's URL with the password from the environment."""
    from urllib.parse import quote, urlsplit

    _without_password(url, "--broker", BROKER_PASSWORD)
    given = os.environ.get(BROKER_PASSWORD)
    if not url or not given:
        return url
    parts = urlsplit(url)
    if not parts.username:
        fail(f"{BROKER_PASSWORD} is set, but --broker names no user: write mqtt://USER@HOST:PORT")
    return parts._replace(netloc=f"{parts.username}:{quote(given, safe='')}@{parts.netloc.rpartition('@')[2]}").geturl()


def _faults(given: list[str]) -> Faults:
    from pydantic import ValidationError

    from sim.service.faults import Faults

    pairs = dict(entry.partition("=")[::2] for entry in given)
    try:
        return Faults.model_validate(pairs)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fail(f"--fault {'.'.join(map(str, first['loc']))}: {first['msg']}; known: {', '.join(Faults.model_fields)}")


def _loop() -> Any:
    """uvloop's runner where it is installed."""
    import asyncio

    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.run
    return uvloop.run


async def _serve(options: Options, scenario: Any, activate: bool, as_json: bool, new_token: bool) -> ExitStatus:
    """Serves until Ctrl-C or SIGTERM; which of them, as an exit status."""
    import asyncio

    from sim.service.server import running

    stop, ended = asyncio.Event(), [ExitStatus.INTERRUPTED]

    def end(status: ExitStatus) -> None:
        ended[0] = status
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, end, ExitStatus.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, end, ExitStatus.TERMINATED)
    async with running(options) as server:
        plan = await _load(server, scenario, activate) if scenario is not None else None
        _tell(server, plan, as_json, new_token)
        watching = asyncio.ensure_future(server.watch())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if watching.done():
            await watching
            return ExitStatus.RUN_FAILED
        watching.cancel()
        return ended[0]


async def _load(server: Server, scenario: Any, activate: bool) -> int:
    import asyncio

    from sim.service.loader import load

    plan = await asyncio.to_thread(load, server.cloud, scenario)
    if activate and plan not in server.cloud.rollouts.running:
        await server.cloud.rollouts.activate(plan)
    return plan


def _tell(server: Server, plan: int | None, as_json: bool, new_token: bool) -> None:
    cloud = server.cloud
    if as_json:
        shown = {"http": cloud.http_url, "mqtt": cloud.mqtt_url, "plan": plan}
        print(json.dumps({**shown, **({"token": cloud.token} if new_token else {})}), flush=True)
        return
    print(f"console  {cloud.http_url}")
    print(f"mqtt     {cloud.mqtt_url}")
    if plan is not None:
        print(f"plan     {cloud.http_url}/plans/{plan}")
    print(f"token    {cloud.token if new_token else 'as in ' + TOKEN}")
    kept = "the database" if server.options.db else server.options.data
    print(f"Ctrl-C stops it; its state stays in {kept}", flush=True)
