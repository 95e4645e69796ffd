"""The live engine: the same modules in real time, each with a connection of its own, against a real or mock cloud."""
