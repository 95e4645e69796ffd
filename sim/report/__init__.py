"""Pages from numbers: figures and reports, made from run folders alone."""
