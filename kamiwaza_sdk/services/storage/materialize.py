"""How a version is laid out in a directory of the user's: nothing outside it, nothing overwritten, nothing by halves.

Two passes. The first only looks: every blob, every path, everything that stands in the way. The second writes each file
under a temporary name and gives it its own with ``link``, which, unlike ``rename``, never replaces anything. It walks
by directory descriptors and follows no symbolic link, so nobody can lead it astray between the two.
"""

import errno
import os
import re
import secrets
import stat
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

from kamiwaza_sdk._validation import check_sha256, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.storage.blobs import blob_place, checked_paths, looks_published
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    BlobNotFoundException,
    FileConflictException,
    PathTraversalException,
    VersionFailedException,
)
from kamiwaza_sdk.services.storage.files import (
    NEVER_CLONED,
    copy,
    digest,
    hard_link,
    open_file,
    reflink,
    set_mode,
    sync,
    translated,
)
from kamiwaza_sdk.services.storage.inventory import note_use
from kamiwaza_sdk.services.storage.schemas import BlobSchema, FileEntry, HasFiles
from kamiwaza_sdk.services.storage.trash import take_back

#: How many of the reasons against a version an error repeats.
_MOST_REASONS: Final = 5
_WRITABLE_MODE: Final = 0o644
_READ_ONLY_MODE: Final = 0o444
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: The names that `_temporary` gives.
TEMPORARY: Final = re.compile(r"\.kamiwaza-[0-9a-f]{16}\.tmp")
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Blob(NamedTuple):
    """A blob that was looked at. Where it lies is text: to make a `Path` takes as long as to link."""

    sha256: str
    size: int
    place: str

    @property
    def path(self) -> Path:
        return Path(self.place)


class _Placement(NamedTuple):
    """A blob, and where it is to appear: `folders` below the base, as they really are, without symbolic links."""

    blob: _Blob
    place: str
    folders: tuple[str, ...]
    replaces: bool

    @property
    def target(self) -> Path:
        return Path(self.place)


def refuse_failed(version: HasFiles) -> None:
    """Raise where what is to be laid out says of itself that it failed: what it is, this package does not know.

    Raises:
        VersionFailedException: It does.
    """
    if getattr(version, "status", None) != "failed":
        return
    name, number = getattr(version, "model_name", "this version"), getattr(version, "number", None)
    details = getattr(version, "details", None)
    said = details.get("policy") if isinstance(details, Mapping) else None
    violations = said.get("violations", said.get("objections")) if isinstance(said, Mapping) else None
    reasons = [
        f"{one.get('path') or 'the model'} {one.get('reason')}"
        for one in (violations if isinstance(violations, Sequence) else ())[:_MOST_REASONS]
        if isinstance(one, Mapping)
    ]
    raise VersionFailedException(
        version=str(name) if number is None else f"{name}:{number}",
        reason=f": {shown('; '.join(reasons), limit=400)}" if reasons else "",
    )


def lay_out(
    version: HasFiles,
    directory: Path,
    *,
    root: Path,
    store: Path | None,
    blob_of: Callable[[FileEntry], BlobSchema],
    writable: bool,
) -> None:
    """Make the files of `version` appear in `directory`; the public docstring is that of `StorageService`.

    Without a `store` that it must not lead into, it is a view in the store. There files are links where there are any,
    so that a later call finds each right by one ``stat``, and hashes none; and what is not right any more is replaced.
    """
    is_view = store is None
    with translated(directory):
        base = _base(directory)
        if store is not None:
            _refuse_store(base, store)
        placements = _plan(version, base, root=root, blob_of=blob_of, writable=writable, is_view=is_view)
        if store is not None:
            for folders in {placement.folders for placement in placements}:
                _refuse_store(base.joinpath(*folders), store)
        _create(base)
    refusals = set[int]()

    def place(some: Iterable[_Placement]) -> None:
        for placement in some:
            with translated(placement.target, needed=placement.blob.size):
                _place(placement, base, writable=writable, is_view=is_view, refusals=refusals)

    place(placements[:1])  # which tells whether this file system clones
    links = not writable and (is_view or bool(refusals & NEVER_CLONED))
    place(_not_linked(placements[1:], base) if links else placements[1:])


def _not_linked(placements: Iterable[_Placement], base: Path) -> list[_Placement]:
    """Link files, each folder opened once, and return those that have to be placed by themselves."""
    groups = defaultdict[tuple[str, ...], list[_Placement]](list)
    for placement in placements:
        groups[placement.folders].append(placement)
    return [placement for group in groups.values() for placement in _not_linked_in(group, base)]


