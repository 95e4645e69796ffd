"""Whether two sets of modules behave alike: a run against a real cloud beside its simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.stats.paired import holm

DURATIONS: dict[str, tuple[str | None, str]] = {
    "first contact": (None, "first_contact_s"), "time to notice": (None, "notified_s"),
    "wait for download": ("confirmed_s", "download_started_s"), "download": ("download_started_s", "downloaded_s"),
    "flash and reboot": ("updating_s", "upgraded_s"), "report": ("upgraded_s", "reported_s"),
    "time to upgrade": (None, "upgraded_s"),
}  # fmt: skip
"""Stages of a module's upgrade: from a time (None: activation) to a time, columns of modules.parquet."""
_EXPECTED = 5.0
"""Cells of a contingency table with fewer expected modules are pooled, as the chi-square approximation needs."""


def agreement(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """One row per test of "both come from one distribution": outcomes by chi-square, stage durations by Kolmogorov-Smirnov.

    Columns: quantity, test, n_a, n_b, median_a, median_b, statistic, p_value, p_holm. `a` and `b` are tables of modules.
    Modules of one run share cells and a cloud, so the tests are more likely than 5 % to find a difference where there
    is none; agreement is the safer of the two answers.
    """
    from scipy import stats

    rows = [_outcomes(a["outcome"], b["outcome"])]
    for quantity, (since, until) in DURATIONS.items():
        first, second = _durations(a, since, until), _durations(b, since, until)
        if min(len(first), len(second)) < 8:
            continue
        tested = stats.ks_2samp(first, second, method="asymp")
        rows.append({
            "quantity": quantity, "test": "Kolmogorov-Smirnov", "n_a": len(first), "n_b": len(second),
            "median_a": float(np.median(first)), "median_b": float(np.median(second)),
            "statistic": float(tested.statistic), "p_value": float(tested.pvalue),
        })  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(p_holm=holm(list(frame["p_value"])))


def _durations(modules: pd.DataFrame, since: str | None, until: str) -> NDArray[np.float64]:
    values = modules[until] if since is None else modules[until] - modules[since]
    return values.dropna().to_numpy(dtype=np.float64)


def _outcomes(a: pd.Series[Any], b: pd.Series[Any]) -> dict[str, Any]:
    from scipy import stats

    counts = pd.DataFrame({"a": a.astype(str).value_counts(), "b": b.astype(str).value_counts()}).fillna(0.0)
    expected = counts.sum(axis=1).to_numpy() * min(len(a), len(b)) / max(len(a) + len(b), 1)
    rare = expected < _EXPECTED
    cells = counts.to_numpy()
    kept = np.vstack([cells[~rare], cells[rare].sum(axis=0)]) if rare.any() else cells
    kept = kept[kept.sum(axis=1) > 0]
    tested = stats.chi2_contingency(kept, correction=False) if len(kept) > 1 else None
    return {
        "quantity": "outcomes", "test": "chi-square", "n_a": len(a), "n_b": len(b),
        "median_a": float("nan"), "median_b": float("nan"),
        "statistic": 0.0 if tested is None else float(tested.statistic),
        "p_value": 1.0 if tested is None else float(tested.pvalue),
    }  # fmt: skip
