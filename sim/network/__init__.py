"""What modules of one cell share on the air: its downlink and its random access. Pure functions over rows."""
