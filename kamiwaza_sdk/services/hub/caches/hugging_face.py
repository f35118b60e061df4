"""The cache of ``huggingface_hub``: ``models--org--name`` with ``refs``, ``snapshots`` and ``blobs``.

As its documentation describes it (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): a file of ``refs``
names a commit, a snapshot of that commit consists of links to blobs, and a blob is named by what the hub sent as its
ETag: the SHA-256 of what is in LFS, the git blob id of the rest.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NoReturn

from kamiwaza_sdk._validation import MAX_FILES
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.repository import describe_repository
from kamiwaza_sdk.services.hub.caches._files import read_small, regular_size
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources._answers import word
from kamiwaza_sdk.services.hub.sources._references import HuggingFaceReference
from kamiwaza_sdk.services.hub.sources.hugging_face import manifest_of

__all__ = ["resolve"]

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_MAX_REF: Final = 1024
_MAX_CARD: Final = 4 * 1024**2


def resolve(reference: str, cache: Path | None, config: HubConfig) -> ManifestSchema:
    """Return the files of a snapshot. Blocks.

    Raises:
        InvalidSourceException: The reference is none, or the snapshot leads out of the cache.
        NotInCacheException: There is no such snapshot, or not all of it.
    """
    wanted = HuggingFaceReference.parse(reference)
    place = cache or _usual_place()
    repository = place / "--".join([wanted.kind, *wanted.name.split("/")])
    if not repository.is_dir():
        raise _missing(wanted, place, "there is no directory of that repository")
    pinned = wanted.at(_commit(wanted, repository, place))
    snapshot = repository / "snapshots" / pinned.revision
    if not snapshot.is_dir():
        raise _missing(wanted, place, f"there is no snapshot {pinned.revision}")
    _refuse_incomplete(wanted, repository, place)
    files = tuple(_file(path, snapshot, repository, wanted) for path in _below(snapshot))
    if not files:
        raise _missing(wanted, place, f"the snapshot {pinned.revision} is empty")
    licence, task = _card(snapshot, repository)
    return manifest_of(pinned, files, config.hf_endpoint, licence=licence, task=task)


def _usual_place() -> Path:
    """Return where ``huggingface_hub`` keeps it, as it finds that in the environment."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.path.expandvars(named or f"{home}/hub")).expanduser().absolute()


def _commit(wanted: HuggingFaceReference, repository: Path, place: Path) -> str:
    if _SHA1.fullmatch(wanted.revision):
        return wanted.revision
    refs = repository / "refs"
    text = read_small(refs / wanted.revision, inside=refs, limit=_MAX_REF)
    commit = (text or b"").decode("ascii", errors="replace").strip()
    if text is None:
        known = ", ".join(sorted(path.relative_to(refs).as_posix() for path in islice(refs.rglob("*"), 5)))
        raise _missing(wanted, place, f"there is no revision {wanted.revision!a}, but {known or 'none'}")
    if not _SHA1.fullmatch(commit):
        raise InvalidSourceException(str(refs / wanted.revision), "names no commit; let huggingface_hub write it again")
    return commit


def _refuse_incomplete(wanted: HuggingFaceReference, repository: Path, place: Path) -> None:
    """Raise where a download broke off: which file it was to become, and of which snapshot, the cache does not tell."""
    for path in (repository / "blobs").glob("*.incomplete"):
        if not (path.parent / path.name.partition(".")[0]).exists():
            raise _missing(wanted, place, f"its {path} is the rest of a download that broke off; finish or remove it")


def _refuse(error: OSError) -> NoReturn:
    raise error


def _below(snapshot: Path) -> Iterator[Path]:
    count = 0
    for folder, folders, names in os.walk(snapshot, onerror=_refuse):  # which else would leave out what it may not read
        if links := [name for name in folders if Path(folder, name).is_symlink()]:
            raise InvalidSourceException(str(Path(folder, links[0])), "is a link to a directory; remove it")
        count += len(names) + len(folders)
        if count > MAX_FILES:
            raise InvalidSourceException(str(snapshot), f"has over {MAX_FILES} files and directories; fetch a part")
        yield from (Path(folder, name) for name in names)


def _file(path: Path, snapshot: Path, repository: Path, wanted: HuggingFaceReference) -> ManifestFileSchema:
    size = regular_size(path, inside=repository, source=str(wanted))
    blob = Path(os.path.realpath(path))
    is_named = blob.parent == Path(os.path.realpath(repository / "blobs"))
    return ManifestFileSchema(
        path=path.relative_to(snapshot).as_posix(),
        url=blob.as_uri(),
        size=size,
        sha256=blob.name if is_named and _SHA256.fullmatch(blob.name) else None,
        git_blob_id=blob.name if is_named and _SHA1.fullmatch(blob.name) else None,
        inside=Path(os.path.realpath(repository)).as_uri(),
    )


def _card(snapshot: Path, repository: Path) -> tuple[str | None, str | None]:
    """Return the licence and task that the README names, as the hub reads them from there too."""
    text = read_small(snapshot / "README.md", inside=repository, limit=_MAX_CARD)
    with suppress(FormatException):
        described = describe_repository({"README.md": text or b""}, {})
        return word(described.license), word(described.task)
    return None, None


def _missing(wanted: HuggingFaceReference, place: Path, reason: str) -> NotInCacheException:
    return NotInCacheException(source=str(wanted), cache=str(place), reason=reason)
