"""Who gets it next: the rules a plan is released by. One concern a file, combined in `Strategy`."""

from sim.strategy.strategy import Strategy

__all__ = ["Strategy"]
