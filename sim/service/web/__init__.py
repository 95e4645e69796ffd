"""The web side: HTTP API under /api/v1, downloads under /packages, the console everywhere else."""
