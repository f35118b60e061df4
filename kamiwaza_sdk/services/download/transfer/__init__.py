"""Transfers: one file, several connections, many files."""
