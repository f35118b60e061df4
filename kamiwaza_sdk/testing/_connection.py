"""One connection: reads requests, writes answers by their plans, and holds answers back for a limited time."""

import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk.testing._answers import Answer, Cut, Plan
from kamiwaza_sdk.testing.faults import Outcome, RecordedRequest

if TYPE_CHECKING:
    from kamiwaza_sdk.testing.server import Listener


#: Where a system can tell that the other end is closed although something is still to be read: TLS says goodbye.
_CLOSED: Final[int] = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
#: Seconds between two looks at whether the client is still there.
_LOOK: Final = 0.02


class ServerClosedError(Exception):
    """The server is closed."""


class PatienceEndedError(Exception):
    """The longest time to wait is over."""


class ClientLeftError(Exception):
    """The client has closed the connection."""


class Gate:
    """Lets answers wait until they are released."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.closed: bool = False
        self.stalled: int = 0
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
        """Release all stalled answers."""
        with self._moved:
            self._releases += 1
            self._moved.notify_all()

    def wait_for_stall(self, seconds: float) -> bool:
        """Whether an answer is stalled now, or within so many seconds."""
        with self._moved:
            return self._moved.wait_for(lambda: self.stalled > 0, seconds)

    def close(self) -> None:
        """End all waiting."""
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


_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all
_HEAD_PIECES: Final = 20
_PIECE: Final = 1024**2
_LAST_CHUNK: Final = b"0\r\n\r\n"


class _EndedError(Exception):
    """The connection ends here, on purpose."""


def abort(connection: socket.socket) -> None:
    """Have the connection reset when it is closed."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class Connection(BaseHTTPRequestHandler):
    """Serves the requests of a connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Listener"

    def setup(self) -> None:
        """Set a timeout for every read and write."""
        super().setup()
        self.connection.settimeout(self._gate.patience)

    @property
    def _gate(self) -> Gate:
        return self.server.gate

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        record = RecordedRequest(self.command, self.path, headers, self.client_address[1])
        try:
            record.body = self._read_body()
        except OSError:  # the client left, or sends no more
            self.close_connection = True
            return
        plan, answer = self.server.take(record)
        try:
            self._answer(record, plan, answer)
        except _EndedError:
            self.close_connection = True
        except (ClientLeftError, PatienceEndedError, ServerClosedError, OSError) as error:
            self.close_connection = True
            record.outcome = self._outcome(error, record.outcome)

    do_GET = do_HEAD = _serve  # noqa: N815 - as the base class looks for them
    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - most are refused

    def _read_body(self) -> bytes:
        """Return the beginning of the request's body, and read all of it: otherwise the client may lose the answer."""
        length = self.headers.get("Content-Length", "0")
        left = int(length) if length.isdecimal() else 0
        kept = b""
        while left > 0 and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            kept = kept or piece
        return kept

    def _outcome(self, error: Exception, before: Outcome) -> Outcome:
        if self._gate.closed or isinstance(error, PatienceEndedError):
            return "stalled" if before == "stalled" else "closed"
        return "abandoned"

    def _answer(self, record: RecordedRequest, plan: Plan, answer: Answer) -> None:
        if plan.delay:
            self._gate.pause(plan.delay, self.connection)
        if plan.hang_up:
            record.outcome = "truncated"
            raise _EndedError
        record.status = answer.status
        if answer.pieces is None or (answer.size == 0 and plan.framing == "length" and not plan.cuts):
            record.outcome = "complete"
        self._send_head(answer.head(), plan)
        if answer.pieces is not None:
            self._send_body(record, plan, answer)
        if any((name.lower(), value.lower()) == ("connection", "close") for name, value in answer.headers.items()):
            self.close_connection = True

    def _send_head(self, head: bytes, plan: Plan) -> None:
        if not plan.head_seconds:
            self.connection.sendall(head)
            return
        size = -(-len(head) // _HEAD_PIECES)
        for start in range(0, len(head), size):
            piece = head[start : start + size]
            self._gate.pause(plan.head_seconds * len(piece) / len(head), self.connection)
            self.connection.sendall(piece)

    def _send_body(self, record: RecordedRequest, plan: Plan, answer: Answer) -> None:
        body = _Body(self.connection, self._gate, record, plan, size=answer.size)
        assert answer.pieces is not None
        for piece in answer.pieces:
            body.send(piece)
        body.end()
        if plan.framing == "close" or (plan.framing == "length" and plan.length_by > 0):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: the requests are in `FaultyServer.requests`."""


class _Body:
    """A body that is sent: with framing and pace, and cut where the plan says."""

    def __init__(
        self, connection: socket.socket, gate: Gate, record: RecordedRequest, plan: Plan, *, size: int | None
    ) -> None:
        self._connection = connection
        self._gate = gate
        self._record = record
        self._pace = plan.pace
        self._cuts = deque(sorted(plan.cuts, key=lambda cut: cut.at))
        self._chunked = plan.framing == "chunked" or (plan.gzip and plan.framing == "length")
        self._last = size if plan.framing == "length" and not plan.gzip else None
        self._next = time.monotonic()

    def send(self, piece: bytes) -> None:
        """Send a piece, with the events of the plan."""
        rest = memoryview(piece)
        while rest:
            self._cut()
            ends = [len(rest)]
            if self._cuts:
                ends.append(self._cuts[0].at - self._record.sent)
            if self._pace is not None:
                ends.append(self._pace.size)
            part, rest = rest[: min(ends)], rest[min(ends) :]
            self._wait_for_turn(len(part))
            self._write(part)

    def end(self) -> None:
        """Send the end of the body."""
        self._cut()
        self._record.outcome = "complete"
        if self._chunked:
            self._connection.sendall(_LAST_CHUNK)

    def _wait_for_turn(self, size: int) -> None:
        if self._pace is not None:
            self._next += self._pace.seconds * size / self._pace.size
            if (seconds := self._next - time.monotonic()) > 0:
                self._gate.pause(seconds, self._connection)

    def _write(self, part: memoryview) -> None:
        record = self._record
        record.sent += len(part)
        if record.sent == self._last and not (self._cuts and self._cuts[0].at == self._last):
            record.outcome = "complete"  # before the client can know: it must not find another word then
        self._connection.sendall(b"%x\r\n%b\r\n" % (len(part), bytes(part)) if self._chunked else part)

    def _cut(self) -> None:
        while self._cuts and self._cuts[0].at == self._record.sent:
            self._act(self._cuts.popleft())

    def _act(self, cut: Cut) -> None:
        if cut.kind == "stall":
            self._record.outcome = "stalled"
            self._gate.stall(self._connection)
            self._record.outcome = "open"
            self._next = time.monotonic()
            return
        if cut.kind == "reset":
            self._wait_until_delivered()
            self._record.outcome = "reset"
            abort(self._connection)
        else:
            self._record.outcome = "truncated"
        raise _EndedError

    def _wait_until_delivered(self) -> None:
        """Wait until the client's system has all bytes, if this can be known: a reset discards the others."""
        end = time.monotonic() + self._gate.patience
        with suppress(ImportError, OSError):
            import fcntl
            import termios

            waiting = b"1234"
            while time.monotonic() < end and struct.unpack("i", waiting)[0]:
                waiting = fcntl.ioctl(self._connection, termios.TIOCOUTQ, bytes(4))
                if struct.unpack("i", waiting)[0]:
                    self._gate.pause(0.001, self._connection)
