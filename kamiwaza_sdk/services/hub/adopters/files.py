"""What lies in a cache: read within bounds, and never followed out of it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema


class Cached(NamedTuple):
    """What a cache has of something.

    Attributes:
        manifest: The files that are there.
        missing: The sizes of those that belong to it and are not there, `None` where one is not known.
    """

    manifest: ManifestSchema
    missing: Mapping[str, int | None] = MappingProxyType({})


def read_small(path: Path, *, inside: Path, limit: int) -> bytes | None:
    """Return what a small file holds; `None` where there is none.

    Raises:
        InvalidSourceException: It leads out of the cache, is no file, has over `limit` bytes, or cannot be read.
    """
    if not path.exists():
        return None
    regular_size(path, inside=inside)
    try:
        with path.open("rb") as file:
            text = file.read(limit + 1)
    except OSError as error:
        raise InvalidSourceException(str(path), f"cannot be read: {error.strerror}; let this user read it") from error
    if len(text) > limit:
        raise InvalidSourceException(str(path), f"has over {limit} bytes, which none of its kind has; remove it")
    return text


def regular_size(path: Path, *, inside: Path, source: str = "") -> int:
    """Return the size of a file, or of what a link in a cache leads to.

    Raises:
        NotInCacheException: There is none: a link to nothing, a blob that did not arrive.
        InvalidSourceException: It leads out of the cache, or is no file.
    """
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(inside)):
        raise InvalidSourceException(
            str(path), "is a link that leads out of the cache; fetch it, or copy what it names"
        )
    try:
        status = real.stat()
    except FileNotFoundError:
        reason = f"its {path} is missing, so it was downloaded in part only"
        raise NotInCacheException(source=source or str(path), cache=str(inside), reason=reason) from None
    except OSError as error:
        raise InvalidSourceException(str(path), f"cannot be read: {error.strerror}; let this user read it") from error
    if not stat.S_ISREG(status.st_mode):
        raise InvalidSourceException(str(path), "is no regular file; remove it, and let its tool fetch it again")
    return status.st_size
