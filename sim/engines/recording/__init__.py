"""What is recorded of a run, whatever engine drives it: loads while it goes, tables when it is over."""
