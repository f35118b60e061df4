"""Whole files that wait under hidden names until all are here, and then get their own.

Two calls that ask for the same share such a name, so that it travels once and is found after a crash. What waits there
may thus be replaced, named or removed by the other call. So whoever gives names takes all files out of the other's
reach before the first gets its own, and brings again what was not there any more.
"""

import hashlib
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.services.download._claim import Place
from kamiwaza_sdk.services.download._disk import disk_errors, refuse_all_but_files, sync_directory
from kamiwaza_sdk.services.download._journal import key_of
from kamiwaza_sdk.services.download.schemas import DownloadRequest, DownloadResult

__all__ = ["WaitingFile", "give_names", "let_go"]

#: A device, a number on it, and the time of the last change.
_Identity = tuple[int, int, int]


class WaitingFile:
    """One of the files. Every method blocks.

    Args:
        request: What is asked for.

    Attributes:
        aside: Where it waits: two contents for one path do so in two places.
    """

    def __init__(self, request: DownloadRequest) -> None:
        self.request: Final = request
        content = request.url if request.sha256 is None else request.sha256.lower()
        self.aside: Final = self._beside(key_of(content)[:16])
        self._own: Final = self._beside(secrets.token_hex(8))
        self._is_taken = False
        self._stands = False
        self._sha256: str | None = None
        self._identity: _Identity | None = None

    def _beside(self, key: str) -> Path:
        return Path(Place(self.request.path).beside(f"-{key}.whole"))

    def brought(self, result: DownloadResult) -> None:
        """Remember what was brought."""
        self._stands = result.path != self.aside
        self._sha256 = result.sha256
        self._identity = _identity(self.aside)

    def take(self) -> bool:
        """Take it out of the reach of others, and return whether it is there: here, or under its own name already."""
        if self._is_taken or self._stands:
            return True
        try:
            os.replace(self.aside, self._own)  # noqa: PTH105 - the bare call, atomic
        except FileNotFoundError:  # whoever asked for the same has named it, or failed and removed it
            self._stands = self._is_it(self.request.path)
            return self._stands
        self._is_taken = _identity(self._own) == self._identity or self._is_it(self._own)
        if not self._is_taken:
            os.replace(self._own, self.aside)  # noqa: PTH105 - as above
        return self._is_taken

    def put(self) -> None:
        """Give it its name, where it has not got it."""
        if self._is_taken:
            os.replace(self._own, self.request.path)  # noqa: PTH105 - as above
            self._is_taken, self._stands = False, True

    def let_go(self) -> None:
        """Leave nothing, unless it failed and a digest tells what is right: that is of use to the next try."""
        with suppress(OSError, ValueError):  # the latter of a path that was refused
            if self._is_taken:
                os.replace(self._own, self.aside)  # noqa: PTH105 - as above
            if self._stands or self.request.sha256 is None:
                self.aside.unlink(missing_ok=True)

    def _is_it(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self._sha256
        except FileNotFoundError:
            return False


def give_names(wholes: Collection[WaitingFile]) -> list[DownloadRequest]:
    """Give all files their names, or none; return those that are not there any more. Blocks.

    Raises:
        DownloadDiskException: The file system refuses one.
    """
    gone = []
    for whole in wholes:
        with _errors(whole):
            refuse_all_but_files(whole.request.path)  # as naming it would, when others have their names already
            if not whole.take():
                gone.append(whole.request)
    if not gone:
        _put(wholes)
    return gone


def let_go(wholes: Collection[WaitingFile]) -> None:
    """Leave nothing of them but what is of use to the next try. Blocks."""
    for whole in wholes:
        whole.let_go()


def _put(wholes: Collection[WaitingFile]) -> None:
    for whole in wholes:
        with _errors(whole):
            whole.put()
    for directory in {whole.request.path.parent for whole in wholes}:
        with disk_errors(directory, url=""):
            sync_directory(directory)


def _errors(whole: WaitingFile) -> disk_errors:
    return disk_errors(whole.request.path, url=redact_text(whole.request.url))


def _identity(path: Path) -> _Identity | None:
    """Return what tells a file from any other that has its name later; `None` where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns
