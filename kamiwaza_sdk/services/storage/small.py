"""Small files: bodies in memory, verified there, that become blobs many at a time, at the price of few syncs.

The order of a crash's promise is that of any blob: the content is on disk before it has its name. But the directories
of many names are synced together, once: so a name can be lost with the power until `SmallBlobs.settle` has returned,
and who brought the files says so only then.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from kamiwaza_sdk.services.storage.blobs import blob_place, inspect, make_published, move
from kamiwaza_sdk.services.storage.exceptions import BlobCorruptException, BlobNotFoundException
from kamiwaza_sdk.services.storage.files import sync_directory, translated
from kamiwaza_sdk.services.storage.schemas import BlobSchema

#: Nobody else reads what has no name yet.
_PRIVATE: Final = 0o600
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class SmallBody(NamedTuple):
    """The bytes of a file, and their digest, which was computed from them."""

    sha256: str
    content: bytes


class SmallBlobs:
    """Takes small files into a store. Every method blocks; any number of threads may call them.

    Places are text here: to make a `Path` takes longer than what is done with it.

    Args:
        root: The store.
        stage: A directory of the staging area that is the caller's own.
    """

    def __init__(self, root: Path, stage: Path) -> None:
        self._root = root
        self._stage = os.fspath(stage)
        self._numbers = count()
        self._lock = Lock()
        self._touched = set[str]()

    def keep(self, bodies: Sequence[SmallBody]) -> list[BlobSchema]:
        """Return the blobs of these bodies, in their order. All are written before the first is waited for.

        Raises:
            StorageFullException: There is no room for one.
            StoragePermissionException: This user may not write to the store.
            StorageDiskException: The file system fails.
        """
        opened = dict[int, tuple[int, str]]()
        with translated(self._root / "blobs"):
            blobs = [self._kept(body) for body in bodies]
            try:
                for index, blob in enumerate(blobs):
                    if blob is None:
                        opened[index] = self._written(bodies[index].content)
                for index in list(opened):
                    blobs[index] = self._named(bodies[index], *opened.pop(index))
            finally:
                for descriptor, _ in opened.values():  # after an error; the stage is cleared by who lent it
                    os.close(descriptor)
        return [blob for blob in blobs if blob is not None]

    def settle(self) -> None:
        """Return when every name that was given so far would survive a power cut.

        Raises:
            StorageDiskException: The file system fails.
        """
        with self._lock:
            touched, self._touched = self._touched, set()
        for directory in sorted(touched):
            with translated(directory):
                sync_directory(Path(directory))

    def _kept(self, body: SmallBody) -> BlobSchema | None:
        """Return the blob where the store has it by now. What is in the trash stays there: it is here once more."""
        try:
            os.lstat(blob_place(self._root, body.sha256))
            return inspect(self._root, body.sha256, size=len(body.content))
        except (FileNotFoundError, BlobNotFoundException, BlobCorruptException):
            return None

    def _written(self, content: bytes) -> tuple[int, str]:
        staged = f"{self._stage}/{next(self._numbers)}"
        descriptor = os.open(staged, _NEW, _PRIVATE)
        try:
            written = os.write(descriptor, content)
            while written < len(content):
                written += os.write(descriptor, content[written:])
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, staged

    def _named(self, body: SmallBody, descriptor: int, staged: str) -> BlobSchema:
        place = blob_place(self._root, body.sha256)
        try:
            make_published(descriptor, staged)
        finally:
            os.close(descriptor)
        self._make_directory(place.rpartition("/")[0])
        move(staged, place)
        return BlobSchema(sha256=body.sha256, size=len(body.content), path=Path(place))

    def _make_directory(self, place: str) -> None:
        """Make it where it is missing, and have it and what it stands in synced in the end."""
        if place in self._touched:
            return
        with suppress(FileExistsError):
            os.mkdir(place)  # noqa: PTH102 - as text
        with self._lock:
            self._touched |= {place, place.rpartition("/")[0]}
