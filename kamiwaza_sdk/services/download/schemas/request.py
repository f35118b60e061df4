"""One of many files to download, and what became of it."""

from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from kamiwaza_sdk._validation import InputSchema, check_place
from kamiwaza_sdk.exceptions import ServiceException
from kamiwaza_sdk.services.download.schemas.result import DownloadResult
from kamiwaza_sdk.services.download.schemas.validators import Validators

__all__ = ["DownloadOutcome", "DownloadRequest"]


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


class DownloadOutcome(BaseModel):
    """What became of one of many files: a result, or an error.

    Attributes:
        request: What was asked for.
        result: What was written where; `None` where it failed.
        error: Why it failed; `None` where it did not.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    request: DownloadRequest
    result: DownloadResult | None = None
    error: ServiceException | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.result is None) == (self.error is None):
            raise ValueError("either there is a result, or an error")
        return self
