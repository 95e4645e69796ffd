"""Garbage gives messages or a ProtocolError, nothing else, in bounded memory (the fuzz target runs for longer)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.wire import TARGETS, seeds, stir


@settings(max_examples=300)
@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=300))
def test_random_bytes(target, data):
    TARGETS[target](data)


@settings(max_examples=300)
@given(st.sampled_from(sorted(TARGETS)), st.randoms(use_true_random=False))
def test_good_bytes_stirred(target, random):
    TARGETS[target](stir(random.choice(seeds(target)), random))
