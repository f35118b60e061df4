"""The unfinished file of one download, its journal, and how refusals of the disk are told.

Everything here blocks: it runs in threads.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, Protocol

from kamiwaza_sdk._files import (
    NewFileMode,
    free_bytes,
    read_all,
    sync,
    sync_data,
    sync_directory,
    write_all,
)
from kamiwaza_sdk._tasks import CancelFlag
from kamiwaza_sdk.services.download.exceptions import (
    DownloadDiskException,
    DownloadException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.http.coding import CodingException, decoded
from kamiwaza_sdk.services.download.partial.journal import Header, Journal
from kamiwaza_sdk.services.download.partial.lock import Lock

if TYPE_CHECKING:
    from hashlib import _Hash

    from kamiwaza_sdk.services.download.transfer.acquire import Expectations


_CHUNK: Final = 1024**2
#: After how much the journal gets a line. A crash of this process can cost as much, and what is received and not yet
#: written: the ring (4 MiB unless configured otherwise) and what aiohttp holds (2 MiB). Together these are to be 8 MiB.
#: With several connections it is as much as lies behind the first gap, up to 8 MiB for each.
CHECKPOINT: Final = _CHUNK
#: How much a power cut can cost.
SYNC: Final = 64 * _CHUNK
_NONE: Final = -1
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class disk_errors:  # noqa: N801 - reads as what it is about
    """Turns what the operating system refuses into ours, as a context.

    Args:
        path: The file that is to be written.
        url: What it is a download of, redacted.
    """

    __slots__ = ("_path", "_url")

    def __init__(self, path: Path, *, url: str) -> None:
        self._path = path
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if not isinstance(error, OSError) or isinstance(error, DownloadException):
            return
        full = error.errno in _FULL
        raise DownloadDiskException(
            url=self._url,
            path=self._path,
            code=error.errno,
            detail=error.strerror or str(error),
            free=free_bytes(self._path.parent) if full else None,
        ) from error


def make_room(path: Path, needed: int, *, url: str) -> None:
    """Refuse a file that cannot fit, before a byte of it travels.

    Raises:
        DownloadDiskException: Fewer than `needed` bytes are free.
    """
    free = free_bytes(path.parent)
    if free is not None and free < needed:
        detail = f"{os.strerror(errno.ENOSPC)}: {needed} bytes are needed"
        raise DownloadDiskException(url=url, path=path, code=errno.ENOSPC, detail=detail, free=free)


def refuse_all_but_files(path: str | Path) -> None:
    """Raise now what renaming would raise after the whole transfer, and protect /dev/null from root."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "It is neither a file nor a link", str(path))


class Whole(Protocol):
    """A small body, and its hash."""

    @property
    def hash(self) -> "_Hash":
        """Its SHA-256."""
        ...

    def body(self) -> bytes:
        """Return it."""
        ...


