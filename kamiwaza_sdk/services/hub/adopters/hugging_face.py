"""The cache of ``huggingface_hub``: ``models--org--name`` with ``refs``, ``snapshots`` and ``blobs``.

As its documentation describes it (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): a file of ``refs``
names a commit, a snapshot of that commit consists of links to blobs, and the name of a blob is the ETag that the hub
sent: the SHA-256 of a file in LFS, the git blob id of any other. A file that was transferred by Xet is stored once for
all repositories of the cache, in ``blobs`` beside them, named by its Xet hash; the repository's blob is then a link to
it. ``trees`` has the listing of each commit that was downloaded as a snapshot.

A directory that ``hf download --local-dir`` wrote keeps the origin of its files beside them, in
``.cache/huggingface/download/<path>.metadata``: the commit, the ETag (the SHA-256 of a file in LFS, the git blob id of
any other) and the time. Files and notes may have been edited since, so a note counts only if it agrees with the bytes.
Notes do not name the repository.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn, Self

from pydantic import BaseModel, Field, ValidationError

from kamiwaza_sdk._validation import MAX_FILES, MAX_SIZE
from kamiwaza_sdk.formats.exceptions import FormatException
from kamiwaza_sdk.formats.repository import describe_repository
from kamiwaza_sdk.services.hub.addresses import HuggingFaceReference, path_of
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema, ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.results import FetchedFile
from kamiwaza_sdk.services.hub.selection import Selection, left_out_as
from kamiwaza_sdk.services.hub.sources.hugging_face import manifest_of, word
from kamiwaza_sdk.services.hub.sources.local import CachedFiles, git_blob_id, read_small, regular_size
from kamiwaza_sdk.services.storage.services import StorageService

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_MAX_REF: Final = 1024
_MAX_CARD: Final = 4 * 1024**2
#: Some five times the listing of 100,000 files.
_MAX_TREE: Final = 128 * 1024**2
_MOST_SHOWN: Final = 5
_STRANGE: Final = "is not in the listing of that commit"


class _Listed(BaseModel):
    """A file in the hub's listing. A file in LFS has a SHA-256, any other a git blob id."""

    size: int = Field(ge=0, le=MAX_SIZE)
    blob_id: str
    lfs_sha256: str | None = None
    xet_hash: str | None = None

    @property
    def sha256(self) -> str | None:
        return self.lfs_sha256 if self.lfs_sha256 and _SHA256.fullmatch(self.lfs_sha256) else None

    @property
    def git_blob_id(self) -> str | None:
        is_git = self.lfs_sha256 is None and self.xet_hash is None and _SHA1.fullmatch(self.blob_id)
        return self.blob_id if is_git else None


class _Tree(BaseModel):
    """``trees/<commit>.json``, the listing of a commit, which recent versions of ``huggingface_hub`` write."""

    format_version: Literal[1]
    files: dict[str, _Listed]


def resolve(reference: str, cache: Path | None, config: HubConfig, selection: Selection) -> CachedFiles:
    """Return the files of a snapshot. Blocks.

    Raises:
        InvalidSourceException: The reference is none, or the snapshot leads out of the cache.
        NotInCacheException: There is no such snapshot, or not all of it that is wanted, unless a part will do.
    """
    wanted = HuggingFaceReference.parse(reference)
    found = _Snapshot.find(wanted, cache or _usual_place())
    files, left_out, missing = found.files(selection)
    if not files:
        raise found.missing(f"the snapshot {found.directory.name} is empty")
    licence, task = found.card()
    pinned = wanted.at(found.directory.name)
    manifest = manifest_of(pinned, files, config.hf_endpoint, licence=licence, task=task)
    return CachedFiles(manifest.model_copy(update={"left_out": left_out}), missing)


