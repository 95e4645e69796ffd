"""The versions of Numba whose internals are known to be as this package expects them."""

from __future__ import annotations

import numba

OLDEST = (0, 60)
FIRST_UNKNOWN = (0, 69)
"""As in pyproject.toml; a test compares them."""


class UnknownNumba(ImportError):
    """A version of Numba is installed that nobody has tried."""


def check() -> None:
    """Refuses a version of Numba that is not known to work: its internals may mean something else."""
    installed = tuple(int(part) for part in numba.__version__.split(".")[:2])
    if not OLDEST <= installed < FIRST_UNKNOWN:
        raise UnknownNumba(
            f"Numba {numba.__version__} is installed; the engine works with {_text(OLDEST)} and later, below {_text(FIRST_UNKNOWN)}"
        )


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
