"""Faults that can be injected while the service runs, and a known limit for a capacity search to find."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sim.service.errors import Refused


def no_truth(given: object) -> object:
    """Refuses true and false where a number is wanted."""
    if isinstance(given, bool):
        raise ValueError("a number is wanted")
    return given


Chance = Annotated[float, BeforeValidator(no_truth), Field(ge=0.0, le=1.0)]
Number = Annotated[float, BeforeValidator(no_truth), Field(ge=0.0)]
Count = Annotated[int, BeforeValidator(no_truth), Field(ge=0)]


class Faults(BaseModel):
    """What goes wrong, as chances per occasion; all zero by default.

    `slow_s` delays every answer to a module and every download. `max_requests_per_s` lets messages of modules and
    downloads through at that rate and queues the rest, as a server with that capacity would; `max_downloads` answers
    503 to further ones at the same time. 0 means no limit.
    """

    model_config = ConfigDict(extra="forbid")

    slow_s: Annotated[Number, Field(le=60.0)] = 0.0
    download_error: Chance = 0.0
    download_cut: Chance = 0.0
    drop_connection: Chance = 0.0
    lose_message: Chance = 0.0
    double_message: Chance = 0.0
    wrong_md5: Chance = 0.0
    expired_url: Chance = 0.0
    max_requests_per_s: Annotated[Number, Field(le=1e6)] = 0.0
    max_downloads: Annotated[Count, Field(le=1_000_000)] = 0
    seed: Annotated[Count, Field(lt=2**31)] = 1


class Injector:
    """Draws the faults; one stream of random numbers, restarted whenever the settings change."""

    def __init__(self, faults: Faults | None = None, *, behind_broker: bool = False) -> None:
        self._behind_broker = behind_broker
        self.set(faults or Faults())

    def set(self, faults: Faults) -> None:
        """Takes new settings. Raises Refused for what a cloud behind a broker cannot do."""
        if self._behind_broker and faults.drop_connection:
            raise Refused("drop_connection: behind a broker the modules' connections are the broker's")
        self.faults = faults
        self._luck = random.Random(faults.seed)
        self._free_at = 0.0

    def hits(self, chance: float) -> bool:
        """Whether a fault of that chance happens now."""
        return chance > 0.0 and self._luck.random() < chance

    def delay_s(self, now: float) -> float:
        """How long a request that arrives at `now` waits before it is served."""
        rate = self.faults.max_requests_per_s
        if rate <= 0.0:
            return self.faults.slow_s
        self._free_at = max(self._free_at, now) + 1.0 / rate
        return self.faults.slow_s + self._free_at - now
