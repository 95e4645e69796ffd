"""hawkBit's Direct Device Integration (DDI) as a device speaks it: JSON documents and the poll machine. Sans-IO."""
