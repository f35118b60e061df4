"""What a URL led to when it was last fetched, so that an unchanged file costs one conditional request."""

import hashlib
import os
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from kamiwaza_sdk._validation import Sha256
from kamiwaza_sdk.services.download.schemas import Validators

__all__ = ["KnownFile", "KnownFiles"]


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

    def get(self, url: str) -> KnownFile | None:
        """Return what is known of a URL. Blocks."""
        try:
            return KnownFile.model_validate_json(self._path(url).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def put(self, url: str, known: KnownFile) -> None:
        """Keep what is known of a URL, in place of what was. Blocks."""
        path = self._path(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f"{path.name}.{uuid4().hex}")
        staged.write_text(known.model_dump_json())
        os.replace(staged, path)  # noqa: PTH105 - said as atomic by its name

    def _path(self, url: str) -> Path:
        digest = hashlib.sha256(url.encode()).hexdigest()
        return self._root / digest[:2] / f"{digest}.json"
