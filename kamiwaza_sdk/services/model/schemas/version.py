"""Versions and their files, as they are given and as they are returned."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from kamiwaza_sdk._validation import MAX_FILES, MAX_SIZE, FilePath, InputSchema, Sha256, check_label, check_layout
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidNameException
from kamiwaza_sdk.services.model.schemas.fields import Details, Moment, ShortText

__all__ = [
    "CreateFile",
    "CreateVersion",
    "ModelFileSchema",
    "ModelVersionSchema",
    "check_version_label",
]


class ModelFileSchema(BaseModel):
    """A file of a version.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes.
        sha256: Of its bytes, in lower-case hexadecimal digits: its address in the store.
        format: Such as "safetensors"; `None` where it is not known.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, from_attributes=True, defer_build=True)

    path: str
    size: int
    sha256: str
    format: str | None


class ModelVersionSchema(BaseModel):
    """A version of a model, with its files, as it was when it was read.

    Attributes:
        id: A UUIDv7.
        namespace: The namespace it lives in.
        model_id: The model it is a version of.
        model_name: That model's name.
        number: 1, 2, 3 and so on within the model.
        version: The label; ``str(number)`` unless one was given.
        source_revision: The revision at the source, such as a commit.
        digest: SHA-256 over the sorted manifest of its files: see `manifest_digest`.
        size: Bytes, all files together.
        status: Whether it is still being put together, can be used, is kept for the record, or went wrong.
        details: What is known of its inside: format, architecture and so on.
        files: Sorted by path.
        created_at: UTC.
        updated_at: UTC.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: UUID
    namespace: str
    model_id: UUID
    model_name: str
    number: int
    version: str
    source_revision: str | None
    digest: str
    size: int
    status: Literal["draft", "ready", "archived", "failed"]
    details: dict[str, JsonValue]
    files: tuple[ModelFileSchema, ...]
    created_at: Moment
    updated_at: Moment


class CreateFile(InputSchema):
    """A file of a version to create. The attributes are those of `ModelFileSchema`.

    Raises:
        InvalidPathException: The path is not plain and relative.
        InvalidInputException: The size or the digest is none.

    Example:
        >>> CreateFile(path="model.onnx", size=3, sha256="ab" * 32).path
        'model.onnx'
    """

    path: FilePath
    size: int = Field(ge=0, le=MAX_SIZE)
    sha256: Sha256
    format: Annotated[ShortText, Field(max_length=64)] | None = None


def check_version_label(value: str) -> str:
    """Return a version's label, or raise `InvalidNameException`: numbers are assigned, and a label is none."""
    label = check_label(value)
    if label.isdigit():
        reason = f"{label!r} is all digits, which numbers are for; leave it out, or write 'v{label}'"
        raise InvalidNameException("version", reason, value=label)
    return label


def _checked_layout(files: tuple[CreateFile, ...]) -> tuple[CreateFile, ...]:
    check_layout([file.path for file in files])
    if sum(file.size for file in files) > MAX_SIZE:
        raise InvalidInputException("files", f"have over {MAX_SIZE} bytes in all, which databases cannot count")
    return files


class CreateVersion(InputSchema):
    """A version to create, of files that are in the store or will be. The attributes are those of `ModelVersionSchema`.

    Raises:
        InvalidNameException: The label cannot be kept; one that is all digits is refused, as numbers are assigned.
        InvalidPathException: Two files cannot stand beside each other: the same path, or one the other's directory.
        InvalidInputException: There are no files or over 10,000, or a field has the wrong type or size.

    Example:
        >>> CreateVersion(files=(CreateFile(path="model.onnx", size=3, sha256="ab" * 32),), version="v1.5").version
        'v1.5'
    """

    files: Annotated[tuple[CreateFile, ...], Field(min_length=1, max_length=MAX_FILES), AfterValidator(_checked_layout)]
    version: Annotated[str, AfterValidator(check_version_label)] | None = None
    source_revision: ShortText | None = None
    details: Details = Field(default_factory=dict)
