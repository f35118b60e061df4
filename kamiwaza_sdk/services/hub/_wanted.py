"""What a caller wants of a source: which of its files, and with which digests."""

import asyncio
import os
from glob import escape

from kamiwaza_sdk._validation import MAX_FILES, check_layout
from kamiwaza_sdk.exceptions import InvalidPathException
from kamiwaza_sdk.services.hub._digests import expected, with_digests
from kamiwaza_sdk.services.hub._selection import Selection, patterns
from kamiwaza_sdk.services.hub.addresses import scheme_of
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.hub.sources import Source, resolve_source
from kamiwaza_sdk.services.hub.sources.context import SourceContext

__all__ = ["Wanted"]


class Wanted:
    """What a caller gave besides the source, checked at once.

    Raises:
        InvalidInputException: An argument is of a wrong kind.
    """

    def __init__(self, *, sha256: object, allow: object, ignore: object) -> None:
        self._digests = expected(sha256)
        self.selection: Selection = Selection(patterns(allow, field="allow"), patterns(ignore, field="ignore"))

    async def resolve(self, source: Source, context: SourceContext) -> ManifestSchema:
        """Return the files that are wanted, which can stand beside each other."""
        found = await resolve_source(source, context, self.selection)
        return await asyncio.to_thread(lambda: self.select(found, sift=_lists(source, found)))

    def select(self, found: ManifestSchema, *, sift: bool = True) -> ManifestSchema:
        """Return those that are wanted of all files. Blocks.

        Args:
            found: All files.
            sift: Whether nobody named them one by one, so that what is no part of a model is left out.
        """
        manifest = self.selection.of(found, sift=sift)
        if not manifest.files:
            raise InvalidSourceException(manifest.source, "has no files; give one that has")
        if len(manifest.files) > MAX_FILES:
            reason = f"has {len(manifest.files)} files, over the limit of {MAX_FILES}; choose some with allow or ignore"
            raise InvalidSourceException(manifest.source, reason)
        _check_layout([file.path for file in manifest.files])
        return manifest.model_copy(update={"files": with_digests(manifest.files, self._digests)})


def _lists(source: Source, found: ManifestSchema) -> bool:
    """Whether a source lists whatever is there, and was not one file, a list of them, or what was listed before."""
    if not isinstance(source, str | os.PathLike) or scheme_of(os.fspath(source)) in {"http", "https"}:
        return False
    is_one = len(found.files) == 1 and found.files[0].inside is None
    return not is_one or (found.files[0].scheme != "file" and found.files[0].url != found.source)


def _check_layout(paths: list[str]) -> None:
    """Raise where two files cannot stand beside each other, with the way to leave one out."""
    try:
        check_layout(paths)
    except InvalidPathException as error:
        reason = f"{error.reason}, or leave one out with ignore={escape(error.value)!r}"
        raise InvalidPathException(error.field, reason, value=error.value) from None
