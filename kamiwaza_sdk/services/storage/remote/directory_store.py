"""A directory of another machine's, or of another disk, as a place where blobs are looked for, and shared by machines.

It is a store as any other, in the same format, and whatever looks after a store looks after it, given a
`StorageService` with that root.
"""

import fcntl
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk.services.storage.blobs import blob_path, blob_place
from kamiwaza_sdk.services.storage.config import StorageConfig
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    BlobNotFoundException,
    DigestMismatchException,
)
from kamiwaza_sdk.services.storage.files import copy, open_file, translated
from kamiwaza_sdk.services.storage.remote.objects import Held
from kamiwaza_sdk.services.storage.schemas import BlobSchema, StoreDatabaseSchema
from kamiwaza_sdk.services.storage.setup import make_directory, prepare, read_format, write_whole
from kamiwaza_sdk.services.storage.staging import locked, release

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.collection import Collection
    from kamiwaza_sdk.services.storage.services import StorageService


class DirectoryStore:
    """Blobs in a directory that is a store's root. Every method blocks; any number of threads may call them.

    Args:
        root: The directory.
        writable: Whether anything may be changed there. Where not, no use is noted either, and nothing is set aside.
    """

    def __init__(self, root: Path, *, writable: bool) -> None:
        self._root = root
        self._writable = writable

    def __str__(self) -> str:
        """Return its address."""
        return self._root.as_uri()

    @cached_property
    def _service(self) -> "StorageService":
        from kamiwaza_sdk.services.storage.services import StorageService

        return StorageService(StorageConfig(root=self._root, remote=None, tiers=(), max_size=None))

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits that no other store has. It is made where it is new."""
        with translated(self._root):
            prepare(self._root)
            found = read_format(self._root)
        assert found is not None, "it was prepared"
        return found.id

    def find(self, sha256: str, *, size: int | None = None) -> int | None:
        """Return the size of a blob that is there; `None` where it is not."""
        if self._writable:
            blob = self._service.find(sha256, size=size)
            return None if blob is None else blob.size
        with translated(self._root):
            try:
                status = os.lstat(blob_place(self._root, sha256))
            except (FileNotFoundError, NotADirectoryError):
                return None
        is_there = stat.S_ISREG(status.st_mode) and size in {None, status.st_size}
        return status.st_size if is_there else None

    def put(self, blob: BlobSchema) -> bool:
        """Copy a blob there unless it is there; tell whether it had to be."""
        if self._service.find(blob.sha256, size=blob.size) is not None:
            return False
        try:
            self._service.add(blob.path, sha256=blob.sha256)
        except DigestMismatchException as error:
            wrong = error.actual
            raise BlobCorruptException(sha256=blob.sha256, actual=wrong, path=blob.path, quarantined=None) from error
        return True

    def copy_to(self, sha256: str, target: FileIO) -> str | None:
        """Append a blob to a file, and return the SHA-256 of what came; `None` where there is no such blob."""
        with translated(self._root):
            try:
                with open_file(blob_path(self._root, sha256)) as source:
                    return copy(source, target)
            except FileNotFoundError:
                return None

    @property
    def objects(self) -> "DirectoryObjects":
        """Small objects beside the blobs, which machines agree by."""
        return DirectoryObjects(self._root)

    def lease(self, digests: Sequence[str], *, duration: timedelta) -> str:
        """Have a clean-up keep blobs for a while."""
        return self._service.lease(digests, duration=duration)

    def release(self, lease: str) -> bool:
        """End a lease before its time."""
        return self._service.release(lease)

    def collection(self) -> "Collection":
        """Return it as a clean-up sees it."""
        assert self.id, "it is there, or made"
        return self._service._collection

    def digest(self, sha256: str) -> str | None:
        """Return the SHA-256 of the bytes that are there; `None` where there are none. Damage is set aside."""
        try:
            return self._service.verify(sha256).sha256
        except BlobCorruptException as error:
            return error.actual
        except BlobNotFoundException:
            return None

    def note_database(self, database: StoreDatabaseSchema) -> None:
        """Note, durably, that a registry is going to refer to what lies here."""
        assert self.id, "it is there, or made"
        self._service._note_database(database)

    def list_databases(self) -> list[StoreDatabaseSchema]:
        """Return the registries that have registered what lies here, by id."""
        return self._service.list_databases()

    def forget_database(self, database_id: str) -> bool:
        """Let a registry be asked no more; tell whether it was."""
        return self._service.forget_database(database_id)


class DirectoryObjects:
    """Small objects in a directory. Where its file system has no locks, two who take over a lease may both get it.

    Args:
        root: The directory.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> Held | None:
        """Return a small object; `None` where there is none."""
        place = self._root / name
        with translated(place):
            try:
                content = place.read_bytes()
                return Held(content, {}, datetime.fromtimestamp(place.stat().st_mtime, UTC))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object that is not there. `False`: it is there."""
        place = self._root / name
        with translated(place):
            make_directory(place.parent)
            return write_whole(place, content, replace=False)

    def replace(self, name: str, content: bytes, held: Held) -> bool:
        """Write a small object in place of what was read. `False`: it is another by now, or gone."""
        place = self._root / name
        with translated(place):
            lock = locked(place.with_name("swap"), fcntl.LOCK_EX)
            try:
                found = self.read(name)
                if found is None or found.content != held.content:
                    return False
                return write_whole(place, content)
            finally:
                if lock is not None:
                    release(lock)

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in place of whatever is there."""
        place = self._root / name
        with translated(place):
            make_directory(place.parent)
            write_whole(place, content)

    def delete(self, *names: str) -> None:
        """Delete objects, whatever they are by now; none that is not there is missed."""
        for name in names:
            place = self._root / name
            with translated(place), suppress(FileNotFoundError):
                place.unlink()
