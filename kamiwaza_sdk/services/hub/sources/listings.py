"""Listings of buckets and containers, read from the service's own answers: for keys that ``obstore`` cannot read.

Amazon and Google answer ListObjectsV2 (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html,
https://cloud.google.com/storage/docs/xml-api/get-bucket-list), Azure List Blobs
(https://learn.microsoft.com/en-us/rest/api/storageservices/list-blobs). ``obstore`` signs the requests to the first
two. For Azure it signs addresses of objects only, so that a key or a signature of the environment is used here.
"""

import asyncio
import base64
import hmac
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote, unquote_plus
from xml.etree import ElementTree

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

if TYPE_CHECKING:
    from obstore.store import AzureConfig, RetryConfig, S3Config

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
    """An object in a listing: its unchanged key, its size in bytes, its ETag."""

    key: str
    size: int
    etag: str | None


@dataclass(frozen=True, slots=True)
class _Dialect:
    """The form of a service's requests for pages, and of its answers."""

    signed: Callable[[str, str], str]
    asked: Mapping[str, str]
    at_most: str
    after: str
    root: str
    objects: str
    key: str
    size: str
    etag: str
    following: str


async def list_objects(
    scheme: str, bucket: str, context: SourceContext, *, prefix: str, at_most: int | None = None
) -> AsyncGenerator[list[ListedObject]]:
    """Yield the objects whose keys begin with a prefix, page by page.

    Args:
        scheme: ``s3``, ``gs`` or ``az``.
        bucket: Its name.
        context: Sends the requests for pages.
        prefix: The beginning of the keys, such as ``m/``; empty for all.
        at_most: The largest number of objects on a page; `None` for the service's limit.

    Raises:
        InvalidAnswerException: What comes is no listing.
        DownloadException: There was no answer, or none that can be used, in time.
        obstore.exceptions.BaseError: There are no credentials, or none that sign a listing.
    """
    dialect = _DIALECTS[scheme]
    query = {**dialect.asked, dialect.at_most: str(at_most or _MOST_OF_A_PAGE), "prefix": prefix}
    following: str | None = ""
    while following is not None:
        asked = query | ({dialect.after: following} if following else {})
        url = await asyncio.to_thread(dialect.signed, bucket, _query(asked.items()))
        page = await context.get(url)
        if page.status != HTTPStatus.OK:
            raise InvalidAnswerException(url=redact_text(url), reason=f"has the status {page.status}")
        objects, following = await asyncio.to_thread(_read_page, page.body, url, dialect)
        yield objects


