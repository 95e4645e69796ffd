"""Figures: numbers in, a matplotlib figure out. The general ones are `sim.report.figures.charts`."""
