"""The wheel by itself: built, installed in an empty place, tried as a new user would, and type-checked from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this tree."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", build, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("fotasim-*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder with what the wheel installs, without its dependencies, which are here already."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as parts:  # a wheel of plain Python is unpacked, no more
        parts.extractall(folder)
    return folder


def python(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with the installed package, away from the tree."""
    env = {"PYTHONPATH": str(site), "PATH": os.environ["PATH"], "COLUMNS": "120", "HOME": str(cwd)}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_contents(wheel):
    """Package, alias, types, scenarios and schema; no tests, no files of the workplace."""
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"sim/__init__.py", "sim/py.typed", "fotasim/__init__.py", "fotasim/py.typed", "sim/scenarios/quickstart.yaml",
            "sim/scenarios/schema.json"} <= names  # fmt: skip
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"sim", "fotasim"}


def test_a_new_user_in_an_empty_folder(site, tmp_path):
    """scenarios, new, validate, run, report: all from the wheel."""
    listed = python(site, tmp_path, "-m", "sim.cli", "scenarios")
    assert listed.returncode == 0 and listed.stdout.startswith("quickstart"), listed.stderr
    written = python(site, tmp_path, "-m", "sim.cli", "new", "quickstart", "mine")
    assert written.returncode == 0 and (tmp_path / "mine" / "schema.json").exists()
    assert python(site, tmp_path, "-m", "sim.cli", "new", "quickstart", "mine").returncode == 2
    wrong = python(site, tmp_path, "-m", "sim.cli", "new", "nothing")
    assert wrong.returncode == 2 and "choose from quickstart" in wrong.stderr
    assert python(site, tmp_path, "-m", "sim.cli", "new", "meters").stdout.startswith("nb_iot_meters.yaml")
    assert python(site, tmp_path, "-m", "sim.cli", "validate", "mine/quickstart.yaml").returncode == 0
    ran = python(
        site, tmp_path, "-m", "sim.cli", "run", "mine/quickstart.yaml", "--modules", "50", "--engine", "simpy", "--set", "gates={}",
    )  # fmt: skip
    assert ran.returncode in (0, 4), ran.stderr
    assert (tmp_path / "reports" / "quickstart-1" / "report.html").exists()


def test_import_from_outside(site, tmp_path):
    """The public names, listed and loaded on use; unknown ones are an ordinary AttributeError."""
    code = (
        "import fotasim, sim\n"
        "import os; assert fotasim.__file__.startswith(os.environ['PYTHONPATH'])\n"
        "assert {'Scenario', 'run', 'compare'} <= set(dir(fotasim)) and set(fotasim.__all__) == set(sim.__all__)\n"
        "assert fotasim.Scenario is sim.Scenario and fotasim.Scenario.__name__ == 'Scenario'\n"
        "try:\n    fotasim.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = python(site, tmp_path, "-c", code)
    assert done.stdout == "module 'fotasim' has no attribute 'nothing'\n", done.stderr


SCRIPT = """
import fotasim
from fotasim.plugins import PlanNow

def stop_late(plan: PlanNow, after_s: float) -> str | None:
    return "pause" if plan.now_s > after_s and plan.counts.failed else None

scenario = fotasim.Scenario.load("s.yaml")
reveal_type(fotasim.Scenario)
reveal_type(fotasim.run)
outcome = fotasim.simulate(scenario, engine="simpy")
fotasim.simulate(scenario, engine=3)
fotasim.replicate(scenario, "many")
fotasim.nothing
"""
WRONG_LINES = [SCRIPT.splitlines().index(line) + 1 for line in SCRIPT.splitlines()[-3:]]


def test_types_are_seen_from_outside(site, tmp_path):
    """mypy --strict on a user's script: public names are their classes, wrong arguments and unknown names fail."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\nignore_missing_imports = true\n"
        "[mypy-numba.*,llvmlite.*]\nfollow_imports = skip\n"
    )
    env = {**os.environ, "MYPYPATH": str(site)}
    env.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip
    told = [line for line in done.stdout.splitlines() if line.startswith("script.py")]
    assert 'Revealed type is "def (' in told[0] and "sim.scenario.model.Scenario" in told[0], done.stdout
    assert "Any" not in told[1].split("->")[-1]
    assert [int(line.split(":")[1]) for line in told[2:]] == WRONG_LINES, done.stdout


def test_pyright_sees_the_same(site, tmp_path):
    """pyright's checker (basedpyright, which brings its own Node.js) in strict mode: types are there, the same lines fail."""
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {
        "typeCheckingMode": "strict",
        "extraPaths": [str(site)],
        "include": ["script.py"],
        "pythonPlatform": "Linux",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = ["-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600
    )  # fmt: skip
    told = json.loads(done.stdout)["generalDiagnostics"]
    revealed = [x["message"] for x in told if x["severity"] == "information"]
    assert revealed[0] == 'Type of "fotasim.Scenario" is "type[Scenario]"' and "-> Rollout" in revealed[1], told
    failed = [x["range"]["start"]["line"] + 1 for x in told if x["severity"] == "error"]
    assert sorted(set(failed)) == WRONG_LINES, told
