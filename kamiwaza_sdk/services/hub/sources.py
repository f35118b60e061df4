"""What a source consists of: addresses or local files, and the path that each has in its model."""

import os
import posixpath
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, MAX_FILES, check_layout, check_name, check_path, check_sha256
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidNameException
from kamiwaza_sdk.services.download.urls import check_url, redact
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException

__all__ = ["LocalFile", "Manifest", "RemoteFile", "Source", "resolve_source"]

#: An address, several, or a file or directory on this machine.
Source: TypeAlias = "str | os.PathLike[str] | Sequence[str]"

_HAS_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file behind a URL."""

    path: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine."""

    path: str
    file: Path
    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a source, what it calls itself, and the name that it suggests for a model."""

    source: str
    name: str
    files: "tuple[RemoteFile, ...] | tuple[LocalFile, ...]"


def resolve_source(source: Source, *, sha256: str | Mapping[str, str] | None) -> Manifest:
    """Return the files that a source consists of. Looks at the file system, but opens no file and no connection.

    Raises:
        InvalidSourceException: It is empty, missing, neither file nor directory, or leads out of itself.
        InvalidUrlException: It is a URL, but none that can be fetched.
        InvalidPathException: A file's path cannot stand in a model.
        InvalidInputException: `sha256` does not fit the files.
    """
    digests = _Digests(sha256)
    if isinstance(source, os.PathLike):
        manifest = _local(Path(source), digests)
    elif not isinstance(source, str):
        manifest = _remote(tuple(source), digests)
    elif _HAS_SCHEME.match(source):
        manifest = _remote((source,), digests)
    elif source:
        manifest = _local(Path(source), digests)
    else:
        raise InvalidSourceException("", "names nothing; give a URL, a file or a directory")
    digests.refuse_unused()
    return manifest


class _Digests:
    """The digests that a caller expects, handed out by path until none is left over."""

    def __init__(self, given: str | Mapping[str, str] | None) -> None:
        self._any = check_sha256(given) if isinstance(given, str) else None
        self._by_path = {} if given is None or isinstance(given, str) else dict(given)

    def of(self, path: str) -> str | None:
        if self._any is not None:
            digest, self._any = self._any, None
            return digest
        return check_sha256(self._by_path.pop(path)) if path in self._by_path else None

    def refuse_for_several(self, count: int) -> None:
        if self._any is not None and count > 1:
            raise InvalidInputException(
                "sha256", f"is one digest for {count} files; give a mapping from path to digest"
            )

    def refuse_unused(self) -> None:
        if self._by_path:
            paths = ", ".join(sorted(map(ascii, self._by_path)))
            raise InvalidInputException("sha256", f"names {paths}, which the source has not; give paths that it has")


def _remote(urls: tuple[str, ...], digests: _Digests) -> Manifest:
    if not urls:
        raise InvalidSourceException("", "names no file; give at least one URL")
    if len(urls) > MAX_FILES:
        raise InvalidSourceException(f"{len(urls)} URLs", f"are over the limit of {MAX_FILES}; fetch fewer at once")
    digests.refuse_for_several(len(urls))
    for url in urls:
        if not _HAS_SCHEME.match(url):
            raise InvalidSourceException(url, "is no URL, as everything in a list must be; fetch paths alone")
    plain = [redact(check_url(url)) for url in urls]
    base = _common_directory(plain)
    paths = [_path_below(base, url) for url in plain]
    _refuse_twins(paths)
    check_layout(paths)
    files = tuple(RemoteFile(path, url, digests.of(path)) for path, url in zip(paths, urls, strict=True))
    if len(urls) == 1:
        return Manifest(_displayed(plain[0]), _suggested(Path(paths[0]).stem), files)
    source = base or f"{plain[0]} and {len(urls) - 1} more"
    return Manifest(_displayed(source), _suggested(unquote(base.rstrip("/").rpartition("/")[2])), files)


def _common_directory(urls: Sequence[str]) -> str:
    """Return the directory that all URLs lie in, with its slash; empty where they have no origin in common."""
    split = [urlsplit(url) for url in urls]
    if len({(parts.scheme, parts.netloc) for parts in split}) > 1:
        return ""
    directory = posixpath.commonpath([parts.path.rpartition("/")[0] or "/" for parts in split])
    return f"{split[0].scheme}://{split[0].netloc}{directory.rstrip('/')}/"


def _path_below(base: str, url: str) -> str:
    path = unquote(url.removeprefix(base) if base else urlsplit(url).path.rpartition("/")[2])
    if not path or path.endswith("/"):
        raise InvalidSourceException(url, "names no file: it ends with a slash; give the address of a file")
    return check_path(path)


def _refuse_twins(paths: list[str]) -> None:
    path, count = Counter(paths).most_common(1)[0]
    if count > 1:
        reason = f"is the name of {count} of the files; fetch them separately, or from one directory"
        raise InvalidSourceException(path, reason)


def _local(root: Path, digests: _Digests) -> Manifest:
    try:
        status = root.stat()
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        problem = getattr(error, "strerror", None) or error
        reason = f"cannot be read: {problem}; give a file or directory that can, or a URL with its https://"
        raise InvalidSourceException(str(root), reason) from error
    found = [(root.name, root)] if stat.S_ISREG(status.st_mode) else list(_below(root, status.st_mode))
    if not found:
        raise InvalidSourceException(str(root), "is an empty directory; give one with files")
    digests.refuse_for_several(len(found))
    files = tuple(
        LocalFile(check_path(path), file, file.stat().st_size, digests.of(path)) for path, file in sorted(found)
    )
    name = root.resolve().name
    return Manifest(_displayed(str(root)), _suggested(Path(name).stem if stat.S_ISREG(status.st_mode) else name), files)


def _below(root: Path, mode: int) -> Iterator[tuple[str, Path]]:
    if not stat.S_ISDIR(mode):
        raise InvalidSourceException(str(root), "is neither a file nor a directory; give one of those")
    resolved = root.resolve()
    for count, file in enumerate(_walk(root, resolved)):
        if count >= MAX_FILES:
            raise InvalidSourceException(str(root), f"has over {MAX_FILES} files; fetch a part of it")
        yield file.relative_to(root).as_posix(), file


def _walk(directory: Path, root: Path) -> Iterator[Path]:
    """Yield the regular files below a directory, sorted. Follows links that stay below the root, and to files only."""
    for entry in sorted(directory.iterdir()):
        if entry.is_symlink() and not entry.resolve().is_relative_to(root):
            raise InvalidSourceException(str(entry), "is a link that leads out of the directory; copy what it names")
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry, root)
        elif entry.is_file():
            yield entry
        else:
            raise InvalidSourceException(str(entry), "is no regular file; leave it out")


def _displayed(source: str) -> str:
    """Return a source as a text that JSON and databases can hold: file systems allow names that are no text."""
    text = source.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_ADDRESS_LENGTH else f"{text[: MAX_ADDRESS_LENGTH - 1]}…"


def _suggested(name: str) -> str:
    try:
        return check_name(name)
    except InvalidNameException:
        return "model"
