"""Kinds of clouds: one adapter each, found by the name in `cloud.kind`."""
