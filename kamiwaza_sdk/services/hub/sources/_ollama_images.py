"""Names such as ``ollama://name:tag``, and what an image consists of: as the registry has it, and Ollama's store.

The names are those of Ollama (https://github.com/ollama/ollama/blob/main/types/model/name.go); an image is an OCI
manifest (https://github.com/opencontainers/image-spec/blob/main/manifest.md) whose layers are files.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.addresses import redacted, suggested
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema

__all__ = ["DEFAULT_HOST", "MAX_MANIFEST", "Image", "Layer", "OllamaReference", "files_of", "manifest_of"]

DEFAULT_HOST: Final = "registry.ollama.ai"
#: Some ten thousand layers.
MAX_MANIFEST: Final = 4 * 1024**2
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,349}(:[0-9]{1,5})?")
_NAME, _NAMESPACE_AND_NAME, _ALL = 1, 2, 3

_KIND: Final = "application/vnd.ollama.image."
#: What a layer is called as a file, by its media type.
_FILES: Final = {
    "application/vnd.docker.container.image.v1+json": "ollama.json",
    f"{_KIND}adapter": "adapter.gguf",
    f"{_KIND}license": "LICENSE",
    f"{_KIND}messages": "messages.json",
    f"{_KIND}model": "model.gguf",
    f"{_KIND}params": "params.json",
    f"{_KIND}projector": "mmproj.gguf",
}
_UNKNOWN: Final = re.compile(rf"{re.escape(_KIND)}([a-z][a-z0-9-]{{0,39}})")


@dataclass(frozen=True, slots=True)
class OllamaReference:
    """An image by its tag.

    Attributes:
        host: The registry.
        repository: ``namespace/name``.
        tag: Which of them.
    """

    host: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Return what ``ollama://[[host/]namespace/]name[:tag]`` names.

        Raises:
            InvalidSourceException: It is written differently.
        """
        above, slash, last = reference.removeprefix("ollama://").rpartition("/")
        name, colon, tag = last.partition(":")
        parts = [*above.split("/"), name] if slash else [name]
        host = parts.pop(0) if len(parts) == _ALL else DEFAULT_HOST
        words = [*parts, tag] if colon else parts
        if len(parts) > _NAMESPACE_AND_NAME or not (_HOST.fullmatch(host) and all(map(_WORD.fullmatch, words))):
            reason = "names no image; write ollama://name:tag, ollama://namespace/name or ollama://host/namespace/name"
            raise InvalidSourceException(redacted(reference), reason)
        repository = f"library/{name}" if len(parts) == _NAME else "/".join(parts)
        return cls(host, repository, tag or "latest")

    def __str__(self) -> str:
        host = "" if self.host == DEFAULT_HOST else f"{self.host}/"
        return f"ollama://{host}{self.repository}:{self.tag}"


class Layer(BaseModel):
    """A file of an image."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    media_type: str = Field(alias="mediaType")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)
    name: str = ""

    @property
    def sha256(self) -> str:
        """The digest alone."""
        return self.digest.removeprefix("sha256:")


class Image(BaseModel):
    """What a manifest says: one layer that describes the others, and those."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True)

    config: Layer
    #: Only the first thing that is wrong is looked for, as in listings of files.
    layers: Annotated[tuple[Layer, ...], Field(min_length=1), FailFast()]


def files_of(
    image: Image, *, url_of: Callable[[Layer], str], inside: str | None = None
) -> tuple[ManifestFileSchema, ...]:
    """Return the files of an image. Those of a kind that have no names of their own are numbered, in order.

    Raises:
        InvalidInputException: A layer is of no kind that could be a file, or has a name that no file can have.
    """
    counts = Counter[str]()
    files: list[ManifestFileSchema] = []
    for layer in (*image.layers, image.config):
        path = layer.name or _numbered(_plain_name(layer), counts)
        files.append(
            ManifestFileSchema(path=path, url=url_of(layer), size=layer.size, sha256=layer.sha256, inside=inside)
        )
    return tuple(files)


def _plain_name(layer: Layer) -> str:
    kind = layer.media_type.partition(";")[0].strip()
    other = _UNKNOWN.fullmatch(kind)
    if kind not in _FILES and other is None:
        raise InvalidInputException("mediaType", f"is {shown(kind)}, of which no file can be named; it is no model")
    return _FILES.get(kind) or (other[1] if other else "")


def _numbered(name: str, counts: Counter[str]) -> str:
    counts[name] += 1
    path = PurePosixPath(name)
    return name if counts[name] == 1 else f"{path.stem}-{counts[name]}{path.suffix}"


def manifest_of(
    wanted: OllamaReference, files: tuple[ManifestFileSchema, ...], *, digest: str, page: str | None = None
) -> ManifestSchema:
    """Return the manifest of an image whose own manifest has that digest."""
    namespace, _, name = wanted.repository.partition("/")
    official = namespace == "library"
    return ManifestSchema(
        source=str(wanted),
        name=suggested(name if official else wanted.repository),
        files=files,
        revision=f"sha256:{digest}",
        repository=wanted.repository,
        hub="ollama" if wanted.host == DEFAULT_HOST else wanted.host,
        author=None if official else namespace,
        page=page,
    )