def _not_linked_in(group: Sequence[_Placement], base: Path) -> list[_Placement]:
    """Link the files of one folder, and return those that stand already, are gone, replace others or cannot be."""
    left = list[_Placement]()
    with translated(group[0].target), _open_folder(group[0], base) as folder:
        for placement in group:
            if placement.replaces or not _is_linked(placement, folder):
                left.append(placement)
    return left


def _is_linked(placement: _Placement, folder: int) -> bool:
    try:
        return hard_link(placement.blob.place, placement.place.rpartition("/")[2], directory=folder)
    except (FileExistsError, FileNotFoundError):
        return False


def _refuse_store(folder: Path, store: Path) -> None:
    """Raise where a file is to be in the store's own directory: what lies there is the store's, or is none of it."""
    if folder.is_relative_to(_real(store)):
        raise InvalidInputException(
            "directory", f"leads to {folder}, inside the store {store}; choose one outside of it"
        )


def _plan(
    version: HasFiles,
    base: Path,
    *,
    root: Path,
    blob_of: Callable[[FileEntry], BlobSchema],
    writable: bool,
    is_view: bool,
) -> list[_Placement]:
    paths = checked_paths(version.files)
    blobs = [_looked_at(file, index, root, blob_of=blob_of) for index, file in enumerate(version.files)]
    new = dict[str, tuple[str, ...]]()  # folders that are not there, and that nothing can stand in
    placements = list[_Placement]()
    for blob, path in zip(blobs, paths, strict=True):
        above = path.rpartition("/")[0]
        if (folders := new.get(above)) is not None:
            placements.append(_Placement(blob, f"{base}/{path}", folders, replaces=False))
            continue
        placement = _placement(base, blob, base / path, writable=writable, is_view=is_view)
        if placement is not None:
            placements.append(placement)
            if not os.path.lexists(base.joinpath(*placement.folders)):
                new[above] = placement.folders
    return placements


def _looked_at(file: FileEntry, index: int, root: Path, *, blob_of: Callable[[FileEntry], BlobSchema]) -> _Blob:
    """Return the blob of a file: by a look where it is sound, else by all that can be done for it."""
    sha256, size = check_sha256(file.sha256), file.size
    place = blob_place(root, sha256)
    if looks_published(place, size=size):
        note_use(root, sha256)
        return _Blob(sha256, size, place)
    blob = blob_of(file)
    if blob.size != size:
        reason = f"is {size}, but blob {blob.sha256} has {blob.size} bytes; correct the one that is wrong"
        raise InvalidInputException(f"files.{index}.size", reason)
    return _Blob(blob.sha256, blob.size, str(blob.path))


def _placement(base: Path, blob: _Blob, target: Path, *, writable: bool, is_view: bool) -> _Placement | None:
    """Return what is to be done for one file; `None` where it is there already."""
    folder = _real(target.parent)
    if not folder.is_relative_to(base):
        raise PathTraversalException(path=target, directory=base)
    folders = folder.relative_to(base).parts
    _check_folders(base, folders, blob)
    try:
        status = _standing(folder / target.name, blob)
    except FileConflictException:
        if not is_view or not stat.S_ISREG((folder / target.name).lstat().st_mode):
            raise
        return _Placement(blob, str(target), folders, replaces=True)
    if status is None:
        return _Placement(blob, str(target), folders, replaces=False)
    # A link to the blob, or a copy made read-only by an earlier call: same bytes, but not the user's to edit.
    if writable and (os.path.samestat(status, blob.path.lstat()) or not status.st_mode & stat.S_IWUSR):
        return _Placement(blob, str(target), folders, replaces=True)
    return None


def _real(path: Path) -> Path:
    """Return `path` without symbolic links. Unlike `Path.resolve` before Python 3.13, leave a loop of them be."""
    return Path(os.path.realpath(path))


def _check_folders(base: Path, folders: tuple[str, ...], blob: _Blob) -> None:
    for depth in range(len(folders) + 1):
        folder = base.joinpath(*folders[:depth])
        with suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise FileConflictException(path=folder, sha256=blob.sha256) if depth else _no_directory(folder)


def _standing(target: Path, blob: _Blob) -> os.stat_result | None:
    """Return the status of the right file, `None` where there is none, or raise `FileConflictException`."""
    try:
        status = target.lstat()
        right = os.path.samestat(status, blob.path.lstat()) or _is_copy(target, status, blob)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not right:
        raise FileConflictException(path=target, sha256=blob.sha256)
    return status


