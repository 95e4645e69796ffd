"""The entry point: whatever a command raises becomes one clear message and an exit status."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from sim.cli.common import KEPT, app
from sim.errors import FotasimError, InputError, PluginError, ScenarioError
from sim.exit_status import ExitStatus

DEBUG = "FOTASIM_DEBUG"
_SECRET_WORDS = ("TOKEN", "PASSWORD", "SECRET", "KEY", "CREDENTIAL")
_CLICK_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What a write fails with, whose error names no file."""

_terminated = False


def main() -> None:
    """Runs the command named on the command line and ends the process with its exit status."""
    _catch_sigterm()
    if not sys.warnoptions and os.environ.get(DEBUG, "") in ("", "0"):
        warnings.simplefilter("ignore")  # of libraries: what a user has to know is a message of ours
    try:
        status = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        status = _reader_gone()
    except KeyboardInterrupt:
        status = ExitStatus.INTERRUPTED
    sys.exit(ExitStatus.TERMINATED if _terminated and status == ExitStatus.INTERRUPTED else status)


def _run() -> int:
    """The command, with every error told; its exit status."""
    try:
        return int(typer.main.get_command(app).main(standalone_mode=False, prog_name="fotasim") or ExitStatus.GO)
    except _CLICK_ERROR as error:
        _show_usage(error)
        return ExitStatus.WRONG_INPUT
    except InputError as error:
        _say(str(error) if isinstance(error, ScenarioError) else f"fotasim: {error}")
        return ExitStatus.WRONG_INPUT
    except PluginError as error:
        _say(f"fotasim: {error}; {_kept()}")
        _show_traceback(error)
        return ExitStatus.INTERNAL_ERROR
    except FotasimError as error:
        _say(f"fotasim: {error}")
        return ExitStatus.RUN_FAILED
    except (KeyboardInterrupt, typer.Abort):
        _say(f"fotasim: interrupted; {_kept()}")
        return ExitStatus.INTERRUPTED
    except SystemExit as error:  # click's own answer to a closed pipe is status 1
        if isinstance(error.__context__, BrokenPipeError):
            return _reader_gone()
        raise
    except BrokenPipeError:
        return _reader_gone()
    except MemoryError:
        _say(f"fotasim: not enough memory; {_kept()}")
        return ExitStatus.RUN_FAILED
    except OSError as error:
        if error.filename is None and error.errno not in _OF_THE_DISK:
            return _internal(error)
        _say(f"fotasim: {error.filename or 'the result cannot be written'}: {error.strerror}; {_kept()}")
        _show_traceback(error)
        return ExitStatus.RUN_FAILED
    except Exception as error:
        return _internal(error)


def _internal(error: BaseException) -> int:
    """An error of ours: where, a reference that is the same each time it happens, and what is kept."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f"{os.sep}sim{os.sep}" in f.filename] or list(frames)
    places = [f"{f.filename.rpartition(f'{os.sep}sim{os.sep}')[2]}:{f.name}" for f in ours]
    reference = hashlib.sha256("\n".join([type(error).__name__, *places]).encode()).hexdigest()[:8]
    where = f"{places[-1].rpartition(':')[0]}:{ours[-1].lineno}" if places else "?"
    _say(
        f"fotasim: an error inside fotasim ({type(error).__name__} at {where}, reference {reference}); {_kept()}; "
        f"please report it with what {DEBUG}=1 prints"
    )
    _show_traceback(error)
    return ExitStatus.INTERNAL_ERROR


def _show_traceback(error: BaseException) -> None:
    if os.environ.get(DEBUG, "") not in ("", "0"):
        _say("".join(traceback.format_exception(error)))


def _kept() -> str:
    """What stays on disk."""
    there = [str(path) for path in dict.fromkeys(KEPT) if Path(path).exists()]
    return f"kept: {', '.join(there)}" if there else "nothing was written"


def _say(text: str) -> None:
    """To stderr, without the values of secrets from the environment."""
    for name, value in os.environ.items():
        if len(value) >= 4 and any(word in name.upper() for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    print(text, file=sys.stderr)


def _show_usage(error: Any) -> None:
    """Wrong use, as Typer shows it: the usage line and what is wrong with which option."""
    try:
        from typer.rich_utils import rich_format_error
    except ImportError:
        error.show()
    else:
        rich_format_error(error)


def _reader_gone() -> int:
    """The output's reader has gone away: nothing to say, nobody to say it to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains on its way out
    return ExitStatus.OUTPUT_CLOSED


def _catch_sigterm() -> None:
    """SIGTERM ends a command as Ctrl-C does: what is there is kept. Commands with a loop of their own replace this."""
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        global _terminated  # noqa: PLW0603 - a signal handler has nowhere else to put it
        if os.getpid() != owner:  # a forked worker
            os._exit(128 + number)
        _terminated = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
