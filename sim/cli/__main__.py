"""`python -m sim.cli` is the command `fotasim`."""

from sim.cli import main

main()
