"""The update service: the Developer Center's rules as a machine, and what costs time in a cloud."""
