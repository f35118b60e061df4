"""Containers: archives and packed streams, and the files inside them."""
