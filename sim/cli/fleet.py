"""The command fleet: a scenario drafted from a list of devices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.common import KEPT, app, fail
from sim.exit_status import ExitStatus


@app.command("fleet")
def draft_fleet(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="List of devices: CSV, Excel, Parquet, JSON, or an export of hawkBit, AWS, ThingsBoard; also .gz.")],
    out: Annotated[Path | None, typer.Option(help="Scenario to write; default NAME.yaml in this folder.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Sheet of an Excel file, when several have a table.")] = None,
) -> None:  # fmt: skip
    """Draft a scenario from a list of devices: guess columns and units, and say what is not certain.

    Edit the file, then `fotasim validate` shows what is read from the devices.
    """
    from sim.errors import FleetFileError
    from sim.scenario import Scenario
    from sim.scenario.fleet_files.draft import draft, to_yaml
    from sim.scenario.fleet_files.overview import lines, overview, printable

    made = draft(file, sheet)
    target = out or Path(f"{file.name.split('.')[0] or 'fleet'}.yaml")
    if target.exists():
        fail(f"{target} exists: give another file with --out")
    target.write_text(to_yaml(made, target.parent), encoding="utf-8")
    KEPT.append(target)
    print(f"{target}: a scenario for {made.raw.rows:,} rows of {file}; edit its plan (target_version, size)")
    for line in made.unsure:
        print(printable(f"  not certain: {line}"), file=sys.stderr)
    try:
        for found in overview(Scenario.load(target)):
            print("\n".join(lines(found)))
    except FleetFileError as error:
        print(error, file=sys.stderr)
        print(
            f"fotasim: the mapping is written; the faults above stop it: fix the file, or edit {target}",
            file=sys.stderr,
        )
        raise typer.Exit(ExitStatus.WRONG_INPUT) from None
