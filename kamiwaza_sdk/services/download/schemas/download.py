"""What became of one attempt.

A part of a file.

How far a download is.

One of many files to download, and what became of it.

A small answer, whatever its status.

What a finished download says.

How a server names the state of a resource (RFC 9110, section 8.8).
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from kamiwaza_sdk._display import Displayed
from kamiwaza_sdk._validation import InputSchema, check_place
from kamiwaza_sdk.exceptions import ServiceException
from kamiwaza_sdk.services.download.exceptions import DownloadException


class DownloadAttempt(Displayed, BaseModel):
    """One attempt at a file, once it is over.

    Attributes:
        url: The URL asked for, without user information and query.
        number: 1 for the first.
        seconds: How long it took.
        error: Why it failed; `None` where it succeeded.
        pause: Seconds until the next attempt; `None` where there is none.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, arbitrary_types_allowed=True)

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


class RangeSchema(Displayed, BaseModel):
    """Some bytes of a file that lies elsewhere.

    Attributes:
        offset: Where in the file they begin.
        size: Of the whole file, in bytes, as its server says; `None` where it does not.
        filename: What the server calls the file (``Content-Disposition``): one plain segment, or `None`.
        body: The bytes: as many as were asked for, or as the file has from there on.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    offset: int
    size: int | None
    filename: str | None = None
    body: bytes = Field(repr=False)


class DownloadProgress(Displayed, BaseModel):
    """One glance at a running download.

    Attributes:
        url: The URL asked for, without user information and query.
        path: Where the file will stand.
        received: Bytes of the file that are here.
        reused: How many of them were here before, and did not have to travel again.
        total: Bytes that the file has; `None` where the server did not say.
        finished: Whether this is the last report: every byte is here and verified.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    url: str
    path: Path
    received: int
    reused: int = 0
    total: int | None
    finished: bool


#: Called on the event loop, at most some ten times a second and once at the end. What it raises ends the download.
ProgressCallback = Callable[[DownloadProgress], None]


class ResponseSchema(Displayed, BaseModel):
    """What a server said: its status, its headers and a body that fits in memory.

    Attributes:
        url: Where it came from, redirects followed; with its query, so it is not in the ``repr``.
        status: The HTTP status.
        headers: Their names in lower case; of one that is repeated, the values joined by commas (RFC 9110, 5.3).
        body: The body.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    url: str = Field(repr=False)
    status: int
    headers: Mapping[str, str]
    body: bytes = Field(repr=False)


def _printable(value: str | None) -> str | None:
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ValueError("a header's value is printable ASCII")
    return value


_Header = Annotated[str | None, AfterValidator(_printable)]


class Validators(InputSchema):
    """What a server said identifies the state of a file, to ask later whether it changed.

    Attributes:
        etag: The ``ETag`` header, quotes and ``W/`` included.
        last_modified: The ``Last-Modified`` header.

    Raises:
        InvalidInputException: A value cannot be sent as a header.

    Example:
        >>> Validators(etag='"33a64df5"').etag
        '"33a64df5"'
    """

    etag: _Header = None
    last_modified: _Header = None


class DownloadResult(Displayed, BaseModel):
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

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

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


class DownloadRequest(InputSchema):
    """One file for `DownloadService.download_many`: what `DownloadService.download` takes for one.

    Attributes:
        url: An http or https URL.
        path: The file to write, in a directory that exists.
        sha256: The digest that it must have, in hexadecimal.
        size: The number of bytes that it must have. Where it is known the largest files are begun first.
        max_size: The largest number of bytes accepted. Default: `DownloadConfig.max_size`.
        validators: What identifies the state the caller already has.

    Raises:
        InvalidInputException: A value is of a wrong kind.

    Example:
        >>> DownloadRequest(url="https://example.org/model.gguf", path="model.gguf").path
        PosixPath('model.gguf')
    """

    url: str
    path: Annotated[Path, BeforeValidator(partial(check_place, field="path"))]
    sha256: str | None = None
    size: int | None = None
    max_size: int | None = None
    validators: Validators | None = None


class DownloadOutcome(Displayed, BaseModel):
    """What became of one of many files: a result, or an error.

    Attributes:
        request: What was asked for.
        result: What was written where; `None` where it failed.
        error: Why it failed; `None` where it did not.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True, arbitrary_types_allowed=True)

    request: DownloadRequest
    result: DownloadResult | None = None
    error: ServiceException | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.result is None) == (self.error is None):
            raise ValueError("either there is a result, or an error")
        return self
