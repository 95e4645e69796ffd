"""The profile of a group: its fixed settings together with every physical parameter, as attributes."""

from __future__ import annotations

from dataclasses import make_dataclass
from typing import TYPE_CHECKING

from sim.module.parameters import PARAMETERS
from sim.module.rows import ProfileBase

if TYPE_CHECKING:

    class Profile(ProfileBase):
        """Settings of ProfileBase plus one float attribute for each entry of PARAMETERS."""

        def __init__(self, **values: object) -> None: ...

        def __getattr__(self, name: str) -> float: ...

else:
    Profile = make_dataclass(
        "Profile",
        [(row.name, float, row.default) for row in PARAMETERS.values()],
        bases=(ProfileBase,),
        slots=True,
    )
    Profile.__doc__ = "Settings of ProfileBase plus one float attribute for each entry of PARAMETERS."
