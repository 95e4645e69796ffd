"""Many runs: replications, comparison, sweeps, sensitivity and tuning, on all cores or on a Dask cluster."""
