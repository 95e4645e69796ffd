"""Ties at one instant, by rule and not by order of insertion, so that every engine breaks them alike."""

OPERATOR, CENTER, CELLS, TRANSFERS, MODULES = range(5)
"""The operator, the center (timers of modules, then the plan), opportunities of random access, transfers that are
complete; then the modules by number: MODULES + index."""
