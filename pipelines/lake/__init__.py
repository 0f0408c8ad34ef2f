"""The zones that are lakes: opened under a lock, shaped by contracts, deleted from physically."""
