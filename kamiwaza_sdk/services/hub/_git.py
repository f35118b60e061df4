"""The ids by which git names content."""

import hashlib
import os
from pathlib import Path

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.storage._files import pieces
from kamiwaza_sdk.services.storage._intake import open_source

__all__ = ["check_git_blob", "git_blob_id"]


def git_blob_id(path: Path) -> str:
    r"""Return the SHA-1 of ``blob <size>\0`` and the bytes of a file, in hexadecimal (`ManifestFileSchema`). Blocks."""
    with open_source(path) as file:
        digest = hashlib.sha1(f"blob {os.fstat(file.fileno()).st_size}\0".encode(), usedforsecurity=False)
        for piece in pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def check_git_blob(file: ManifestFileSchema, path: Path) -> None:
    """Raise `GitBlobMismatchException` unless what lies at `path` is what the manifest says. Blocks."""
    if file.git_blob_id is not None and (actual := git_blob_id(path)) != file.git_blob_id:
        raise GitBlobMismatchException(url=redacted(file.url), expected=file.git_blob_id, actual=actual)
