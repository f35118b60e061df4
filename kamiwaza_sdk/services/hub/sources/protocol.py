"""What makes a source: the one method that every one has, and the one that some have besides."""

from collections.abc import AsyncIterator
from typing import Protocol, runtime_checkable

from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.context import SourceContext

__all__ = ["ModelSource", "StreamingSource"]


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
