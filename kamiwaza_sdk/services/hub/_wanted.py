"""What a caller wants of a source: which of its files, and with which digests."""

import asyncio

from kamiwaza_sdk._validation import MAX_FILES, check_layout
from kamiwaza_sdk.services.hub._digests import expected, with_digests
from kamiwaza_sdk.services.hub._selection import patterns, select
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
        self._allow = patterns(allow, field="allow")
        self._ignore = patterns(ignore, field="ignore")

    async def resolve(self, source: Source, context: SourceContext) -> ManifestSchema:
        """Return the files that are wanted, which can stand beside each other."""
        found = await resolve_source(source, context)
        return await asyncio.to_thread(self.select, found)

    def select(self, found: ManifestSchema) -> ManifestSchema:
        """Return those that are wanted of all files. Blocks."""
        manifest = select(found, allow=self._allow, ignore=self._ignore)
        if not manifest.files:
            raise InvalidSourceException(manifest.source, "has no files; give one that has")
        if len(manifest.files) > MAX_FILES:
            reason = f"has {len(manifest.files)} files, over the limit of {MAX_FILES}; choose some with allow or ignore"
            raise InvalidSourceException(manifest.source, reason)
        check_layout([file.path for file in manifest.files])
        return manifest.model_copy(update={"files": with_digests(manifest.files, self._digests)})
