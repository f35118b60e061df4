"""A registered version as a source: its files in the store, or else at their origin, verified by its digests."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, runtime_checkable

from kamiwaza_sdk._validation import MAX_FILES
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.addresses import is_address, path_of, scheme_of
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidSourceException,
    RepositoryNotFoundException,
    VersionUnavailableException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.local import in_thread
from kamiwaza_sdk.services.storage.schemas import FileEntry
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


#: What the address of a file that is kept begins with, where its own leads to a file that may be gone by now.
_KEPT: Final = "store:///"
_WEB: Final = frozenset({"http", "https"})
#: What stands in a kept address in place of a secret.
_HIDDEN: Final = "…"
_MAX_WORD_LENGTH: Final = 255


class FileFromSomewhere(FileEntry, Protocol):
    """A file of a registered version, with its origin."""

    @property
    def url(self) -> str | None:
        """Its address, without query and user information; `None` if it is not known."""
        ...


@runtime_checkable
class RegisteredVersion(Protocol):
    """The fields of a version that are needed to fetch its files, such as those of `ModelVersionSchema`."""

    @property
    def model_name(self) -> str:
        """The model's name."""
        ...

    @property
    def number(self) -> int:
        """Its number within the model."""
        ...

    @property
    def files(self) -> Sequence[FileFromSomewhere]:
        """The files, each with its digest."""
        ...

    @property
    def source(self) -> str | None:
        """Where it came from, pinned to a revision where that can be."""
        ...

    @property
    def hub(self) -> str | None:
        """Where it was published."""
        ...

    @property
    def source_repository(self) -> str | None:
        """Its repository there."""
        ...

    @property
    def source_revision(self) -> str | None:
        """The revision there."""
        ...


def is_registered(source: object) -> TypeGuard[RegisteredVersion]:
    """Tell whether a source is a registered version."""
    return isinstance(source, RegisteredVersion)


async def resolve_version(
    version: RegisteredVersion, storage: StorageService, resolve: "Callable[[str], Awaitable[ManifestSchema]]"
) -> ManifestSchema:
    """Return the files of a version: those in the store, and the others at their origin.

    Args:
        version: The version.
        storage: The store to search.
        resolve: The function that lists the files of an address.

    Raises:
        VersionUnavailableException: It has files that are not kept, of which nobody knows where they came from.
        InvalidInputException: It has no files, or what they say of themselves is not acceptable.
        ServiceException: Whatever resolving its source raises.
    """
    if not version.files or len(version.files) > MAX_FILES:
        raise InvalidInputException(
            "source", f"is a version of {len(version.files)} files; give one of 1 to {MAX_FILES}"
        )
    missing = await in_thread(lambda: _missing(version.files, storage))
    there = dict[str, ManifestFileSchema]()
    origin: ManifestSchema | None = None
    if missing and version.source is not None and _is_of_a_hub(version.source):
        try:
            origin = await resolve(version.source)
        except RepositoryNotFoundException:  # a tag is gone sooner than what it led to
            if not all(
                file.url is not None and _is_reachable(file.url) for file in version.files if file.path in missing
            ):
                raise
        there = {file.path: file for file in origin.files} if origin is not None else {}
    files = await in_thread(lambda: [_file(file, there, is_missing=file.path in missing) for file in version.files])
    nowhere = sorted(file.path for file, found in zip(version.files, files, strict=True) if found is None)
    if nowhere:
        raise VersionUnavailableException(version=name_of(version), missing=nowhere, reason=_why(version, origin))
    return ManifestSchema(
        source=version.source or version.model_name,
        name=version.model_name,
        files=tuple(file for file in files if file is not None),
        revision=_word(version.source_revision),
        repository=_word(version.source_repository),
        hub=_word(version.hub),
        gated=origin is not None and origin.gated,
        page=None if origin is None else origin.page,
    )


def name_of(version: RegisteredVersion) -> str:
    """Return the reference of a version."""
    return f"{version.model_name}:{version.number}"


def _missing(files: Sequence[FileFromSomewhere], storage: StorageService) -> frozenset[str]:
    return frozenset(file.path for file in files if storage.find(file.sha256, size=file.size) is None)


def _is_of_a_hub(source: str) -> bool:
    """Tell whether an address leads to a hub or a bucket, whose files must be listed first."""
    return is_address(source) and scheme_of(source) not in {*_WEB, "file"}


def _file(
    file: FileFromSomewhere, there: Mapping[str, ManifestFileSchema], *, is_missing: bool
) -> ManifestFileSchema | None:
    """Return the origin of a file; `None` if it is not known."""
    url, listed = file.url, there.get(file.path)
    if not is_missing:
        url = url if url is not None and is_address(url) and scheme_of(url) in _WEB else f"{_KEPT}{file.sha256}"
    elif listed is not None and listed.sha256 in {None, file.sha256} and listed.size in {None, file.size}:
        return listed.model_copy(update={"sha256": file.sha256, "size": file.size})
    elif url is None or not is_address(url) or not _is_reachable(url):
        return None
    return ManifestFileSchema(path=file.path, url=url, size=file.size, sha256=file.sha256)


def _is_reachable(url: str) -> bool:
    """Tell whether an address can be used directly: files of another machine or of a hub cannot."""
    if scheme_of(url) != "file":
        return scheme_of(url) in _WEB and _HIDDEN not in url
    try:
        return path_of(url).is_file()
    except (InvalidSourceException, OSError):
        return False


def _why(version: RegisteredVersion, origin: ManifestSchema | None) -> str:
    if origin is not None:
        return f"{origin.source} has them no more, or others under their names"
    if version.source is None:
        return "where they came from was not noted"
    return (
        f"they came from {version.source}, which is not on this machine" if _is_path(version) else "no address is known"
    )


def _is_path(version: RegisteredVersion) -> bool:
    return version.source is not None and (not is_address(version.source) or scheme_of(version.source) == "file")


def _word(text: str | None) -> str | None:
    return text if text and len(text) <= _MAX_WORD_LENGTH else None
