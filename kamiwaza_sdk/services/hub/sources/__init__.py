"""Resolves a source to a manifest: its wanted files, their expected digests, and equal contents."""

import asyncio
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from glob import escape
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

from kamiwaza_sdk._validation import MAX_FILES, check_layout, check_sha256
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException
from kamiwaza_sdk.services.hub.addresses import (
    is_address,
    path_of,
    redacted,
    refuse_unless_address,
    scheme_of,
    suggestion_for_name,
)
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.selection import Selection, patterns
from kamiwaza_sdk.services.hub.sources.local import check_inside, in_thread, resolve_path
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext, loaded_source, source_for
from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion, is_registered, resolve_version
from kamiwaza_sdk.services.hub.sources.web import resolve_urls

__all__ = ["Source", "Wanted", "by_content", "content_of", "expected", "resolve_source"]

#: An address, several of http or https, a file or directory on this machine, what one of these was resolved to, or a
#: version that was registered of one.
Source: TypeAlias = "str | os.PathLike[str] | Sequence[str] | ManifestSchema | PlanSchema | RegisteredVersion"


async def resolve_source(source: Source, context: SourceContext, selection: Selection) -> ManifestSchema:
    """Return the files of a source.

    Args:
        source: As `fetch` takes it.
        context: For sources on the network.
        selection: The wanted files; in directories, other files are not checked.

    Raises:
        InvalidInputException: `source` is of a wrong kind.
        ServiceException: Whatever the source of its scheme raises.
    """
    if isinstance(source, ManifestSchema):
        return source
    if isinstance(source, PlanSchema):
        return source.manifest
    if is_registered(source):
        return await resolve_version(
            source, context.storage, lambda address: _resolve_address(address, context, selection)
        )
    if isinstance(source, str) and is_address(source):
        return await _resolve_address(source, context, selection)
    if isinstance(source, str | os.PathLike):
        return await in_thread(lambda: _resolve_here(_path(source), selection))
    return await asyncio.to_thread(resolve_urls, _urls(source))


async def _resolve_address(source: str, context: SourceContext, selection: Selection) -> ManifestSchema:
    refuse_unless_address(source)
    scheme = scheme_of(source)
    reference = f"{scheme}{source[len(scheme) :]}"
    if scheme == "file":
        return await in_thread(lambda: resolve_path(path_of(reference), selection))
    model_source = loaded_source(scheme)
    if model_source is None:
        model_source = await asyncio.to_thread(source_for, scheme, address=source)
    manifest: object = await model_source.resolve(reference, context)
    if not isinstance(manifest, ManifestSchema):
        kind = type(manifest).__name__
        raise InvalidSourceException(redacted(source), f"was resolved to a {kind}; its source is at fault")
    return manifest


def _resolve_here(path: Path, selection: Selection) -> ManifestSchema:
    """Return the files at a path; for a missing path, the error suggests an address. Blocks."""
    try:
        return resolve_path(path, selection)
    except InvalidSourceException as error:
        suggestion = suggestion_for_name(str(path))
        if suggestion is None or not isinstance(error.__cause__, FileNotFoundError):
            raise
        missing = error
    reason = f"is no file or directory here; {suggestion.way_out}, or give a path that exists"
    raise InvalidSourceException(missing.source, reason, suggestion=suggestion.address) from missing.__cause__


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


def content_of(file: ManifestFileSchema) -> Hashable:
    """Return a key that two files share only if their bytes are the same."""
    sha256, blob_id = file.sha256, file.git_blob_id
    return file.path if sha256 is blob_id is None else (sha256, blob_id, file.size)


def by_content(files: Iterable[ManifestFileSchema]) -> list[list[ManifestFileSchema]]:
    """Return the files grouped by content, local ones first; hard links are the same content. Blocks."""
    groups = dict[Hashable, list[ManifestFileSchema]]()
    here, there = list[ManifestFileSchema](), list[ManifestFileSchema]()
    for file in files:
        (here if file.url.startswith("file://") else there).append(file)
    for file in (*here, *there):
        content = content_of(file)
        key = _place_of(file) or content if content is file.path else content
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _place_of(file: ManifestFileSchema) -> tuple[int, int] | None:
    """Return the identity of a local file, independent of links; `None` if it is not known."""
    if file.local is None:
        return None
    try:
        status = check_inside(file).stat()
    except (OSError, InvalidSourceException):  # whoever reads it says so
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None


