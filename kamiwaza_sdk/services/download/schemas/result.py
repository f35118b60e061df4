"""What a finished download says."""

from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.services.download.schemas.validators import Validators

__all__ = ["DownloadResult"]


class DownloadResult(BaseModel):
    """A verified file, or the word that nothing has changed.

    Attributes:
        url: The URL asked for, without user information and query.
        final_url: The one that answered after redirects, cut likewise.
        path: Where the file stands; with `not_modified`, where it would have been put.
        size: Its length in bytes; `None` with `not_modified`.
        sha256: Its digest, of the bytes as they were written; `None` with `not_modified`.
        bytes_fetched: Bytes of the body that travelled.
        bytes_reused: Bytes of an earlier attempt that did not have to travel again.
        validators: What to hand in next time, to be told if nothing has changed.
        filename: What the server calls the file (``Content-Disposition``): one plain segment, or `None`.
        not_modified: Whether the server said that the state named by the validators handed in is the current one.
        seconds: How long it took.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    url: str
    final_url: str
    path: Path
    size: int | None
    sha256: str | None
    bytes_fetched: int
    bytes_reused: int = 0
    validators: Validators
    filename: str | None = None
    not_modified: bool = False
    seconds: float
