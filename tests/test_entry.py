"""The entry point: every ending has its status, errors of ours leave a reference and no secret, help is in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cli.common import app
from sim.cli.order import JOBS, name_of
from sim.errors import FotasimError, InputError, ScenarioError, StudyError
from sim.exit_status import ExitStatus

RAISING = """
import sys
import sim.cli
from sim.cli import common
from sim.cli.entry import main
from pathlib import Path
from sim.errors import *
@common.app.command("fails")
def fails() -> None:
    {body}
sys.argv = ["fotasim", "fails"]
main()
"""


def python(source: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs Python source with the package at hand."""
    env = {"PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin", "COLUMNS": "200", **env}
    return subprocess.run([sys.executable, "-c", source], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("pass", ExitStatus.GO),
        ("raise InputError('x is wrong')", ExitStatus.WRONG_INPUT),
        ("raise ScenarioError([Problem('f', 1, 'k', 'v', 'x is wrong')])", ExitStatus.WRONG_INPUT),
        ("raise StudyError('x is wrong')", ExitStatus.WRONG_INPUT),
        ("raise RecordsError('x is wrong')", ExitStatus.RUN_FAILED),
        ("Path('x is wrong').read_text()", ExitStatus.RUN_FAILED),
        ("raise MemoryError", ExitStatus.RUN_FAILED),
        ("raise KeyboardInterrupt", ExitStatus.INTERRUPTED),
        ("{}['x is wrong']", ExitStatus.INTERNAL_ERROR),
        ("raise OSError(22, 'x is wrong')", ExitStatus.INTERNAL_ERROR),
        ("raise RecursionError", ExitStatus.INTERNAL_ERROR),
        ("raise __import__('typer').Exit(ExitStatus.UNDECIDED)", ExitStatus.UNDECIDED),
        ("raise BrokenPipeError", ExitStatus.OUTPUT_CLOSED),
    ],
)
def test_status_of_each_error(body, status, tmp_path):
    """One message, no traceback, the status that the contract names."""
    source = "from sim.exit_status import ExitStatus\n" + RAISING.format(body=body)
    done = python(source, tmp_path)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert "x is wrong" in done.stderr or "x is wrong" not in body or status == ExitStatus.INTERNAL_ERROR


def test_internal_error_says_where_what_is_kept_and_hides_secrets(tmp_path):
    """A reference that is the same each time; the traceback only on demand; no secret of the environment in either."""
    body = "common.KEPT.append(Path('.')); raise ValueError('login with hunter22 failed')"
    secret = {"FOTASIM_DDI_PASSWORD": "hunter22"}
    first, second = (python(RAISING.format(body=body), tmp_path, **secret) for _ in range(2))
    assert first.stderr == second.stderr
    assert "an error inside fotasim (ValueError at" in first.stderr and "kept: ." in first.stderr
    assert first.stderr.count("\n") == 1
    shown = python(RAISING.format(body=body), tmp_path, FOTASIM_DEBUG="1", **secret)
    assert "Traceback" in shown.stderr and "login with *** failed" in shown.stderr
    assert "hunter22" not in first.stderr + shown.stderr


def test_errors_of_input_are_a_kind():
    """Whoever raises one gets status 2 without a line in the entry point."""
    assert issubclass(ScenarioError, InputError) and issubclass(StudyError, InputError)
    assert issubclass(InputError, FotasimError)


@pytest.mark.parametrize("arguments", [("--help",), ("schema",), ("run", "--help")])
def test_closed_pipe_is_quiet(arguments):
    """`fotasim … | head` ends quietly, and neither as a yes nor as a no go."""
    command = [sys.executable, "-m", "sim.cli", *arguments]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert done.returncode == ExitStatus.OUTPUT_CLOSED
    assert done.stderr == ""


def test_sigterm_is_an_interruption(tmp_path):
    """It ends as Ctrl-C does, with a status of its own."""
    body = "print('ready', flush=True); __import__('time').sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", RAISING.format(body=body)], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == ExitStatus.TERMINATED
    assert "interrupted; nothing was written" in told


def test_every_command_has_its_place():
    """Help lists run first, and no command without a job."""
    names = [name_of(command) for command in app.registered_commands]
    assert names[:4] == ["run", "validate", "report", "trace"]
    assert set(names) <= {name for listed in JOBS.values() for name in listed}
    assert len(names) == len(set(names))


def test_version_completion_and_colours(tmp_path):
    """The options before any command."""
    env = {
        "PYTHONPATH": str(Path.cwd()),
        "PATH": "/usr/bin:/bin",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "FORCE_COLOR": "1",
    }

    def fotasim(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sim.cli", *arguments]
        return subprocess.run(command, env={**env, **more}, capture_output=True, text=True, check=False)

    version = fotasim("--version")
    assert version.returncode == 0 and version.stdout.startswith("fotasim 0.")
    assert "\x1b[3" not in fotasim("--help").stdout
    completed = fotasim(_FOTASIM_COMPLETE="complete_bash", COMP_WORDS="fotasim va", COMP_CWORD="1")
    assert completed.stdout.split() == ["validate"]


@pytest.mark.parametrize(("debug", "told"), [("", 0), ("1", 1)])
def test_warnings_of_libraries_do_not_reach_the_terminal(monkeypatch, debug, told):
    """What scipy or matplotlib say of a figure is no message to a user; with FOTASIM_DEBUG it is shown."""
    import warnings

    from sim.cli import entry

    def noisy():
        warnings.warn("invalid value encountered in divide", RuntimeWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(entry, "_run", noisy)
    monkeypatch.setattr(entry, "_catch_sigterm", lambda: None)
    monkeypatch.setattr("sys.warnoptions", [])
    monkeypatch.setenv(entry.DEBUG, debug)
    with warnings.catch_warnings(record=True) as seen, pytest.raises(SystemExit):
        warnings.simplefilter("always")
        entry.main()
    assert len(seen) == told
