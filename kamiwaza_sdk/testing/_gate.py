"""Where answers wait: each for a bounded time, no longer than the client stays, and never beyond the server's end."""

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["ClientLeftError", "Gate", "PatienceEndedError", "ServerClosedError"]

#: Where a system can tell that the other end is closed although something is still to be read: TLS says goodbye.
_CLOSED: Final[int] = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
#: Seconds between two looks at whether the client is still there.
_LOOK: Final = 0.02


class ServerClosedError(Exception):
    """The server is closed."""


class PatienceEndedError(Exception):
    """Nothing waits any longer than this."""


class ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


class Gate:
    """Lets answers wait, and all of them go."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.closed = False
        self.stalled = 0
        self._releases = 0
        self._moved = threading.Condition()

    def pause(self, seconds: float, connection: socket.socket) -> None:
        """Wait."""
        until = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= until, connection, until=until)

    def stall(self, connection: socket.socket) -> None:
        """Wait for the next release."""
        with self._moved:
            releases = self._releases
            self.stalled += 1
            self._moved.notify_all()
        try:
            self._wait(lambda: self._releases > releases, connection)
        finally:
            with self._moved:
                self.stalled -= 1

    def release(self) -> None:
        """Let go of whatever is stalled by now."""
        with self._moved:
            self._releases += 1
            self._moved.notify_all()

    def wait_for_stall(self, seconds: float) -> bool:
        """Whether something is stalled, or came to be within so many seconds."""
        with self._moved:
            return self._moved.wait_for(lambda: self.stalled > 0, seconds)

    def close(self) -> None:
        """Let nothing wait any more."""
        with self._moved:
            self.closed = True
            self._moved.notify_all()

    def _wait(self, is_over: Callable[[], bool], connection: socket.socket, *, until: float | None = None) -> None:
        end = time.monotonic() + self.patience
        while True:
            with self._moved:
                soon = time.monotonic() + _LOOK if until is None else min(until, time.monotonic() + _LOOK)
                self._moved.wait_for(lambda: self.closed or is_over(), max(0.0, soon - time.monotonic()))
                if self.closed:
                    raise ServerClosedError
                if is_over():
                    return
            if time.monotonic() >= end:
                raise PatienceEndedError
            if _has_left(connection):
                raise ClientLeftError


def _has_left(connection: socket.socket) -> bool:
    """Whether the client has closed its end."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | _CLOSED)
    try:
        events = poll.poll(0)
        if any(event & _CLOSED for _, event in events):
            return True
        # Not the method of the connection: that of one with TLS cannot peek.
        return bool(events) and socket.socket.recv(connection, 1, socket.MSG_PEEK) == b""
    except OSError:
        return True
