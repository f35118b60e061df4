"""The digests that a caller expects, put to the files that they are of."""

from collections.abc import Mapping, Sequence
from typing import cast

from kamiwaza_sdk._validation import check_sha256
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema

__all__ = ["expected", "with_digests"]


def expected(given: object) -> str | dict[str, str] | None:
    """Return the digests that were given, checked.

    Raises:
        InvalidInputException: They are none, or of a wrong kind.
    """
    if given is None or isinstance(given, str):
        return None if given is None else check_sha256(given)
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise InvalidInputException("sha256", f"is a {kind}; give 64 hexadecimal digits, or a mapping from path")
    return dict(_checked(*item) for item in cast("Mapping[object, object]", given).items())


def _checked(path: object, digest: object) -> tuple[str, str]:
    if not (isinstance(path, str) and isinstance(digest, str)):
        reason = (
            f"maps a {type(path).__name__} to a {type(digest).__name__}; give texts, and leave out what has no digest"
        )
        raise InvalidInputException("sha256", reason)
    return path, check_sha256(digest)


def with_digests(
    files: Sequence[ManifestFileSchema], digests: str | dict[str, str] | None
) -> tuple[ManifestFileSchema, ...]:
    """Return the files, each with the digest that is expected of it.

    Raises:
        InvalidInputException: A digest fits no file, or is not the one that its source tells.
    """
    if isinstance(digests, str):
        if len(files) > 1:
            raise InvalidInputException(
                "sha256", f"is one digest for {len(files)} files; give a mapping from path to digest"
            )
        digests = {file.path: digests for file in files}
    elif unused := sorted((digests or {}).keys() - {file.path for file in files}):
        paths = ", ".join(map(ascii, unused))
        raise InvalidInputException("sha256", f"names {paths}, which the source has not; give paths that it has")
    return tuple(_with_digest(file, (digests or {}).get(file.path)) for file in files)


def _with_digest(file: ManifestFileSchema, digest: str | None) -> ManifestFileSchema:
    if digest is None or digest == file.sha256:
        return file
    if file.sha256 is not None:
        reason = f"expects {digest} of {file.path!a}, of which its source tells {file.sha256}; trust one of them"
        raise InvalidInputException("sha256", reason)
    return file.model_copy(update={"sha256": digest})
