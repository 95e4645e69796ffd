"""The products that devices log in to, in memory: told apart by what a password names, never by guessing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from sim.service.store.database import Database
from sim.service.store.tables import products
from sim.wire.quecthing import login

Row = dict[str, Any]


class Products:
    """All products by their key. A login must not wait for the store, so what is created is loaded at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_key: dict[str, Row] = {}
        self.reload()

    def reload(self) -> None:
        """Reads them from the store; to be called after one was created. May block."""
        with self._database.read() as connection:
            rows = connection.execute(select(products)).mappings().all()
        self._by_key = {row["product_key"]: dict(row) for row in rows}

    def named(self, product_key: str) -> Row | None:
        """The product of a key."""
        return self._by_key.get(product_key)

    def client_id(self, product_id: int, device_key: str) -> str:
        """The client id of a device of a product."""
        key = next(key for key, row in self._by_key.items() if row["id"] == product_id)
        return login.client_id(key, device_key)

    def fitting(self, client_id: str) -> list[tuple[Row, str]]:
        """Products whose key a client id may begin with, each with the device key that is left: `p1A` and `p1AB` both fit."""
        found = []
        for size in range(1, login.MAX_PRODUCT_KEY_CHARS + 1):
            row, key = self._by_key.get(client_id[2 : 2 + size]), client_id[2 + size :]
            if row is not None and client_id.startswith("qd") and login.is_device_key(key):
                found.append((row, key))
        return found
