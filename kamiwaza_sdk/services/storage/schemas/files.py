"""What the store needs to know of a version to lay it out: any object with these attributes will do."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["FileLike", "HasFiles"]


class FileLike(Protocol):
    """A file of a version: its path in it (POSIX, relative), its size in bytes, its digest in hexadecimal."""

    @property
    def path(self) -> str:
        """The path relative to the version's root, with ``/`` between segments."""
        ...

    @property
    def size(self) -> int:
        """The size in bytes."""
        ...

    @property
    def sha256(self) -> str:
        """The SHA-256 digest as hexadecimal digits."""
        ...


class HasFiles(Protocol):
    """Something made of files, such as a version of a model."""

    @property
    def files(self) -> Sequence[FileLike]:
        """The files, in any order."""
        ...
