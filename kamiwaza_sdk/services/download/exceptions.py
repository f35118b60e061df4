"""What can go wrong while bytes travel. The whole tree is drawn in `kamiwaza_sdk.exceptions`.

A URL that cannot be downloaded from is an `InvalidInputException`. Every URL in an error is redacted: user information,
query and fragment are cut, because signed URLs carry their secret there.
"""

import errno
from pathlib import Path
from typing import Final

from kamiwaza_sdk.exceptions import ServiceException

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_DIRECTORY: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


class DownloadException(ServiceException):
    """A URL's bytes did not get here. Nothing stands at the destination.

    Attributes:
        url: The URL that was asked for, without user information and query. `None` where there is none.
        attempts: How many attempts there were.
    """

    attempts: int = 1

    def __init__(self, message: str = "the download failed", *, url: str | None = None) -> None:
        super().__init__(message)
        self.url = url


class DownloadStatusException(DownloadException):
    """The server answered, but not with the file.

    Attributes:
        status: The HTTP status.
        reason: The server's reason phrase, or what was wrong with where it redirected to.
        retry_after: Seconds that the server asks to wait; `None` where it does not.
    """

    def __init__(self, *, url: str, status: int, reason: str, retry_after: float | None = None) -> None:
        from kamiwaza_sdk.services.download.retries import is_transient  # which imports this module

        self.retryable: bool = is_transient(status)
        way_out = "try again later" if self.retryable else "check the URL and the access it needs"
        super().__init__(f"{url} answered {f'{status} {reason}'.rstrip()}; {way_out}", url=url)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class DownloadInterruptedException(DownloadException, ConnectionError):
    """The connection could not be made, broke, or carried something other than HTTP.

    Attributes:
        reason: What happened.
        received: Bytes of the body that had arrived.
        announced: Bytes the server had announced, `None` where it had not.
    """

    def __init__(
        self, *, url: str, reason: str, received: int = 0, announced: int | None = None, retryable: bool = True
    ) -> None:
        self.retryable: bool = retryable
        way_out = "try again" if retryable else "trying again will not help"
        total = "" if announced is None else f" of {announced}"
        super().__init__(f"{url}: {reason} after {received}{total} bytes; {way_out}", url=url)
        self.reason = reason
        self.received = received
        self.announced = announced


class DownloadTimeoutException(DownloadException, TimeoutError):
    """No connection, or not one more byte, within the time allowed. Slow but steady is no timeout.

    Attributes:
        seconds: The limit that passed.
        received: Bytes of the body that had arrived.
    """

    retryable = True

    def __init__(self, *, url: str, seconds: float, received: int, setting: str) -> None:
        super().__init__(
            f"{url}: nothing for {seconds:g} s after {received} bytes; try again, or raise "
            f"DOWNLOAD_SERVICE_{setting.upper()}",
            url=url,
        )
        self.seconds = seconds
        self.received = received


class DownloadTooLargeException(DownloadException):
    """The body is larger than allowed. No byte beyond the limit was written.

    Attributes:
        limit: The largest body allowed, in bytes.
        announced: Bytes the server announced; `None` where it did not.
        received: Bytes that had arrived when it was stopped: 0 where the announcement already said so.
    """

    def __init__(
        self,
        *,
        url: str,
        limit: int,
        announced: int | None,
        received: int,
        way_out: str = "to allow it, raise max_size (for pull_model() MODEL_SERVICE_MAX_MODEL_SIZE), "
        "or DOWNLOAD_SERVICE_MAX_SIZE where none is given",
    ) -> None:
        size = f"has more than {limit} bytes" if announced is None else f"has {announced} bytes"
        super().__init__(f"{url} {size}, over the limit of {limit}; {way_out}", url=url)
        self.limit = limit
        self.announced = announced
        self.received = received


class ChecksumMismatchException(DownloadException):
    """The bytes are not the ones asked for.

    Attributes:
        expected: The SHA-256 asked for, in hexadecimal.
        actual: The SHA-256 of what arrived.
    """

    def __init__(self, *, url: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{url} has SHA-256 {actual}, not {expected} as expected; the file changed or was tampered with: "
            "check where the expected digest comes from",
            url=url,
        )
        self.expected = expected
        self.actual = actual


class RangeNotSupportedException(DownloadException):
    """A server does not send the part of a file that was asked for.

    Attributes:
        offset: Where in the file it begins.
        length: How many bytes were asked for.
        reason: What it does instead.
    """

    def __init__(self, *, url: str, offset: int, length: int, reason: str) -> None:
        super().__init__(
            f"no bytes from {offset} on of {url}: {reason}; download the whole file, and read it here", url=url
        )
        self.offset = offset
        self.length = length
        self.reason = reason


class SizeMismatchException(DownloadException):
    """The body has another length than asked for.

    Attributes:
        expected: Bytes asked for.
        actual: Bytes announced, or arrived when it was stopped.
    """

    def __init__(self, *, url: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{url} has {actual} bytes, not {expected} as expected; check where the expected size comes from", url=url
        )
        self.expected = expected
        self.actual = actual


class UnexpectedEncodingException(DownloadException):
    """The server compressed the body although asked not to, and nothing tells whether the file is what it decodes to.

    Attributes:
        encoding: The codings it answered with.
        header: In which header: ``Content-Encoding`` or ``Transfer-Encoding``.
    """

    def __init__(self, *, url: str, encoding: str, header: str = "Content-Encoding") -> None:
        way_out = "have the server send the file as it is"
        if header == "Content-Encoding":
            way_out += ", or give the sha256 of the file: it tells whether to decode it"
        super().__init__(
            f"{url} is sent with {header} {encoding} although 'identity' was asked for; {way_out}", url=url
        )
        self.encoding = encoding
        self.header = header


class HostNotAllowedException(DownloadException):
    """A host is not one of those allowed, or its address is in a private network. No connection was made to it.

    Attributes:
        host: The host of the URL, or of where that redirects to; with its port, where that is not the usual one.
        address: The address in a private network; `None` where the host itself is not allowed.
    """

    def __init__(self, *, url: str, host: str, address: str | None = None) -> None:
        super().__init__(
            f"{url} leads to {host}, which is none of the hosts allowed; to allow it, add it to "
            "DOWNLOAD_SERVICE_ALLOWED_HOSTS"
            if address is None
            else f"{url} leads to {host}, whose address {address} is in a private network; to allow such addresses, "
            "turn DOWNLOAD_SERVICE_BLOCK_PRIVATE_NETWORKS off",
            url=url,
        )
        self.host = host
        self.address = address


class DownloadDiskException(DownloadException, OSError):
    """The file system refused the file. ``errno`` says how, as in any `OSError`.

    Attributes:
        path: Where the file was to stand.
        free: Bytes free on that file system, where known and where that is the problem.
    """

    def __init__(self, *, url: str, path: Path, code: int | None, detail: str, free: int | None = None) -> None:
        message = f"cannot write {path}: {detail}; {_disk_advice(code, free)}"
        super().__init__(message, url=url)
        OSError.__init__(self, code, message)  # for handlers that look at `errno`
        self.path = path
        self.free = free

    def __str__(self) -> str:
        return str(self.args[1])


def _disk_advice(code: int | None, free: int | None) -> str:
    if code in _FULL:
        return f"make room ({'unknown' if free is None else free} bytes are free) or choose another place"
    if code in _FORBIDDEN:
        return "choose a directory this process may write to"
    if code in _NO_DIRECTORY:
        return "create its directory first"
    if code == errno.ESTALE:
        return "try again"
    if code in {errno.EISDIR, errno.EEXIST}:
        return "name a file"
    return "choose another place"
