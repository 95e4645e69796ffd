"""The Developer Center's catalogue: models, their components and the versions one may put into a plan."""

from __future__ import annotations

from dataclasses import dataclass, field

from sim.errors import InputError

FILE_FORMATS = ("zip", "rar", "tar", "bin", "pack", "mini_1", "mini_2")
"""What the console accepts."""
MAX_FILES = 5
MAX_FILE_BYTES = 100_000_000
MAX_COMPONENT_CHARS = 32
MAX_VERSION_CHARS = 64


@dataclass(frozen=True, slots=True)
class File:
    """One uploaded package file; `source_version` names the base of a delta, "" means a full package."""

    name: str
    size_bytes: int
    source_version: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """A target version of a component with its one to five files."""

    name: str
    files: tuple[File, ...]

    def file_for(self, running: str) -> File | None:
        """The package for a module that runs `running`: its delta, else a full one, else None."""
        by_source = {file.source_version: file for file in self.files}
        return by_source.get(running) or by_source.get("")


@dataclass(slots=True)
class Component:
    """A part of a device that is upgraded by itself: module firmware or an external MCU."""

    name: str
    kind: str
    versions: dict[str, Version] = field(default_factory=dict)

    def add(self, version: Version) -> None:
        """Files a version; InputError when it breaks a rule of the console."""
        _check_version(self, version)
        self.versions[version.name] = version


@dataclass(slots=True)
class Model:
    """A product with its components, in order of upgrade."""

    name: str
    components: dict[str, Component] = field(default_factory=dict)

    def add(self, component: Component) -> None:
        """Registers a component; names are unique within a model."""
        if component.name in self.components:
            raise InputError(f"model {self.name}: component {component.name} exists already")
        if not 0 < len(component.name) <= MAX_COMPONENT_CHARS:
            raise InputError(f"component {component.name!r}: 1 to {MAX_COMPONENT_CHARS} characters are allowed")
        if component.kind not in ("firmware", "mcu"):
            raise InputError(f"component {component.name}: kind is firmware or mcu, found {component.kind!r}")
        self.components[component.name] = component


def _check_version(component: Component, version: Version) -> None:
    where = f"component {component.name}, version {version.name!r}"
    if version.name in component.versions:
        raise InputError(f"{where}: exists already")
    if not 0 < len(version.name) <= MAX_VERSION_CHARS:
        raise InputError(f"{where}: 1 to {MAX_VERSION_CHARS} characters are allowed")
    if not 1 <= len(version.files) <= MAX_FILES:
        raise InputError(f"{where}: 1 to {MAX_FILES} files are allowed, found {len(version.files)}")
    sources = [file.source_version for file in version.files]
    if len(set(sources)) < len(sources):
        raise InputError(f"{where}: two files serve the same source version")
    for file in version.files:
        ending = file.name.rpartition(".")[2].lower()
        if ending not in FILE_FORMATS:
            raise InputError(f"{where}: file {file.name!r} must end in one of {', '.join(FILE_FORMATS)}")
        if not 0 < file.size_bytes <= MAX_FILE_BYTES:
            raise InputError(f"{where}: file {file.name!r} must hold 1 byte to 100 MB")
        if file.source_version == version.name:
            raise InputError(f"{where}: a delta from itself is none")
