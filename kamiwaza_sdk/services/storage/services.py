"""`StorageService`: where the bytes are kept, and whether they are still right."""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kamiwaza_sdk._validation import check_given, check_place, check_sha256, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage import blobs, inventory
from kamiwaza_sdk.services.storage.adoption import adopt, as_adopted
from kamiwaza_sdk.services.storage.blobs import compare, is_file, open_source, take_in
from kamiwaza_sdk.services.storage.config import StorageConfig
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    BlobNotFoundException,
    StorageQuotaException,
)
from kamiwaza_sdk.services.storage.files import digest, translated
from kamiwaza_sdk.services.storage.materialize import lay_out, refuse_failed
from kamiwaza_sdk.services.storage.schemas import (
    AdoptedBlobSchema,
    BlobSchema,
    FileEntry,
    HasFiles,
    StorageUsageSchema,
    StoreDatabaseSchema,
    WantedBlob,
)
from kamiwaza_sdk.services.storage.setup import prepare, read_format
from kamiwaza_sdk.services.storage.staging import staged
from kamiwaza_sdk.services.storage.views import Layout, check_layout, lay_out_as

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.collection import Collection
    from kamiwaza_sdk.services.storage.remote.lease import WorkLease
    from kamiwaza_sdk.services.storage.remote.objects import SmallObjects
    from kamiwaza_sdk.services.storage.remote.shared import SharedStores

#: How often what is laid out can be evicted meanwhile.
_LAYOUTS: Final = 3


