"""Pages: which blocks say it, in the order a reader asks."""
