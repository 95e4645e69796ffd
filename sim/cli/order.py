"""The commands in the order of their use, grouped by job: how `fotasim --help` lists them."""

from __future__ import annotations

import typer

JOBS: dict[str, tuple[str, ...]] = {
    "One rollout": ("run", "validate", "report", "trace"),
    "Choose a strategy": ("compare", "sweep", "tune", "sensitivity", "trend"),
    "Bring your own": ("new", "scenarios", "fleet", "import", "export"),
    "Real time and real load": ("cloud", "live", "publish", "load", "capacity"),
    "Around it": ("doctor", "verify", "schema"),
}
"""Commands by job. A command that is in no job is listed last, under its own heading."""


def arrange(app: typer.Typer) -> None:
    """Sorts the commands of the application and puts each under its job."""
    place = {
        name: (i, job) for i, (job, name) in enumerate((job, name) for job, names in JOBS.items() for name in names)
    }
    for command in app.registered_commands:
        command.rich_help_panel = place.get(name_of(command), (0, "Other"))[1]
    app.registered_commands.sort(key=lambda command: place.get(name_of(command), (len(place), ""))[0])


def name_of(command: typer.models.CommandInfo) -> str:
    """The name a command is called by."""
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")
