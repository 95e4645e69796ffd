"""How the command ends: the one list of exit statuses."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of `fotasim`. 0 means yes; everything else is a reason not to go on."""

    GO = 0
    """Done; for a judged run: Go."""
    NO_GO = 1
    """No go or Stopped: a gate or SLO is not met, or the plan stopped itself."""
    WRONG_INPUT = 2
    """Wrong use or input: an option, a scenario, a fleet file, a plan."""
    RUN_FAILED = 3
    """The run could not be made, or is void."""
    UNDECIDED = 4
    """Marginal, undecided, or too little to judge."""
    INTERNAL_ERROR = 70
    """An error inside fotasim, or in a plug-in (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT); what is there is kept and reported as partial."""
    OUTPUT_CLOSED = 141
    """The reader of the output went away before its end (128 + SIGPIPE), as `fotasim … | head` does."""
    TERMINATED = 143
    """SIGTERM (128 + 15); as INTERRUPTED."""
