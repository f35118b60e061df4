"""The models that a repository offers to choose from: the same weights in several sizes."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from kamiwaza_sdk.formats.inspection import detect_format
from kamiwaza_sdk.formats.layouts.names import companion_kind, gguf_type
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema

__all__ = ["PREFERRED", "Offer", "format_by_name", "offers_of", "weights_of"]

#: Which format counts where a repository has the same weights in several.
PREFERRED: Final = ("safetensors", "gguf", "onnx", "pickle")
#: What llama.cpp's gguf-split appends to the name of each part.
_PART: Final = re.compile(r"-\d{5}-of-\d{5}$")


class Offer(NamedTuple):
    """A whole model in one or several files."""

    name: str
    files: tuple[ManifestFileSchema, ...]

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        return sum(file.size or 0 for file in self.files)


def format_by_name(path: str) -> str | None:
    """Return what the name says that a file is, `None` where it is no file of weights."""
    return detect_format(b"", path=path)


def weights_of(files: Iterable[ManifestFileSchema]) -> tuple[str | None, tuple[ManifestFileSchema, ...]]:
    """Return the files of weights of the format that counts, and that format."""
    by_format = defaultdict[str | None, list[ManifestFileSchema]](list)
    for file in files:
        by_format[format_by_name(file.path)].append(file)
    chosen = next((name for name in PREFERRED if name in by_format), None)
    return chosen, tuple(by_format[chosen]) if chosen is not None else ()


def offers_of(files: Sequence[ManifestFileSchema]) -> tuple[Offer, ...]:
    """Return what can be chosen from, the largest first: GGUF models, or else all weights of the format that counts.

    A model that is split is one; projectors are none.
    """
    models = defaultdict[str, list[ManifestFileSchema]](list)
    for file in files:
        path = PurePosixPath(file.path)
        if format_by_name(file.path) == "gguf" and companion_kind(file.path) != "projector":
            models[str(path.with_name(_PART.sub("", path.stem)))].append(file)
    if not models:
        kind, weights = weights_of(files)
        return () if kind is None else (Offer(kind, weights),)
    types = {model: gguf_type(model) for model in models}
    often = Counter(types.values())
    names = {model: model if kind is None or often[kind] > 1 else kind for model, kind in types.items()}
    offers = (Offer(names[model], tuple(sorted(parts, key=lambda file: file.path))) for model, parts in models.items())
    return tuple(sorted(offers, key=lambda offer: (-offer.size, offer.name)))
