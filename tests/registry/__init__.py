"""`Registry` and `AsyncRegistry`."""
