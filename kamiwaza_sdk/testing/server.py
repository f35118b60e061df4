"""`FaultyServer`: an HTTP server on loopback, with a thread for each connection, with or without faults."""

import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import Any, Final, Self
from urllib.parse import quote

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.testing._answers import Answer, Plan, Reply, State, answer
from kamiwaza_sdk.testing._connection import Connection, Gate
from kamiwaza_sdk.testing.bodies import Body, GeneratedBody, body_of
from kamiwaza_sdk.testing.faults import Fault, RecordedRequest, Redirect, Step

_LOOK: Final = 0.01
_NO_TIME: Final = b"\1\0\0\0\0\0\0\0"


class _Accepted(ssl.SSLSocket):
    """A connection that can also be created if the client has left already; the base class fails then, and leaks it."""

    def getpeername(self) -> Any:  # Any: as the base class has it
        try:
            return super().getpeername()
        except OSError:  # asked once, when it is made; the handshake will tell
            return None


class Listener(socketserver.TCPServer):
    """Listens on a free port of 127.0.0.1."""

    request_queue_size = 128

    def __init__(
        self, take: Callable[[RecordedRequest], tuple[Plan, Answer]], gate: Gate, tls: ssl.SSLContext | None
    ) -> None:
        self.take = take
        self.gate = gate
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", 0), Connection)
        if tls is not None:  # the handshake waits for the first read, in the connection's own thread
            self.socket: socket.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            tls.sslsocket_class = _Accepted
        self._thread = threading.Thread(target=self.serve_forever, args=(_LOOK,), name="faulty-server", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:  # Any: as the base class has it
        """Serve a connection in a thread of its own."""
        name = f"faulty-server-{client_address[1]}"
        thread = threading.Thread(target=self._serve, args=(request, client_address), name=name, daemon=True)
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def _serve(self, request: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - a mistake in a script of faults, say, is told when the server closes
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:  # Any: as the base class has it
        """Close a connection normally, or reset it."""
        with suppress(OSError):
            linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_NO_TIME))
            if linger[:4] == bytes(4):
                _say_goodbye(request)
                request.shutdown(socket.SHUT_WR)
        request.close()
        with self._lock:
            self._connections.pop(request, None)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep an error, unless the client has left, as it does in many tests."""
        error = sys.exception()
        if not isinstance(error, OSError) and self.error is None:
            self.error = error

    def close(self) -> None:
        """End everything, and wait for it."""
        self.gate.close()
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            with suppress(OSError):  # it is gone already
                # Not its own method, which takes TLS off it while its thread uses that.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in (self._thread, *connections.values()):
            thread.join(self.gate.patience)
            if thread.is_alive():
                raise TimeoutError(f"{thread.name} has not ended; does an iterator of faults wait for something?")


def _say_goodbye(connection: socket.socket) -> None:
    """Send the end of the TLS connection (``close_notify``), without waiting for that of the client."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(0)
        with suppress(OSError):
            connection.unwrap()


_NOT_FOUND = Reply(404, {}, b"nothing is served here\n")
_NOT_ALLOWED = Reply(405, {"Allow": "GET, HEAD", "Connection": "close"}, b"GET and HEAD are\n")