def _is_copy(target: Path, status: os.stat_result, blob: _Blob) -> bool:
    if not stat.S_ISREG(status.st_mode) or status.st_size != blob.size:
        return False
    with open_file(target) as file:
        return digest(file) == blob.sha256


def _base(directory: Path) -> Path:
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            directory.lstat()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _cannot_be_created(error.strerror) from error
    return _real(directory)


def _create(base: Path) -> None:
    try:
        base.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:  # not found: as below /proc
        raise _no_directory(error.filename) from error


def _no_directory(path: object) -> InvalidInputException:
    return _cannot_be_created(f"{path} is no directory")


def _cannot_be_created(reason: object) -> InvalidInputException:
    return InvalidInputException("directory", f"cannot be created: {reason}; choose another one")


def _place(placement: _Placement, base: Path, *, writable: bool, is_view: bool, refusals: set[int]) -> None:
    """Place one file. `refusals` gets the number of the error by which it could not be cloned."""
    try:
        with _open_folder(placement, base) as folder:
            if not is_view or not _link_anew(placement, folder):
                _write(placement, folder, writable=writable, refusals=refusals)
    except FileExistsError:  # since the first pass; another process may be laying out the same
        again = _placement(base, placement.blob, placement.target, writable=writable, is_view=is_view)
        if again is not None:
            _place(again, base, writable=writable, is_view=is_view, refusals=refusals)


def _link_anew(placement: _Placement, folder: int) -> bool:
    if placement.replaces:
        with suppress(FileNotFoundError):
            os.unlink(placement.target.name, dir_fd=folder)
    return _link(placement.blob, placement.target.name, folder)


@contextmanager
def _open_folder(placement: _Placement, base: Path) -> Generator[int]:
    folder = os.open(base, _FOLDER)
    try:
        for name in placement.folders:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
            above, folder = folder, _enter(folder, name, placement, base)
            os.close(above)
        yield folder
    finally:
        os.close(folder)


def _enter(folder: int, name: str, placement: _Placement, base: Path) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except OSError as error:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise
        raise PathTraversalException(path=placement.target, directory=base) from error


def _write(placement: _Placement, folder: int, *, writable: bool, refusals: set[int]) -> None:
    name = placement.target.name
    with _open_blob(placement.blob) as blob, _temporary(folder) as (temporary, file):
        if not reflink(blob, file, refusals):
            if not writable and _link(placement.blob, name, folder):
                return
            _compare(copy(blob, file), placement.blob)
        set_mode(file.fileno(), _WRITABLE_MODE if writable else _READ_ONLY_MODE)
        sync(file.fileno())
        _rename(temporary, name, folder, replaces=placement.replaces)


def _link(blob: _Blob, name: str, folder: int) -> bool:
    try:
        return hard_link(blob.place, name, directory=folder)
    except FileNotFoundError:  # set aside since it was opened: what is open can be copied
        return False


def _open_blob(blob: _Blob) -> FileIO:
    with translated(blob.path):
        try:
            return open_file(blob.path)
        except FileNotFoundError:  # set aside or quarantined since the first pass
            if take_back(blob.path.parents[3], blob.sha256):
                return open_file(blob.path)
            raise BlobNotFoundException(sha256=blob.sha256, path=blob.path) from None


def _compare(actual: str, blob: _Blob) -> None:
    """Raise `BlobCorruptException` if the copy shows what the blob's status did not: a decayed disk, say."""
    if actual != blob.sha256:
        with suppress(OSError):
            os.utime(blob.path)  # no longer as published: the next who asks for it hashes it, and sets it aside
        raise BlobCorruptException(sha256=blob.sha256, actual=actual, path=blob.path, quarantined=None)


@contextmanager
def _temporary(folder: int) -> Generator[tuple[str, FileIO]]:
    name = f".kamiwaza-{secrets.token_hex(8)}.tmp"
    with FileIO(os.open(name, _NEW, 0o600, dir_fd=folder), "r+b") as file:
        try:
            yield name, file
        finally:
            with suppress(OSError):  # mostly it has its final name by now; what else resists may stay
                os.unlink(name, dir_fd=folder)


def _rename(temporary: str, name: str, folder: int, *, replaces: bool) -> None:
    if replaces or not _linked(temporary, name, folder):
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _linked(temporary: str, name: str, folder: int) -> bool:
    """Give the file its final name, unless something has it. `False`: it is free, and there are no hard links here."""
    if hard_link(Path(temporary), name, source_directory=folder, directory=folder):
        return True
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    raise FileExistsError(name)
