"""Partial files: acquired under a lock, with a journal beside them, published when they are whole."""
