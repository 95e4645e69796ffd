"""Draws by key: known answers, agreement of scalar and array, independence of neighbours."""

import statistics

import numpy as np
import pytest

from sim import draws


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((draws.MASK,) * 4, (draws.MASK,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)  # fmt: skip
def test_philox_gives_the_known_answers_of_random123(counter, key, words):
    """The three vectors published with Random123 for philox4x32-10."""
    assert draws.philox(*counter, *key) == words


def test_array_and_scalar_draws_are_the_same_numbers():
    """Fleet sampling and the engines read one stream."""
    key = draws.key(7, 3)
    array = draws.uniforms(*key, np.arange(100), draws.Purpose.BATTERY)
    assert array.tolist() == [draws.uniform(*key, i, draws.Purpose.BATTERY, 0) for i in range(100)]


def test_uniform_draws_fill_the_unit_interval_evenly():
    """Mean and variance of 100,000 draws lie within four standard errors of 1/2 and 1/12."""
    values = draws.uniforms(*draws.key(1), np.arange(100_000), 1)
    assert values.min() > 0.0
    assert values.max() < 1.0
    assert abs(values.mean() - 0.5) < 4 * (1 / 12 / 1e5) ** 0.5
    assert abs(values.var() - 1 / 12) < 4 * (1 / 180 / 1e5) ** 0.5


def test_neighbouring_keys_are_unrelated():
    """Modules, purposes, attempts, seeds and replications that differ by one are uncorrelated."""
    base = draws.uniforms(*draws.key(1), np.arange(20_000), 1)
    others = [
        draws.uniforms(*draws.key(1), np.arange(1, 20_001), 1), draws.uniforms(*draws.key(1), np.arange(20_000), 2),
        draws.uniforms(*draws.key(1), np.arange(20_000), 1, 1), draws.uniforms(*draws.key(2), np.arange(20_000), 1),
        draws.uniforms(*draws.key(1, 1), np.arange(20_000), 1),
    ]  # fmt: skip
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / 20_000**0.5


@pytest.mark.parametrize("unit", [1e-15, 1e-9, 1e-4, 0.01, 0.074, 0.3, 0.5, 0.7, 0.926, 0.999, 1 - 1e-12])
def test_normal_quantile_agrees_with_the_standard_library(unit):
    """AS 241 against statistics.NormalDist."""
    assert draws.normal(unit) == pytest.approx(statistics.NormalDist().inv_cdf(unit), rel=1e-14, abs=1e-15)
