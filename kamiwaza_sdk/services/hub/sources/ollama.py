"""``ollama://``: an image of an Ollama registry.

What is asked is the registry's HTTP API (https://github.com/opencontainers/distribution-spec/blob/main/spec.md):
``/v2/<namespace>/<name>/manifests/<tag>`` lists the layers, ``/v2/<namespace>/<name>/blobs/<digest>`` brings one.
"""

import asyncio
import hashlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from kamiwaza_sdk._addresses import redact_text
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.download._hosts import is_loopback
from kamiwaza_sdk.services.download.urls import check_url
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException, RepositoryNotFoundException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.hub.sources._answers import parsed
from kamiwaza_sdk.services.hub.sources._ollama_images import (
    DEFAULT_HOST,
    MAX_MANIFEST,
    Image,
    OllamaReference,
    files_of,
    manifest_of,
)
from kamiwaza_sdk.services.hub.sources.context import SourceContext

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import ResponseSchema

__all__ = ["OllamaSource"]

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
