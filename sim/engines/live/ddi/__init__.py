"""Live runs against servers of hawkBit's Direct Device Integration: hawkBit, goosebit, hosted ones."""
