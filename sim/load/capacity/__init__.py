"""The largest load within an SLO: objectives, probes on the simulated and on the real cloud, the search."""
