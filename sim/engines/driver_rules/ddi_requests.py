"""What a request of a module that polls a DDI server is, and what it takes; the same for every engine."""

from __future__ import annotations

POLL, CONFIG, DOCUMENT, FEEDBACK = range(4)
"""Kinds of requests."""
THERE, BACK = 1.5, 0.5
"""Round trips of a request with a connection of its own: TCP and the request, then the answer."""
ROUND_TRIPS = THERE + BACK
AWAKE_S = 0.25
"""A module does not fall asleep over a request: it looks again after this time."""
NO_ACTION, OPEN, OVER = range(3)
"""What a module knows of the server's action."""
