"""A kept blob, and what a store takes.

What the store needs to know of a version to lay it out: any object with these attributes will do.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from kamiwaza_sdk._display import Cell, Displayed, Listed, Table, cut_digest, short_digest, shown_size
from kamiwaza_sdk._validation import Sha256

#: How another tool's file came into the store.
AdoptedBy: TypeAlias = Literal["kept", "reflink", "link", "copy"]


class BlobSchema(Listed, BaseModel):
    """A file the store keeps, as it was when the store was asked.

    Attributes:
        sha256: Its digest, which is its name.
        size: In bytes.
        path: Where it lies: a regular file of mode 0444. Read it, never write it.

    Example:
        >>> BlobSchema(sha256="00" * 32, size=0, path="/srv/store/blobs").size
        0
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    sha256: Sha256
    size: int = Field(ge=0)
    path: Path

    def _summary(self) -> dict[str, object]:
        return {"": short_digest(self.sha256), "size": shown_size(self.size), "path": str(self.path)}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("blob", "size", "path"), (), numbers=frozenset((1,)))

    def _cells(self) -> tuple[str | Cell, ...]:
        return cut_digest(self.sha256), shown_size(self.size), str(self.path)


class WantedBlob(NamedTuple):
    """A blob that is looked for, by its digest; its size in bytes where that is known."""

    sha256: str
    size: int | None


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


class LeftoverSchema(Displayed, BaseModel):
    """What lies in one of the store's directories that are not for blobs.

    Attributes:
        files: How many.
        bytes: Together.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    files: int = Field(ge=0)
    bytes: int = Field(ge=0)


class StorageUsageSchema(Displayed, BaseModel):
    """How much a store takes, as it was when the store was asked.

    Attributes:
        bytes: Of all blobs together. A blob that shares its blocks with other files counts in full.
        blobs: How many.
        oldest: When the blob that has not been used for longest was used last; `None` where there is none.
        staging: What is on its way in, or was left there by writers that died.
        trash: What clean-ups have set aside and not removed yet.
        quarantine: What stood under a blob's name and was not that blob.
        format: The number of the store's layout.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from kamiwaza_sdk import StorageConfig, StorageService
        >>> with TemporaryDirectory() as root:
        ...     usage = StorageService(StorageConfig(root=root)).usage()
        >>> usage.blobs, usage.oldest
        (0, None)
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    bytes: int = Field(ge=0)
    blobs: int = Field(ge=0)
    oldest: datetime | None
    staging: LeftoverSchema
    trash: LeftoverSchema
    quarantine: LeftoverSchema
    format: int


class StoreDatabaseSchema(Displayed, BaseModel):
    """A registry that has registered what lies in a store. A clean-up has to ask it.

    Attributes:
        id: What tells it from all others: for PostgreSQL by the cluster, the database and the schema; for SQLite by the
            file. A copy of it is another one.
        name: For people: where it was, without a password.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: str
    name: str
