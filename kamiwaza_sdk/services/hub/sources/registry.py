"""Which source an address belongs to, by its scheme: the library's own, then what installed packages bring."""

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, SourceEntryPointException
from kamiwaza_sdk.services.hub.sources.protocol import ModelSource

__all__ = ["GROUP", "source_for"]

#: Of the entry points by which packages bring sources, each named by its scheme.
GROUP: Final = "kamiwaza_sdk.sources"
#: Loaded when first needed, and first in line: what is installed cannot take their place.
_OWN: Final = {
    "az": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
    "gs": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
    "hf": ("kamiwaza_sdk.services.hub.sources.hugging_face", "HuggingFaceSource"),
    "http": ("kamiwaza_sdk.services.hub.sources.web", "WebSource"),
    "https": ("kamiwaza_sdk.services.hub.sources.web", "WebSource"),
    "ollama": ("kamiwaza_sdk.services.hub.sources.ollama", "OllamaSource"),
    "s3": ("kamiwaza_sdk.services.hub.sources.object_storage", "ObjectStorageSource"),
}


def source_for(scheme: str, *, address: str) -> ModelSource:
    """Return what resolves addresses of a scheme. Blocks: it may import, and look at what is installed.

    Raises:
        InvalidSourceException: Nothing does.
        SourceEntryPointException: What should does not.
    """
    if scheme in _OWN:
        return _own(*_OWN[scheme])
    found = tuple(entry_points(group=GROUP, name=scheme))
    if not found:
        others = sorted({*_OWN, "file", *entry_points(group=GROUP).names})
        known = ", ".join(others)
        way_out = f"write http://… or https://…, or install what brings {scheme}:// ({known} are known)"
        reason = f"is no http or https URL; {way_out}"
        raise InvalidSourceException(redacted(address), reason)
    return _foreign(scheme, found)


@cache
def _own(module: str, name: str) -> ModelSource:
    made: ModelSource = getattr(import_module(module), name)()
    return made


@cache
def _foreign(scheme: str, found: tuple[EntryPoint, ...]) -> ModelSource:
    values = sorted({f"{point.name} = {point.value}" for point in found})  # a path listed twice finds each twice
    if len(values) > 1:
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason="is one of several for that scheme")
    try:
        made: object = found[0].load()()
    except Exception as error:  # whatever a foreign module does when it is imported
        reason = f"cannot be loaded ({type(error).__name__}: {error})"
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason=reason) from error
    if not isinstance(made, ModelSource):
        reason = "is no ModelSource: it has no method resolve()"
        raise SourceEntryPointException(scheme=scheme, entry_points=values, reason=reason)
    return made
