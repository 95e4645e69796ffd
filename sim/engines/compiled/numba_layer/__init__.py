"""The hand-work on Numba: how plain functions become one compiled function over arrays. Nothing else touches its internals."""
