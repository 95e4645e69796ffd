"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt

from scipy import special


def wilson(hits: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, JASA 22), both bounds within 0-1; (0, 1) without data.

    Inside one run it describes how well the share is known if modules were independent; it does not carry what
    differs between campaigns.
    """
    if not 0 <= hits <= total:
        raise ValueError(f"{hits} of {total} is not a share")
    if total == 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + confidence / 2.0))
    share = hits / total
    centre = share + z * z / (2.0 * total)
    half = z * sqrt(share * (1.0 - share) / total + z * z / (4.0 * total * total))
    low, high = (centre - half) / (1.0 + z * z / total), (centre + half) / (1.0 + z * z / total)
    return (0.0 if hits == 0 else low), (1.0 if hits == total else high)
