"""A module a schema version: ``upgrade(op)`` leads from the one before, ``downgrade(op)`` back. Never edited later."""
