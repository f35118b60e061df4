"""A model registry and verified model store that a program gets by importing it."""
