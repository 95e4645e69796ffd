"""The command `fotasim doctor`: what this host can carry, the kinds of clouds it knows, the compiled engine made ready."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import AsJson, app, fail, option_value, say
from sim.units import size

if TYPE_CHECKING:
    from sim.load.this_host.limits import Host


Measure = Annotated[
    bool, typer.Option("--measure", help="Measure what a module costs here, against a mock cloud on loopback (20 s).")
]


Package = Annotated[str, typer.Option("--package", help="Size of the package that an upgrade downloads.")]


@app.command()
def doctor(measure: Measure = False, package: Package = "400 kB", as_json: AsJson = False) -> None:
    """Check this host and compile the engine, so that the first run need not wait for it.

    Lists the kinds of clouds a scenario may name, fotasim's own and those of installed packages, and the installed plug-ins.
    With --measure what a module costs in memory and CPU is measured, and remembered: figures of a load run then rest on
    this host's own.
    """
    from sim import plugins
    from sim.cloud_kinds import registry
    from sim.engines import compile_ahead

    other = compile_ahead.running()
    if other is not None and not as_json:
        print(f"compiled engine: process {other} compiles it in the background")
    engine, host = _engine(as_json), _host(measure=measure, quiet=as_json, package_bytes=_size(package))
    clouds = registry.installed()
    plugged = [
        {"entry_point": point.name, "python": point.value, "package": plugins.origin(point)}
        for point in plugins.installed()
    ]
    if as_json:
        shown = None if host is None else host.as_dict()
        print(json.dumps({
            "python": platform.python_version(), "cores": os.cpu_count(), "engine": engine, "load": shown,
            "clouds": [asdict(row) for row in clouds], "plugins": plugged, "compiling_process": other,
        }))  # fmt: skip
        return
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    if engine["ready"]:
        kept = engine["kept_in"] or "memory only: no folder can be written, so each run compiles anew"
        print(f"compiled engine: ready after {engine['seconds']:.1f} s, kept in {kept}")
    else:
        print(f"compiled engine: not available ({engine['reason']}); runs use SimPy")
    for row in clouds:
        state = f"CANNOT BE USED: {row.trouble}" if row.trouble else row.title
        print(f"cloud.kind {row.kind}: {state} ({row.origin})")
    for point in plugged:
        print(f"plug-in {point['entry_point']}: {point['python']} ({point['package']})")
    lines = ["load: not looked at: pip install 'fotasim[load]'"] if host is None else host.lines()
    print("\n".join(lines))


def _size(text: str) -> float:
    found = option_value(f"--package {text}", text, size)
    if found <= 0:
        fail(f"--package {text}: a package has at least one byte")
    return found


def _host(*, measure: bool, quiet: bool, package_bytes: float) -> Host | None:
    """What a live or load run finds here; None without the extra that looks, or where no load can be run."""
    try:
        import psutil  # noqa: F401 - the extra

        from sim.engines.compiled.code_folder import cache_folder
        from sim.load.this_host.limits import look
        from sim.load.this_host.module_cost import keep, known
    except ModuleNotFoundError:
        return None

    if measure:
        from sim.load.this_host.measurement import measure as measured

        keep(measured(say if not quiet else lambda _: None), cache_folder())
    return look(known(cache_folder()), package_bytes)


def _engine(quiet: bool) -> dict[str, Any]:
    """Makes the compiled engine ready and says how long it took and where it is kept."""
    from sim.engines.compiled.code_folder import cache_folder
    from sim.engines.run import driver_for
    from sim.errors import EngineUnavailable

    started = time.perf_counter()
    try:
        driver_for("compiled", None if quiet else say)
    except EngineUnavailable as error:
        return {"ready": False, "reason": error.args[0]}
    folder = cache_folder()
    return {"ready": True, "seconds": time.perf_counter() - started, "kept_in": None if folder is None else str(folder)}
