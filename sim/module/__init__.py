"""The virtual module: a pure state machine with its physics; no clock, no socket, no randomness of its own."""
