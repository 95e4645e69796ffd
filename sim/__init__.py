"""fotasim: a fleet simulator and load tester for firmware-over-the-air rollouts to cellular modules."""
