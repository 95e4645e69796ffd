"""Migrations of the store, applied at start."""
