"""Layouts: the variants and companions that a repository consists of."""
