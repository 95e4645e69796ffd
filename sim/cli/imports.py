"""The commands import and export: a plan file of a real product as a strategy, and a strategy as such a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.common import AsJson, Overrides, ScenarioPath, app, fail, load_scenario
from sim.errors import Problem, ScenarioError

Dialect = Annotated[
    str,
    typer.Option(
        "--dialect", metavar="NAME", help="The product, where the file fits several; a wrong name lists them."
    ),
]
Accept = Annotated[
    bool,
    typer.Option(
        "--accept-losses", help="Go on without what cannot be carried over; it stands in the strategy and in reports."
    ),
]
ServerVersion = Annotated[
    str | None,
    typer.Option("--server-version", metavar="X.Y", help="hawkBit's: percentages before 0.5 are of the rest."),
]
Rollback = Annotated[
    list[str],
    typer.Option(
        "--rollback", metavar="COMPONENT=SIZE", help="The package that a rollback policy sends, such as fw=1.2MB."
    ),
]


@app.command("import")
def import_(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="JSON, or YAML: a job, rollout or deployment as the product prints or takes it."
        ),
    ],
    dialect: Dialect = "",
    accept_losses: Accept = False,
    server_version: ServerVersion = None,
    rollback: Rollback = [],  # noqa: B006 - typer copies it
    as_json: AsJson = False,
) -> None:
    """Turn a plan of another product into a strategy; stop at what limits, selects or stops and cannot be carried over.

    AWS IoT jobs, job templates, OTA updates, Greengrass deployments and CloudFormation; hawkBit rollouts and assignments;
    Mender, Azure Device Update, NervesHub, ThingsBoard and Memfault. docs/import.md says what becomes of each field.
    """
    from sim.scenario import imports

    options = imports.Options(
        server_version=imports.version_of(server_version) if server_version else (),
        rollback=tuple(_package(given) for given in rollback),
    )
    imported = imports.read_plan(plan, imports.How(dialect, accept_losses, options))
    if as_json:
        print(json.dumps({
            "product": imported.product, "dialect": imported.dialect, "title": imported.title,
            "strategy": imported.strategy, "notes": imported.notes, "losses": [loss.as_dict() for loss in imported.losses],
        }))  # fmt: skip
    else:
        print(imports.to_yaml(imported, plan.name), end="")
    for note in imported.notes:
        print(f"fotasim: {note}", file=sys.stderr)
    for loss in imported.losses:
        print(f"fotasim: LOST {loss}", file=sys.stderr)


def _package(given: str) -> dict[str, Any]:
    component, equals, size = given.partition("=")
    if not (component and equals and size):
        fail(f"--rollback: found {given!r}; write COMPONENT=SIZE, such as fw=1.2MB")
    return {"component": component, "size": size}


@app.command()
def export(
    scenario: ScenarioPath,
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="NAME", help="The product, such as hawkbit or aws-iot-jobs.")
    ],
    accept_losses: Annotated[
        bool, typer.Option("--accept-losses", help="Write the plan without what the product has no place for.")
    ] = False,
    set_: Overrides = [],  # noqa: B006 - typer copies it
) -> None:
    """Print a scenario's strategy as a plan of another product (JSON); stop at what that product has no place for.

    What is sent and to whom (documents, artifacts, targets) is to be added. docs/import.md says what becomes of each setting.
    """
    from sim.scenario.exports import WRITERS, export

    if dialect not in WRITERS:
        fail(f"--dialect: found {dialect!r}; choose from {', '.join(WRITERS)}")
    loaded = load_scenario(scenario, set_)
    document, losses = export(loaded.plan.strategy, dialect, loaded.plan.name)
    if losses and not accept_losses:
        raise ScenarioError([
            Problem(str(scenario), None, f"plan.strategy.{loss.key}", loss.value,
                    f"it cannot be written: {loss.why}; {loss.cure} (--accept-losses)")
            for loss in losses
        ])  # fmt: skip
    print(json.dumps(document, indent=2))
    for loss in losses:
        print(f"fotasim: LOST plan.strategy.{loss}", file=sys.stderr)
