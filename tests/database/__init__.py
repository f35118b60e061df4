"""Tests of engines, setting up, and migrations."""
