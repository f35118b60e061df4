"""Tests of the inspection of files."""
