"""Clean-ups and checks of a store with the registries over it."""
