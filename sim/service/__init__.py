"""The mock cloud: the Developer Center as a server."""
