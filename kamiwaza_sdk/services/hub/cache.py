"""Cache index: resolved references, validators of URLs, and blobs in the store, to avoid requests.

Each record is a small file beside the blobs, or a line of one. A crash leaves the old or the new record, or a line that
is ignored.
"""

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from kamiwaza_sdk._addresses import kept_address, redact_text
from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH, Sha256, check_sha256
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.schemas.results import Fetched, FetchedFile
from kamiwaza_sdk.services.storage.files import go_on
from kamiwaza_sdk.services.storage.services import StorageService
from kamiwaza_sdk.services.storage.trash import runs

if TYPE_CHECKING:
    from kamiwaza_sdk.services.storage.schemas import BlobSchema


def digest_of(text: str) -> str:
    """Return the name of a record, which is a digest: references and URLs may be long, and contain secrets."""
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> None:
    """Write a record, in place of an old one. A missing directory is created. Blocks.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    staged = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        try:
            staged.write_text(text, encoding="utf-8")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise


class Places:
    """Finds many digests at once, in directories named by their first digits, most of which are missing.

    Args:
        root: The parent of these directories.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.fspath(root)
        self._directories = dict[str, bool]()

    def may_have(self, digest: str) -> bool:
        """Return whether a record exists, or cannot be checked; then reading it raises the reason. Blocks."""
        start = digest[:2]
        if start not in self._directories:
            self._directories[start] = _may_be_at(f"{self._root}/{start}")
        return self._directories[start] and _may_be_at(f"{self._root}/{start}/{digest}")


def _may_be_at(place: str) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


_logger: Final = logging.getLogger(__name__)
_FILES_AT_ONCE: Final = 2000
#: Of a SHA-256 in hexadecimal.
_DIGITS: Final = 64
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
#: From how many bytes on a log loses what is outdated, each time it has doubled.
_TIDY: Final = 256 * 1024
_FILES: Final = TypeAdapter(tuple[ManifestFileSchema, ...])


class KnownManifests:
    """Beside the blobs: a file for each manifest, and a small file for each reference, which names its manifest.

    Both are named by digests, because references may be long. It is a cache: an unreadable record counts as unknown.
    """

    def __init__(self, storage: StorageService) -> None:
        self._storage = storage  # whose root may have to be read from the environment first

    def get(self, reference: str) -> ManifestSchema | None:
        """Return the manifest of a reference. Blocks."""
        try:
            digest = check_sha256(self._place("references", digest_of(reference)).read_text(encoding="ascii"))
            text = self._place("manifests", digest).read_text(encoding="utf-8")
            return ManifestSchema.model_validate_json(text) if digest_of(text) == digest else None
        except (OSError, ValueError):
            return None

    def put(self, references: Sequence[str], manifest: ManifestSchema) -> None:
        """Remember the manifest of references. If this fails, they are not found offline. Blocks."""
        text = _dumped(manifest)
        digest = digest_of(text)
        try:
            write(self._place("manifests", digest), text)
            for reference in references:
                write(self._place("references", digest_of(reference)), digest)
        except OSError as error:
            names = ", ".join(map(redact_text, references))
            _logger.warning("%s cannot be remembered, so that offline it is not known: %s", names, error.strerror)

    def _place(self, kind: str, digest: str) -> Path:
        return self._storage.root / kind / digest[:2] / digest


def _dumped(manifest: ManifestSchema) -> str:
    """Return a manifest as JSON. Its files, up to 100,000, are written in pieces, because other threads wait."""
    if len(manifest.files) <= _FILES_AT_ONCE:
        return manifest.model_dump_json()
    pieces = (manifest.files[at : at + _FILES_AT_ONCE] for at in range(0, len(manifest.files), _FILES_AT_ONCE))
    files = ",".join(_FILES.dump_json(piece)[1:-1].decode() for piece in pieces)
    rest = manifest.model_dump_json(exclude={"files"})
    return f'{rest[:-1]},"files":[{files}]}}'


