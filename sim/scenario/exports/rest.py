"""A strategy being written down elsewhere: what is taken, and what is left over at the end and thereby lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sim.scenario.imports.findings import Loss, short
from sim.scenario.strategy import StrategySection

_NOT_SETTINGS = ("preset", "losses")


class Rest:
    """The settings of a strategy that differ from what a product does by itself (a preset), until they are taken."""

    def __init__(self, strategy: StrategySection, preset: str) -> None:
        self.strategy = strategy
        self.losses: list[Loss] = []
        base = dict(_leaves(StrategySection.model_validate({"preset": preset}).model_dump(mode="json")))
        given = dict(_leaves(strategy.model_dump(mode="json")))
        self._left = {path: value for path, value in given.items() if value != base.get(path)}
        self._left |= dict.fromkeys(base.keys() - given.keys())

    def take(self, *paths: str) -> bool:
        """Whether one of these settings, or one below them, differs; they are dealt with from now on."""
        found = [at for at in self._left for path in paths if at == path or at.startswith(f"{path}.")]
        for at in found:
            self._left.pop(at, None)
        return bool(found)

    def lose(self, path: str, value: Any, why: str, cure: str = "change it in the scenario, or accept it") -> None:
        """Names a setting that the product cannot hold."""
        self.losses.append(Loss(path, "not set" if value is None else short(value), why, cure))

    def done(self, product: str) -> list[Loss]:
        """All losses; what nobody took is one."""
        for path, value in self._left.items():
            self.lose(path, value, f"{product} has no place for it")
        return self.losses


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted path; lists are one setting each."""
    for key, value in tree.items():
        if not path and key in _NOT_SETTINGS:
            continue
        place = f"{path}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{place}.")
        else:
            yield place, value
