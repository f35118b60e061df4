"""What references led to when they were last resolved, so that what is kept can be found without a connection."""

import hashlib
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from kamiwaza_sdk._validation import check_sha256
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["KnownManifests"]

_logger: Final = logging.getLogger(__name__)


class KnownManifests:
    """Beside the store's blobs, one file a manifest, and one small file a reference that says which is meant by it.

    Both are named by digests, as references may have any length. It is a cache: what cannot be read counts as unknown.
    """

    def __init__(self, storage: StorageService) -> None:
        self._storage = storage  # whose root may have to be read from the environment first

    def get(self, reference: str) -> ManifestSchema | None:
        """Return what a reference led to. Blocks."""
        try:
            digest = check_sha256(self._place("references", _digest(reference)).read_text(encoding="ascii"))
            text = self._place("manifests", digest).read_text(encoding="utf-8")
            return ManifestSchema.model_validate_json(text) if _digest(text) == digest else None
        except (OSError, ValueError):
            return None

    def put(self, reference: str, manifest: ManifestSchema) -> None:
        """Keep what a reference led to, in place of what was; where that cannot be, it is not found offline. Blocks."""
        text = manifest.model_dump_json()
        digest = _digest(text)
        try:
            _write(self._place("manifests", digest), text)
            _write(self._place("references", _digest(reference)), digest)
        except OSError as error:
            _logger.warning("%s cannot be remembered, so that offline it is not known: %s", reference, error.strerror)

    def _place(self, kind: str, digest: str) -> Path:
        return self._storage.root / kind / digest[:2] / digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    staged = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
