"""Ollama's store: ``manifests/<host>/<namespace>/<name>/<tag>`` names what lies in ``blobs/sha256-<digest>``."""

import hashlib
import os
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException, NotInCacheException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources.local import CachedFiles, read_small, regular_size
from kamiwaza_sdk.services.hub.sources.ollama import MAX_MANIFEST, Image, Layer, OllamaReference, files_of, manifest_of

#: Where it keeps models of a user's; and where, as its Linux service, of the user ``ollama`` that its installer makes.
_PLACES: Final = ("~/.ollama/models", "/usr/share/ollama/.ollama/models")


def resolve(reference: str, cache: Path | None, config: HubConfig, selection: Selection) -> CachedFiles:
    """Return the layers of an image. Blocks.

    Raises:
        InvalidSourceException: The reference is none, or what is kept of it cannot be used.
        NotInCacheException: It is not kept, or not all of it.
    """
    del config, selection
    wanted = OllamaReference.parse(reference)
    below = f"manifests/{wanted.host}/{wanted.repository}/{wanted.tag}"
    places = [cache] if cache is not None else _places()
    for place in places:
        path = place / below
        if (text := read_small(path, inside=place, limit=MAX_MANIFEST)) is not None:
            break
    else:
        looked_in = " and ".join(map(str, places))
        raise NotInCacheException(source=str(wanted), cache=looked_in, reason=f"there is no {below}")
    files = _files(_image(text, path), place, path, wanted)
    return CachedFiles(manifest_of(wanted, files, digest=hashlib.sha256(text).hexdigest()))


def _places() -> list[Path]:
    named = os.environ.get("OLLAMA_MODELS")
    return [Path(place).expanduser().absolute() for place in ([named] if named else _PLACES)]


def _image(text: bytes, path: Path) -> Image:
    try:
        return Image.model_validate_json(text)
    except ValidationError as error:
        problem = shown(error.errors(include_url=False, include_input=False)[0]["msg"], limit=200)
        reason = f"is no manifest: {problem}; let ollama pull it again"
        raise InvalidSourceException(str(path), reason) from None  # the error holds all of the text


def _files(image: Image, place: Path, path: Path, wanted: OllamaReference) -> tuple[ManifestFileSchema, ...]:
    blobs = place / "blobs"
    inside = Path(os.path.realpath(blobs))
    try:
        files = files_of(image, url_of=lambda layer: _blob(blobs, layer).as_uri(), inside=inside.as_uri())
    except InvalidInputException as error:
        raise InvalidSourceException(str(path), f"lists what cannot be kept: {error}") from error
    for layer in (*image.layers, image.config):
        if (size := regular_size(_blob(blobs, layer), inside=blobs, source=str(wanted))) != layer.size:
            reason = f"its {_blob(blobs, layer)} has {size} bytes and not {layer.size}"
            raise NotInCacheException(source=str(wanted), cache=str(place), reason=reason)
    return files


def _blob(blobs: Path, layer: Layer) -> Path:
    return blobs / f"sha256-{layer.sha256}"
