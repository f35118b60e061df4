"""Tests of what hosts test with."""
