"""Which files of a source are one content under several names: that travels once, and is looked into once."""

from collections.abc import Hashable, Iterable

from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.sources.local import check_inside

__all__ = ["by_content", "content_of"]


def content_of(file: ManifestFileSchema) -> Hashable:
    """Return what two files have in common only if their bytes are the same, or else what no other file has."""
    if file.has_digest:
        return file.sha256, file.git_blob_id, file.size
    return file.path


def by_content(files: Iterable[ManifestFileSchema]) -> list[list[ManifestFileSchema]]:
    """Return the files of each content together, what is on this machine first; hard links are one content. Blocks."""
    groups = dict[Hashable, list[ManifestFileSchema]]()
    for file in sorted(files, key=lambda file: file.scheme != "file"):
        key = content_of(file) if file.has_digest else _place_of(file) or file.path
        groups.setdefault(key, []).append(file)
    return list(groups.values())


def _place_of(file: ManifestFileSchema) -> tuple[int, int] | None:
    """Return where the bytes of a local file lie, whatever leads there; `None` where that is not known."""
    if file.local is None:
        return None
    try:
        status = check_inside(file).stat()
    except (OSError, InvalidSourceException):  # whoever reads it says so
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None
