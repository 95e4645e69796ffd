"""The command `fotasim`: parses, calls one function, prints. One file for each family of commands.

Exit status: 0 done and gates met, 1 gates not met, 2 wrong use or scenario, 3 the run failed, 130 interrupted.
"""

from __future__ import annotations

import sys

from sim.cli import (  # noqa: F401 - importing a family adds its commands
    cloud,
    ddi,
    doctor,
    imports,
    live,
    report,
    simulate,
    study,
)
from sim.cli.common import INTERRUPTED, RUN_FAILED, WRONG_USE, app
from sim.errors import FotasimError, ScenarioError, StudyError


def main() -> None:
    """Entry point of the command: errors become one clear message and an exit status."""
    try:
        app()
    except (ScenarioError, StudyError) as error:
        print(error if isinstance(error, ScenarioError) else f"fotasim: {error}", file=sys.stderr)
        sys.exit(WRONG_USE)
    except FotasimError as error:
        print(f"fotasim: {error}", file=sys.stderr)
        sys.exit(RUN_FAILED)
    except KeyboardInterrupt:
        print("fotasim: interrupted before anything was there to keep", file=sys.stderr)
        sys.exit(INTERRUPTED)
