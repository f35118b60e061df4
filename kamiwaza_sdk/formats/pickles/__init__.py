"""Pickles: what a stream would import and call, found without executing it."""