class FaultyServer:
    """A server on a free port of 127.0.0.1, with threads of its own, that runs while its context is open.

    Without a fault it implements HTTP/1.1 correctly: GET and HEAD, persistent connections, ``Range`` and ``If-Range``,
    ``If-None-Match`` and ``If-Modified-Since``, with a strong ``ETag`` and ``Last-Modified``. All threads and processes
    of this machine can use it. When it closes, everything that waits in it ends.

    Args:
        patience: The longest time that anything in it waits, in seconds: a stall, a delay, an idle client.
        tls: Serve https, with the certificate of this context, which must be valid for 127.0.0.1.

    Attributes:
        requests: Every request so far, in the order of their arrival.

    Example:
        >>> from urllib.request import urlopen
        >>> from kamiwaza_sdk.testing import FaultyServer, Truncate
        >>> with FaultyServer() as server:
        ...     url = server.add("/model.bin", body=b"weights", faults=[None, Truncate(at=3)])
        ...     with urlopen(url) as response:
        ...         response.read()
        b'weights'
        >>> [(request.status, request.outcome) for request in server.requests]
        [(200, 'complete')]
    """

    def __init__(self, *, patience: float = 60.0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[RecordedRequest] = []
        self._resources: dict[str, Resource] = {}
        self._lock = threading.Lock()
        self._gate = Gate(patience)
        self._tls = tls
        self._listener: Listener | None = None
        self._others = ExitStack()

    def __enter__(self) -> Self:
        if self._listener is not None:
            raise InvalidInputException("server", "was entered before; make another")
        self._listener = Listener(self._take, self._gate, self._tls)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all answers and connections, and wait for them. Leaving the context calls it.

        Raises:
            Exception: Whatever a list of faults raised, for example an iterator of the caller.
        """
        with self._others:
            if self._listener is None:
                return
            self._listener.close()
        if (error := self._listener.error) is not None:
            self._listener.error = None
            raise error

    def add(
        self,
        path: str,
        *,
        body: bytes | GeneratedBody = b"",
        headers: Mapping[str, str | None] | None = None,
        faults: Iterable[Step] = (),
        always: Fault | tuple[Fault, ...] = (),
    ) -> str:
        """Serve content under a path, in place of any earlier one, and return its URL.

        Args:
            path: It begins with ``/``. A query that clients add to it is ignored.
            body: The content.
            headers: Additional headers, also ``ETag`` and ``Last-Modified``; `None` removes one.
            faults: Each request takes the next of these: a fault, several as a tuple, or `None` for none. After the
                last one, there are no faults. It may be endless: ``itertools.repeat(fault)``,
                ``itertools.cycle(faults)``. Items of an iterator are checked when a request takes them; leaving the
                server raises the error.
            always: Faults of every request, in addition.

        Returns:
            The URL.

        Raises:
            InvalidInputException: The path does not begin with ``/``, or has a query; or `body`, `faults` or `always`,
                or one of the items, has a wrong type.

        Example:
            >>> from kamiwaza_sdk.testing import Changed, FaultyServer, Rate, Status
            >>> with FaultyServer() as server:
            ...     flaky = server.add("/flaky", body=b"weights", faults=[Status(503), Status(503)])
            ...     slow = server.add("/slow", body=b"weights", always=Rate(1000))
            ...     moving = server.add("/moving", body=b"weights", always=(Changed(), Rate(1000)))
        """
        if not path.startswith("/") or "?" in path or "#" in path:
            raise InvalidInputException("path", f"{path!r} is none; begin it with '/', and leave out any query")
        resource = Resource(body_of(body), dict(headers or {}), faults, always)
        self._resources[quoted(path)] = resource
        return self.url(path)

    def add_redirect(self, path: str, to: str, *, hops: int = 1, status: int = 302) -> str:
        """Redirect from a path, and return its URL. A redirect from a path to itself never ends.

        Args:
            path: The first path. Each further hop is below it: ``/start/1``, ``/start/2``.
            to: The target: a URL of this server or of `another_origin`, or a path of this server.
            hops: The number of redirects.
            status: 301, 302, 303, 307 or 308.

        Returns:
            The URL.

        Raises:
            InvalidInputException: A path does not begin with ``/``, or there is no hop.
        """
        if hops < 1:
            raise InvalidInputException("hops", f"is {hops}; give 1 or more")
        places = [path, *(f"{path.rstrip('/')}/{hop}" for hop in range(1, hops)), to]
        for here, there in pairwise(places):
            self.add(here, always=Redirect(quoted(there) if there.startswith("/") else there, status))
        return self.url(path)

    def another_origin(self) -> "FaultyServer":
        """Return another server, on another port, which closes with this one. It has its own paths and requests.

        Raises:
            InvalidInputException: This one is not open.
        """
        if self._listener is None or self._gate.closed:
            raise InvalidInputException("server", "is not open; enter it: with FaultyServer() as server")
        return self._others.enter_context(FaultyServer(patience=self._gate.patience, tls=self._tls))

    def url(self, path: str) -> str:
        """Return the URL of a path, whether or not it has content.

        Args:
            path: It begins with ``/``.

        Raises:
            InvalidInputException: The server was not entered.
        """
        if self._listener is None:
            raise InvalidInputException("server", "has no address yet; enter it: with FaultyServer() as server")
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._listener.port}{quoted(path)}"

    def sha256(self, path: str) -> str:
        """Return the SHA-256 of the current content of a path, without faults, in hexadecimal.

        Args:
            path: As it was added.

        Raises:
            InvalidInputException: Nothing was added there.
        """
        resource = self._resources.get(quoted(path))
        if resource is None:
            raise InvalidInputException("path", f"{path!r} serves nothing; add() it first")
        return resource.state.body.sha256()

    def requests_to(self, path: str) -> list[RecordedRequest]:
        """Return the requests to a path so far, with any query.

        Args:
            path: As it was added.
        """
        return [request for request in list(self.requests) if request.path.partition("?")[0] == quoted(path)]

    def wait_for_stall(self, timeout: float = 10.0) -> None:
        """Wait until an answer is stalled by the fault `Stall`. In a coroutine, call it by `asyncio.to_thread`.

        Args:
            timeout: The longest time to wait, in seconds.

        Raises:
            TimeoutError: No answer is stalled.
        """
        if not self._gate.wait_for_stall(timeout):
            raise TimeoutError(f"no answer stalled within {timeout:g} s; see the requests for what came instead")

    def release(self) -> None:
        """Let all stalled answers continue."""
        self._gate.release()

    def _take(self, record: RecordedRequest) -> tuple[Plan, Answer]:
        """Record a request, and return how to answer it."""
        with self._lock:
            self.requests.append(record)
            resource = self._resources.get(record.path.partition("?")[0])
            plan = Plan(reply=_NOT_FOUND) if resource is None else resource.next_plan()
            state = _NOTHING if resource is None else resource.state
        if record.method not in {"GET", "HEAD"}:
            plan = Plan(reply=_NOT_ALLOWED)
        return plan, answer(record.method, record.headers, state, plan)


_NOTHING = State(body_of(b""), 0, {})


class Resource:
    """The content of a path, and its remaining faults.

    Raises:
        InvalidInputException: `faults` or `always`, or one of its items, has a wrong type.
    """

    def __init__(
        self,
        body: Body,
        headers: Mapping[str, str | None],
        faults: Iterable[Step],
        always: Fault | tuple[Fault, ...],
    ) -> None:
        self.state: State = State(body, 0, headers)
        self._given, self._times = body, 0  # what was given last, and how often it has changed since
        self._faults = _script(faults)
        self._always = _several(always, "always", "give a fault, or several as a tuple")

    def next_plan(self) -> Plan:
        """Return the content and the faults for the next request."""
        plan = Plan()
        for fault in (*self._always, *next(self._faults, ())):
            fault._change(plan)
        for body in plan.changes:
            self._times = self._times + 1 if body is None else 0
            if body is not None:
                self._given = body_of(body)
            changed = self._given.changed(self._times) if self._times else self._given
            self.state = State(changed, self.state.changes + 1, self.state.headers)
        return plan


def _script(faults: Iterable[Step]) -> Iterator[tuple[Fault, ...]]:
    """Return the faults of one request after the other. Only a collection is checked now: iterators may be endless."""
    try:
        steps = iter(faults)
    except TypeError:
        reason = f"is {_kind(faults)}; give a list of what befalls one request each, such as [Status(503), None]"
        raise InvalidInputException("faults", reason) from None
    if isinstance(faults, Collection):
        for step in faults:
            _step(step)
    return map(_step, steps)


def _step(step: Step) -> tuple[Fault, ...]:
    return _several(step, "faults", "give for each request a fault, several as a tuple, or None")


def _several(step: Step, field: str, way_out: str) -> tuple[Fault, ...]:
    several = () if step is None else step if isinstance(step, tuple) else (step,)
    for fault in several:
        if not isinstance(fault, Fault):
            raise InvalidInputException(field, f"has {_kind(fault)} for a fault; {way_out}")
    return several


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def quoted(path: str) -> str:
    """Return a path as clients request it (RFC 3986, section 2.1). Parts that are quoted already are not changed."""
    return quote(path, safe="/%!$&'()*+,;=:@~?")
