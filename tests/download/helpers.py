"""Small things that several tests look at."""

import hashlib
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

__all__ = ["descriptors", "digest", "entries", "resolve_to", "threads", "visible"]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def entries(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def visible(directory: Path) -> list[str]:
    """Return what stands there, but for what an unfinished download keeps."""
    return [name for name in entries(directory) if not name.startswith(".kamiwaza-")]


def descriptors() -> list[str]:
    """Return what this process holds open, sorted; sockets and pipes by kind, because their numbers change."""
    held: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            held.append(str(link.readlink()).partition(":")[0])
        except FileNotFoundError:  # the listing's own
            continue
    return sorted(held)


def threads(prefix: str) -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)}


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let each name stand for these addresses: without a name server of one's own, no name is known to have several."""

    def getaddrinfo(host: str, port: int, *_: object) -> list[tuple[Any, ...]]:  # Any: as the original has it
        kinds = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address) for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)[: 4 if ":" in address else 2])
            for family, address in kinds
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
