"""Asking for a URL: the session, the headers, the redirects, and what the answer's headers say."""

import itertools
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.download._receive import Exchange, translated
from kamiwaza_sdk.services.download._retries import parse_retry_after
from kamiwaza_sdk.services.download.exceptions import (
    DownloadStatusException,
    InvalidUrlException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.schemas import DownloadResult, ResponseSchema, Validators
from kamiwaza_sdk.services.download.urls import redact, resolve

if TYPE_CHECKING:
    from yarl import URL

__all__ = ["answer", "open_session", "response_of", "result_of"]

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: How much aiohttp gathers before it stops reading; it may hold twice as much.
_READ_SIZE: Final = 1024**2
#: What of a caller's session goes along to another origin: nothing that could be a credential.
_HARMLESS: Final = frozenset({"accept", "accept-language", "user-agent"})


def open_session() -> aiohttp.ClientSession:
    """Return a session that carries nothing from one request to the next; how many travel is limited elsewhere."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())


@asynccontextmanager
async def answer(
    session: aiohttp.ClientSession,
    url: "URL",
    *,
    exchange: Exchange,
    validators: Validators | None,
    any_status: bool = False,
) -> AsyncGenerator[aiohttp.ClientResponse]:
    """Yield the answer to a GET, redirects followed: 200 with an unencoded body, or 304 where `validators` were sent.

    With `any_status`, any other that will not be another later is yielded too.

    Raises:
        DownloadStatusException: The answer is another, or redirects too often or to where it must not.
        DownloadInterruptedException: There is no connection, or no valid answer.
        DownloadTimeoutException: There is neither in time.
        UnexpectedEncodingException: The body is compressed.
    """
    headers = _headers(validators)
    async with await _follow(session, url, exchange=exchange, headers=headers) as response:
        conditional = len(headers) > 1
        if response.status != HTTPStatus.OK and not (conditional and response.status == HTTPStatus.NOT_MODIFIED):
            refusal = DownloadStatusException(
                url=exchange.url,
                status=response.status,
                reason=_plain(response.reason),
                retry_after=parse_retry_after(response.headers.get("Retry-After")),
            )
            if refusal.retryable or not any_status:
                raise refusal
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in {"", "identity"}:
            raise UnexpectedEncodingException(url=exchange.url, encoding=_plain(encoding))
        yield response


def _headers(validators: Validators | None) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if validators is not None and validators.etag is not None:
        headers["If-None-Match"] = validators.etag
    if validators is not None and validators.last_modified is not None:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


async def _follow(
    session: aiohttp.ClientSession, url: "URL", *, exchange: Exchange, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    """Return the first answer that is no redirect.

    Not left to aiohttp, which goes from https to http and takes a session's credentials along, except for
    ``Authorization`` and ``Cookie``. Each hop is a request of its own here: up to the first foreign origin just as the
    session would send it, with its own middlewares; from there on without anything that could be a credential.
    """
    target, at_home = url, True
    for redirects in itertools.count():
        if session.closed:  # by its owner, meanwhile
            raise exchange.interrupted("the session was closed")
        response = await _get(session, target, exchange=exchange, headers=headers, at_home=at_home)
        location = response.headers.get("Location") if response.status in _REDIRECTS else None
        if location is None:
            return response
        response.release()
        if redirects == MAX_REDIRECTS:
            raise DownloadStatusException(
                url=exchange.url, status=response.status, reason=f"after {redirects} redirects, which is the limit"
            )
        target = _redirected(response, location, exchange=exchange)
        at_home = at_home and target.origin() == url.origin()
        if at_home:
            target = target.with_user(url.user).with_password(url.password)
    raise AssertionError("unreachable: itertools.count() never ends")


async def _get(
    session: aiohttp.ClientSession, target: "URL", *, exchange: Exchange, headers: Mapping[str, str], at_home: bool
) -> aiohttp.ClientResponse:
    timeout = aiohttp.ClientTimeout(
        total=None,
        connect=exchange.connect_timeout,
        sock_connect=exchange.connect_timeout,
        sock_read=exchange.stall_timeout,
    )
    headers = {**headers, **_bearer(target, exchange)}
    with translated(exchange):
        return await session.get(
            target,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            read_bufsize=_READ_SIZE,
            middlewares=None if at_home else (_without_credentials(session, keep=headers),),
        )


def _bearer(target: "URL", exchange: Exchange) -> dict[str, str]:
    """Return the header that carries the token of this host, where it has one and is not asked as somebody else."""
    usual = target.scheme == "https" and target.is_default_port()
    token = exchange.tokens.get(f"{target.raw_host}" if usual else f"{target.raw_host}:{target.port}")
    return {} if token is None or target.user else {"Authorization": f"Bearer {token.get_secret_value()}"}


def _without_credentials(session: aiohttp.ClientSession, *, keep: Mapping[str, str]) -> aiohttp.ClientMiddlewareType:
    """Return a middleware that takes from a request what the session added to it, in place of the session's own."""
    kept = _HARMLESS | {name.lower() for name in keep}
    dropped = {"authorization", "cookie", *map(str.lower, session.headers)} - kept

    async def strip(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        for name in dropped:
            request.headers.popall(name, None)
        return await handler(request)

    return strip


def _redirected(response: aiohttp.ClientResponse, location: str, *, exchange: Exchange) -> "URL":
    try:
        return resolve(location, base=response.url)
    except InvalidUrlException as error:
        reason = f"{_plain(response.reason)}, but where it leads is refused: {error}"
        raise DownloadStatusException(url=exchange.url, status=response.status, reason=reason) from error


def _plain(text: str | None) -> str:
    """Return what a server chose to say as far as it can be shown."""
    return ascii(text or "")[1:-1][:80]


def response_of(response: aiohttp.ClientResponse, body: bytes) -> ResponseSchema:
    """Return what is to be said of a small answer."""
    names = {name.lower() for name in response.headers}
    headers = {name: ", ".join(response.headers.getall(name)) for name in names}
    return ResponseSchema(url=str(response.url.with_user(None)), status=response.status, headers=headers, body=body)


def result_of(
    response: aiohttp.ClientResponse, exchange: Exchange, *, path: Path, sha256: str | None, seconds: float
) -> DownloadResult:
    """Return what is to be said of a finished exchange; without a digest, that nothing was modified."""
    return DownloadResult(
        url=exchange.url,
        final_url=redact(response.url),
        path=path,
        size=None if sha256 is None else exchange.received,
        sha256=sha256,
        bytes_fetched=exchange.received,
        validators=_validators_of(response),
        filename=_filename_of(response),
        not_modified=sha256 is None,
        seconds=seconds,
    )


def _validators_of(response: aiohttp.ClientResponse) -> Validators:
    """Return what to send along when asking again; headers that could not be sent back are left out."""
    etag, last_modified = (
        value if (value := response.headers.get(name)) and value.isascii() and value.isprintable() else None
        for name in ("ETag", "Last-Modified")
    )
    return Validators(etag=etag, last_modified=last_modified)


def _filename_of(response: aiohttp.ClientResponse) -> str | None:
    """Return the last segment of the name the server gives the file, or `None` where that cannot be a file's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aiohttp warns of malformed headers; to the caller they are as good as none
        disposition = response.content_disposition
    if disposition is None or disposition.filename is None:
        return None
    try:
        return check_path(disposition.filename.replace("\\", "/").rpartition("/")[2])
    except InvalidPathException:
        return None
