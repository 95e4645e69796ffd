"""The command `fotasim`: parses, calls one function, prints. One file for each family of commands.

Exit statuses: `sim.exit_status`.
"""

from sim.cli import (  # noqa: F401 - importing a family adds its commands
    capacity,
    cloud,
    doctor,
    fleet,
    imports,
    live,
    load,
    publish,
    report,
    scenarios,
    simulate,
    study,
    verify,
)
from sim.cli.common import app
from sim.cli.entry import main
from sim.cli.order import arrange

arrange(app)

__all__ = ["main"]
