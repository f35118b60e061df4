"""The built documentation, looked at in a browser: `nox -s browser` and `nox -s pictures`."""
