"""What must follow when one thing of a scenario changes: each rule on a few random fleets; the benchmark tries hundreds."""

from __future__ import annotations

import pytest

from benchmarks.metamorphic import checks


@pytest.mark.parametrize(("name", "check"), list(checks(10, None)), ids=lambda x: x if isinstance(x, str) else "")
def test_rule(name, check):
    """The rule holds on ten random fleets."""
    check()
