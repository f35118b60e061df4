"""What became of a manifest whose files are in the store."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from kamiwaza_sdk._addresses import kept_address
from kamiwaza_sdk._validation import MAX_ADDRESS_LENGTH
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched, FetchedFile
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema

__all__ = ["result_of"]

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
    """Return what was brought, with what the manifest says of where it is from."""
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
    """Yield files by path, each with where it came from, as far as that may be kept."""
    addresses = {file.path: kept_address(file.url) for file in manifest.files}
    for file in sorted(files, key=lambda file: file.path):
        address = addresses.get(file.path, "")
        yield file.model_copy(update={"url": address if 0 < len(address) <= MAX_ADDRESS_LENGTH else None})
