"""Which of a model's files are something else than their names promise."""

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.formats.content import CONTENT_HEAD, is_html, is_model_file_name, what_is_instead
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.fault import FileFaultSchema
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.sources._suggestions import suggestion_for_page
from kamiwaza_sdk.services.storage._stopping import go_on
from kamiwaza_sdk.services.storage.schemas import FileLike
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = ["FileHere", "fault_of", "faults_here", "faults_of", "refuse_page"]


#: Who asks for such a file wants a page.
_PAGES: Final = frozenset({".htm", ".html", ".mhtml", ".xhtml"})


class FileHere(NamedTuple):
    """A file on this machine, under its name in the model."""

    path: str
    size: int
    place: Path


def fault_of(head: bytes, *, path: str, size: int) -> FileFaultSchema | None:
    """Return what a file is that begins like this, if it is not what its name promises."""
    found = what_is_instead(head, path=path, size=size)
    return None if found is None else FileFaultSchema(path=path, kind=found.kind, reason=found.reason)


def faults_here(files: Iterable[FileHere]) -> tuple[FileFaultSchema, ...]:
    """Return what is wrong with files on this machine, by their first bytes. Passes over the unreadable. Blocks."""
    faults = list[FileFaultSchema]()
    for file in files:
        go_on()
        if not _could_be_another(file.path, file.size):
            continue
        try:
            fault = fault_of(_head(file.place), path=file.path, size=file.size)
        except OSError:
            continue
        faults += [] if fault is None else [fault]
    return tuple(faults)


def _could_be_another(path: str, size: int) -> bool:
    """Return whether a file may be something else: where its name promises nothing, only a pointer, which is small."""
    return size <= CONTENT_HEAD or is_model_file_name(path)


def faults_of(files: Iterable[FileLike], storage: StorageService) -> tuple[FileFaultSchema, ...]:
    """Return what is wrong with files in the store, whatever brought them there. Blocks."""
    doubtful = (file for file in files if _could_be_another(file.path, file.size))
    found = ((file, storage.find(file.sha256, size=file.size)) for file in doubtful)
    return faults_here(FileHere(file.path, file.size, blob.path) for file, blob in found if blob is not None)


def refuse_page(file: ManifestFileSchema, place: Path, *, endpoint: str) -> None:
    """Raise where a URL led to an HTML page instead of a file, with what to write if it is a hub's. Blocks.

    Raises:
        InvalidSourceException: It did.
    """
    if PurePosixPath(file.path).suffix.lower() in _PAGES or not is_html(_head(place)):
        return
    suggestion = suggestion_for_page(file.url, endpoint=endpoint)
    way_out = "give the address of the file itself, and a token where the page asks to sign in"
    reason = f"leads to an HTML page, not to a file; {suggestion.way_out if suggestion else way_out}"
    raise InvalidSourceException(redact_text(file.url), reason, suggestion=suggestion.address if suggestion else None)


def _head(place: Path) -> bytes:
    # A pipe would keep whoever opens it waiting for a writer.
    file = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(file, CONTENT_HEAD)
    finally:
        os.close(file)
