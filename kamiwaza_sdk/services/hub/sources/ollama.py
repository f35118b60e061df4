"""``ollama://``: images of an Ollama registry, and of Ollama's local store.

The registry's API (https://github.com/opencontainers/distribution-spec/blob/main/spec.md):
``/v2/<namespace>/<name>/manifests/<tag>`` lists the layers, ``/v2/<namespace>/<name>/blobs/<digest>`` brings one. Names
are those of Ollama (https://github.com/ollama/ollama/blob/main/types/model/name.go). An image is an OCI manifest
(https://github.com/opencontainers/image-spec/blob/main/manifest.md) whose layers are files.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download.http.hosts import check_url, is_loopback
from kamiwaza_sdk.services.hub.addresses import redacted, suggested
from kamiwaza_sdk.services.hub.exceptions import (
    InvalidAnswerException,
    InvalidSourceException,
    RepositoryNotFoundException,
)
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources.hugging_face import parsed
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import ResponseSchema


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

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

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

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

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


_IMAGE: Final = TypeAdapter(Image)
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: By what registries say which manifest they send.
_DIGESTS: Final = ("docker-content-digest", "ollama-content-digest")


class OllamaSource:
    """The layers of an image, each with its digest."""

    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        """Return the files as the registry lists them, in one request.

        Raises:
            InvalidSourceException: The reference is none.
            RepositoryNotFoundException: There is no such image.
            InvalidAnswerException: The registry's answer cannot be used.
            DownloadTooLargeException: It is larger than any manifest.
            OfflineException: No connection may be opened, and it was not resolved before.
            DownloadException: The registry does not answer.
        """
        wanted = OllamaReference.parse(reference)
        endpoint = _endpoint(wanted, context)
        key = f"{wanted} of {endpoint}"
        if context.offline:
            return await context.recall(key)
        url = f"{endpoint}/v2/{wanted.repository}/manifests/{wanted.tag}"
        response = await context.get(url, max_size=MAX_MANIFEST)
        _refuse_unless_answered(response, wanted, url)
        manifest = await asyncio.to_thread(_manifest, response, wanted, endpoint, url)
        await context.remember(key, manifest)
        return manifest


def _manifest(response: "ResponseSchema", wanted: OllamaReference, endpoint: str, url: str) -> ManifestSchema:
    digest = _digest(response, url)
    files = _files(parsed(_IMAGE, response, url=url, what="manifest of an image"), wanted, endpoint, url)
    return manifest_of(wanted, files, digest=digest)


def _endpoint(wanted: OllamaReference, context: SourceContext) -> str:
    if wanted.host == DEFAULT_HOST:
        return context.config.ollama_endpoint
    secure = not is_loopback(check_url(f"https://{wanted.host}").host)
    return f"{'https' if secure else 'http'}://{wanted.host}"


def _refuse_unless_answered(response: "ResponseSchema", wanted: OllamaReference, url: str) -> None:
    if response.status == HTTPStatus.NOT_FOUND:
        raise RepositoryNotFoundException(repository=f"{wanted.repository}:{wanted.tag}", url=redact_text(url))
    if response.status in _REFUSED:
        reason = f"has the status {response.status}, which a token in DOWNLOAD_SERVICE_TOKENS for its host may help"
        raise InvalidAnswerException(url=redact_text(url), reason=reason)
    if response.status != HTTPStatus.OK:
        raise InvalidAnswerException(url=redact_text(url), reason=f"has the status {response.status}")


def _digest(response: "ResponseSchema", url: str) -> str:
    """Return the digest of a manifest, which must be the one that the registry says it has."""
    digest = hashlib.sha256(response.body).hexdigest()
    for name in _DIGESTS:
        if response.headers.get(name, f"sha256:{digest}") != f"sha256:{digest}":
            reason = f"hashes to {digest}, and not to what its {name} says: it was changed on its way"
            raise InvalidAnswerException(url=redact_text(url), reason=reason)
    return digest


def _files(image: Image, wanted: OllamaReference, endpoint: str, url: str) -> tuple[ManifestFileSchema, ...]:
    base = f"{endpoint}/v2/{wanted.repository}/blobs"
    try:
        return files_of(image, url_of=lambda layer: f"{base}/{layer.digest}")
    except InvalidInputException as error:
        raise InvalidAnswerException(url=redact_text(url), reason=f"lists what cannot be kept: {error}") from error
