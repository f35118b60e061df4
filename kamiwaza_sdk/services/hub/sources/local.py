"""``file://`` and paths: one file or a directory tree on this machine."""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from kamiwaza_sdk._validation import MAX_FILES, check_path
from kamiwaza_sdk.exceptions import ServiceException
from kamiwaza_sdk.services.download._claim import BESIDE
from kamiwaza_sdk.services.hub._threads import in_thread
from kamiwaza_sdk.services.hub.addresses import displayed, path_of, redacted, suggested
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext
from kamiwaza_sdk.services.storage._materialize import TEMPORARY
from kamiwaza_sdk.services.storage._stopping import go_on

__all__ = ["LocalSource", "check_inside", "readable", "resolve_path"]


class LocalSource:
    """Files on this machine."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the one file, or those below the directory."""
        return await in_thread(lambda: resolve_path(path_of(reference)))


def resolve_path(root: Path) -> ManifestSchema:
    """Return the files that a path leads to. Looks at the file system, and opens no file. Blocks.

    Raises:
        InvalidSourceException: It is empty, missing, neither file nor directory, leads out of itself, or holds the
            bytes of an unfinished download.
        InvalidPathException: A file's path cannot stand in a model.
    """
    with readable(root):
        status = root.stat()
        real = Path(os.path.realpath(root))
        is_file = stat.S_ISREG(status.st_mode)
        found = [_Found(root.name, root, status.st_size)] if is_file else sorted(_below(root, status.st_mode, real))
        files = tuple(_described(one, None if is_file else real.as_uri()) for one in found)
    if not files:
        raise InvalidSourceException(str(root), "is an empty directory; give one with files")
    name = suggested(real.stem if is_file else real.name)
    return ManifestSchema(source=displayed(str(root)), name=name, files=files)


def check_inside(file: ManifestFileSchema) -> Path:
    """Return where a file lies, unless it has come to lead out of its directory since it was listed. Blocks."""
    path = path_of(file.url)
    if file.inside is not None and not _lies_in(path, path_of(file.inside)):
        raise _leads_out(path)
    return path


def _described(found: "_Found", inside: str | None) -> ManifestFileSchema:
    url = found.file.absolute().as_uri()
    return ManifestFileSchema(path=check_path(found.path), url=url, size=found.size, inside=inside)


@contextmanager
def readable(root: Path) -> Generator[None]:
    """Raise as ours, in this one place, whatever the operating system says while it is asked what there is."""
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


class _Found(NamedTuple):
    path: str
    file: Path
    size: int


def _below(root: Path, mode: int, real: Path) -> Iterator[_Found]:
    if not stat.S_ISDIR(mode):
        raise InvalidSourceException(str(root), "is neither a file nor a directory; give one of those")
    with closing(_walk(root, real)) as entries:
        for count, entry in enumerate(entries):
            go_on()
            if count >= MAX_FILES:
                raise InvalidSourceException(str(root), f"has over {MAX_FILES} files; fetch a part of it")
            file = Path(entry.path)
            yield _Found(file.relative_to(root).as_posix(), file, entry.stat().st_size)


def _walk(root: Path, real: Path) -> Generator["os.DirEntry[str]"]:
    """Yield the regular files below a directory. Follows links that stay below it, and to files only."""
    directories: list[str] = [os.fspath(root)]
    for directory in directories:  # which grows meanwhile; a call for each level would exhaust the stack
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_symlink() and not _lies_in(entry, real):
                    raise _leads_out(entry)
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                elif entry.is_file():
                    if not _is_ours(entry):
                        yield entry
                else:
                    raise InvalidSourceException(entry.path, "is no regular file; leave it out")
                if len(directories) > MAX_FILES:
                    raise InvalidSourceException(str(root), f"has over {MAX_FILES} directories; fetch a part of it")


def _is_ours(entry: "os.DirEntry[str]") -> bool:
    """Return whether it is no file of the directory's; raise where one is to become of it."""
    named = BESIDE.fullmatch(entry.name)
    if named and named["bytes"] and entry.stat().st_size:
        reason = "holds the bytes of an unfinished download; finish the download, or remove the file"
        raise InvalidSourceException(entry.path, reason)
    return named is not None or TEMPORARY.fullmatch(entry.name) is not None


def _lies_in(file: "os.PathLike[str]", directory: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(directory)


def _leads_out(file: "os.PathLike[str]") -> InvalidSourceException:
    return InvalidSourceException(os.fspath(file), "is a link that leads out of the directory; copy what it names")
