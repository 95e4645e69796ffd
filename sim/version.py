"""The version of the installed package."""

from importlib import metadata


def version() -> str:
    """Version of the installed package, "unknown" where only its sources are there."""
    try:
        return metadata.version("fotasim")
    except metadata.PackageNotFoundError:
        return "unknown"
