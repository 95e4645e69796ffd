"""The drivers: they own clock, wire and timer, and no behaviour."""
