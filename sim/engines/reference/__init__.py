"""The reference engine: modules and cloud as Python objects in virtual time, driven by SimPy."""
