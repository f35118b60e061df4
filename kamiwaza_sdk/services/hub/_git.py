"""The ids by which git names content."""

import hashlib
from pathlib import Path

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.storage._files import pieces

__all__ = ["check_git_blob", "git_blob_id"]


def git_blob_id(path: Path) -> str:
    r"""Return the SHA-1 of ``blob <size>\0`` and the bytes of a file, in hexadecimal (`ManifestFileSchema`). Blocks."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        for piece in pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def check_git_blob(file: ManifestFileSchema, path: Path) -> None:
    """Raise `GitBlobMismatchException` unless what lies at `path` is what the manifest says. Blocks."""
    if file.git_blob_id is not None and (actual := git_blob_id(path)) != file.git_blob_id:
        raise GitBlobMismatchException(url=redacted(file.url), expected=file.git_blob_id, actual=actual)
