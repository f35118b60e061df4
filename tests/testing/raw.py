"""A client that repairs nothing: what came is what it shows."""

import socket
import time
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

__all__ = ["Got", "ask", "connect"]

PATIENCE = 20.0


@dataclass(frozen=True)
class Got:
    """What came until the connection ended, how it ended, and after how many seconds each piece came."""

    status: int | None
    headers: dict[str, str]
    body: bytes
    end: Literal["closed", "reset"]
    moments: list[float] = field(compare=False)


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE)


def send(connection: socket.socket, url: str, *, method: str = "GET", **headers: str) -> None:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())


def ask(url: str, *, method: str = "GET", **headers: str) -> Got:
    """Ask once, ``Connection: close``, and read until the end, whatever it is."""
    started = time.monotonic()
    end: Literal["closed", "reset"] = "closed"
    data, moments = b"", list[float]()
    with connect(url) as connection:
        send(connection, url, method=method, Connection="close", **headers)
        try:
            while piece := connection.recv(65536):
                data += piece
                moments.append(time.monotonic() - started)
        except ConnectionResetError:
            end = "reset"
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return Got(
        int(status.split()[1]) if status else None,
        {name.lower(): value for name, _, value in pairs},
        body,
        end,
        moments,
    )
