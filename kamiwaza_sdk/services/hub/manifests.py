"""What references led to when they were last resolved, so that what is kept can be found without a connection."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import check_sha256
from kamiwaza_sdk.services.hub._records import digest_of, write
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["KnownManifests"]

_logger: Final = logging.getLogger(__name__)
_FILES_AT_ONCE: Final = 2000
_FILES: Final = TypeAdapter(tuple[ManifestFileSchema, ...])


class KnownManifests:
    """Beside the store's blobs, one file a manifest, and one small file a reference that says which is meant by it.

    Both are named by digests, as references may have any length. It is a cache: what cannot be read counts as unknown.
    """

    def __init__(self, storage: StorageService) -> None:
        self._storage = storage  # whose root may have to be read from the environment first

    def get(self, reference: str) -> ManifestSchema | None:
        """Return what a reference led to. Blocks."""
        try:
            digest = check_sha256(self._place("references", digest_of(reference)).read_text(encoding="ascii"))
            text = self._place("manifests", digest).read_text(encoding="utf-8")
            return ManifestSchema.model_validate_json(text) if digest_of(text) == digest else None
        except (OSError, ValueError):
            return None

    def put(self, references: Sequence[str], manifest: ManifestSchema) -> None:
        """Keep what references led to, in place of what was; where that cannot be, none is found offline. Blocks."""
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
    """Return a manifest as JSON. Its files in pieces: other threads wait for each, and there can be 100,000."""
    if len(manifest.files) <= _FILES_AT_ONCE:
        return manifest.model_dump_json()
    pieces = (manifest.files[at : at + _FILES_AT_ONCE] for at in range(0, len(manifest.files), _FILES_AT_ONCE))
    files = ",".join(_FILES.dump_json(piece)[1:-1].decode() for piece in pieces)
    rest = manifest.model_dump_json(exclude={"files"})
    return f'{rest[:-1]},"files":[{files}]}}'
