"""How far a download is."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

__all__ = ["DownloadProgress", "ProgressCallback"]


class DownloadProgress(BaseModel):
    """One glance at a running download.

    Attributes:
        url: The URL asked for, without user information and query.
        path: Where the file will stand.
        received: Bytes of the file that are here.
        reused: How many of them were here before, and did not have to travel again.
        total: Bytes that the file has; `None` where the server did not say.
        finished: Whether this is the last report: every byte is here and verified.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    url: str
    path: Path
    received: int
    reused: int = 0
    total: int | None
    finished: bool


#: Called on the event loop, at most some ten times a second and once at the end. What it raises ends the download.
ProgressCallback = Callable[[DownloadProgress], None]
