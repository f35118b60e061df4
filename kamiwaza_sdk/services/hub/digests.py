"""Digests that a caller expects, git blob ids, and files with equal content, which are transferred once."""

import asyncio
import hashlib
import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import cast

from kamiwaza_sdk._validation import MAX_FILES, check_layout, check_sha256
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException
from kamiwaza_sdk.services.hub.addresses import redacted, scheme_of
from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException, InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.selection import Selection, patterns
from kamiwaza_sdk.services.hub.sources import Source, resolve_source
from kamiwaza_sdk.services.hub.sources.local import check_inside
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext
from kamiwaza_sdk.services.storage.blobs import open_source
from kamiwaza_sdk.services.storage.files import pieces


def content_of(file: ManifestFileSchema) -> Hashable:
    """Return what two files have in common only if their bytes are the same, or else what no other file has."""
    if file.has_digest:
        return file.sha256, file.git_blob_id, file.size
    return file.path


def by_content(files: Iterable[ManifestFileSchema]) -> list[list[ManifestFileSchema]]:
    """Return the files of each content together, what is on this machine first; hard links are one content. Blocks."""
    groups = dict[Hashable, list[ManifestFileSchema]]()
    for file in sorted(files, key=lambda file: file.scheme != "file"):
        key = content_of(file) if file.has_digest else _place_of(file) or file.path
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _place_of(file: ManifestFileSchema) -> tuple[int, int] | None:
    """Return where the bytes of a local file lie, whatever leads there; `None` where that is not known."""
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
    elif unused := sorted((digests or {}).keys() - {file.path for file in files}):
        paths = ", ".join(map(ascii, unused))
        raise InvalidInputException("sha256", f"names {paths}, which the source has not; give paths that it has")
    return tuple(_with_digest(file, (digests or {}).get(file.path)) for file in files)


def _with_digest(file: ManifestFileSchema, digest: str | None) -> ManifestFileSchema:
    if digest is None or digest == file.sha256:
        return file
    if file.sha256 is not None:
        reason = f"expects {digest} of {file.path!a}, of which its source tells {file.sha256}; trust one of them"
        raise InvalidInputException("sha256", reason)
    return file.model_copy(update={"sha256": digest})


def git_blob_id(path: Path) -> str:
    r"""Return the SHA-1 of ``blob <size>\0`` and the bytes of a file, in hexadecimal (`ManifestFileSchema`). Blocks."""
    with open_source(path) as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        for piece in pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def check_git_blob(file: ManifestFileSchema, path: Path) -> None:
    """Raise `GitBlobMismatchException` unless what lies at `path` is what the manifest says. Blocks."""
    if file.git_blob_id is not None and (actual := git_blob_id(path)) != file.git_blob_id:
        raise GitBlobMismatchException(url=redacted(file.url), expected=file.git_blob_id, actual=actual)


class Wanted:
    """What a caller gave besides the source, checked at once.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
    """

    def __init__(self, *, sha256: object, allow: object, ignore: object) -> None:
        self._digests = expected(sha256)
        self.selection: Selection = Selection(patterns(allow, field="allow"), patterns(ignore, field="ignore"))

    async def resolve(self, source: Source, context: SourceContext) -> ManifestSchema:
        """Return the files that are wanted, which can stand beside each other."""
        found = await resolve_source(source, context, self.selection)
        return await asyncio.to_thread(lambda: self.select(found, sift=_lists(source, found)))

    def select(self, found: ManifestSchema, *, sift: bool = True) -> ManifestSchema:
        """Return those that are wanted of all files. Blocks.

        Args:
            found: All files.
            sift: Whether nobody named them one by one, so that what is no part of a model is left out.
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
    """Whether a source lists whatever is there, and was not one file, a list of them, or what was listed before."""
    if not isinstance(source, str | os.PathLike) or scheme_of(os.fspath(source)) in {"http", "https"}:
        return False
    is_one = len(found.files) == 1 and found.files[0].inside is None
    return not is_one or (found.files[0].scheme != "file" and found.files[0].url != found.source)


def _check_layout(paths: list[str]) -> None:
    """Raise where two files cannot stand beside each other, with the way to leave one out."""
    try:
        check_layout(paths)
    except InvalidPathException as error:
        reason = f"{error.reason}, or leave one out with ignore={escape(error.value)!r}"
        raise InvalidPathException(error.field, reason, value=error.value) from None
