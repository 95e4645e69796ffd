"""The parts of a running mock cloud, held together for those who serve it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from sim.errors import FotasimError
from sim.service.faults import Injector
from sim.service.packages.download import Downloads
from sim.service.packages.links import Links
from sim.service.packages.shelf import Shelf
from sim.service.products import Products
from sim.service.rollouts import Rollouts
from sim.service.store import catalog
from sim.service.store.database import Database
from sim.service.store.journal import Journal
from sim.service.store.tables import files
from sim.service.trouble import Trouble


@dataclass(slots=True)
class Cloud:
    """Store, packages, rollouts and what guards them. Addresses are filled in once the sockets are open."""

    database: Database
    journal: Journal
    shelf: Shelf
    injector: Injector
    links: Links
    downloads: Downloads
    token: str = field(repr=False)
    rollouts: Rollouts
    products: Products
    trouble: Trouble
    mqtt_url: str = ""
    hands_out_secrets: bool = True
    """Not behind a broker, which lets devices in by itself."""
    http_url: str = ""
    broker_state: str = ""
    store_state: str = ""
    clock_ahead_s: float = 0.0


def file_row(database: Database, file_id: int) -> dict[str, Any] | None:
    """The row of a package file, from the store."""
    with database.read() as connection:
        found = connection.execute(select(files).where(files.c.id == file_id)).mappings().first()
    return dict(found) if found else None


def open_database(url: str | None, data: Path) -> Database:
    """The store at a URL, or a SQLite file in the data folder."""
    return Database(url or store_url(data))


def store_url(data: Path) -> str:
    """The store of a data folder that is given no other."""
    return f"sqlite:///{data / 'cloud.db'}"


def private_folder(data: Path) -> None:
    """The data folder, for its owner alone; one that exists and holds other things keeps its mode."""
    try:
        ours = not data.exists() or (data / "cloud.db").exists() or not any(data.iterdir())
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if ours:
            data.chmod(0o700)
    except OSError as error:
        raise FotasimError(f"--data {data}: {error.strerror or error}") from None


def link_key(database: Database) -> bytes:
    """The key that signs download links, made once for an installation."""
    with database.write() as connection:
        return bytes.fromhex(catalog.setting(connection, "link_key", secrets.token_hex(32)))


def named_packages(database: Database) -> set[str]:
    """SHA-256 of every file that a version names."""
    with database.read() as connection:
        return set(connection.execute(select(files.c.sha256)).scalars())
