"""A kept blob.

What the store needs to know of a version to lay it out: any object with these attributes will do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from kamiwaza_sdk._validation import Sha256

#: How another tool's file came into the store.
AdoptedBy: TypeAlias = Literal["kept", "reflink", "link", "copy"]


class BlobSchema(BaseModel):
    """A file the store keeps, as it was when the store was asked.

    Attributes:
        sha256: Its digest, which is its name.
        size: In bytes.
        path: Where it lies: a regular file of mode 0444. Read it, never write it.

    Example:
        >>> BlobSchema(sha256="00" * 32, size=0, path="/srv/store/blobs").size
        0
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    sha256: Sha256
    size: int = Field(ge=0)
    path: Path


class AdoptedBlobSchema(BlobSchema):
    """A kept blob that was another tool's file.

    Attributes:
        sha256: Its digest, which is its name.
        size: In bytes.
        path: Where it lies. Read it, never write it.
        by: How it came: ``reflink`` shares the other file's blocks until one of them is written to, ``link`` is that
            file itself under a second name, ``copy`` has taken room again; ``kept`` was in the store already.

    Example:
        >>> AdoptedBlobSchema(sha256="00" * 32, size=0, path="/srv/store/blobs", by="link").by
        'link'
    """

    by: AdoptedBy


class FileEntry(Protocol):
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
    def files(self) -> Sequence[FileEntry]:
        """The files, in any order."""
        ...
