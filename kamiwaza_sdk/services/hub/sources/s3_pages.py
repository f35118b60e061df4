"""A listing of a bucket as S3 writes it, with the keys that ``obstore`` cannot read (findings/obstore-odd-key.sh).

``obstore`` signs the requests, with whatever credentials it finds; what S3 answers is read here
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html).
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config


#: A service that is down is told within a minute, as is that there are no credentials.
RETRIES: "Final[RetryConfig]" = {"max_retries": 4, "retry_timeout": timedelta(seconds=60)}

#: What the request is called, where Amazon's own clients put it and services look at nothing.
_OPERATION: Final = "ListObjectsV2"
#: How many objects services give at most.
_MOST_OF_A_PAGE: Final = 1000
#: What obstore takes for true in the environment.
_YES: Final = frozenset({"1", "true", "on", "yes", "y"})
_VALID_FOR: Final = timedelta(minutes=10)


class ListedObject(NamedTuple):
    """An object as it is listed: its key as it is written, its size in bytes, its ETag."""

    key: str
    size: int
    etag: str | None


async def list_objects(
    bucket: str, context: SourceContext, *, prefix: str, at_most: int | None = None
) -> AsyncGenerator[list[ListedObject]]:
    """Yield the objects whose keys begin with a prefix, page by page.

    Args:
        bucket: Its name.
        context: What asks for the pages.
        prefix: The very text that keys begin with, such as ``m/``; empty for all.
        at_most: How many objects a page may have; `None` for as many as services give.

    Raises:
        InvalidAnswerException: What comes is no listing.
        DownloadException: There was no answer, or none that can be used, in time.
        obstore.exceptions.BaseError: There are no credentials.
    """
    query = {"list-type": "2", "encoding-type": "url", "max-keys": str(at_most or _MOST_OF_A_PAGE), "prefix": prefix}
    following: str | None = ""
    while following is not None:
        asked = query | ({"continuation-token": following} if following else {})
        url = await asyncio.to_thread(_signed, bucket, asked)
        page = await context.get(url)
        if page.status != HTTPStatus.OK:
            raise InvalidAnswerException(url=redact_text(url), reason=f"has the status {page.status}")
        objects, following = await asyncio.to_thread(_read, page.body, url)
        yield objects


def _signed(bucket: str, query: dict[str, str]) -> str:
    """Return the address of a listing, signed. Blocks: it may ask for credentials.

    ``obstore`` signs addresses of objects only, and with them whatever query the endpoint has: the listing is made the
    endpoint, and the object's name the value of a parameter that services ignore.
    """
    import obstore
    from obstore.store import S3Store

    is_anonymous = os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in _YES
    who: S3Config = {"access_key_id": "none", "secret_access_key": "none"} if is_anonymous else {}
    store = S3Store(bucket, config=who, retry_config=RETRIES)
    place, _, _ = obstore.sign(store, "GET", _OPERATION, _VALID_FOR).partition("?")
    listed = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    endpoint = f"{place.removesuffix(_OPERATION).rstrip('/')}?{listed}"
    if is_anonymous:
        return endpoint
    at: S3Config = {"endpoint": f"{endpoint}&x-id=", "virtual_hosted_style_request": True}
    return obstore.sign(S3Store(bucket, config=at, retry_config=RETRIES), "GET", _OPERATION, _VALID_FOR)


def _read(body: bytes, url: str) -> tuple[list[ListedObject], str | None]:
    """Return what a page lists, and by what the next is asked for; `None` where there is none."""
    try:
        if b"<!DOCTYPE" in body:  # no service sends one, and what it declares can be gigabytes
            raise ValueError("it declares entities")  # noqa: TRY301 - it is told as what the parser finds is
        root = ElementTree.fromstring(body)  # noqa: S314 - it declares no entities
        texts = [
            {child.tag.rpartition("}")[2]: child.text or "" for child in one} for one in root.iterfind("{*}Contents")
        ]
        as_written = unquote_plus if root.findtext("{*}EncodingType") == "url" else str
        objects = [ListedObject(as_written(one["Key"]), int(one["Size"]), one.get("ETag")) for one in texts]
    except (ElementTree.ParseError, ValueError, KeyError) as error:
        reason = f"is no listing of objects: {type(error).__name__}"
        raise InvalidAnswerException(url=redact_text(url), reason=reason) from None  # it may repeat all of the answer
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise InvalidAnswerException(url=redact_text(url), reason="is no listing of objects")
    following = root.findtext("{*}NextContinuationToken") if root.findtext("{*}IsTruncated") == "true" else None
    return objects, following or None