class StorageService:
    """A directory of files named by their SHA-256, in which nothing unverified ever has its final name.

    Any number of threads and processes may use one store at once. A crash at any instruction leaves a blob kept whole,
    or not at all; what a dead writer had staged is removed after a week, by another's next write; what is in use never
    is. Every method blocks: call it with `asyncio.to_thread` from a coroutine. A service can be pickled; it holds no
    handles.

    Args:
        config: Where the store lies. Default: read from ``STORAGE_SERVICE_…`` when first needed.

    Raises:
        InvalidInputException: `config` is no `StorageConfig`.
        StorageFullException: By every method that writes: there is no room.
        StorageDiskException: By every method: the file system fails, or too many files are open.
        StoragePermissionException: By every method: the operating system does not let this user read or write there.
        StorageTooNewException: By every method: a newer version of the library has laid the store out.
        RemoteStoreException: By methods that find, bring, write through or note something: the shared store or a tier
            does not answer, or refuses.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as directory:
        ...     store = StorageService(StorageConfig(root=directory + "/store"))
        ...     _ = Path(directory, "config.json").write_text("{}")
        ...     blob = store.add(Path(directory, "config.json"))
        ...     store.find(blob.sha256) == blob
        True
    """

    def __init__(self, config: StorageConfig | None = None) -> None:
        self._config = check_given(config, StorageConfig, field="config", way_out="write StorageConfig(root=…)")

    @cached_property
    def root(self) -> Path:
        """The directory of the store, absolute, ``~`` expanded; the configuration is read here, once.

        Raises:
            ConfigurationException: A ``STORAGE_SERVICE_…`` variable is unknown, or its value cannot be used.
        """
        return self._settings.root.expanduser().absolute()

    @cached_property
    def _settings(self) -> StorageConfig:
        return StorageConfig() if self._config is None else self._config

    @cached_property
    def _shared(self) -> "SharedStores | None":
        """What is behind the directory: the store that machines share, and tiers; `None` where nothing is."""
        settings = self._settings
        if settings.remote is None and not settings.tiers:
            return None
        from kamiwaza_sdk.services.storage.remote.shared import SharedStores

        return SharedStores(self, remote=settings.remote, tiers=settings.tiers)

    @cached_property
    def _known_root(self) -> Path:
        """The same, once its layout is known to be one that this version knows. Blocks."""
        with translated(self.root):
            read_format(self.root)
        return self.root

    @property
    def id(self) -> str | None:
        """32 hexadecimal digits that no other store has; `None` before it is first written to. Blocks.

        Of a directory in front of a shared store, it is the shared store's.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     print(StorageService(StorageConfig(root=root)).id)
            None
        """
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.id
        with translated(self.root):
            found = read_format(self.root)
        return None if found is None else found.id

    def path(self, sha256: str) -> Path:
        """Return where that blob lies or would lie, without looking.

        Args:
            sha256: 64 hexadecimal digits, ``sha256:`` before them or not.

        Raises:
            InvalidInputException: `sha256` is no digest.

        Example:
            >>> StorageService(StorageConfig(root="/srv/store")).path("ab" * 32).parent
            PosixPath('/srv/store/blobs/sha256/ab')
        """
        return blobs.blob_path(self.root, check_sha256(sha256))

    def find(self, sha256: str, *, size: int | None = None) -> BlobSchema | None:
        """Return the blob if it is kept and sound, else `None`. From a tier or the shared store, it is brought here.

        Costs one ``stat``, and notes the use, which a clean-up goes by. Only a suspect blob, one written to since it
        was published or of another size than `size`, is hashed again. If it is right, its modification time is put
        back. If not, it is moved to ``quarantine/`` with a WARNING in the log, so that it can be fetched anew.

        Args:
            sha256: The blob's digest.
            size: The size it should have, in bytes.

        Raises:
            InvalidInputException: `sha256` is no digest.
            StoragePermissionException: This user may not read the store.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     print(StorageService(StorageConfig(root=root)).find("ab" * 32))
            None
        """
        digest = check_sha256(sha256)
        # A quarter of what it takes to raise that, and catch it.
        if blobs.is_missing(self._known_root, digest) and self._shared is None:
            return None
        try:
            return self.get(digest, size=size)
        except (BlobNotFoundException, BlobCorruptException):
            return None

    def get(self, sha256: str, *, size: int | None = None) -> BlobSchema:
        """Return the blob, looked at and brought as `find` does.

        Args:
            sha256: The blob's digest.
            size: The size it should have, in bytes. Another size makes a blob suspect; a right digest decides.

        Raises:
            BlobNotFoundException: It is not kept.
            BlobCorruptException: It is not what its name says; it is in quarantine now.
            InvalidInputException: `sha256` is no digest.
            StoragePermissionException: This user may not read the store.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     StorageService(StorageConfig(root=root)).get("ab" * 32)
            Traceback (most recent call last):
            ...
            kamiwaza_sdk.services.storage.exceptions.BlobNotFoundException: no blob abab...
        """
        digest = check_sha256(sha256)
        try:
            with translated(blobs.blob_place(self.root, digest)):
                blob = blobs.inspect(self._known_root, digest, size=size)
        except (BlobNotFoundException, BlobCorruptException):
            brought = None if self._shared is None else self._shared.bring(WantedBlob(digest, size))
            if brought is None:
                raise
            return brought
        inventory.note_use(self.root, digest)
        return blob

    def verify(self, sha256: str) -> BlobSchema:
        """Hash the blob again, however sound it looks, and return it.

        Args:
            sha256: The blob's digest.

        Raises:
            BlobNotFoundException: It is not kept.
            BlobCorruptException: It is not what its name says; it is in quarantine now.
            InvalidInputException: `sha256` is no digest.
            StoragePermissionException: This user may not read the store.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as directory:
            ...     store = StorageService(StorageConfig(root=directory + "/store"))
            ...     _ = Path(directory, "config.json").write_text("{}")
            ...     blob = store.add(Path(directory, "config.json"))
            ...     store.verify(blob.sha256).size
            2
        """
        path = self.path(sha256)
        with translated(path):
            return blobs.inspect(self._known_root, path.name, thorough=True)

    def stage(self, key: str | None = None) -> AbstractContextManager[Path]:
        """Lend a path in the store's staging area, for a writer who then calls `publish`.

        Without a key nothing has that path yet, and its directory is the writer's own: whatever stands there on exit is
        removed, files beside the path included. With one, all writers who give it get the same path, at the same time
        or later, so that one goes on with what another left: what stands there on exit stays, for a week.

        Args:
            key: What is going to be written: a digest, an address. Any text.

        Raises:
            ConfigurationException: The store's root is no directory.
            StorageFullException: There is no room for a directory.
            StoragePermissionException: This user may not write to the store.

        Example:
            >>> import hashlib
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     store = StorageService(StorageConfig(root=root))
            ...     with store.stage() as path:
            ...         size = path.write_bytes(b"{}")
            ...         blob = store.publish(path, sha256=hashlib.sha256(b"{}").hexdigest(), size=size)
            ...     blob.path.read_bytes()
            b'{}'
        """
        return staged(self.root, key=key)

    def publish(self, path: str | os.PathLike[str], *, sha256: str, size: int) -> BlobSchema:
        """Take over a staged file whose digest was computed while it was written.

        Its bytes are not read again: the digest is the caller's word. The file becomes read-only and durable, then gets
        its final name in one step. If the store keeps that blob already, the staged file is dropped. Where the staging
        area is another file system than the blobs, the file is copied across, and hashed on the way.

        Args:
            path: A path from `stage`, written and closed.
            sha256: The digest of what was written.
            size: How many bytes were written.

        Raises:
            InvalidInputException: `path` is no regular file of `size` bytes, or `sha256` is no digest.
            PathTraversalException: `path` is not in the store's staging area.
            StorageFullException: There is no room.
            StoragePermissionException: This user may not write to the store.

        Example:
            See `stage`.
        """
        target, staged_at = self.path(sha256), check_place(path, field="path")
        with translated(target):
            blob = blobs.publish(self._known_root, staged_at, sha256=target.name, size=size)
        inventory.note_use(self.root, target.name)
        self._share([blob])
        return blob

    def add(self, source: str | os.PathLike[str], *, sha256: str | None = None) -> BlobSchema:
        """Copy a local file into the store, sharing its blocks where the file system can (never as a hard link).

        What is hashed is the copy. So if the source changes meanwhile, the blob still is what its name says, though
        perhaps no state that the source ever had: give `sha256` to be sure.

        Args:
            source: A regular file, or a symbolic link to one. It is left alone.
            sha256: The digest it has to have.

        Raises:
            DigestMismatchException: It has another digest. Nothing was stored.
            InvalidInputException: `source` is no regular file, or `sha256` is no digest.
            StorageQuotaException: It would make the store larger than ``STORAGE_SERVICE_MAX_SIZE``.
            StorageFullException: There is no room.
            StoragePermissionException: This user may not read the source, or not write to the store.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as directory:
            ...     store = StorageService(StorageConfig(root=directory + "/store"))
            ...     _ = Path(directory, "config.json").write_text("{}")
            ...     store.add(Path(directory, "config.json")).sha256[:8]
            '44136fa3'
        """
        source = check_place(source, field="source")
        expected = None if sha256 is None else check_sha256(sha256)
        with open_source(source) as file:
            if expected is not None and (kept := self.find(expected)) is not None:
                compare(digest(file), expected, source)  # nothing to copy, but is the source what was promised?
                self._share([kept])
                return kept
            self.check_quota(os.fstat(file.fileno()).st_size)
            with self.stage() as path:
                actual, size = take_in(file, path)
                compare(actual, expected, source)
                return self.publish(path, sha256=actual, size=size)

    def adopt(self, source: str | os.PathLike[str], *, sha256: str | None = None) -> AdoptedBlobSchema:
        """Take over another tool's file without a second copy where that can be, hashed first.

        Its blocks are shared where the file system can (btrfs, XFS): then the two are files of their own. Else, on the
        same file system and for a file of this user's, it gets a second name in the store (a hard link). Then both
        names are one read-only file: mode 0444, and the modification time 2001-09-09 01:46:40 UTC, by which a later
        write through either name is noticed (`find`). Deleting one leaves the other. What becomes no blob gets mode and
        time back. Any other file is copied.

        Args:
            source: A regular file that nobody writes to, or a symbolic link to one.
            sha256: The digest it has to have. Where the store keeps that blob already, the file is not read.

        Returns:
            The blob, with how it came.

        Raises:
            DigestMismatchException: It has another digest. Nothing was stored.
            InvalidInputException: `source` is no regular file, or is being written to, or `sha256` is no digest.
            StorageQuotaException: It would make the store larger than ``STORAGE_SERVICE_MAX_SIZE``.
            StorageFullException: There is no room.
            StoragePermissionException: This user may not read the source, or not write to the store.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as directory:
            ...     store = StorageService(StorageConfig(root=directory + "/store"))
            ...     _ = Path(directory, "config.json").write_text("{}")
            ...     store.adopt(Path(directory, "config.json")).by in {"reflink", "link"}
            True
        """
        source = check_place(source, field="source")
        expected = None if sha256 is None else check_sha256(sha256)
        if expected is not None and is_file(source) and (kept := self.find(expected)) is not None:
            self._share([kept])
            return as_adopted(kept, "kept")
        return adopt(self, source, expected=expected)

    def materialize(
        self,
        version: HasFiles,
        directory: str | os.PathLike[str] | None = None,
        *,
        layout: Layout = "plain",
        writable: bool = False,
        force: bool = False,
    ) -> Path:
        """Lay out the files of a version, under their own names, in a directory.

        Each file shares its blob's blocks where the file system can, is a hard link to it where it cannot, else a copy.
        Every blob, path and file in the way is looked at before anything is written; then each file appears whole or
        not at all. Nothing is overwritten: a file with the right content stays as it is, other tools' files are left
        alone. So a call that was interrupted is simply repeated; it can leave ``.kamiwaza-….tmp`` files behind.

        Args:
            version: Anything with ``files`` that have ``path``, ``size`` and ``sha256``.
            directory: Where to; created with those above it where it is missing. Default: a view in the store, one for
                each ``digest`` of a version, whose files are hard links to the blobs wherever there are such: read it,
                never write it.
            layout: ``"plain"``: under their own names. Or as another program keeps them, which then finds them there
                without a copy, `directory` being its own: ``"huggingface"`` (``HF_HUB_CACHE``; huggingface_hub 2.4),
                ``"ollama"`` (``OLLAMA_MODELS``; manifests of schema version 2, one file in GGUF), ``"lm-studio"`` (its
                ``models``; ``publisher/model/file.gguf``).
            writable: Make files that may be edited: no hard links, mode 0644 instead of 0444. A read-only file of an
                earlier call is replaced by a writable one. Only in a directory of your own.
            force: Lay it out although its ``status`` is ``failed``.

        Returns:
            `directory`, as it was given; or that of the view.

        Raises:
            VersionFailedException: It failed, as a policy has something against it, and was not forced.
            BlobNotFoundException: The store lacks a file, which ``fetch(version)`` brings. Nothing was written.
            BlobCorruptException: A blob is not what its name says. Nothing was written.
            LayoutNotPossibleException: The version lacks what the layout needs, such as a repository and a commit.
            FileConflictException: Something else stands where a file is to be. It was left alone, and nothing was
                written, unless it appeared during the call.
            InvalidInputException: A size is not that of the blob, a digest is none, `version` has no files, or
                `directory` is a file, or leads into the store's own directory; or there is none, and files are to be
                writable, or `version` has no digest.
            InvalidPathException: A path is absolute, has a ``..`` segment or the like, or two clash.
            PathTraversalException: A symbolic link in `directory` would lead a file out of it.
            StorageFullException: There is no room.
            StoragePermissionException: This user may not read the store, or not write to `directory`.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> from types import SimpleNamespace
            >>> with TemporaryDirectory() as directory:
            ...     store = StorageService(StorageConfig(root=directory + "/store"))
            ...     _ = Path(directory, "config.json").write_text("{}")
            ...     blob = store.add(Path(directory, "config.json"))
            ...     file = SimpleNamespace(path="onnx/config.json", size=blob.size, sha256=blob.sha256)
            ...     model = store.materialize(SimpleNamespace(files=[file]), directory + "/model")
            ...     (model / "onnx/config.json").read_text()
            '{}'
        """
        place = None if directory is None else check_place(directory, field="directory")
        if getattr(version, "files", None) is None:
            reason = f"must be something with files, not {shown(version)}; give what resolve() or fetch() returned"
            raise InvalidInputException("version", reason)
        check_layout(layout, has_place=place is not None, writable=writable)
        target = self._view_of(version, writable=writable) if place is None else place
        if not force:
            refuse_failed(version)
        store = None if place is None else self.root
        root = self._known_root

        def place_files(files: HasFiles) -> None:
            lay_out(files, target, root=root, store=store, blob_of=self._blob_of, writable=writable)

        for attempt in reversed(range(_LAYOUTS)):
            self._bring_all(WantedBlob(check_sha256(file.sha256), file.size) for file in version.files)
            try:
                place_files(version) if layout == "plain" else lay_out_as(layout, version, target, place_files)
            except BlobNotFoundException:  # evicted meanwhile, to make room for something else
                if self._shared is None or not attempt:
                    raise
            else:
                break
        if place is None:
            inventory.note_view(self.root, target.name)
        return target

    def _view_of(self, version: HasFiles, *, writable: bool) -> Path:
        """Return where the view of a version lies or would lie."""
        if writable:
            reason = "is missing, and a view in the store is read-only; name a directory for files to be edited"
            raise InvalidInputException("directory", reason)
        digest = getattr(version, "digest", None)
        if digest is None:
            raise InvalidInputException("directory", "is missing, and the version has no digest to name a view by")
        return self.root / "views" / check_sha256(digest, field="digest")

    def _blob_of(self, file: FileEntry) -> BlobSchema:
        return self.get(file.sha256, size=file.size)

    def _bring_all(self, wanted: Iterable[WantedBlob]) -> list[BlobSchema]:
        """Bring what is not here from tiers and the shared store, as far as they have it; return that."""
        return [] if self._shared is None else self._shared.bring_all(wanted)

    def _share(self, kept: Iterable[BlobSchema]) -> None:
        """Write blobs through to the shared store, where there is one."""
        if self._shared is not None:
            self._shared.share(kept)

    def _look(self, files: Iterable[FileEntry]) -> None:
        """See that all are kept, in the shared store where there is one, for who has inserted rows that refer to them.

        Raises:
            BlobNotFoundException: One is not.
            BlobCorruptException: One was damaged.
            RemoteStoreException: The shared store does not answer, or refuses.
        """
        if self._shared is not None and self._shared.remote is not None:
            self._shared.ensure(WantedBlob(check_sha256(file.sha256), file.size) for file in files)
        else:
            for file in files:
                self.get(file.sha256, size=file.size)

    def list_blobs(self) -> Iterator[BlobSchema]:
        """Yield the blobs by digest, as they are found: what comes or goes meanwhile may be among them or not.

        None is looked into, and no use is noted. No more than a 256th of them is in memory at a time.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     list(StorageService(StorageConfig(root=root)).list_blobs())
            []
        """
        with translated(self.root):
            yield from inventory.list_blobs(self._known_root)

    def usage(self) -> StorageUsageSchema:
        """Return how much the store takes: its blobs, and what is on its way in or out.

        Looks at every blob, which takes some seconds for a million. ``verify_all`` tells what holds them.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     StorageService(StorageConfig(root=root)).usage().bytes
            0
        """
        with translated(self.root):
            return inventory.usage(self._known_root)

    def lease(self, digests: Iterable[str], *, duration: timedelta | None = None) -> str:
        """Have a clean-up keep blobs for a while, as `fetch` does with what it brought; return the lease's name.

        A convenience between fetching and registering: it may be missed, as a clock may be wrong. What a registry
        refers to needs none. Who leases the same blobs for the same time shares the lease, which begins anew.

        Args:
            digests: Of the blobs, which may come later.
            duration: For how long, by the clock of the file system. Default: ``STORAGE_SERVICE_LEASE``, 24 hours.

        Raises:
            InvalidInputException: One is no digest, or `duration` is no ``timedelta`` above 0.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     store = StorageService(StorageConfig(root=root))
            ...     lease = store.lease(["ab" * 32])
            ...     store.release(lease), store.release(lease)
            (True, False)
        """
        duration = timedelta(seconds=self._settings.lease) if duration is None else duration
        if not isinstance(duration, timedelta) or duration <= timedelta(0):
            raise InvalidInputException(
                "duration", f"must be a timedelta above 0, not {duration}; leave it out for 24 h"
            )
        checked = [check_sha256(digest) for digest in digests]
        if self._shared is not None and self._shared.remote is not None:
            self._shared.remote.lease(checked, duration=duration)
        with translated(self.root):
            prepare(self.root)
            return inventory.lease(self.root, checked, duration=duration)

    def release(self, lease: str) -> bool:
        """End a lease before its time.

        Args:
            lease: Its name, as `lease` returned it, or ``lease`` of a `Fetched`.

        Returns:
            Whether there was such a lease.

        Raises:
            InvalidInputException: `lease` is no name of one.

        Example:
            See `lease`.
        """
        if not isinstance(lease, str) or not inventory.is_lease(lease):
            raise InvalidInputException("lease", f"is no lease: {shown(lease)}; give what lease() returned")
        if self._shared is not None and self._shared.remote is not None:
            self._shared.remote.release(lease)
        with translated(self.root):
            return inventory.release(self.root, lease)

    def list_databases(self) -> list[StoreDatabaseSchema]:
        """Return the registries that have registered what lies here, by id: a clean-up has to ask each of them.

        Of a directory in front of a shared store, those of the shared store.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     StorageService(StorageConfig(root=root)).list_databases()
            []
        """
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.remote.list_databases()
        with translated(self.root):
            return inventory.list_databases(self._known_root)

    def _note_database(self, database: StoreDatabaseSchema) -> None:
        """Note, durably, that a registry is going to refer to what lies here."""
        if self._shared is not None and self._shared.remote is not None:
            self._shared.remote.note_database(database)
        with translated(self.root / "databases"):
            inventory.note_database(self._known_root, database)

    def forget_database(self, database_id: str) -> bool:
        """Let a registry that is gone for good be asked no more. What only it refers to, a clean-up will then remove.

        Args:
            database_id: As `list_databases` names it.

        Returns:
            Whether it was to be asked.

        Raises:
            InvalidInputException: `database_id` cannot be one.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     StorageService(StorageConfig(root=root)).forget_database("sqlite-" + "ab" * 16)
            False
        """
        if not isinstance(database_id, str) or not inventory.is_database(database_id):
            way_out = "list_databases() tells which there are"
            raise InvalidInputException("database_id", f"is none: {shown(database_id)}; {way_out}")
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.remote.forget_database(database_id)
        with translated(self.root):
            return inventory.forget_database(self._known_root, database_id)

    @property
    def _is_shared(self) -> bool:
        """Whether machines share what is behind the directory."""
        return self._shared is not None and self._shared.remote is not None

    @property
    def _objects(self) -> "SmallObjects":
        """Small objects beside the blobs, which all who use the store read and write."""
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.remote.objects
        from kamiwaza_sdk.services.storage.remote.directory_store import DirectoryObjects

        return DirectoryObjects(self.root)

    def _work_lease(self, name: str) -> "WorkLease":
        """Return a lease among the machines that share the store."""
        from kamiwaza_sdk.services.storage.remote.lease import TIME_TO_LIVE, WorkLease

        return WorkLease(self._objects, name, time_to_live=TIME_TO_LIVE)

    def _is_right(self, sha256: str) -> bool:
        """Read a blob where a clean-up would look for it, and set it aside where it is not right."""
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.remote.digest(sha256) == sha256
        try:
            self.verify(sha256)
        except (BlobNotFoundException, BlobCorruptException):
            return False
        return True

    @property
    def _collection(self) -> "Collection":
        """What a clean-up acts on: the shared store where there is one, else the directory."""
        if self._shared is not None and self._shared.remote is not None:
            return self._shared.remote.collection()
        from kamiwaza_sdk.services.storage.collection import DirectoryCollection

        return DirectoryCollection(self._known_root)

    def check_quota(self, needed: int) -> None:
        """Refuse what would make the store larger than ``STORAGE_SERVICE_MAX_SIZE``.

        `fetch`, `add` and `adopt` ask before they begin.

        Looks at every blob where there is such a limit, and at nothing else. In front of a shared store, room is made:
        what that has goes from the directory, least recently used first, and what a lease keeps last.

        Args:
            needed: How many bytes are to come.

        Raises:
            StorageQuotaException: They are too many.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as root:
            ...     StorageService(StorageConfig(root=root, max_size="500 GB")).check_quota(10**9)
        """
        limit = self._settings.max_size
        if limit is None or needed == 0:
            return
        with translated(self.root):
            taken, leftovers = inventory.taken(self._known_root)
        over = taken + leftovers + needed - limit
        if over > 0 and self._shared is not None and needed <= limit:
            over -= self._shared.evict(over)
            with translated(self.root):
                taken, leftovers = inventory.taken(self._known_root)
        if over > 0:
            raise StorageQuotaException(path=self.root, limit=limit, needed=needed, blobs=taken, leftovers=leftovers)
