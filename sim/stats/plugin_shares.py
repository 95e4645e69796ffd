"""Shares that plug-ins count: with intervals, and judged as gates by the same rules as fotasim's own metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim import gates
from sim.gates import Figure, Judged
from sim.stats.intervals import share_interval
from sim.stats.replicated import ratio_interval


def figure_of(campaigns: Sequence[Sequence[int]]) -> Figure:
    """The share of counts (number, of how many), one pair for each campaign: over modules of one, else over campaigns."""
    hits, total = (sum(pair[i] for pair in campaigns) for i in (0, 1))
    if not total:
        return Figure(None, total=0)
    if len(campaigns) == 1:
        return Figure(hits / total, *share_interval(hits, total), total)
    plain = ratio_interval([pair[0] for pair in campaigns], [pair[1] for pair in campaigns]).plain()
    return Figure(plain["value"], plain["low"], plain["high"], total)


def judged_shares(results: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """The gates among the results of plug-ins, as a summary keeps them."""
    return [
        gates.judge(gates.parse_share(x["name"], x["limit"]), figure_of(x["campaigns"]), replications=len(x["campaigns"]))
        for x in results if x.get("limit")
    ]  # fmt: skip
