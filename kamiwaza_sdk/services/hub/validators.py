"""What a URL led to when it was last fetched, so that an unchanged file costs one conditional request."""

import logging
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from kamiwaza_sdk._validation import Sha256
from kamiwaza_sdk.services.download.schemas import Validators
from kamiwaza_sdk.services.hub._records import Places, digest_of, write

__all__ = ["KnownFile", "KnownFiles"]

_logger: Final = logging.getLogger(__name__)


class KnownFile(BaseModel):
    """What a URL led to, and what its server compares to tell whether it still does."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    sha256: Sha256
    size: int
    validators: Validators


class KnownFiles:
    """One small file a URL beside the store's blobs, named by the URL's digest: a signed URL is not kept in clear.

    It is a cache: what cannot be read counts as not known.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / "urls"

    def places(self) -> Places:
        """Return what tells by the digests of many URLs of which `get` may know something."""
        return Places(self._root, ".json")

    def get(self, url: str) -> KnownFile | None:
        """Return what is known of a URL. Blocks."""
        try:
            return KnownFile.model_validate_json(self._path(url).read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, url: str, known: KnownFile) -> None:
        """Keep what is known of a URL, in place of what was; where that cannot be, the file travels again. Blocks."""
        path = self._path(url)
        try:
            write(path, known.model_dump_json())
        except OSError as error:
            _logger.warning("%s cannot be written, so that its file will travel again: %s", path, error.strerror)

    def _path(self, url: str) -> Path:
        digest = digest_of(url)
        return self._root / digest[:2] / f"{digest}.json"
