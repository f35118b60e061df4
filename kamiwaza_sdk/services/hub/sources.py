"""What a source consists of: addresses or local files, and the path that each has in its model."""

import os
import re
import stat
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from kamiwaza_sdk._validation import (
    MAX_ADDRESS_LENGTH,
    MAX_FILES,
    check_layout,
    check_name,
    check_path,
    check_sha256,
)
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidNameException
from kamiwaza_sdk.services.download.urls import check_url, redact, redact_text
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException

__all__ = ["LocalFile", "Manifest", "RemoteFile", "Source", "resolve_source"]

#: An address, several, or a file or directory on this machine.
Source: TypeAlias = "str | os.PathLike[str] | Sequence[str]"

#: What is meant as a URL, well written or not.
_MEANT_AS_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:/")
_HAS_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")
_PLAINLY_A_PATH: Final = re.compile(r"/(?!/)|\.{1,2}/|~")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file behind a URL."""

    path: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine, and the directory, free of links, that it may not lead out of; `None`: anywhere."""

    path: str
    file: Path
    size: int
    sha256: str | None = None
    inside: str | None = None

    def check(self) -> None:
        """Refuse what has come to lead out of the directory since it was listed. Blocks."""
        if self.inside is not None and not _lies_in(self.file, self.inside):
            raise _leads_out(self.file)


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
        InvalidInputException: `source` or `sha256` is of a wrong kind, or `sha256` does not fit the files.
    """
    digests = _Digests(sha256)
    if isinstance(source, str) and _MEANT_AS_URL.match(source):
        manifest = _remote((source,), digests)
    elif isinstance(source, str | os.PathLike):
        manifest = _local(_path(source), digests)
    else:
        manifest = _remote(_urls(source), digests)
    digests.refuse_unused()
    return manifest


def _path(source: "str | os.PathLike[Any]") -> Path:  # Any: some give bytes
    text: object = os.fspath(source)
    if not isinstance(text, str):
        raise _of_wrong_kind(text)
    if not text:
        raise InvalidSourceException("", "names nothing; give a URL, a file or a directory")
    return Path(text)


def _urls(source: Any) -> tuple[str, ...]:  # Any: what callers give is what validation is for
    if not _is_list(source):
        raise _of_wrong_kind(source)
    urls = tuple(map(_text, islice(cast("Iterable[object]", source), MAX_FILES + 1)))
    if len(urls) > MAX_FILES:
        raise InvalidSourceException("the list", f"is over the limit of {MAX_FILES} URLs; fetch fewer at once")
    return urls


def _is_list(source: object) -> bool:
    return hasattr(source, "__iter__") and not isinstance(source, bytes | bytearray | memoryview | Mapping)


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    reason = f"has a {type(item).__name__} in its list, where only URLs can be; fetch paths one by one"
    raise InvalidInputException("source", reason)


def _of_wrong_kind(source: object) -> InvalidInputException:
    # Its kind, not itself: bytes may hold credentials too.
    return InvalidInputException("source", f"is a {type(source).__name__}; give a URL, a list of URLs, or a path")


class _Digests:
    """The digests that a caller expects, handed out by path until none is left over."""

    def __init__(self, given: object) -> None:
        if not isinstance(given, str | Mapping | None):
            kind = type(given).__name__
            raise InvalidInputException("sha256", f"is a {kind}; give 64 hexadecimal digits, or a mapping from path")
        self._any = check_sha256(given) if isinstance(given, str) else None
        self._by_path: dict[str, str] = dict(cast("Mapping[str, str]", given)) if isinstance(given, Mapping) else {}
        for path, digest in self._by_path.items():
            _refuse_unless_texts(path, digest)

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


def _refuse_unless_texts(path: object, digest: object) -> None:
    if not (isinstance(path, str) and isinstance(digest, str)):
        reason = (
            f"maps a {type(path).__name__} to a {type(digest).__name__}; give texts, and leave out what has no digest"
        )
        raise InvalidInputException("sha256", reason)


def _remote(urls: tuple[str, ...], digests: _Digests) -> Manifest:
    if not urls:
        raise InvalidSourceException("", "names no file; give at least one URL")
    digests.refuse_for_several(len(urls))
    for url in urls:
        _refuse_unless_url(url)
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


def _refuse_unless_url(text: str) -> None:
    if not _MEANT_AS_URL.match(text):
        problem = "is no URL, as everything in a list must be; fetch paths alone"
    elif text != text.strip():
        problem = "begins or ends with white space; strip it"
    elif not _HAS_SCHEME.match(text):
        problem = "has one slash after its scheme; write https://…, or ./… before a path"
    else:
        return
    raise InvalidSourceException(_redacted(text), problem)


def _redacted(source: str) -> str:
    """Return what may be shown of a source: all of what is plainly a path; else it may be a URL, with its secrets."""
    return source if _PLAINLY_A_PATH.match(source) else redact_text(source.strip())


def _common_directory(urls: Sequence[str]) -> str:
    """Return the directory that all URLs lie in, with its slash; empty where they have no origin in common.

    Segments are compared as they are written: to S3, ``models//`` and ``./`` are names like any other.
    """
    split = [urlsplit(url) for url in urls]
    if len({(parts.scheme, parts.netloc) for parts in split}) > 1:
        return ""
    directories = [parts.path.split("/")[:-1] for parts in split]
    common = [same[0] for same in takewhile(lambda same: len(set(same)) == 1, zip(*directories, strict=False))]
    return f"{split[0].scheme}://{split[0].netloc}{'/'.join(common)}/"


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
    with _readable(root):
        status = root.stat()
        real = os.path.realpath(root)
        is_file = stat.S_ISREG(status.st_mode)
        found = [_Found(root.name, root, status.st_size)] if is_file else sorted(_below(root, status.st_mode, real))
    if not found:
        raise InvalidSourceException(str(root), "is an empty directory; give one with files")
    digests.refuse_for_several(len(found))
    inside = None if is_file else real
    files = tuple(LocalFile(check_path(path), file, size, digests.of(path), inside) for path, file, size in found)
    name = Path(real)
    return Manifest(_displayed(str(root)), _suggested(name.stem if is_file else name.name), files)


@contextmanager
def _readable(root: Path) -> Generator[None]:
    """Raise as ours, in this one place, whatever the operating system says while it is asked what there is."""
    try:
        yield
    except InvalidSourceException:
        raise
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        place = str(getattr(error, "filename", None) or root)
        problem = getattr(error, "strerror", None) or error
        reason = f"cannot be read: {problem}; give a file or directory that can, or a URL with its https://"
        cause = error if _redacted(place) == place else None  # it repeats the place, secrets and all
        raise InvalidSourceException(_redacted(place), reason) from cause


class _Found(NamedTuple):
    path: str
    file: Path
    size: int


def _below(root: Path, mode: int, real: str) -> Iterator[_Found]:
    if not stat.S_ISDIR(mode):
        raise InvalidSourceException(str(root), "is neither a file nor a directory; give one of those")
    with closing(_walk(root, real)) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_FILES:
                raise InvalidSourceException(str(root), f"has over {MAX_FILES} files; fetch a part of it")
            file = Path(entry.path)
            yield _Found(file.relative_to(root).as_posix(), file, entry.stat().st_size)


def _walk(root: Path, real: str) -> Generator["os.DirEntry[str]"]:
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
                    yield entry
                else:
                    raise InvalidSourceException(entry.path, "is no regular file; leave it out")
                if len(directories) > MAX_FILES:
                    raise InvalidSourceException(str(root), f"has over {MAX_FILES} directories; fetch a part of it")


def _lies_in(file: "os.PathLike[str]", directory: str) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(directory)


def _leads_out(file: "os.PathLike[str]") -> InvalidSourceException:
    return InvalidSourceException(os.fspath(file), "is a link that leads out of the directory; copy what it names")


def _displayed(source: str) -> str:
    """Return a source as a text that JSON and databases can hold: file systems allow names that are no text."""
    text = source.encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_ADDRESS_LENGTH else f"{text[: MAX_ADDRESS_LENGTH - 1]}…"


def _suggested(name: str) -> str:
    try:
        return check_name(name)
    except InvalidNameException:
        return "model"
