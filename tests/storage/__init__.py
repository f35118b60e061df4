"""The tests of the store, all on real file systems."""
