"""What the drivers of virtual time agree on: the order at one instant, and what a request takes."""
