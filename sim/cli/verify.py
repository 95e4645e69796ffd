"""The command verify: an archived folder against its hashes, its signature, its tables, and the run made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.common import AsJson, app, fail, say
from sim.exit_status import ExitStatus
from sim.report.show import plural


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of any kind that fotasim wrote.")],
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Run the scenario again as well, and compare the records.")
    ] = False,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Ed25519 public key (PEM) that must have signed the folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check an archived folder: every file against its hash, the signature, and a run's figures against its tables.

    Exit status 3 when anything is not as it was written, or when the repeated run leaves other records.
    """
    from sim.engines.verification import check_folder, made_again
    from sim.records import Run

    found = check_folder(folder, public_key)
    if repeat and found["kind"] != "run":
        fail(f"--repeat is for run folders; {folder} holds a {found['kind']}")
    apart: list[str] | None = None
    if repeat:
        run = Run.load(folder)
        if run.manifest["engine"] not in ("simpy", "compiled"):
            fail(f"--repeat is for simulated runs; {folder} holds one of engine {run.manifest['engine']}")
        apart = made_again(run, say)
    _tell(folder, found, apart, as_json)
    if found["findings"] or apart:
        raise typer.Exit(ExitStatus.RUN_FAILED)


def _tell(folder: Path, found: dict[str, Any], apart: list[str] | None, as_json: bool) -> None:
    if as_json:
        listed = [{"file": f.file, "what": f.what} for f in found["findings"]]
        print(json.dumps({**found, "findings": listed, "repeated": None if apart is None else {"differs": apart}}))
        return
    signed = f", signed by {found['signed_by']}" if found["signed_by"] else ", not signed"
    figures = f", {plural(found['figures'], 'figure')} recomputed from the tables" if found["figures"] else ""
    word = "NOT AS IT WAS WRITTEN" if found["findings"] else "verified"
    print(f"{folder}: {word}: {plural(found['files'], 'file')}{figures}{signed}")
    for finding in found["findings"]:
        print(f"  {finding.file}: {finding.what}")
    if apart is not None:
        print("  run again: the same records" if not apart else "  run again: NOT the same records")
        for line in apart:
            print(f"    {line}")
