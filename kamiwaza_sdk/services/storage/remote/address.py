"""Addresses of stores: a bucket and where in it, or a directory."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit

_SCHEMES: Final = ("s3", "gs", "az", "file")
_BUCKET: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._=+,@~-]+(?:/[A-Za-z0-9._=+,@~-]+)*")
_WAY_OUT: Final = "write s3://bucket/prefix, gs://…, az://…, or file:///directory"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is.

    Attributes:
        scheme: ``s3``, ``gs``, ``az`` or ``file``.
        bucket: The bucket, which Azure calls a container; empty for a directory.
        prefix: Where in the bucket, without slashes around it; for a directory, its path.
    """

    scheme: str
    bucket: str
    prefix: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that a text is; a path is that of a directory.

        Raises:
            ValueError: It is none.
        """
        scheme, separator, rest = text.strip().partition("://")
        if not separator:
            return cls("file", "", str(_absolute(text.strip())))
        if scheme not in _SCHEMES:
            raise ValueError(f"begins with {scheme}://, which is no store's; {_WAY_OUT}")
        if scheme == "file":
            return cls("file", "", str(_absolute(_local(text.strip()))))
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        if not _BUCKET.fullmatch(bucket):
            raise ValueError(f"names no bucket; {_WAY_OUT}")
        if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
            raise ValueError("has a prefix with other characters than A-Z a-z 0-9 . _ - = + , @ ~; choose another")
        return cls(scheme, bucket, prefix)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory's."""
        return self.scheme == "file"

    @property
    def path(self) -> Path:
        """The directory, where it is one's."""
        return Path(self.prefix)

    def __str__(self) -> str:
        """Return it as it is written."""
        if self.is_directory:
            return Path(self.prefix).as_uri()
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")


def _local(text: str) -> str:
    parts = urlsplit(text)
    if parts.netloc not in {"", "localhost"}:
        raise ValueError(f"names a host, and directories of other machines are mounted first; {_WAY_OUT}")
    return unquote(parts.path)


def _absolute(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError("begins with the home of a user that this machine does not know; write it out") from None
    if not path.is_absolute():
        raise ValueError(f"names no place: a directory's path is absolute; {_WAY_OUT}")
    return path
