"""The word to stop, to work in a thread: heard between the pieces of a file, and raised where it is heard.

It is not handed down: between who says it and the loops that hear it lies all of the store's interface.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

__all__ = ["Stopped", "go_on", "stopped_when"]


class Stopped(BaseException):
    """Nobody waits for this work any more. As ``asyncio.CancelledError``, nothing that handlers of errors take."""


def _never() -> bool:
    return False


_SAID: Final[ContextVar[Callable[[], bool]]] = ContextVar("kamiwaza_sdk_stopped", default=_never)


@contextmanager
def stopped_when(said: Callable[[], bool]) -> Generator[None]:
    """Let what runs herein end where it calls `go_on`, once `said` returns `True`."""
    before = _SAID.set(said)
    try:
        yield
    finally:
        _SAID.reset(before)


def go_on() -> None:
    """Return, unless the word was said: then raise `Stopped`."""
    if _SAID.get()():
        raise Stopped
