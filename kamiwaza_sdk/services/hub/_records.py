"""Small files beside the store's blobs that only remember: a crash leaves each as it was, or as it is to be."""

import hashlib
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["digest_of", "write"]


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
