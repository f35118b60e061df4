"""The word to stop."""

__all__ = ["Stop"]


class Stop:
    """Is said once, from any thread. As `threading.Event`, without what waiting for it would need, at a tenth of it."""

    __slots__ = ("_said",)

    def __init__(self) -> None:
        self._said = False

    def set(self) -> None:
        """Say it."""
        self._said = True

    def is_set(self) -> bool:
        """Return whether it was said."""
        return self._said
