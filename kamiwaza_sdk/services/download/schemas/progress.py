"""How far a download is."""

from collections.abc import Callable
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["DownloadProgress", "ProgressCallback"]


class DownloadProgress(BaseModel):
    """One glance at a running download.

    Attributes:
        url: The URL asked for, without user information and query.
        received: Bytes of the body so far.
        total: Bytes announced; `None` where the server did not say.
        finished: Whether this is the last report: every byte is here and verified.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    url: str
    received: int
    total: int | None
    finished: bool


#: Called on the event loop, at most some ten times a second and once at the end. What it raises ends the download.
ProgressCallback = Callable[[DownloadProgress], None]
