"""A real HTTP server on loopback, for tests: it serves what it is told to, also wrongly.

Example:
    >>> with Server() as server:
    ...     url = server.add("/model.bin", body=b"weights", etag='"1"')
    ...     url == server.url("/model.bin")
    True
"""

import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal, Self

__all__ = ["Reply", "Request", "Server"]

_PATIENCE: Final = 20.0
_PIECE: Final = 1024**2


@dataclass(frozen=True)
class Request:
    """What a client asked for: header names in lower case, and the port it came from."""

    method: str
    path: str
    headers: Mapping[str, str]
    client: int


@dataclass(frozen=True)
class Reply:
    """What is served under a path; see `Server.add`."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    etag: str | None = None
    last_modified: str | None = None
    announce: int | Literal["truly", "chunked"] | None = "truly"
    stall_after: int | None = None
    drop_after: int | None = None
    redirect: str | None = None

    def is_current(self, request: Request) -> bool:
        """Whether the client's validators name this very state."""
        etag, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
        if etag is not None:
            return etag == self.etag
        return since is not None and since == self.last_modified


class Server:
    """Serves on a free port of 127.0.0.1, in threads of its own, from entering to leaving its context.

    Attributes:
        requests: Every request so far, oldest first.
        stalled: Set as soon as a reply has stalled.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.stalled = threading.Event()
        self._replies: dict[str, Reply] = {}
        self._leaving = threading.Event()
        self._scheme = "http" if tls is None else "https"
        self._http = _Listener(self)
        if tls is not None:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), name="test-server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._http.shutdown()
        self._http.disconnect()
        self._http.server_close()
        self._thread.join(_PATIENCE)

    def add(
        self,
        path: str,
        *,
        body: bytes = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
        announce: int | Literal["truly", "chunked"] | None = "truly",
        stall_after: int | None = None,
        drop_after: int | None = None,
        redirect: str | None = None,
    ) -> str:
        """Serve this under `path`, whatever was there before, and return its URL.

        Args:
            path: Compared with the request's path, its query left out.
            body: What is sent, all of it, whatever was announced.
            status: The HTTP status.
            headers: More headers.
            etag: Sent as ``ETag``, and compared with ``If-None-Match``.
            last_modified: Sent as ``Last-Modified``, and compared with ``If-Modified-Since``.
            announce: ``Content-Length``: the truth, another number, ``"chunked"``, or `None` for neither: the body ends
                with the connection.
            stall_after: Send that many bytes, then nothing more, until the server is left.
            drop_after: Send that many bytes, then close the connection.
            redirect: Answer 302 with this ``Location``.
        """
        self._replies[path] = Reply(
            body=body,
            status=status,
            headers=dict(headers or {}),
            etag=etag,
            last_modified=last_modified,
            announce=announce,
            stall_after=stall_after,
            drop_after=drop_after,
            redirect=redirect,
        )
        return self.url(path)

    def url(self, path: str) -> str:
        """Return the URL of `path` here."""
        return f"{self._scheme}://127.0.0.1:{self._http.server_port}{path}"

    def reply_to(self, request: Request) -> Reply:
        """Note `request` and return what is to be answered."""
        self.requests.append(request)
        reply = self._replies.get(request.path.partition("?")[0], Reply(status=404))
        if reply.redirect is not None:
            return Reply(status=302, headers={**reply.headers, "Location": reply.redirect})
        return reply

    def stall(self) -> None:
        """Hold a connection open until the server is left."""
        self.stalled.set()
        self._leaving.wait(_PATIENCE)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    wbufsize = 65536  # headers and a small body in one segment

    @property
    def _owner(self) -> Server:
        assert isinstance(self.server, _Listener)
        return self.server.owner

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.client_address[1])
        reply = self._owner.reply_to(request)
        try:
            self._send(reply, not_modified=reply.is_current(request))
        except OSError:  # the client has left: part of many a test
            self.close_connection = True

    def _send(self, reply: Reply, *, not_modified: bool) -> None:
        self._send_head(reply, HTTPStatus.NOT_MODIFIED if not_modified else reply.status)
        if not_modified:
            return
        self._send_body(reply)
        self.wfile.flush()
        if reply.stall_after is not None:
            self._owner.stall()
        if reply.stall_after is not None or reply.drop_after is not None or reply.announce is None:
            self.close_connection = True

    def _send_head(self, reply: Reply, status: int) -> None:
        self.send_response(status)
        for name, value in {"ETag": reply.etag, "Last-Modified": reply.last_modified, **reply.headers}.items():
            if value is not None:
                self.send_header(name, value)
        if reply.announce == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif status != HTTPStatus.NOT_MODIFIED and reply.announce is not None:
            self.send_header("Content-Length", str(len(reply.body) if reply.announce == "truly" else reply.announce))
        self.end_headers()

    def _send_body(self, reply: Reply) -> None:
        limits = (reply.stall_after, reply.drop_after, len(reply.body))
        end = min(limit for limit in limits if limit is not None)
        for start in range(0, end, _PIECE):
            self._send_piece(reply.body[start : min(start + _PIECE, end)], chunked=reply.announce == "chunked")
        if reply.announce == "chunked" and end == len(reply.body) and reply.drop_after is None:
            self.wfile.write(b"0\r\n\r\n")

    def _send_piece(self, piece: bytes, *, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: what was asked is in `Server.requests`."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that leaving waits for them
    block_on_close = True
    request_queue_size = 128

    def __init__(self, owner: Server) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that leave are part of many a test."""

    def disconnect(self) -> None:
        """End what clients keep open."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is gone already
                continue
