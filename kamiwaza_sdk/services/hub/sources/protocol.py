"""What makes a source: the one method that every one has, and the one that some have besides.

Which source an address belongs to, by its scheme: the library's own, then what installed packages bring.
"""

from collections.abc import AsyncIterator
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol, runtime_checkable

from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, SourceEntryPointException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext


@runtime_checkable
class ModelSource(Protocol):
    """Says what an address of its scheme consists of. Made without arguments, once a process, and used by any task.

    A package adds its own by an entry point of the group ``kamiwaza_sdk.sources``, whose name is the scheme. It is
    loaded when an address has that scheme, and not before. Those that the library brings cannot be replaced.

    Example:
        >>> class MirrorSource:
        ...     async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        ...         name = reference.removeprefix("mirror://")
        ...         file = ManifestFileSchema(path="model.onnx", url=f"https://example.org/{name}/model.onnx")
        ...         return ManifestSchema(source=reference, name=name, files=(file,))
        >>> isinstance(MirrorSource(), ModelSource)
        True
    """

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the files of an address, all of them: which of them are wanted is seen to afterwards.

        Args:
            reference: The address, with its scheme in lower case.
            context: How to ask over HTTP, the configuration, and what was remembered. What has no other way to the
                network than this cannot break offline mode, and sends no token anywhere but to its host.

        Raises:
            ServiceException: What the address leads to cannot be told.
        """
        ...


@runtime_checkable
class StreamingSource(ModelSource, Protocol):
    """A source that brings the bytes itself, of files whose URL has its own scheme rather than ``https``.

    What it brings is hashed, checked and counted on the way like anything else. A transfer that breaks begins anew.
    """

    def stream(self, file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
        """Yield the bytes of a file, in pieces of any size, from the first to the last.

        Args:
            file: One of a manifest of this source.
            context: As `ModelSource.resolve` gets it.

        Raises:
            ServiceException: The file does not arrive whole.
        """
        ...


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
