"""The socket that listens, and the threads, one for each connection."""

import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from kamiwaza_sdk.testing._answers import Answer
from kamiwaza_sdk.testing._connection import Connection
from kamiwaza_sdk.testing._gate import Gate
from kamiwaza_sdk.testing._plan import Plan
from kamiwaza_sdk.testing.records import RecordedRequest

__all__ = ["Listener"]

_LOOK: Final = 0.01
_NO_TIME: Final = b"\1\0\0\0\0\0\0\0"


class _Accepted(ssl.SSLSocket):
    """Is made for a client that is gone already, too, where the base class fails and leaves it open."""

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
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
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
        """Close a connection: with an orderly end, unless it is to be reset."""
        with suppress(OSError):
            linger = request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_NO_TIME))
            if linger[:4] == bytes(4):
                _say_goodbye(request)
                request.shutdown(socket.SHUT_WR)
        request.close()
        with self._lock:
            self._connections.pop(request, None)

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep what went wrong, but for a client that has left: that is part of many a test."""
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
    """Tell a client by TLS that this is the end and no attack, without waiting for its own goodbye."""
    if isinstance(connection, ssl.SSLSocket):
        connection.settimeout(0)
        with suppress(OSError):
            connection.unwrap()
