"""The command verify: an archived folder against its hashes, its signature, its tables, and the run made again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import AllowPlugins, AsJson, app, fail, say
from sim.exit_status import ExitStatus
from sim.report.show import plural

if TYPE_CHECKING:
    from sim.engines.verification import Again


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of any kind that fotasim wrote.")],
    repeat: Annotated[
        bool, typer.Option("--repeat", help="Make the run or study again as well, and compare the records.")
    ] = False,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Ed25519 public key (PEM) that must have signed the folder.")
    ] = None,
    allow_plugins: AllowPlugins = False,
    as_json: AsJson = False,
) -> None:
    """Check an archived folder: files against their hashes, the signature, its figures and report, worked out again.

    Exit status 3 when anything is not as it was written, or when the repeated run leaves other records.
    """
    del allow_plugins  # its callback has done it
    from sim.cli.result_folders import figures_by_kind, report_as_made
    from sim.engines.verification import check_folder

    found = check_folder(folder, public_key, figures_by_kind(), report_as_made)
    again = _again(folder, found["kind"]) if repeat else None
    _tell(folder, found, again, as_json)
    if found["findings"] or (again is not None and again.differs):
        raise typer.Exit(ExitStatus.RUN_FAILED)


def _again(folder: Path, kind: str) -> Again:
    """The result made again; wrong use for what met a real cloud, which does not repeat."""
    from sim.engines.verification import made_again
    from sim.records import KINDS, Run

    if kind in ("comparison", "sweep", "tune", "sensitivity"):
        from sim.study.made_again import study_made_again

        return study_made_again(folder)
    if kind != "run":
        fail(f"--repeat is for simulated runs and studies; {folder} holds a {KINDS[kind]}")
    run = Run.load(folder)
    if run.manifest["engine"] not in ("simpy", "compiled"):
        fail(f"--repeat is for simulated runs; {folder} holds one of engine {run.manifest['engine']}")
    return made_again(run, say)


def _tell(folder: Path, found: dict[str, Any], again: Again | None, as_json: bool) -> None:
    if as_json:
        listed = [{"file": f.file, "what": f.what} for f in found["findings"]]
        print(json.dumps({**found, "findings": listed, "repeated": None if again is None else asdict(again)}))
        return
    signed = f", signed by {found['signed_by']}" if found["signed_by"] else ", not signed"
    figures = f", {plural(found['figures'], 'figure')} worked out again" if found["figures"] else ""
    word = "NOT AS IT WAS WRITTEN" if found["findings"] else "verified"
    print(f"{folder}: {word}: {plural(found['files'], 'file')}{figures}{signed}")
    for finding in found["findings"]:
        print(f"  {finding.file}: {finding.what}")
    for text in found["not_checked"]:
        print(f"  not checked: {text}")
    if again is not None:
        print("  run again: the same records" if not again.differs else "  run again: NOT the same records")
        for line in again.differs:
            print(f"    {line}")
        for line in again.changed:
            print(f"    changed since: {line}")
