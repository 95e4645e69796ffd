"""The scenarios that come with fotasim: in a checkout beside the package, in an installed one inside it."""

from __future__ import annotations

import re
from pathlib import Path

from sim.errors import InputError

SCHEMA = "schema.json"


def folder() -> Path:
    """Where they are. Raises InputError when the installation has lost them."""
    package = Path(__file__).parents[1]
    for place in (package / "scenarios", package.parent / "scenarios"):
        if (place / "quickstart.yaml").is_file():
            return place
    raise InputError("the scenarios of this installation are missing: install fotasim again")


def listed() -> dict[str, str]:
    """Name of each with its purpose in a sentence or two, quickstart first."""
    found = {path.stem: purpose(path.read_text(encoding="utf-8")) for path in sorted(folder().glob("*.yaml"))}
    return {"quickstart": found.pop("quickstart"), **found}


def purpose(text: str) -> str:
    """The comment at the top of a scenario that begins with `Purpose:`."""
    comment = re.search(r"^# Purpose: (.*(?:\n# .*)*)", text, re.MULTILINE)
    return " ".join(comment[1].replace("\n# ", " ").split()) if comment else ""


def find(name: str) -> Path:
    """The scenario of a name, or of a part of its name that no other has: `meters` is `nb_iot_meters`."""
    names = list(listed())
    fit = [name] if name in names else [n for n in names if name.casefold().replace("-", "_") in n]
    if len(fit) != 1:
        raise InputError(
            f"{name}: {'several scenarios fit' if fit else 'no such scenario'}; choose from {', '.join(fit or names)}"
        )
    return folder() / f"{fit[0]}.yaml"
