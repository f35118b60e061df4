"""File servers as others wrote them, each in a process of its own on loopback, and a line to it that can be cut."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Final

__all__ = ["SERVERS", "Line", "serving"]

_TWISTED = """
import sys
from twisted.internet import reactor
from twisted.web import server, static
port = reactor.listenTCP(0, server.Site(static.File(sys.argv[1])), interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""
_RANGE_HTTP_SERVER = """
import os, sys
from http.server import ThreadingHTTPServer
from RangeHTTPServer import RangeRequestHandler
os.chdir(sys.argv[1])
server = ThreadingHTTPServer(("127.0.0.1", 0), RangeRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
"""
_TORNADO = """
import asyncio, sys
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler
async def main():
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/(.*)", StaticFileHandler, {"path": sys.argv[1]})])).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
#: Three that know ``Range``, and ignore ``If-Range``.
SERVERS: Final = {"twisted.web": _TWISTED, "RangeHTTPServer": _RANGE_HTTP_SERVER, "tornado": _TORNADO}
_PIECE: Final = 64 * 1024


@contextmanager
def serving(name: str, directory: Path) -> Iterator[int]:
    """Serve a directory, and yield the port."""
    command = [sys.executable, "-c", SERVERS[name], str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class Line(ThreadingTCPServer):
    """Passes on what is sent to a port; the first connection is cut after so many bytes of the answer.

    Attributes:
        cut: After how many; `None` once that has happened.
        on_cut: Called just before that, in a thread.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, *, cut: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target = port
        self.cut: int | None = cut
        self.on_cut: Callable[[], object] = bool
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def __enter__(self) -> "Line":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join(20)
        self.server_close()

    def url(self, path: str) -> str:
        """Return where the line leads to a path."""
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Passing(StreamRequestHandler):
    server: Line

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target), 20) as onward, suppress(OSError):
            threading.Thread(target=self._ask, args=(onward,), daemon=True).start()
            left, self.server.cut = self.server.cut, None
            while piece := onward.recv(_PIECE if left is None else min(_PIECE, left)):
                self.connection.sendall(piece)
                if left is not None and not (left := left - len(piece)):
                    self.server.on_cut()
                    break
            self.connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, onward: socket.socket) -> None:
        with suppress(OSError):
            while piece := self.connection.recv(_PIECE):
                onward.sendall(piece)
