"""A file over HTTP, by sendfile, in a process of its own: what a web server does at its quickest.

Usage: ``python -m tests.benchmarks.serve FILE`` prints the port, and serves until its standard input ends.
"""

import socket
import sys
import threading
from pathlib import Path


def answer(connection: socket.socket, path: Path) -> None:
    """Answer requests for the one file, one after the other, until the client leaves."""
    with connection:
        while connection.recv(65536):
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
            connection.sendall(head.encode())
            with path.open("rb") as file:
                connection.sendfile(file)


def accept(listener: socket.socket, path: Path) -> None:
    """Give each connection a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, path), daemon=True).start()


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, Path(sys.argv[1])), daemon=True).start()
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - how the benchmark learns it
    sys.stdin.read()
