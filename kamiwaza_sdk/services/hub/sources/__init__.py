"""What a source consists of: whatever was given, turned into a manifest."""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias, cast

from kamiwaza_sdk._validation import MAX_FILES
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.addresses import (
    is_address,
    path_of,
    redacted,
    refuse_unless_address,
    scheme_of,
    suggestion_for_name,
)
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources.local import resolve_path
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext, source_for
from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion, is_registered, resolve_version
from kamiwaza_sdk.services.hub.sources.web import resolve_urls
from kamiwaza_sdk.services.hub.streams import in_thread

__all__ = ["Source", "resolve_source"]

#: An address, several of http or https, a file or directory on this machine, what one of these was resolved to, or a
#: version that was registered of one.
Source: TypeAlias = "str | os.PathLike[str] | Sequence[str] | ManifestSchema | PlanSchema | RegisteredVersion"


async def resolve_source(source: Source, context: SourceContext, selection: Selection) -> ManifestSchema:
    """Return the files that a source consists of.

    Args:
        source: As `fetch` takes it.
        context: For sources on the network.
        selection: Which files are wanted; of directories, what is not wanted need not be looked at.

    Raises:
        InvalidInputException: `source` is of a wrong kind.
        ServiceException: Whatever the source of its scheme raises.
    """
    if isinstance(source, ManifestSchema):
        return source
    if isinstance(source, PlanSchema):
        return source.manifest
    if is_registered(source):
        return await resolve_version(
            source, context.storage, lambda address: _resolve_address(address, context, selection)
        )
    if isinstance(source, str) and is_address(source):
        return await _resolve_address(source, context, selection)
    if isinstance(source, str | os.PathLike):
        return await in_thread(lambda: _resolve_here(_path(source), selection))
    return await asyncio.to_thread(resolve_urls, _urls(source))


async def _resolve_address(source: str, context: SourceContext, selection: Selection) -> ManifestSchema:
    refuse_unless_address(source)
    scheme = scheme_of(source)
    reference = f"{scheme}{source[len(scheme) :]}"
    if scheme == "file":
        return await in_thread(lambda: resolve_path(path_of(reference), selection))
    model_source = await asyncio.to_thread(source_for, scheme, address=source)
    manifest: object = await model_source.resolve(reference, context)
    if not isinstance(manifest, ManifestSchema):
        kind = type(manifest).__name__
        raise InvalidSourceException(redacted(source), f"was resolved to a {kind}; its source is at fault")
    return manifest


def _resolve_here(path: Path, selection: Selection) -> ManifestSchema:
    """Return the files at a path, or say what else could be meant by one that does not exist. Blocks."""
    try:
        return resolve_path(path, selection)
    except InvalidSourceException as error:
        suggestion = suggestion_for_name(str(path))
        if suggestion is None or not isinstance(error.__cause__, FileNotFoundError):
            raise
        missing = error
    reason = f"is no file or directory here; {suggestion.way_out}, or give a path that exists"
    raise InvalidSourceException(missing.source, reason, suggestion=suggestion.address) from missing.__cause__


def _path(source: "str | os.PathLike[Any]") -> Path:  # Any: some give bytes
    text: object = os.fspath(source)
    if not isinstance(text, str):
        raise _of_wrong_kind(text)
    if not text:
        raise InvalidSourceException("", "names nothing; give a URL, a file or a directory")
    return Path(text)


def _urls(source: Any) -> tuple[str, ...]:  # Any: what callers give is what validation is for
    if not _is_list(source):
        raise _of_wrong_kind(source)
    urls = tuple(map(_text, islice(cast("Iterable[object]", source), MAX_FILES + 1)))
    if len(urls) > MAX_FILES:
        raise InvalidSourceException("the list", f"is over the limit of {MAX_FILES} URLs; fetch fewer at once")
    return urls


def _is_list(source: object) -> bool:
    return hasattr(source, "__iter__") and not isinstance(source, bytes | bytearray | memoryview | Mapping)


def _text(item: object) -> str:
    if isinstance(item, str):
        return item
    reason = f"has a {type(item).__name__} in its list, where only URLs can be; fetch paths one by one"
    raise InvalidInputException("source", reason)


def _of_wrong_kind(source: object) -> InvalidInputException:
    # Its kind, not itself: bytes may hold credentials too.
    return InvalidInputException("source", f"is a {type(source).__name__}; give a URL, a list of URLs, or a path")
