"""The command import: a plan file of a real product as a strategy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.common import AsJson, app


@app.command("import")
def import_(
    plan: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="JSON of `aws iot describe-job` or create-job, or of a hawkBit rollout."),
    ],
    as_json: AsJson = False,
) -> None:
    """Turn a plan of AWS IoT Jobs or hawkBit into a strategy; list what cannot be carried over."""
    from sim.scenario import imports

    imported = imports.read_plan(plan)
    if as_json:
        print(json.dumps({
            "product": imported.product, "title": imported.title, "strategy": imported.strategy,
            "notes": imported.notes,
        }))  # fmt: skip
    else:
        print(imports.to_yaml(imported, plan.name), end="")
    for note in imported.notes:
        print(f"fotasim: {note}", file=sys.stderr)
