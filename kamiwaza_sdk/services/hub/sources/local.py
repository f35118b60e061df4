"""Files on this machine: ``file://`` and paths as a source, limited reads, and work in threads."""

import hashlib
import os
import stat
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias, TypeVar

from kamiwaza_sdk._tasks import CancelFlag, thread_to_its_end
from kamiwaza_sdk._validation import MAX_FILES, check_path
from kamiwaza_sdk.exceptions import ServiceException
from kamiwaza_sdk.formats.content import what_is_instead
from kamiwaza_sdk.services.download.partial.lock import BESIDE
from kamiwaza_sdk.services.hub.addresses import displayed, path_of, redacted, suggested
from kamiwaza_sdk.services.hub.exceptions import (
    GitBlobMismatchException,
    InvalidSourceException,
    NotInCacheException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.selection import (
    EMPTY_ALONE,
    EVERYTHING,
    HALF,
    Selection,
    half_of,
    left_out_as,
    rules_for,
)
from kamiwaza_sdk.services.storage.blobs import open_source
from kamiwaza_sdk.services.storage.files import go_on, pieces, stopped_when
from kamiwaza_sdk.services.storage.materialize import TEMPORARY

#: Of files that are left out, a directory may have more than a model may have.
_MOST_NAMES: Final = 10 * MAX_FILES
_T = TypeVar("_T")
#: Makes the error about a path that tells that a download has not ended.
Refusal: TypeAlias = Callable[[str, str], ServiceException]


def resolve_path(
    root: Path, selection: Selection = EVERYTHING, *, unfinished: Refusal = InvalidSourceException
) -> ManifestSchema:
    """Return the files at a path, which the manifest names in full. Reads directories, and opens no file. Blocks.

    Args:
        root: A file or directory.
        selection: The wanted files; the others are not checked.
        unfinished: Creates the error for an unfinished file.

    Raises:
        InvalidSourceException: It is empty, missing, neither file nor directory, leads out of itself, or holds the
            bytes of an unfinished download.
        InvalidPathException: A file's path cannot stand in a model.
    """
    with readable(root):
        _refuse_annex(root)
        status = root.stat()
        real = Path(os.path.realpath(root))
        is_file = stat.S_ISREG(status.st_mode)
        _refuse_version_control(root, real)
        listing = _Listing(root, real, selection)
        if is_file:
            listing.add_itself(status.st_size)
        else:
            listing.walk(status.st_mode)
        listing.refuse_unfinished(unfinished)
        files = tuple(_described(one, None if is_file else real.as_uri()) for one in sorted(listing.found))
    if not files:
        reason = "has nothing but what is left out" if listing.left_out else "is an empty directory"
        raise InvalidSourceException(str(root), f"{reason}; give one with files{_shown(listing.left_out)}")
    name = suggested(real.stem if is_file else real.name)
    left_out = tuple(listing.left_out[path] for path in sorted(listing.left_out))
    return ManifestSchema(source=displayed(str(root.absolute())), name=name, files=files, left_out=left_out)


def _shown(left_out: dict[str, LeftOutSchema]) -> str:
    return f", or name in allow what you want of {', '.join(map(ascii, sorted(left_out)[:5]))}" if left_out else ""


def _refuse_version_control(root: Path, real: Path) -> None:
    for name in {root.name, real.name}:
        for rule in rules_for(name):
            if not rule.can_be_named:
                raise InvalidSourceException(str(root), f"{rule.reason}; give the directory that it stands in")


def check_inside(file: ManifestFileSchema) -> Path:
    """Return the path of a file, unless it leads out of its directory now. Blocks."""
    path = path_of(file.url)
    if file.inside is not None and not _lies_in(path, path_of(file.inside)):
        raise _leads_out(path)
    return path


def git_blob_id(path: Path) -> str:
    r"""Return the SHA-1 of ``blob <size>\0`` and the bytes of a file, in hexadecimal (`ManifestFileSchema`). Blocks."""
    with open_source(path) as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        for piece in pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def check_git_blob(file: ManifestFileSchema, path: Path) -> None:
    """Raise `GitBlobMismatchException` unless the file at `path` has the id in the manifest. Blocks."""
    if file.git_blob_id is not None:
        _compare(file, file.git_blob_id, git_blob_id(path))


def check_git_blob_of(file: ManifestFileSchema, content: bytes) -> None:
    """Raise `GitBlobMismatchException` unless these bytes have the id in the manifest."""
    if file.git_blob_id is not None:
        digest = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
        digest.update(content)
        _compare(file, file.git_blob_id, digest.hexdigest())


def _compare(file: ManifestFileSchema, expected: str, actual: str) -> None:
    if actual != expected:
        raise GitBlobMismatchException(url=redacted(file.url), expected=expected, actual=actual)


def _described(found: "_Found", inside: str | None) -> ManifestFileSchema:
    url = found.file.absolute().as_uri()
    return ManifestFileSchema(path=check_path(found.path), url=url, size=found.size, inside=inside)


@contextmanager
def readable(root: Path) -> Generator[None]:
    """Translate errors of the operating system while directories are read."""
    try:
        yield
    except ServiceException:  # some are ValueErrors as well
        raise
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        place = str(getattr(error, "filename", None) or root)
        problem = getattr(error, "strerror", None) or error
        reason = f"cannot be read: {problem}; give a file or directory that can, or a URL with its https://"
        cause = error if redacted(place) == place else None  # it repeats the place, secrets and all
        raise InvalidSourceException(redacted(place), reason) from cause


class CachedFiles(NamedTuple):
    """The files of a source in a cache.

    Attributes:
        manifest: The files that are there.
        missing: The sizes of its files that are missing, `None` for an unknown size.
    """

    manifest: ManifestSchema
    missing: Mapping[str, int | None] = MappingProxyType({})


class _Found(NamedTuple):
    path: str
    file: Path
    size: int


class _Listing:
    """The files below a path, or the file at it.

    Attributes:
        found: The files that can belong to the model.
        left_out: Files that do not belong to it, by path.
    """

    def __init__(self, root: Path, real: Path, selection: Selection) -> None:
        self._root = root
        self._real = real
        self._selection = selection
        self._names: set[str] = set()  # of all files, those left out too
        self._is_one_file = False
        self.found: list[_Found] = []
        self.left_out: dict[str, LeftOutSchema] = {}

    def add_itself(self, size: int) -> None:
        """Add the named file, and check the files beside it."""
        name = self._root.name
        self._is_one_file = True
        self.found.append(_Found(name, self._root, size))
        self._names.add(name)
        beside = (f"{name}{end}" for end in HALF)
        self._names.update(one for one in beside if os.path.lexists(self._root.with_name(one)))

    def walk(self, mode: int) -> None:
        """Add the regular files below a directory. Follows links that stay below it, and to files only."""
        if not stat.S_ISDIR(mode):
            raise InvalidSourceException(str(self._root), "is neither a file nor a directory; give one of those")
        directories: list[str] = [os.fspath(self._root)]
        for directory in directories:  # which grows meanwhile; a call for each level would exhaust the stack
            with os.scandir(directory) as entries:
                for entry in entries:
                    go_on()
                    if not self._is_left_out(entry) and self._is_directory(entry):
                        directories.append(entry.path)
            if len(directories) > MAX_FILES:
                raise self._too_many("directories")

    def _is_left_out(self, entry: "os.DirEntry[str]") -> bool:
        path = self._path(entry)
        if entry.is_dir(follow_symlinks=False):
            reason = self._selection.closed(path)
            path = f"{path}/"
        elif BESIDE.fullmatch(entry.name) or TEMPORARY.fullmatch(entry.name):
            return _is_of_no_use(entry)
        else:
            self._names.add(path)
            if len(self._names) > _MOST_NAMES:
                raise self._too_many("files")
            reason = self._selection.left_out(path)
        if reason is not None and self._selection.wants(path):
            self._leave_out(reason)
        return reason is not None

    def _leave_out(self, reason: LeftOutSchema) -> None:
        if len(self.left_out) >= MAX_FILES:
            raise self._too_many("files that are none of a model's")
        self.left_out[reason.path] = reason

    def _is_directory(self, entry: "os.DirEntry[str]") -> bool:
        """Return whether to read a directory; add a file."""
        if entry.is_dir(follow_symlinks=False):
            return True
        if not entry.is_file() or entry.is_symlink():
            if not self._selection.wants(self._path(entry)):
                return False  # it is not looked at, whatever it is
            self._refuse_irregular(entry)
        self.found.append(_Found(self._path(entry), Path(entry.path), entry.stat().st_size))
        if len(self.found) > MAX_FILES:
            raise self._too_many("files")
        return False

    def _refuse_irregular(self, entry: "os.DirEntry[str]") -> None:
        _refuse_annex(entry)
        if entry.is_symlink() and not _lies_in(entry, self._real):
            raise _leads_out(entry)
        if not entry.is_file():
            raise InvalidSourceException(entry.path, "is no regular file; leave it out with ignore=")

    def _full(self, path: str) -> str:
        return displayed(str(self._root if self._is_one_file else self._root / path))

    def _path(self, entry: "os.DirEntry[str]") -> str:
        return Path(entry.path).relative_to(self._root).as_posix()

    def _too_many(self, of: str) -> InvalidSourceException:
        return InvalidSourceException(str(self._root), f"has over {MAX_FILES} {of}; fetch a part of it")

    def refuse_unfinished(self, refusal: Refusal) -> None:
        """Raise for a wanted file that is unfinished; leave out notes of downloads that no longer exist."""
        found = {one.path: one for one in self.found}
        for path in sorted(self._names):
            package = path.removesuffix("/Info.plist")  # Safari's half download is a directory with this file
            half = half_of(package)
            if half is None:
                continue
            whole, end = half
            if whole in found and self._selection.wants(whole):
                reason = f"has not arrived yet, as {displayed(path)} beside it tells; finish the download"
                raise refusal(self._full(whole), f"{reason}, or leave it out with ignore=")
            if self._was_asked_for(path, end) or not self._selection.wants(path):
                continue
            if whole not in self._names and end not in EMPTY_ALONE:
                reason = "has not arrived yet: it holds the bytes of an unfinished download; finish that"
                raise refusal(self._full(path), f"{reason}, or leave it out with ignore=")
            self._leave_out(left_out_as(path, "tells of a download that has not ended"))
            found.pop(path, None)
        self.found = list(found.values())

    def _was_asked_for(self, path: str, end: str) -> bool:
        """Whether an unfinished download itself is wanted: by its own path, or by a pattern with its ending."""
        if self._is_one_file:
            return path == self._root.name
        return any(
            pattern.lower().endswith(end) and fnmatchcase(path, pattern) for pattern in self._selection.allow or ()
        )


def _is_of_no_use(entry: "os.DirEntry[str]") -> bool:
    """Return `True` for a file of this library; raise if it is the partial file of a wanted one."""
    named = BESIDE.fullmatch(entry.name)
    if named and named["bytes"] and entry.stat().st_size:
        reason = "holds the bytes of an unfinished download; finish the download, or remove the file"
        raise InvalidSourceException(entry.path, reason)
    return True


def _lies_in(file: "os.PathLike[str]", directory: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(directory)


def _refuse_annex(file: "Path | os.DirEntry[str]") -> None:
    """Raise for a link to a file that git-annex has not fetched: its target names the file, as pointers do."""
    if not file.is_symlink() or (link := Path(file)).exists():
        return
    target = os.fsencode(link.readlink())
    fault = what_is_instead(target, path=file.name, size=len(target))
    if fault is not None and fault.kind == "git_annex_pointer":
        raise InvalidSourceException(os.fspath(file), f"{fault.reason}, or leave it out with ignore=")


def _leads_out(file: "os.PathLike[str]") -> InvalidSourceException:
    return InvalidSourceException(os.fspath(file), "is a link that leads out of the directory; copy what it names")


def read_small(path: Path, *, inside: Path, limit: int) -> bytes | None:
    """Return the content of a small file; `None` if there is none.

    Raises:
        InvalidSourceException: It leads out of the cache, is no file, has over `limit` bytes, or cannot be read.
    """
    if not path.exists():
        return None
    regular_size(path, inside=inside)
    try:
        with path.open("rb") as file:
            text = file.read(limit + 1)
    except OSError as error:
        raise InvalidSourceException(str(path), f"cannot be read: {error.strerror}; let this user read it") from error
    if len(text) > limit:
        raise InvalidSourceException(str(path), f"has over {limit} bytes, which none of its kind has; remove it")
    return text


def regular_size(path: Path, *, inside: Path, source: str = "") -> int:
    """Return the size of a file, or of the target of a link in a cache.

    Raises:
        NotInCacheException: There is none: a link to nothing, a blob that did not arrive.
        InvalidSourceException: It leads out of the cache, or is no file.
    """
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(inside)):
        raise InvalidSourceException(
            str(path), "is a link that leads out of the cache; fetch it, or copy what it names"
        )
    try:
        status = real.stat()
    except FileNotFoundError:
        reason = f"its {path} is missing, so it was downloaded in part only"
        raise NotInCacheException(source=source or str(path), cache=str(inside), reason=reason) from None
    except OSError as error:
        raise InvalidSourceException(str(path), f"cannot be read: {error.strerror}; let this user read it") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidSourceException(str(path), "is no regular file; remove it, and let its tool fetch it again")
    return status.st_size


async def in_thread(function: Callable[[], _T]) -> _T:
    """Run `function` in a thread. If cancelled, it is told to stop (`go_on`), and its end is awaited."""
    stop = CancelFlag()

    def run() -> _T:
        with stopped_when(stop.is_set):
            go_on()  # it may have waited for a thread until after the cancellation
            return function()

    return await thread_to_its_end(run, stop.set)