def _usual_place() -> Path:
    """Return the cache of ``huggingface_hub``, from the environment."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    return Path(os.path.expandvars(named or f"{home}/hub")).expanduser().absolute()


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


class _Found(NamedTuple):
    """The content of a snapshot: the wanted files, the files left out, and the sizes of missing files."""

    files: tuple[ManifestFileSchema, ...]
    left_out: tuple[LeftOutSchema, ...]
    missing: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One commit of a repository in a cache.

    Attributes:
        wanted: The wanted address.
        place: The cache.
        repository: The directory of the repository.
        directory: The directory of the snapshot, named by the commit.
    """

    wanted: HuggingFaceReference
    place: Path
    repository: Path
    directory: Path

    @classmethod
    def find(cls, wanted: HuggingFaceReference, cache: Path) -> Self:
        """Return the snapshot in a cache, or in the cache of a home (``HF_HOME``)."""
        name = "--".join([wanted.kind, *wanted.name.split("/")])
        place = next((place for place in (cache, cache / "hub") if (place / name).is_dir()), None)
        if place is None:
            raise _missing(wanted, cache, "there is no directory of that repository")
        commit = _commit(wanted, place / name, place)
        snapshot = cls(wanted, place, place / name, place / name / "snapshots" / commit)
        if not snapshot.directory.is_dir():
            raise snapshot.missing(f"there is no snapshot {commit}")
        return snapshot

    def missing(self, reason: str) -> NotInCacheException:
        """Return the error that names the missing files."""
        return _missing(self.wanted, self.place, reason)

    def files(self, selection: Selection) -> _Found:
        """Return the files that are there, if they are all wanted files or a part is enough, and those left out."""
        paths = {path.relative_to(self.directory).as_posix(): path for path in _below(self.directory)}
        tree, left_out = self._tree(), list[LeftOutSchema]()
        if tree is None:
            self._refuse_broken_off(selection, paths)
        else:
            taken = [path for path in paths if path not in tree and _is_taken(path, selection)]
            left_out = [left_out_as(path, _STRANGE) for path in taken]
        listing: Mapping[str, _Listed | None] = dict.fromkeys(paths) if tree is None else tree
        wanted = {path: listed for path, listed in listing.items() if _is_taken(path, selection)}
        if selection.in_part:
            missing = [path for path, listed in wanted.items() if not _is_whole(paths.get(path), listed)]
        else:
            missing = [path for path in wanted if path not in paths]
            self._refuse_part(missing)
        sizes = {path: None if (listed := wanted.pop(path)) is None else listed.size for path in missing}
        files = tuple(self._file(path, paths[path], listed) for path, listed in wanted.items())
        return _Found(files, (*left_out, *self._left_out(paths, selection)), sizes)

    def _tree(self) -> dict[str, _Listed] | None:
        """Return the files of the commit; `None` if there is no readable listing."""
        path = self.repository / "trees" / f"{self.directory.name}.json"
        with suppress(ValidationError):
            text = read_small(path, inside=self.repository, limit=_MAX_TREE)
            return None if text is None else _Tree.model_validate_json(text).files
        return None

    def _refuse_part(self, missing: list[str]) -> None:
        if missing:
            shown = ", ".join(ascii(path) for path in missing[:_MOST_SHOWN])
            more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
            reason = f"{shown}{more} of {self.directory.name} are not there, so it was downloaded in part only"
            raise self.missing(f"{reason}; narrow allow= or ignore= to what is")

    def _refuse_broken_off(self, selection: Selection, paths: Collection[str]) -> None:
        """Raise if there is an interrupted download: without a listing, it may be a file of this commit.

        It is not a wanted file if all wanted files are named one by one, and are there.
        """
        if selection.allow is not None and all(pattern in paths for pattern in selection.allow):
            return
        for path in (self.repository / "blobs").glob("*.incomplete"):
            if not os.path.lexists(path.parent / path.name.partition(".")[0]):
                reason = f"its {path} is the rest of a download that broke off, of which commit is not known"
                raise self.missing(f"{reason}; finish it, remove it, or name in allow= the files that you want")

    def _file(self, path: str, file: Path, listed: _Listed | None) -> ManifestFileSchema:
        inside = self._inside(file)
        size = regular_size(file, inside=inside, source=str(self.wanted))
        if listed is not None and size != listed.size:
            raise self.missing(f"its {file} has {size} bytes and not {listed.size}, so it was cut or changed")
        name = self._blob_name(file)
        sha256 = name if _SHA256.fullmatch(name) else None
        git_blob_id = name if _SHA1.fullmatch(name) else None
        if listed is not None and (listed.sha256 or listed.git_blob_id):
            sha256, git_blob_id = listed.sha256, listed.git_blob_id
        return ManifestFileSchema(
            path=path,
            url=Path(os.path.realpath(file)).as_uri(),
            size=size,
            sha256=sha256,
            git_blob_id=git_blob_id,
            inside=Path(os.path.realpath(inside)).as_uri(),
        )

    def _inside(self, file: Path) -> Path:
        """Return the directory that a file must not lead out of: its repository, or the shared blobs of the cache."""
        shared = self.place / "blobs"
        is_shared = Path(os.path.realpath(file)).is_relative_to(os.path.realpath(shared))
        return shared if is_shared and not shared.is_symlink() else self.repository

    def _blob_name(self, file: Path) -> str:
        """Return the name of the repository's blob that a link leads to; empty if it is not a link to one.

        Only the first link counts: a shared blob is a link to a file that is named by its Xet hash.
        """
        if not file.is_symlink():
            return ""
        blob = Path(os.path.normpath(file.parent / file.readlink()))
        is_blob = os.path.realpath(blob.parent) == os.path.realpath(self.repository / "blobs")
        return blob.name if is_blob else ""

    def _left_out(self, paths: Iterable[str], selection: Selection) -> tuple[LeftOutSchema, ...]:
        found = (selection.left_out(path) for path in paths if selection.wants(path))
        return tuple({one.path: one for one in found if one is not None}.values())

    def card(self) -> tuple[str | None, str | None]:
        """Return the licence and task in the README, from which the hub reads them, too."""
        readme = self.directory / "README.md"
        text = read_small(readme, inside=self._inside(readme), limit=_MAX_CARD)
        with suppress(FormatException):
            described = describe_repository({"README.md": text or b""}, {})
            return word(described.license), word(described.task)
        return None, None


def _is_whole(file: Path | None, listed: _Listed | None) -> bool:
    """Return whether a file is there with the size that is listed."""
    with suppress(OSError):
        return file is not None and (listed is None or file.stat().st_size == listed.size) and file.exists()
    return False


def _is_taken(path: str, selection: Selection) -> bool:
    return selection.wants(path) and selection.left_out(path) is None


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


def _missing(wanted: HuggingFaceReference, place: Path, reason: str) -> NotInCacheException:
    return NotInCacheException(source=str(wanted), cache=str(place), reason=reason)


_NOTES: Final = ".cache/huggingface/download"
_NOTE: Final = re.compile(rb"([0-9a-f]{40})\r?\n([0-9a-f]{40}|[0-9a-f]{64})\r?\n")
_MAX_NOTE: Final = 1024
_SHA1_LENGTH: Final = 40


class LocalOrigin(NamedTuple):
    """The notes of a directory that agree with its bytes.

    Attributes:
        commit: The commit of all files; `None` if one differs, or it is not known.
        changed: The files that differ from their notes.
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