class Partial:
    """The partial file of a transfer, and its journal.

    Args:
        lock: The lock of the file, acquired.
        into: The path at which the whole file is published.
        path: The path that the caller asked for, for errors.
        url: The URL, redacted, for errors.
        stopped: Once set, whatever runs comes to its end soon, and nothing is published any more.
        mode: What the whole file gets; until then nobody else may read it.

    Attributes:
        offset: The number of bytes written and hashed.
        reused: The number of them that an earlier transfer left.
        header: The content that they belong to, if known.
        left: Whether the file is published or removed.

    Raises:
        DownloadDiskException: By every method: the file system refused.
    """

    def __init__(self, lock: Lock, into: Path, *, path: Path, url: str, stopped: CancelFlag, mode: NewFileMode) -> None:
        self.offset: int = 0
        self.reused: int = 0
        self.header: Header | None = None
        self._lock = lock
        self._path = path
        self._target = os.fspath(into)
        self._directory = os.path.dirname(self._target)  # noqa: PTH120 - a tenth of what a Path costs
        self._url = url
        self._descriptor = _NONE
        self._hash = hashlib.sha256()
        self._beyond: dict[int, int] = {}
        self._checked = 0
        self._synced = 0
        self._stopped = stopped
        self._mode = mode
        self._untouched = False
        self.left: bool = False

    def sha256(self) -> str:
        """Return the digest of what is there."""
        return self._hash.hexdigest()

    @property
    def resumable(self) -> bool:
        """Whether a rest of another content would be recognised."""
        return self.header is not None and self.header.provable

    def recover(self, journal: Journal) -> None:
        """Take over the partial file of an earlier transfer, as far as the digests in its journal agree."""
        with disk_errors(self._path, url=self._url):
            source = self._lock.left()
            if source is None:
                return
            self._untouched = True
            self.header = journal.header
            self._descriptor = self._lock.open(empty=False)
            self._verify(source, journal, copy=source != self._descriptor)
            if not self._stopped.is_set():
                self._go_on(journal)

    def spare(self) -> None:
        """Keep a partial file of another content until the first bytes of this one arrive."""
        self._untouched = True

    def _verify(self, source: int, journal: Journal, *, copy: bool = False) -> None:
        """Hash the file up to the first digest that differs, and go on from the last one that agreed."""
        buffer = memoryview(bytearray(_CHUNK))
        running = self._hash.copy()
        position = 0
        for offset, sha256 in _useful(journal):
            while position < offset and not self._stopped.is_set():
                count = os.preadv(source, [buffer[: min(_CHUNK, offset - position)]], position)
                if not count:
                    return
                running.update(buffer[:count])
                if copy:
                    write_all(self._descriptor, buffer[:count], position)
                position += count
            if self._stopped.is_set() or running.hexdigest() != sha256:
                return
            self.offset = self.reused = offset
            self._hash = running.copy()

    def _go_on(self, journal: Journal) -> None:
        """Reduce the journal to the verified lines, and truncate the file behind them."""
        os.ftruncate(self._descriptor, self.offset)
        assert self.header is not None
        lines = (f"{offset} {sha256}\n" for offset, sha256 in journal.lines if offset <= self.offset)
        self._lock.begin(self.header.line() + "".join(lines).encode())
        self._checked, self._synced = self.offset, 0  # whether it was ever synced, nobody knows
        self._untouched = False

    def restart(self) -> None:
        """Empty the partial file and its journal."""
        with disk_errors(self._path, url=self._url):
            self.offset = self.reused = self._checked = self._synced = 0
            self._hash = hashlib.sha256()
            self.header = None
            self._beyond.clear()
            self._lock.begin(b"")
            if self._descriptor != _NONE:
                os.ftruncate(self._descriptor, 0)

    def rely_on_digest(self, sha256: str) -> None:
        """Note that what follows may be of another content than what is here, so that only a digest can tell.

        From now on no validator names the bytes, for whoever goes on with them.
        """
        assert self.header is not None, "something is here"
        header = self.header.without_validators(sha256=sha256)
        if header != self.header:
            with disk_errors(self._path, url=self._url):
                self.header = header
                self._lock.begin(header.line() + self._line())
                self._checked = self.offset

    def decode(self, codings: tuple[str, ...], expectations: "Expectations") -> None:
        """Replace the body by its decoded form, unless the body as received is the expected content.

        Raises:
            UnexpectedEncodingException: It cannot be decoded here, and is something else.
            ChecksumMismatchException: What it decodes to is something else, too.
            SizeMismatchException: It decodes to another size than demanded.
            DownloadTooLargeException: It decodes to more than is allowed.
        """
        if self.sha256() == expectations.sha256 and expectations.admit(self.offset):
            return
        with disk_errors(self._path, url=self._url), TemporaryFile(dir=self._directory) as plain:
            try:
                for piece in decoded(self._pieces(self._descriptor), codings):
                    plain.write(piece)
                    expectations.check_arriving(plain.tell(), url=self._url)
            except CodingException:
                raise UnexpectedEncodingException(url=self._url, encoding=", ".join(codings)) from None
            plain.flush()
            self._replace(plain.fileno())
        expectations.check_whole(self.offset, self.sha256(), url=self._url)

    def _replace(self, source: int) -> None:
        header, reused = self.header, self.reused
        self.restart()
        for piece in self._pieces(source):
            write_all(self._descriptor, piece, self.offset)
            self._hash.update(piece)
            self.offset += len(piece)
        assert header is not None, "something has arrived"
        self.header, self.reused = header.model_copy(update={"size": self.offset}), reused

    def _pieces(self, descriptor: int) -> Iterator[bytes]:
        """Yield what a file holds, until told to stop."""
        position = 0
        while not self._stopped.is_set() and (piece := os.pread(descriptor, _CHUNK, position)):
            yield piece
            position += len(piece)

    def expect(self, header: Header, size: int | None) -> None:
        """Be ready for the content of `header`, from the offset on; refuse it where there is no room for `size`."""
        with disk_errors(self._path, url=self._url):
            refuse_all_but_files(self._target)
            if size is not None:
                make_room(self._path, size - self.offset, url=self._url)
            self._open()
            if not self.offset:
                self.header = header
                self._lock.begin(header.line())

    def _open(self) -> None:
        if self._descriptor == _NONE:
            self._descriptor = self._lock.open(empty=True)
            self._untouched = False

    def write(self, piece: memoryview, offset: int) -> None:
        """Put `piece` where it belongs, and hash what follows on what is hashed, as soon as nothing is missing before.

        Args:
            piece: Bytes of the content that were never written before.
            offset: Where they belong.
        """
        with disk_errors(self._path, url=self._url):
            write_all(self._descriptor, piece, offset)
            if offset != self.offset:
                self._beyond[offset] = len(piece)
                return
            self._add(piece)
            if self._beyond:
                self._hash_beyond()

    def _hash_beyond(self) -> None:
        """Hash what was written before and follows now, in large pieces."""
        end = self.offset
        while count := self._beyond.pop(end, 0):
            end += count
        buffer = memoryview(bytearray(min(_CHUNK, end - self.offset)))
        while left := end - self.offset:
            again = buffer[:left]
            read_all(self._descriptor, again, self.offset)
            self._add(again)

    def _add(self, piece: memoryview) -> None:
        """Go on to behind `piece`, and every megabyte add a line to the journal."""
        self._hash.update(piece)
        self.offset += len(piece)
        if self.offset - self._checked >= CHECKPOINT:
            self._check()

    def close_gaps(self) -> None:
        """Drop what has a gap before it."""
        if self._beyond:
            self._beyond.clear()
            with disk_errors(self._path, url=self._url):
                os.ftruncate(self._descriptor, self.offset)

    def _check(self) -> None:
        self._lock.append(self._line())
        self._checked = self.offset
        if self.offset - self._synced >= SYNC:
            self._sync()

    def _sync(self) -> None:
        if not self._synced:
            sync_directory(self._directory)
        sync_data(self._descriptor)
        self._lock.sync()
        self._synced = self.offset

    def _line(self) -> bytes:
        return f"{self.offset} {self._hash.hexdigest()}\n".encode()

    def store(self, body: "Whole", header: Header, expectations: "Expectations") -> None:
        """Verify a small file, write it, and publish it. Nothing of it is worth a journal.

        Raises:
            ChecksumMismatchException: It has another digest than demanded.
            SizeMismatchException: It has another size than demanded.
        """
        content = body.body()
        expectations.check_whole(len(content), body.hash.hexdigest(), url=self._url)
        try:
            self.fill(content, body.hash, header)
            self.publish()
        finally:
            self.discard()  # what got no name: without a journal nobody could go on with it

    def fill(self, content: bytes, hashed: "_Hash", header: Header) -> None:
        """Write a small file, which was verified in memory."""
        with disk_errors(self._path, url=self._url):
            refuse_all_but_files(self._target)
            self._open()
            write_all(self._descriptor, content, 0)
        self.header, self.offset, self._hash = header, len(content), hashed

    def publish(self, *, sync_name: bool = True) -> None:
        """Make the file durable and give it its name, unless it was told to stop.

        Args:
            sync_name: Whether the name is made durable too. Otherwise the caller does so before anybody is told of the
                file; those who follow are never told before.
        """
        with disk_errors(self._path, url=self._url):
            with suppress(OSError):  # of a file system without modes
                os.fchmod(self._descriptor, self._mode.value)
            try:
                sync(self._descriptor)
            except OSError:  # whatever the disk has of it now, it said once that it has not
                self.discard()
                raise
            if self._stopped.is_set():
                return
            self._lock.seal()
            os.replace(self._lock.partial, self._target)  # noqa: PTH105 - the bare call, whose atomicity is documented
            try:
                if sync_name or self._lock.is_followed():
                    sync_directory(self._directory)
            except OSError:
                os.unlink(self._target)  # noqa: PTH108 - as above
                self._let_go(bytes)
                raise
        self._let_go(lambda: self._last_word("published", self.sha256()))

    def refuse(self, actual: str) -> None:
        """Remove a content with another digest than expected, and tell the followers."""
        self._leave_nothing(lambda: self._last_word("refused", actual))

    def _last_word(self, word: str, sha256: str) -> bytes:
        header = b"" if self.header is None else self.header.line()
        return header + f"{word} {self.offset} {sha256}\n".encode()

    def keep(self) -> None:
        """Keep the partial file for a later transfer, if one could go on with it, and release the lock."""
        if self.left:
            return
        try:
            if not (self._untouched or (self.offset and self.resumable)):
                self.discard()
            elif not self._untouched:
                self._note_end()
        finally:
            if not self.left:
                self._lock.release()

    def _note_end(self) -> None:
        with suppress(OSError):  # as on a full disk; the error that led here is the one worth reporting
            os.ftruncate(self._descriptor, self.offset)
            if self.offset > self._checked:
                self._lock.append(self._line())

    def discard(self) -> None:
        """Remove the partial file and its journal."""
        if not self.left:
            self._leave_nothing(bytes)

    def _leave_nothing(self, last_word: Callable[[], bytes]) -> None:
        self.left = True
        with suppress(OSError):
            self._lock.finish(last_word, published=False)

    def _let_go(self, last_word: Callable[[], bytes]) -> None:
        self.left = True
        with suppress(OSError):
            self._lock.finish(last_word, published=True)


def _useful(journal: Journal) -> tuple[tuple[int, str], ...]:
    """Return its lines, but for one at the very end, unless a digest says that nothing is missing."""
    header = journal.header
    whole = header is not None and header.sha256 is None and header.size == journal.offset
    return journal.lines[:-1] if whole else journal.lines
