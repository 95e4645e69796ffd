"""Demonstrations that need a server of somebody else's."""
