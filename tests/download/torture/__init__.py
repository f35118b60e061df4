"""Downloads that are killed, damaged, crowded and numerous: ten times as often, and more, in ``nox -s torture``."""
