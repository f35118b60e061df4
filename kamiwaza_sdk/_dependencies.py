"""The one place that asks whether an optional package is there."""

from importlib.util import find_spec

from kamiwaza_sdk.exceptions import MissingDependencyException


def require(package: str, *, extra: str) -> None:
    """Raise `MissingDependencyException` naming `extra` unless `package` can be imported."""
    if find_spec(package) is None:
        raise MissingDependencyException(package=package, extra=extra)
