"""Where the files of a directory came from, as ``huggingface_hub`` noted it when it downloaded them there.

``hf download --local-dir`` writes ``.cache/huggingface/download/<path>.metadata`` beside the files: the commit, the
ETag (the SHA-256 of what is in LFS, the git blob id of the rest) and the time. Anybody can have edited the files since,
or the notes, so they count only where they agree with the bytes. They do not name the repository.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from kamiwaza_sdk.services.hub._git import git_blob_id
from kamiwaza_sdk.services.hub.addresses import path_of
from kamiwaza_sdk.services.hub.caches._files import read_small
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.fetched import FetchedFile
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["LocalOrigin", "origin_of"]

_NOTES: Final = ".cache/huggingface/download"
_NOTE: Final = re.compile(rb"([0-9a-f]{40})\r?\n([0-9a-f]{40}|[0-9a-f]{64})\r?\n")
_MAX_NOTE: Final = 1024
_SHA1_LENGTH: Final = 40


class LocalOrigin(NamedTuple):
    """What the notes of a directory say that its bytes confirm.

    Attributes:
        commit: Of which all files are; `None` where one is not, or that is not known.
        changed: The files that are not what was noted.
    """

    commit: str | None
    changed: tuple[str, ...]


def origin_of(manifest: ManifestSchema, files: Iterable[FetchedFile], storage: StorageService) -> LocalOrigin:
    """Return the origin of files that were copied from a directory into the store. Blocks."""
    inside = manifest.files[0].inside
    if inside is None or not (path_of(inside) / _NOTES).is_dir():
        return LocalOrigin(None, ())
    commits: set[str | None] = set()
    changed: list[str] = []
    for file in sorted(files, key=lambda file: file.path):
        commit, etag = _noted(path_of(inside), file.path)
        if etag is not None and etag != _etag(file, storage, like=etag):
            changed.append(file.path)
            commit = None
        commits.add(commit)
    return LocalOrigin(commits.pop() if len(commits) == 1 else None, tuple(changed))


def _noted(root: Path, path: str) -> tuple[str, str] | tuple[None, None]:
    try:
        text = read_small(root / _NOTES / f"{path}.metadata", inside=root, limit=_MAX_NOTE)
    except (InvalidSourceException, NotInCacheException, OSError):  # of whatever it is, it is no note
        return None, None
    found = _NOTE.match(text or b"")
    return (None, None) if found is None else (found[1].decode(), found[2].decode())


def _etag(file: FetchedFile, storage: StorageService, *, like: str) -> str:
    return git_blob_id(storage.path(file.sha256)) if len(like) == _SHA1_LENGTH else file.sha256
