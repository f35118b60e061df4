"""What is asked for, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk._validation import revalidated
from kamiwaza_sdk.services.download._demands import Demands, demands
from kamiwaza_sdk.services.download.schemas import DownloadRequest, Validators
from kamiwaza_sdk.services.download.urls import check_url, redact

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["Order", "order_of"]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for; `shown` is the URL, redacted, and `into` where the file is brought: `path`, or beside it."""

    url: "URL"
    shown: str
    path: Path
    into: Path
    demands: Demands
    validators: Validators | None = None


def order_of(request: DownloadRequest, into: Path, *, max_size: int) -> Order:
    """Return the checked form of a request, to be brought to `into`.

    Raises:
        InvalidInputException: Something in it is not acceptable.
    """
    validators = request.validators
    if validators is not None:
        validators = revalidated(validators, Validators, "validators")  # they become headers
    limit = max_size if request.max_size is None else request.max_size
    url = check_url(request.url)
    return Order(
        url,
        redact(url),
        request.path,
        into,
        demands(limit=limit, size=request.size, sha256=request.sha256),
        validators,
    )
