"""The journal of an unfinished file: whose bytes these are, and how far they are right.

It is text beside the partial file, and only ever appended to. The first line is a `Header`. Each further one is
``<offset> <SHA-256 of the bytes before it>``, one for every megabyte. Whoever resumes hashes the partial file
again, and stops at the first line that disagrees: so it does not matter in which order the two files reached the disk,
whether the last line was torn, or whether a page of zeros stands where a power cut came between.

The last word, ``published`` or ``refused``, is for those who wait with the file open: it is unlinked at once.

A small file has one only where somebody waits for it.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from kamiwaza_sdk.services.download.retries import parse_date
from kamiwaza_sdk.services.download.schemas import Validators

_LINE: Final = re.compile(rb"(0|[1-9][0-9]{0,18}) ([0-9a-f]{64})")
_LAST_WORD: Final = re.compile(rb"(published|refused) (0|[1-9][0-9]{0,18}) ([0-9a-f]{64})")
#: How much older than the answer a modification must be to be told from one just after it: RFC 9110 (8.8.2.2) asks for
#: one second of one clock; its predecessor, RFC 7232, for sixty, as the two times may come from two machines.
_SETTLED_AFTER: Final = 60.0


class Header(BaseModel):
    """Which content the bytes are of, as far as it is known.

    Attributes:
        version: Of this format.
        url: SHA-256 of the URL, which may be signed, and is not kept in clear.
        size: Length of the whole content.
        sha256: The digest that it must have.
        etag: How its server names this content.
        last_modified: The same, by the time of its last change.
        date: When the server said so.
        final_url: Where it came from after redirects, without what may be secret.
        filename: What the server calls it.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    version: int = 1
    url: str
    size: int | None = None
    sha256: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    date: str | None = None
    final_url: str
    filename: str | None = None

    @property
    def condition(self) -> str | None:
        """The strong validator, if there is one, for ``If-Range`` (RFC 9110, 13.1.5)."""
        if self.etag is not None:
            return None if self.etag.startswith("W/") else self.etag
        return self.last_modified if _is_strong(self.last_modified, self.date) else None

    @property
    def provable(self) -> bool:
        """Whether parts can be asked for so that they must be of the same content, or else are found out."""
        return self.condition is not None or self.sha256 is not None

    @property
    def validators(self) -> Validators:
        """What to ask the server with next time."""
        return Validators.model_construct(etag=self.etag, last_modified=self.last_modified)  # `sendable` by now

    def without_validators(self, *, sha256: str | None) -> "Header":
        """Return it for bytes of which only a digest can tell whether they are all of one content."""
        return self.model_copy(update={"sha256": sha256, "etag": None, "last_modified": None, "date": None})

    def leads_to(self, *, url: str, sha256: str | None) -> bool:
        """Whether bytes of this content are worth keeping for who asks for `url`, or for that digest from anywhere."""
        if sha256 is not None and self.sha256 is not None:
            return sha256 == self.sha256
        return self.url == url and self.condition is not None

    def line(self) -> bytes:
        """Return it as the first line."""
        return self.model_dump_json(exclude_none=True).encode() + b"\n"


def _is_strong(last_modified: str | None, date: str | None) -> bool:
    changed, said = _moment(last_modified), _moment(date)
    return changed is not None and said is not None and (said - changed).total_seconds() >= _SETTLED_AFTER


def _moment(text: str | None) -> datetime | None:
    moment = parse_date(text or "")
    return moment if moment is not None and moment.tzinfo else None


def sendable(value: str | None) -> str | None:
    """Return a header's value, or `None` where it could not be sent back."""
    return value if value and value.isascii() and value.isprintable() else None


def key_of(url: str) -> str:
    """Return how a URL is told from others without being shown."""
    return hashlib.sha256(url.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal says.

    Attributes:
        header: `None` where there is none that can be read.
        lines: Offsets with the digest of all before each, ascending.
        published: Size and digest of the file that came of it.
        refused: The digest of what came, where another was demanded.
    """

    header: Header | None = None
    lines: tuple[tuple[int, str], ...] = ()
    published: tuple[int, str] | None = None
    refused: str | None = None

    @property
    def size(self) -> int | None:
        """How much the whole is, where that is known."""
        return None if self.header is None else self.header.size

    @property
    def offset(self) -> int:
        """How far it had come, by its own word."""
        return self.lines[-1][0] if self.lines else 0


def parse(text: bytes) -> Journal:
    """Return what can be understood, up to the first line that cannot."""
    first, *rest = text.split(b"\n")[:-1] or [b""]  # what follows the last line break is torn
    try:
        header = Header.model_validate_json(first)
    except ValidationError:
        return Journal()
    return Journal(header, *_told(rest)) if header.version == 1 else Journal()


def _told(lines: list[bytes]) -> tuple[tuple[tuple[int, str], ...], tuple[int, str] | None, str | None]:
    offsets: list[tuple[int, str]] = []
    for line in lines:
        if last := _LAST_WORD.fullmatch(line):
            size, sha256 = int(last[2]), last[3].decode()
            return tuple(offsets), (size, sha256) if last[1] == b"published" else None, _refused(last)
        match = _LINE.fullmatch(line)
        if match is None or (offsets and int(match[1]) <= offsets[-1][0]):
            break
        offsets.append((int(match[1]), match[2].decode()))
    return tuple(offsets), None, None


def _refused(last: re.Match[bytes]) -> str | None:
    return last[3].decode() if last[1] == b"refused" else None


def read_journal(descriptor: int) -> Journal:
    """Return what a journal says."""
    size = os.fstat(descriptor).st_size
    return parse(os.pread(descriptor, size, 0)) if size else Journal()


def read_journal_at(path: str | Path) -> Journal:
    """Return what the journal of that name says, if there is one."""
    try:
        return parse(Path(path).read_bytes())
    except FileNotFoundError:
        return Journal()


def parse_tail(text: bytes) -> int | None:
    """Return the offset of the last whole line, where it is one."""
    lines = text.split(b"\n")
    match = _LINE.fullmatch(lines[-2]) if len(lines) > 1 else None
    return None if match is None else int(match[1])
