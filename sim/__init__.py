"""fotasim: simulate and load-test firmware-over-the-air rollouts to fleets of cellular modules."""
