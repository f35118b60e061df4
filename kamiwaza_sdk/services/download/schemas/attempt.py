"""What became of one attempt."""

from collections.abc import Callable
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from kamiwaza_sdk.services.download.exceptions import DownloadException

__all__ = ["AttemptCallback", "DownloadAttempt"]


class DownloadAttempt(BaseModel):
    """One attempt at a file, once it is over.

    Attributes:
        url: The URL asked for, without user information and query.
        number: 1 for the first.
        seconds: How long it took.
        error: Why it failed; `None` where it succeeded.
        pause: Seconds until the next attempt; `None` where there is none.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    url: str
    number: int
    seconds: float
    error: Annotated[
        DownloadException | None,
        PlainSerializer(lambda error: None if error is None else str(error), when_used="json"),
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ]
    pause: float | None


#: Called on the event loop after each attempt. What it raises ends the download.
AttemptCallback = Callable[[DownloadAttempt], None]
