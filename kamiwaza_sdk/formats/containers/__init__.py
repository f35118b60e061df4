"""Containers: archives and compressed streams, and the files inside them."""
