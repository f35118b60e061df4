"""What the store has of a source's files."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kamiwaza_sdk.services.hub._records import Places, digest_of
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.validators import KnownFile, KnownFiles
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import Validators
    from kamiwaza_sdk.services.storage.schemas import BlobSchema

__all__ = ["Kept", "KeptFiles"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has of a file, and what its server can be asked to compare."""

    blob: "BlobSchema"
    validators: "Validators | None"


class KeptFiles:
    """Finds files in a store: by their digests, or by what their URLs led to before. Every method blocks."""

    def __init__(self, storage: StorageService) -> None:
        self._storage = storage

    def find(self, file: ManifestFileSchema) -> Kept | None:
        """Return what the store has of a file."""
        if file.sha256 is not None:
            blob = self._storage.find(file.sha256)
            return None if blob is None else Kept(blob, None)
        known = self._known.get(file.content_key)
        blob = None if known is None else self._storage.find(known.sha256, size=known.size)
        return None if blob is None or known is None else Kept(blob, known.validators)

    def certain(self, files: Iterable[ManifestFileSchema]) -> dict[str, "BlobSchema"]:
        """Return by their paths those files that the store has for certain: nothing has to be asked of anybody."""
        blobs, known = Places(self._storage.path("0" * 64).parents[1]), self._known.places()

        def may_be_kept(file: ManifestFileSchema) -> bool:
            if file.sha256 is not None:
                return blobs.may_have(file.sha256)
            return known.may_have(digest_of(file.content_key))

        away = (file for file in files if file.is_pinned and file.scheme != "file")
        found = ((file, self.find(file)) for file in away if may_be_kept(file))
        return {file.path: kept.blob for file, kept in found if kept is not None}

    def remember(self, file: ManifestFileSchema, blob: "BlobSchema", validators: "Validators") -> None:
        """Keep in mind what the URL of a file led to."""
        self._known.put(file.content_key, KnownFile(sha256=blob.sha256, size=blob.size, validators=validators))

    @cached_property
    def _known(self) -> KnownFiles:
        return KnownFiles(self._storage.root)