def expected(given: object) -> str | dict[str, str] | None:
    """Return the digests that were given, checked.

    Raises:
        InvalidInputException: They are none, or of a wrong kind.
    """
    if given is None or isinstance(given, str):
        return None if given is None else check_sha256(given)
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise InvalidInputException("sha256", f"is a {kind}; give 64 hexadecimal digits, or a mapping from path")
    return dict(_checked(*item) for item in cast("Mapping[object, object]", given).items())


def _checked(path: object, digest: object) -> tuple[str, str]:
    if not (isinstance(path, str) and isinstance(digest, str)):
        reason = (
            f"maps a {type(path).__name__} to a {type(digest).__name__}; give texts, and leave out what has no digest"
        )
        raise InvalidInputException("sha256", reason)
    return path, check_sha256(digest)


def with_digests(
    files: Sequence[ManifestFileSchema], digests: str | dict[str, str] | None
) -> tuple[ManifestFileSchema, ...]:
    """Return the files, each with the digest that is expected of it.

    Raises:
        InvalidInputException: A digest fits no file, or is not the one that its source tells.
    """
    if isinstance(digests, str):
        if len(files) > 1:
            raise InvalidInputException(
                "sha256", f"is one digest for {len(files)} files; give a mapping from path to digest"
            )
        digests = {file.path: digests for file in files}
    elif not digests:
        return tuple(files)
    elif unused := sorted(digests.keys() - {file.path for file in files}):
        paths = ", ".join(map(ascii, unused))
        raise InvalidInputException("sha256", f"names {paths}, which the source has not; give paths that it has")
    return tuple(_with_digest(file, digests.get(file.path)) for file in files)


def _with_digest(file: ManifestFileSchema, digest: str | None) -> ManifestFileSchema:
    if digest is None or digest == file.sha256:
        return file
    if file.sha256 is not None:
        reason = f"expects {digest} of {file.path!a}, of which its source tells {file.sha256}; trust one of them"
        raise InvalidInputException("sha256", reason)
    return file.model_copy(update={"sha256": digest})


class Wanted:
    """The arguments besides the source, checked at once.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
    """

    def __init__(self, *, sha256: object, allow: object, ignore: object) -> None:
        self._digests = expected(sha256)
        self.selection: Selection = Selection(patterns(allow, field="allow"), patterns(ignore, field="ignore"))

    async def resolve(self, source: Source, context: SourceContext) -> ManifestSchema:
        """Return the wanted files, which must not conflict."""
        found = await resolve_source(source, context, self.selection)
        return await asyncio.to_thread(lambda: self.select(found, sift=_lists(source, found)))

    def select(self, found: ManifestSchema, *, sift: bool = True) -> ManifestSchema:
        """Return the wanted files of all files. Blocks.

        Args:
            found: All files.
            sift: Whether they were not named one by one, so that files which are not a part of a model are left out.
        """
        manifest = self.selection.of(found, sift=sift)
        if not manifest.files:
            raise InvalidSourceException(manifest.source, "has no files; give one that has")
        if len(manifest.files) > MAX_FILES:
            reason = f"has {len(manifest.files)} files, over the limit of {MAX_FILES}; choose some with allow or ignore"
            raise InvalidSourceException(manifest.source, reason)
        _check_layout([file.path for file in manifest.files])
        return manifest.model_copy(update={"files": with_digests(manifest.files, self._digests)})


def _lists(source: Source, found: ManifestSchema) -> bool:
    """Whether a source lists everything in a place, and is not a single file, a list of files, or a manifest."""
    if not isinstance(source, str | os.PathLike) or scheme_of(os.fspath(source)) in {"http", "https"}:
        return False
    is_one = len(found.files) == 1 and found.files[0].inside is None
    return not is_one or (found.files[0].scheme != "file" and found.files[0].url != found.source)


def _check_layout(paths: list[str]) -> None:
    """Raise if two files conflict, and say how to leave one out."""
    try:
        check_layout(paths)
    except InvalidPathException as error:
        reason = f"{error.reason}, or leave one out with ignore={escape(error.value)!r}"
        raise InvalidPathException(error.field, reason, value=error.value) from None
