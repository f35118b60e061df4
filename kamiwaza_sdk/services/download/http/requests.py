"""Asking for a URL: the session, the headers, the redirects, and what the answer's headers say.

One request and its answer, as errors and reports tell of it.
"""

import asyncio
import itertools
import string
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NoReturn

import aiohttp

from kamiwaza_sdk._validation import check_path
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException
from kamiwaza_sdk.services.download.exceptions import (
    DownloadException,
    DownloadInterruptedException,
    DownloadStatusException,
    DownloadTimeoutException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.http.client import Network
from kamiwaza_sdk.services.download.http.hosts import resolve
from kamiwaza_sdk.services.download.partial.journal import Header, sendable
from kamiwaza_sdk.services.download.retries import parse_retry_after
from kamiwaza_sdk.services.download.schemas import ResponseSchema, Validators

if TYPE_CHECKING:
    from yarl import URL


#: What OpenSSL finds wrong only where it is told to be strict: from X509_V_ERR_PATHLEN_INVALID_FOR_NON_CA (80) to
#: X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3 (93).
_AGAINST_RFC_5280: Final = frozenset(range(80, 94))
#: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT (18) and the three after it.
_UNKNOWN_ISSUER: Final = frozenset(range(18, 22))


@dataclass(slots=True)
class Exchange:
    """What is known of one request and its answer.

    Attributes:
        url: The URL asked for, redacted.
        connect_timeout: Seconds to get a connection.
        stall_timeout: Seconds without a byte.
        start: Bytes of the file that were here before.
        announced: Bytes of the file, as far as announced.
        received: Bytes of the file that are here.
    """

    url: str
    connect_timeout: float
    stall_timeout: float
    start: int = 0
    announced: int | None = None
    received: int = 0

    def begin(self, start: int, length: int | None) -> None:
        """Set out from `start`, with that many bytes announced."""
        self.start = self.received = start
        self.announced = None if length is None else start + length

    def advance(self, count: int) -> None:
        """Count bytes received."""
        self.received += count

    def interrupted(self, reason: str, *, retryable: bool = True) -> DownloadInterruptedException:
        """Return the error that says how far it came."""
        return DownloadInterruptedException(
            url=self.url, reason=reason, received=self.received, announced=self.announced, retryable=retryable
        )

    def timed_out(self, seconds: float, *, setting: str) -> DownloadTimeoutException:
        """Return the error that says which limit passed."""
        return DownloadTimeoutException(url=self.url, seconds=seconds, received=self.received, setting=setting)


class translated:  # noqa: N801 - reads as what it does
    """Turns what aiohttp raises into ours, as a context.

    Many of its errors repeat the URL with its secrets, so only the system's errors beneath them are chained.
    """

    __slots__ = ("_exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # Some of ours are a ConnectionError, too, and say already what happened.
        if isinstance(error, DownloadException):
            _forget_context(error)
        elif isinstance(error, aiohttp.ClientError | TimeoutError | ConnectionError):
            try:
                _translate(error, self._exchange)
            except DownloadException as ours:
                _forget_context(ours)
                raise


def _forget_context(error: DownloadException) -> None:
    """Let go of what is not to be shown: aiohttp's errors hold the request, with its URL and its credentials."""
    if error.__suppress_context__:
        error.__context__ = None


def _translate(error: Exception, exchange: Exchange) -> NoReturn:
    match error:
        case aiohttp.ConnectionTimeoutError():
            raise exchange.timed_out(exchange.connect_timeout, setting="connect_timeout") from None
        case TimeoutError():
            raise exchange.timed_out(exchange.stall_timeout, setting="stall_timeout") from None
        case aiohttp.ClientConnectorCertificateError(certificate_error=cause):
            reason = f"the server's certificate is not trusted ({cause}{_way_out(cause)})"
            raise exchange.interrupted(reason, retryable=False) from cause
        case aiohttp.ClientConnectorError(os_error=cause):
            raise exchange.interrupted(f"no connection ({cause.strerror})") from cause
        case aiohttp.ClientPayloadError():
            raise exchange.interrupted("the body broke off") from None
        case aiohttp.ClientResponseError():
            raise exchange.interrupted("the answer is no valid HTTP") from None
        case _:
            raise exchange.interrupted(f"the connection broke ({type(error).__name__})") from None


def _way_out(error: Exception) -> str:
    """Return which setting is for such a certificate, if there is one."""
    code: object = getattr(error, "verify_code", None)
    if code in _AGAINST_RFC_5280:
        return "; for a CA of your own that leaves this out, set DOWNLOAD_SERVICE_TLS_STRICT=false"
    if code in _UNKNOWN_ISSUER:
        return "; for a CA of your own, name its certificate in DOWNLOAD_SERVICE_CA_FILE"
    return ""


async def next_piece(content: aiohttp.StreamReader, exchange: Exchange) -> bytes:
    """Return some of what has arrived, as it lies in memory, without joining it; empty at the end."""
    with translated(exchange):
        if content.is_eof():  # all has arrived: there is nothing to wait for
            return content.read_nowait()
        try:
            # aiohttp's own timer stops without a word when somebody closes the session meanwhile.
            async with asyncio.timeout(exchange.stall_timeout):
                while True:
                    piece, end_of_chunk = await content.readchunk()
                    if piece or not end_of_chunk:
                        return piece
        except RuntimeError:  # how the stream says so itself, where it notices
            raise exchange.interrupted("the session was closed") from None


MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OF_PARTS: Final = frozenset({HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
#: What says nothing of the bytes: S3 and its like tell of how an upload was framed.
_NO_CODINGS: Final = frozenset({"", "identity", "aws-chunked"})
_FRAMING: Final = frozenset({"", "identity", "chunked"})
#: How much aiohttp gathers before it stops reading; it may hold twice as much.
_READ_SIZE: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Rest:
    """What is to be asked for, if the content is still the one that `condition` names: all from `offset` to `end`."""

    offset: int
    condition: str | None
    end: int | None = None


async def answer(
    network: Network,
    url: "URL",
    *,
    exchange: Exchange,
    validators: Validators | None = None,
    rest: Rest | None = None,
    any_status: bool = False,
    coded: bool = False,
) -> aiohttp.ClientResponse:
    """Return the answer to a GET, redirects followed, to be used as a context.

    Its status is 200; or 304, where `validators` were sent; or 206 or 416, where a `rest` was asked for. With
    `any_status`, any other that will not be another later is returned too. Its body has no content coding, but with
    `coded`.

    Raises:
        DownloadStatusException: The answer is another, or redirects too often or to where it must not.
        DownloadInterruptedException: There is no connection, or no valid answer.
        DownloadTimeoutException: There is neither in time.
        UnexpectedEncodingException: The body is compressed.
        HostNotAllowedException: It is at, or leads to, a host that is not allowed, or an address that is not public
            where only those are allowed.
    """
    conditions = _conditions(validators)
    headers = {"Accept-Encoding": "identity", **network.agent} | conditions | _range(rest)
    response = await _follow(network, url, exchange=exchange, headers=headers)
    is_expected = (
        response.status == HTTPStatus.OK
        or (bool(conditions) and response.status == HTTPStatus.NOT_MODIFIED)
        or (rest is not None and response.status in _OF_PARTS)
    )
    try:
        if not is_expected:
            _refuse_status(response, exchange, any_status=any_status)
        _refuse_codings(response, exchange, coded=coded)
    except BaseException:
        async with response:  # gives the connection back
            raise
    return response


def _refuse_status(response: aiohttp.ClientResponse, exchange: Exchange, *, any_status: bool) -> None:
    refusal = DownloadStatusException(
        url=exchange.url,
        status=response.status,
        reason=_plain(response.reason),
        retry_after=parse_retry_after(response.headers.get("Retry-After")),
    )
    if refusal.retryable or not any_status:
        raise refusal


def _refuse_codings(response: aiohttp.ClientResponse, exchange: Exchange, *, coded: bool) -> None:
    refused = [] if coded or not content_codings(response) else ["Content-Encoding"]
    if _transfer_codings(response):  # aiohttp undoes the chunks alone
        refused.append("Transfer-Encoding")
    for header in refused:
        encoding = ", ".join(response.headers.getall(header)).strip().lower()
        raise UnexpectedEncodingException(url=exchange.url, encoding=_plain(encoding), header=header)


def content_codings(response: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Return the codings of a body, in the order in which they were applied."""
    return _listed(response, "Content-Encoding", besides=_NO_CODINGS)


def _transfer_codings(response: aiohttp.ClientResponse) -> tuple[str, ...]:
    """Return the codings for the transfer alone, but for the framing, which aiohttp undoes."""
    return _listed(response, "Transfer-Encoding", besides=_FRAMING)


def _listed(response: aiohttp.ClientResponse, header: str, *, besides: frozenset[str]) -> tuple[str, ...]:
    if header not in response.headers:
        return ()
    names = ",".join(response.headers.getall(header)).lower().split(",")  # one a line is a list, too
    return tuple(name for name in map(str.strip, names) if name not in besides)


def _conditions(validators: Validators | None) -> dict[str, str]:
    headers: dict[str, str] = {}
    if validators is not None and validators.etag is not None:
        headers["If-None-Match"] = validators.etag
    if validators is not None and validators.last_modified is not None:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


def _range(rest: Rest | None) -> dict[str, str]:
    if rest is None:
        return {}
    asked = {"Range": f"bytes={rest.offset}-{'' if rest.end is None else rest.end - 1}"}
    return asked if rest.condition is None else {**asked, "If-Range": rest.condition}


async def _follow(
    network: Network, url: "URL", *, exchange: Exchange, headers: Mapping[str, str]
) -> aiohttp.ClientResponse:
    """Return the first answer that is no redirect.

    Not left to aiohttp, which goes from https to http and takes a session's credentials along, except for
    ``Authorization`` and ``Cookie``. Each hop is a request of its own here, and each is checked: up to the first
    foreign origin just as a session handed in would send it, with its own middlewares; from there on without anything
    that could be a credential, except for the token of the origin it goes to.
    """
    target, at_home = url, True
    for redirects in itertools.count():
        network.check(target, url=exchange.url)
        if network.session.closed:  # by its owner, meanwhile
            raise exchange.interrupted("the session was closed")
        response = await _get(network, target, exchange=exchange, headers=headers, at_home=at_home)
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
    network: Network, target: "URL", *, exchange: Exchange, headers: Mapping[str, str], at_home: bool
) -> aiohttp.ClientResponse:
    foreign = network.given and not at_home
    with translated(exchange):
        try:
            # aiohttp's own timers begin anew with each byte, also with those of interim answers without end.
            async with asyncio.timeout(exchange.connect_timeout + exchange.stall_timeout):
                return await network.session.get(
                    target,
                    headers=headers if foreign else {**headers, **network.token_header(target)},
                    timeout=_timeout(exchange.connect_timeout, exchange.stall_timeout),
                    proxy=network.proxy(target),
                    allow_redirects=False,
                    raise_for_status=False,
                    auto_decompress=False,
                    read_bufsize=_READ_SIZE,
                    middlewares=(network.middleware(target, keep=frozenset(map(str.lower, headers))),)
                    if foreign
                    else None,
                )
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError) as error:
            network.explain(error, target, exchange)
            raise


@lru_cache(maxsize=8)
def _timeout(connect: float, stall: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect, sock_read=stall)


def _redirected(response: aiohttp.ClientResponse, location: str, *, exchange: Exchange) -> "URL":
    try:
        return resolve(location, base=response.url)
    except InvalidInputException as error:
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


def header_of(
    response: aiohttp.ClientResponse, key: str, *, final_url: str, size: int | None, sha256: str | None
) -> Header:
    """Return what an answer says of its content; headers that could not be sent back are left out."""
    return Header(
        url=key,
        size=size,
        sha256=sha256,
        etag=sendable(response.headers.get("ETag")),
        last_modified=sendable(response.headers.get("Last-Modified")),
        date=sendable(response.headers.get("Date")),
        final_url=final_url,
        filename=filename_of(response),
    )


def filename_of(response: aiohttp.ClientResponse) -> str | None:
    """Return what a server calls the file (RFC 6266), or `None` where that cannot be a file's name.

    Of a path the last segment counts. White space and dots around it go: they would hide the file, or say nothing.
    """
    if "Content-Disposition" not in response.headers:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # aiohttp warns of malformed headers; to the caller they are as good as none
        disposition = response.content_disposition
    if disposition is None or disposition.filename is None:
        return None
    try:
        return check_path(disposition.filename.replace("\\", "/").rpartition("/")[2].strip(string.whitespace + "."))
    except InvalidPathException:
        return None
