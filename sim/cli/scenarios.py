"""The commands scenarios and new: what comes with fotasim, and a copy of it to edit."""

from __future__ import annotations

import json
import shutil
import textwrap
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.common import KEPT, AsJson, app, fail


@app.command("scenarios")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the scenarios that come with fotasim; `fotasim new NAME` writes one to edit."""
    from sim.scenario import library

    found = library.listed()
    if as_json:
        print(json.dumps(found))
        return
    width = max(map(len, found))
    for name, purpose in found.items():
        first, *rest = textwrap.wrap(purpose, 96 - width) or [""]
        print(f"{name:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in rest), sep="\n")


@app.command("new")
def write_scenario(
    name: Annotated[str, typer.Argument(help="A scenario of `fotasim scenarios`, or a part of its name: meters, vehicles.")] = "quickstart",
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write it.")] = Path(),
) -> None:  # fmt: skip
    """Write a commented scenario to edit, and the schema by which editors complete it."""
    from sim.scenario import library

    source = library.find(name)
    target = directory / source.name
    if target.exists():
        fail(f"{target} exists: name another directory, or remove it")
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    KEPT.append(target)
    if not (directory / library.SCHEMA).exists():
        shutil.copyfile(source.parent / library.SCHEMA, directory / library.SCHEMA)
    print(f"{target}: edit it, then `fotasim validate {target}` and `fotasim run {target}`")