def _query(parameters: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in _YES


def _signed_for_s3(bucket: str, listed: str) -> str:
    """Return the signed address of a listing. Blocks: it may request credentials.

    ``obstore`` signs addresses of objects only, and with them whatever query the endpoint has: the listing is made the
    endpoint, and the object's name the value of a parameter that services ignore.
    """
    import obstore
    from obstore.store import S3Store

    is_anonymous = _is_set("AWS_SKIP_SIGNATURE")
    who: S3Config = {"access_key_id": "none", "secret_access_key": "none"} if is_anonymous else {}
    store = S3Store(bucket, config=who, retry_config=RETRIES)
    place, _, _ = obstore.sign(store, "GET", _OPERATION, _VALID_FOR).partition("?")
    endpoint = f"{place.removesuffix(_OPERATION).rstrip('/')}?{listed}"
    if is_anonymous:
        return endpoint
    at: S3Config = {"endpoint": f"{endpoint}&x-id=", "virtual_hosted_style_request": True}
    return obstore.sign(S3Store(bucket, config=at, retry_config=RETRIES), "GET", _OPERATION, _VALID_FOR)


def _signed_for_google(bucket: str, listed: str) -> str:
    """Return the signed address of a listing, with the query as a part of the bucket's name. Blocks."""
    import obstore
    from obstore.store import GCSStore

    if _is_set("GOOGLE_SKIP_SIGNATURE"):
        base = os.environ.get("GOOGLE_BASE_URL") or "https://storage.googleapis.com"
        return f"{base.rstrip('/')}/{bucket}?{listed}"
    store = GCSStore(f"{bucket}?{listed}&x-id=", retry_config=RETRIES)
    return obstore.sign(store, "GET", _OPERATION, _VALID_FOR)


def _signed_for_azure(container: str, listed: str) -> str:
    """Return the address of a listing with its authorisation; ``obstore`` tells the address of the container."""
    import obstore
    from obstore.store import AzureStore

    who: AzureConfig = {"account_key": "bm9uZQ==", "skip_signature": False}
    place, _, _ = obstore.sign(AzureStore(container, config=who), "GET", "", _VALID_FOR).partition("?")
    return f"{place}?{listed}{_azure_access(container)}"


#: Of the emulator, which its documentation names.
_AZURITE: Final = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
_AZURE_KEYS: Final = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_AZURE_SIGNATURES: Final = ("AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_SAS_TOKEN")
_AZURE_VERSION: Final = "2023-11-03"


def _azure_access(container: str) -> str:
    """Return the authorisation in the query of a listing, from the variables that ``obstore`` reads.

    Raises:
        obstore.exceptions.NotSupportedError: It has neither a key nor a signature.
    """
    from obstore.exceptions import NotSupportedError

    if _is_set("AZURE_SKIP_SIGNATURE"):
        return ""
    account, known_key = _AZURITE if _is_set("AZURE_STORAGE_USE_EMULATOR") else (_of("AZURE_STORAGE_ACCOUNT_NAME"), "")
    if (key := _of(*_AZURE_KEYS) or known_key) and not _of("AZURE_STORAGE_TOKEN"):
        return f"&{_query(_container_signature(account, container, key).items())}"
    if given := _of(*_AZURE_SIGNATURES):
        pairs = (pair.partition("=") for pair in given.removeprefix("?").split("&"))
        return f"&{_query((name, unquote(value)) for name, _, value in pairs)}"
    raise NotSupportedError("an identity signs no address of a container")


def _of(*names: str) -> str:
    """Return the value of the first of these environment variables that has one, or ""."""
    return next(filter(None, (os.environ.get(name) for name in names)), "")


def _container_signature(account: str, container: str, key: str) -> dict[str, str]:
    """Return a service SAS that allows listing a container for some minutes.

    https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
    """
    until = (datetime.now(UTC) + _VALID_FOR).strftime("%Y-%m-%dT%H:%M:%SZ")
    place = f"/blob/{account}/{container}"
    unused = [""] * 7  # snapshot, encryption scope, and the headers of an answer
    signed = "\n".join(["l", "", until, place, "", "", "", _AZURE_VERSION, "c", *unused])
    signature = hmac.digest(base64.b64decode(key), signed.encode(), "sha256")
    return {"sv": _AZURE_VERSION, "sr": "c", "sp": "l", "se": until, "sig": base64.b64encode(signature).decode()}


_S3: Final = _Dialect(
    signed=_signed_for_s3,
    asked={"list-type": "2", "encoding-type": "url"},
    at_most="max-keys",
    after="continuation-token",
    root="ListBucketResult",
    objects="{*}Contents",
    key="{*}Key",
    size="{*}Size",
    etag="{*}ETag",
    following="{*}NextContinuationToken",
)
_DIALECTS: Final = {
    "s3": _S3,
    "gs": replace(_S3, signed=_signed_for_google, asked={"list-type": "2"}),
    "az": _Dialect(
        signed=_signed_for_azure,
        asked={"restype": "container", "comp": "list"},
        at_most="maxresults",
        after="marker",
        root="EnumerationResults",
        objects="{*}Blobs/{*}Blob",
        key="{*}Name",
        size="{*}Properties/{*}Content-Length",
        etag="{*}Properties/{*}Etag",
        following="{*}NextMarker",
    ),
}


def _read_page(body: bytes, url: str, dialect: _Dialect) -> tuple[list[ListedObject], str | None]:
    """Return the objects of a page, and the marker of the next page; `None` if there is none."""
    try:
        if b"<!DOCTYPE" in body:  # no service sends one, and what it declares can be gigabytes
            raise ValueError("it declares entities")  # noqa: TRY301 - it is told as what the parser finds is
        root = ElementTree.fromstring(body)  # noqa: S314 - it declares no entities
        is_coded = root.findtext("{*}EncodingType") == "url"
        found = (one for one in root.iterfind(dialect.objects) if not _is_directory(one))
        objects = [_read_object(one, dialect, is_coded=is_coded) for one in found]
    except (ElementTree.ParseError, ValueError) as error:
        reason = f"is no listing of objects: {type(error).__name__}"
        raise InvalidAnswerException(url=redact_text(url), reason=reason) from None  # it may repeat all of the answer
    if root.tag.rpartition("}")[2] != dialect.root:
        raise InvalidAnswerException(url=redact_text(url), reason="is no listing of objects")
    is_last = root.findtext("{*}IsTruncated") == "false"
    return objects, None if is_last else root.findtext(dialect.following) or None


def _is_directory(one: ElementTree.Element) -> bool:
    """Tell whether it is a directory of an Azure account with a hierarchical namespace."""
    return one.findtext("{*}Properties/{*}ResourceType") == "directory"


def _read_object(one: ElementTree.Element, dialect: _Dialect, *, is_coded: bool) -> ListedObject:
    name = one.find(dialect.key)
    if name is None or not name.text:
        raise ValueError("an object has no key")
    as_written = unquote if name.get("Encoded") == "true" else unquote_plus if is_coded else str
    return ListedObject(as_written(name.text), int(one.findtext(dialect.size) or ""), one.findtext(dialect.etag))
