"""What a command imports: heavy packages come in where they are used. A set, never a time, is held."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "SALib", "PIL", "aiohttp", "alembic", "asyncio", "cryptography", "dask", "distributed", "fastapi", "hdrh", "jinja2",
    "llvmlite", "locust", "matplotlib", "matplotlib.pyplot", "mpl_toolkits", "multiprocessing.pool", "numba", "numpy", "openpyxl", "optuna", "pandas",
    "psutil", "pyarrow", "pydantic", "ruamel.yaml", "scipy", "scipy.optimize", "scipy.special", "scipy.stats", "simpy",
    "sqlalchemy", "typst", "uvicorn", "uvloop",
}  # fmt: skip
"""Packages and parts of packages that take tens of milliseconds or more to import."""

CHECKS = {"numpy", "pydantic", "ruamel.yaml"}
"""What it takes to check a scenario."""
SIMULATES = {*CHECKS, "pandas", "pyarrow", "scipy", "scipy.special", "simpy"}
"""What it takes to run one with the reference engine."""
REPORTS = {"jinja2", "matplotlib", "PIL", "mpl_toolkits"}
"""What it takes to draw its page; matplotlib brings the last two."""

LISTED = """
import json, sys
sys.argv = ["fotasim", *json.loads(sys.argv[1])]
from sim.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(*words: object) -> set[str]:
    """The heavy packages that a command has imported when it ends."""
    asked = json.dumps([str(word) for word in words])
    done = subprocess.run([sys.executable, "-c", LISTED, asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["capacity", "--help"], ["--version"]])
def test_help_imports_nothing_that_calculates(words):
    """Help and the version need none of the packages that calculate; Typer asks whether Pydantic is there."""
    assert imported(*words) <= {"pydantic"}


@pytest.mark.parametrize("words", [["validate", "scenarios/quickstart.yaml"], ["scenarios"], ["schema"]])
def test_reading_scenarios_imports_what_checks(words):
    """Scenarios without fleet files are checked without SciPy, pandas and pyarrow."""
    assert imported(*words) == CHECKS


def test_run_imports_what_simulates_and_draws(tmp_path):
    """A run imports no compiler with SimPy, no network and none of the packages of studies; scipy.stats is not needed."""
    words = ["run", "scenarios/quickstart.yaml", "--engine", "simpy", "--modules", "20", "--marginal-as", "go"]
    found = imported(*words, "--set", "gates={}", "--out", tmp_path / "run")
    assert found == SIMULATES | REPORTS