class KnownFile(BaseModel):
    """The content of a URL, and the validators by which its server tells whether it has changed."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    sha256: Sha256
    size: int
    validators: Validators


class KnownFiles:
    """The content of URLs, beside the store's blobs: a log for all digests with the same beginning.

    A line has the URL's digest (a signed URL is not stored in clear), and the record; the last one of a URL counts. It
    is a cache: an unreadable or incomplete line counts as unknown.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / "urls"

    def get(self, urls: Iterable[str]) -> dict[str, KnownFile]:
        """Return the records of many URLs. Blocks."""
        if not _may_be_at(os.fspath(self._root)):
            return {}
        wanted = defaultdict[str, dict[bytes, str]](dict)
        for url in urls:
            named = digest_of(url)
            wanted[named[:2]][named.encode()] = url
        found = dict[str, KnownFile]()
        for start, digests in wanted.items():
            for digest, line in self._lines(start, digests).items():
                if (known := _known(line)) is not None:
                    found[digests[digest]] = known
        return found

    def put(self, known: Mapping[str, KnownFile]) -> None:
        """Remember the content of URLs. If this fails, the files are transferred again. Blocks."""
        texts = defaultdict[str, list[str]](list)
        for url, file in known.items():
            digest = digest_of(url)
            texts[digest[:2]].append(f"{digest} {file.model_dump_json()}\n")
        try:
            for start, lines in texts.items():
                self._append(start, "".join(lines).encode())
        except OSError as error:
            _logger.warning("%s cannot be written, so that files will travel again: %s", self._root, error.strerror)

    def _log(self, start: str) -> Path:
        return self._root / f"{start}.log"

    def _lines(self, start: str, wanted: Container[bytes] | None = None) -> dict[bytes, bytes]:
        try:
            lines = self._log(start).read_bytes().split(b"\n")
        except OSError:
            return {}
        return {line[:_DIGITS]: line for line in lines if (line[:_DIGITS] in wanted if wanted is not None else line)}

    def _append(self, start: str, lines: bytes) -> None:
        """Add lines in one write, after a newline if a crash has left an incomplete line."""
        try:
            log = os.open(self._log(start), _APPEND, 0o666)
        except FileNotFoundError:
            self._root.mkdir(parents=True, exist_ok=True)
            log = os.open(self._log(start), _APPEND, 0o666)
        try:
            before = os.fstat(log).st_size
            written = os.write(log, b"\n" + lines)
        finally:
            os.close(log)
        if before + written > _TIDY and (before + written).bit_length() != before.bit_length():
            write(self._log(start), b"\n".join(self._lines(start).values()).decode(errors="replace") + "\n")


def _known(line: bytes) -> KnownFile | None:
    try:
        return KnownFile.model_validate_json(line[_DIGITS:])
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Kept:
    """The blob of a file in the store, and the validators for its server."""

    blob: "BlobSchema"
    validators: "Validators | None"


class KeptFiles:
    """Finds files in a store: by their digests, or by the earlier content of their URLs. Every method blocks."""

    def __init__(self, storage: StorageService) -> None:
        self._storage = storage

    def find(self, file: ManifestFileSchema) -> Kept | None:
        """Return the blob of a file, and its validators."""
        return self.find_all([file]).get(file.path)

    def find_all(self, files: Iterable[ManifestFileSchema]) -> dict[str, Kept]:
        """Return the blobs of files by path, with one check of each, and one read of the records."""
        files = list(files)
        places = Places(self._storage.path("0" * _DIGITS).parents[1])
        has_trash = bool(runs(self._storage.root))  # from which a look brings back what is there
        known = self._known.get(file.content_key for file in files if file.sha256 is None)
        found = dict[str, Kept]()
        for file in files:
            go_on()
            remembered = known.get(file.content_key) if known and file.sha256 is None else None
            digest = file.sha256 if remembered is None else remembered.sha256
            if digest is None or not (has_trash or places.may_have(digest)):
                continue
            blob = self._storage.find(digest, size=None if remembered is None else remembered.size)
            if blob is not None:
                found[file.path] = Kept(blob, None if remembered is None else remembered.validators)
        return found

    def certain(self, files: Iterable[ManifestFileSchema]) -> dict[str, "BlobSchema"]:
        """Return by path the files that the store has for certain, without any request."""
        away = (file for file in files if not file.url.startswith("file://") and file.is_pinned)
        return {path: kept.blob for path, kept in self.find_all(away).items()}

    def remember(self, files: "Iterable[tuple[ManifestFileSchema, BlobSchema, Validators]]") -> None:
        """Remember the content of the URLs of files."""
        self._known.put(
            {
                file.content_key: KnownFile(sha256=blob.sha256, size=blob.size, validators=validators)
                for file, blob, validators in files
            }
        )

    @cached_property
    def _known(self) -> KnownFiles:
        return KnownFiles(self._storage.root)


_Result = TypeVar("_Result", bound=Fetched)


def result_of(
    manifest: ManifestSchema,
    kind: type[_Result],
    files: Iterable[FetchedFile],
    *,
    bytes_fetched: int,
    bytes_reused: int,
    changed: Iterable[str] = (),
) -> _Result:
    """Return the result, with the origin that the manifest tells."""
    return kind(
        source=manifest.source,
        name=manifest.name,
        source_revision=manifest.revision,
        source_repository=manifest.repository,
        hub=manifest.hub,
        author=manifest.author,
        license=manifest.license,
        task=manifest.task,
        files=tuple(_with_addresses(manifest, files)),
        bytes_fetched=bytes_fetched,
        bytes_reused=bytes_reused,
        digests_known=all(file.has_digest for file in manifest.files),
        left_out=manifest.left_out,
        changed=tuple(changed),
    )


def _with_addresses(manifest: ManifestSchema, files: Iterable[FetchedFile]) -> Iterator[FetchedFile]:
    """Yield files by path, each with its origin without secrets."""
    addresses = {file.path: kept_address(file.url) for file in manifest.files}
    for file in sorted(files, key=lambda file: file.path):
        address = addresses.get(file.path, "")
        yield file.model_copy(update={"url": address if 0 < len(address) <= MAX_ADDRESS_LENGTH else None})
