"""Pickles: their imports and calls, found without executing them."""
