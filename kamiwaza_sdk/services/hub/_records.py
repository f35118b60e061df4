"""Small files beside the store's blobs that only remember: a crash leaves each as it was, or as it is to be."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["Places", "digest_of", "write"]


def digest_of(text: str) -> str:
    """Return what names a record, whatever it is about: references and URLs may have any length, and hold secrets."""
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> None:
    """Put a record in place of what was there, in a directory that is made where it is missing. Blocks.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    staged = path.with_name(f"{path.name}.{uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    finally:
        with suppress(OSError):
            staged.unlink(missing_ok=True)


class Places:
    """Tells of many digests at once what is there, in directories called as each begins: most of those are missing.

    Args:
        root: Where these directories are.
        suffix: What ends the name of what is in them, behind its digest.
    """

    def __init__(self, root: Path, suffix: str = "") -> None:
        self._root = os.fspath(root)
        self._suffix = suffix
        self._directories = dict[str, bool]()

    def may_have(self, digest: str) -> bool:
        """Return whether something is there, or cannot be looked at: whoever reads it then says why. Blocks."""
        start = digest[:2]
        if start not in self._directories:
            self._directories[start] = _may_be_at(f"{self._root}/{start}")
        return self._directories[start] and _may_be_at(f"{self._root}/{start}/{digest}{self._suffix}")


def _may_be_at(place: str) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
