"""The parts of a running mock cloud, held together for those who serve it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from sim.service.faults import Injector
from sim.service.packages.download import Downloads
from sim.service.packages.links import Links
from sim.service.packages.shelf import Shelf
from sim.service.rollouts import Rollouts
from sim.service.store import catalog
from sim.service.store.database import Database
from sim.service.store.journal import Journal
from sim.service.store.tables import files


@dataclass(slots=True)
class Cloud:
    """Store, packages, rollouts and what guards them. Addresses are filled in once the sockets are open."""

    database: Database
    journal: Journal
    shelf: Shelf
    injector: Injector
    links: Links
    downloads: Downloads
    token: str
    rollouts: Rollouts
    mqtt_url: str = ""
    http_url: str = ""
    broker_state: str = ""


def file_row(database: Database, file_id: int) -> dict[str, Any] | None:
    """The row of a package file, from the store."""
    with database.read() as connection:
        found = connection.execute(select(files).where(files.c.id == file_id)).mappings().first()
    return dict(found) if found else None


def open_database(url: str | None, data: Path) -> Database:
    """The store at a URL, or a SQLite file in the data folder."""
    data.mkdir(parents=True, exist_ok=True)
    return Database(url or f"sqlite:///{data / 'cloud.db'}")


def link_key(database: Database) -> bytes:
    """The key that signs download links, made once for an installation."""
    with database.write() as connection:
        return bytes.fromhex(catalog.setting(connection, "link_key", secrets.token_hex(32)))


def named_packages(database: Database) -> set[str]:
    """SHA-256 of every file that a version names."""
    with database.read() as connection:
        return set(connection.execute(select(files.c.sha256)).scalars())
