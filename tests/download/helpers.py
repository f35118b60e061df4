"""Small things that several tests look at."""

import hashlib
import threading
from pathlib import Path

__all__ = ["descriptors", "digest", "entries", "threads", "visible"]


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
