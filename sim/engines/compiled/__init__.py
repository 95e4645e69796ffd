"""The compiled engine: the same functions as the SimPy engine's, compiled by Numba over arrays of modules."""
