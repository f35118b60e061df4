"""What several tests need: versions, digests, and a look at a whole tree."""

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from kamiwaza_sdk import BlobSchema, StorageService


@dataclass(frozen=True)
class File:
    """A file of a version, as a plain dataclass."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Version:
    """A version, as a plain dataclass."""

    files: Sequence[File]


#: When each blob was last changed, by its file's status: 2001-09-09, in nanoseconds.
PUBLISHED_NS: Final = 1_000_000_000 * 10**9


def no_clone(*_: object) -> None:
    """Stand in for `fcntl.ioctl`: nothing shares blocks, whatever file system the tests run on."""
    raise OSError(errno.EOPNOTSUPP, "not supported")


def when_made(monkeypatch: pytest.MonkeyPatch, directory: Path, act: Callable[[], object]) -> None:
    """Let something happen when a directory has been made, or was found to be there."""
    make = os.mkdir

    def make_and_act(path: Any, *arguments: Any, **keywords: Any) -> None:
        try:
            make(path, *arguments, **keywords)
        finally:
            if path == directory:
                act()

    monkeypatch.setattr(os, "mkdir", make_and_act)


def when_hashed(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, piece: bool = False) -> None:
    """Let something happen when a file has been read to its end and hashed; or after each piece of it."""
    made = hashlib.sha256

    class Noticed:
        def __init__(self, data: bytes = b"") -> None:
            self._hash = made(data)

        def update(self, data: bytes) -> None:
            self._hash.update(data)
            if piece:
                act()

        def hexdigest(self) -> str:
            digest = self._hash.hexdigest()
            if not piece:
                act()
            return digest

    monkeypatch.setattr(hashlib, "sha256", Noticed)


def nothing(path: Path) -> None:
    """Make nothing there."""


def folder(path: Path) -> None:
    """Make a directory."""
    path.mkdir()


def fifo(path: Path) -> None:
    """Make a FIFO."""
    os.mkfifo(path)


def loop(path: Path) -> None:
    """Make a symbolic link to itself."""
    path.symlink_to(path)


def dangling(path: Path) -> None:
    """Make a symbolic link to nothing."""
    path.symlink_to("/nowhere")


def short(path: Path) -> None:
    """Make a file of another size than any that the tests lay out."""
    path.write_bytes(b"other")


def same_size(path: Path) -> None:
    """Make a file of 400 bytes."""
    path.write_bytes(b"x" * 400)


def sparse(path: Path, size: int) -> None:
    """Make a file that takes long to read and no room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def keep(store: StorageService, data: bytes) -> BlobSchema:
    """Publish `data` the way a downloader does."""
    with store.stage() as path:
        path.write_bytes(data)
        return store.publish(path, sha256=sha256(data), size=len(data))


def version(store: StorageService, contents: dict[str, bytes]) -> Version:
    """Keep some files, and return the version made of them."""
    blobs = {path: keep(store, data) for path, data in contents.items()}
    return Version([File(path, blob.size, blob.sha256) for path, blob in blobs.items()])


def unread(path: Path) -> list[int]:
    """Return the status of a path without the time of its last reading, which a look itself may change."""
    status = path.lstat()
    return [*status[:7], status.st_mtime_ns, status.st_ctime_ns]


def tree(directory: Path) -> dict[str, bytes | str | None]:
    """Return what lies below: files with content, links with target, directories with `None`."""
    return {
        str(path.relative_to(directory)): str(path.readlink())
        if path.is_symlink()
        else None
        if path.is_dir()
        else path.read_bytes()
        for path in sorted(directory.rglob("*"))
    }


def misnamed(root: Path) -> list[Path]:
    """Return every file that stands under a blob's name and is not that blob: there must never be one."""
    files = [path for path in root.glob("blobs/**/*") if not path.is_dir()]
    return [path for path in files if sha256(path.read_bytes()) != path.name or path.parent.name != path.name[:2]]
