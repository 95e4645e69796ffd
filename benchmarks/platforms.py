"""Whether every dependency has a wheel on every supported platform and Python: asks the package index, installs nothing.

    python -m benchmarks.platforms [--python 3.11 3.14] [--extras cloud,postgres,load]

One line for each platform and Python: `wheels` when all of them are there, else the packages that pip has to build there.
Needs a package index, as pip is set up.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = {
    "Linux x86-64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "Linux aarch64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "macOS arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
    "Windows x86-64": ("win_amd64",),
}
"""Tags of the wheels a platform takes."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MARKED = "; sys_platform != 'win32'"


def requirements(extras: list[str], platform: str) -> list[str]:
    """What the package and its extras need on a platform, as pyproject.toml says it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [line.removesuffix(MARKED) for line in wanted if not (line.endswith(MARKED) and "Windows" in platform)]


def missing(platform: str, python: str, wanted: list[str]) -> list[str]:
    """The requirements that have no wheel there; empty when all resolve."""
    if _resolves(platform, python, wanted):
        return []
    return [one for one in wanted if not _resolves(platform, python, [one])] or ["together: no set of versions"]


def _resolves(platform: str, python: str, wanted: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as nowhere:
        command = [
            sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check",
            "--ignore-installed", "--only-binary=:all:", "--python-version", python, "--target", nowhere,
            "-c", str(ROOT / "constraints.txt"), *(f"--platform={tag}" for tag in PLATFORMS[platform]), *wanted,
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="*", default=list(PYTHONS))
    parser.add_argument("--extras", default="", help="extras of the package to resolve as well, comma-separated")
    options = parser.parse_args()
    extras = [extra for extra in options.extras.split(",") if extra]
    for platform in PLATFORMS:
        for python in options.python:
            without = missing(platform, python, requirements(extras, platform))
            print(
                f"{platform:<16}{python:<6}{'built there: ' + ', '.join(without) if without else 'wheels'}", flush=True
            )


if __name__ == "__main__":
    main()
