"""What keeps the bytes of a registration from a clean-up that runs at the same time: two looks at the store.

Before the rows are inserted, the store notes the database, durably: a clean-up asks it from then on. After that, each
blob is looked at, and brought back from the trash. So a clean-up that set it aside before the look is seen by the look,
and one that does so after it waits for this transaction to end, and then reads its rows. (`docs/concepts/cleanup.md`)
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.util import concurrency

from kamiwaza_sdk.services.model.store.databases import identity_of
from kamiwaza_sdk.services.storage.schemas import FileEntry

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.model.session import Scope
    from kamiwaza_sdk.services.storage.services import StorageService

_T = TypeVar("_T")


def store_of(fetched: "Fetched", storage: "StorageService | None") -> "StorageService | None":
    """Return the store at hand where it is the one that has what was fetched, else `None`: then nobody looks. Blocks.

    What was fetched on another machine, or is only named, may be in no store that is at hand.
    """
    if storage is None or fetched.store is None or storage.id != fetched.store:
        return None
    return storage


@contextmanager
def kept_by(storage: "StorageService | None", scope: "Scope", files: Iterable[FileEntry]) -> Iterator[None]:
    """Keep a clean-up from files whose rows the block inserts, where there is a store to look into.

    Raises:
        StoragePermissionException: This user may not write there, so that a clean-up would not ask this database.
        BlobNotFoundException: A file is gone: fetch it again.
        BlobCorruptException: One was damaged meanwhile: fetch it again.
        RemoteStoreException: The shared store does not answer, or refuses.
    """
    if storage is not None:
        assert scope.connection is not None
        note_database(scope.connection, storage)
    yield
    if storage is not None:
        in_thread(lambda: storage._look(files))


def note_database(connection: "Connection", storage: "StorageService") -> None:
    """Let a store know that a registry may refer to its blobs: a clean-up asks it from then on.

    Raises:
        StoragePermissionException: This user may not write there.
    """
    known = identity_of(connection)
    if known is not None:  # else it ends with this process, and its references with it
        in_thread(lambda: storage._note_database(known))


def in_thread(work: Callable[[], _T]) -> _T:
    """Do what blocks: in a thread where this runs for a coroutine, whose event loop must not wait."""
    # Where greenlet is not loaded, no coroutine can have called; and SQLAlchemy 2.1 needs it even to answer.
    if sys.modules.get("greenlet") is not None and concurrency.in_greenlet():
        return concurrency.await_only(asyncio.to_thread(work))
    return work()
