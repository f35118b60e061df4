"""Which files of a source are wanted, by patterns such as ``huggingface_hub`` takes."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema

__all__ = ["patterns", "select"]


def patterns(given: object, *, field: str) -> tuple[str, ...] | None:
    """Return what was given as a pattern or several, or `None`.

    Raises:
        InvalidInputException: It is neither.
    """
    if given is None:
        return None
    several: tuple[object, ...] = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else (*given,)
    texts = tuple(pattern for pattern in several if isinstance(pattern, str))
    if len(texts) != len(several):
        raise InvalidInputException(field, "is no pattern and no list of them; give such as '*.safetensors'")
    return tuple(f"{pattern}*" if pattern.endswith("/") else pattern for pattern in texts)


def select(manifest: ManifestSchema, *, allow: Sequence[str] | None, ignore: Sequence[str] | None) -> ManifestSchema:
    """Return the manifest of the files that match one of `allow`, where given, and none of `ignore`.

    Raises:
        InvalidSourceException: No file does.
    """
    if allow is None and ignore is None:
        return manifest
    files = tuple(file for file in manifest.files if _is_wanted(file, allow, ignore))
    if not files:
        known = ", ".join(ascii(file.path) for file in manifest.files[:5])
        raise InvalidSourceException(
            manifest.source, f"has no file that allow={allow} and ignore={ignore} leave; it has {known} and so on"
        )
    return manifest.model_copy(update={"files": files})


def _is_wanted(file: ManifestFileSchema, allow: Sequence[str] | None, ignore: Sequence[str] | None) -> bool:
    if allow is not None and not any(fnmatchcase(file.path, pattern) for pattern in allow):
        return False
    return not any(fnmatchcase(file.path, pattern) for pattern in ignore or ())
