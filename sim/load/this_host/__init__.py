"""What this host can carry, what a module costs it, and whether it was the bottleneck."""
