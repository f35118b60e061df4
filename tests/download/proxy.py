"""A forward proxy on loopback: it passes plain requests on, and opens tunnels."""

import base64
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Proxy"]

_PATIENCE = 20.0


class Proxy:
    """Listens on a free port of 127.0.0.1, from entering to leaving its context.

    Attributes:
        asked: The request lines, without the version, and the headers, in lower case.
        user: Who is let in, as ``name:password``; `None` lets everybody in.
        status: What everybody is refused with.
    """

    def __init__(self, *, user: str | None = None, status: int | None = None) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.user = user
        self.status = status
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="test-proxy")

    @property
    def url(self) -> str:
        """What goes into the environment, user and password included."""
        user = "" if self.user is None else f"{self.user}@"
        return f"http://{user}127.0.0.1:{self._server.server_port}"

    def refusal(self, headers: dict[str, str]) -> int | None:
        """The status to refuse a request with, if it is to be refused."""
        if self.status is not None:
            return self.status
        expected = None if self.user is None else "Basic " + base64.b64encode(self.user.encode()).decode()
        return None if headers.get("proxy-authorization") == expected else 407

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    timeout = _PATIENCE

    def _refused(self) -> bool:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.proxy.asked.append((f"{self.command} {self.path}", headers))
        status = self.proxy.refusal(headers)
        if status is not None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return status is not None

    def do_GET(self) -> None:
        if self._refused():
            return
        parts = urlsplit(self.path)
        assert parts.port is not None
        onward = HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE)
        onward.request("GET", parts.path, headers={n: v for n, v in self.headers.items() if n != "Proxy-Authorization"})
        answer = onward.getresponse()
        body = answer.read()
        onward.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        if self._refused():
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=_PATIENCE) as there:
            self.send_response(200)
            self.end_headers()
            upstream = threading.Thread(target=_pump, args=(self.connection, there))
            upstream.start()
            _pump(there, self.connection)
            upstream.join(_PATIENCE)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
