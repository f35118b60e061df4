"""Versions, their files and their lineage, as input and as output."""

import warnings
from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Final, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from kamiwaza_sdk._display import (
    Cell,
    Displayed,
    Listed,
    Table,
    counted,
    cut_digest,
    facts,
    joined,
    listed,
    short_digest,
    shown_size,
    shown_time,
    without_empty,
)
from kamiwaza_sdk._validation import (
    MAX_FILES,
    MAX_SIZE,
    FilePath,
    InputSchema,
    KeptAddress,
    Sha256,
    Text,
    check_label,
    check_layout,
)
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.schemas.fields import (
    Attributes,
    Details,
    FromJSON,
    Moment,
    ReadDetails,
    ShortText,
    Tags,
    UpdateSchema,
    required,
)

#: Where in a version's details the verdict of a policy is.
POLICY: Final = "policy"
#: How many versions one may be made from.
MAX_PARENTS: Final = 100

#: How one version came from another.
Relation = Literal["fine-tuned", "quantized", "converted", "merged", "copied"]
#: ``draft`` is being put together, ``ready`` can be used, ``archived`` is kept for the record, ``failed`` went wrong.
VersionStatus = Literal["draft", "ready", "archived", "failed"]
#: What versions can be sorted by.
VersionSort = Literal["created_at", "updated_at", "size"]


class ModelFileSchema(Listed, BaseModel):
    """A file of a version.

    Attributes:
        path: Relative to the model's root, with ``/`` between segments.
        size: In bytes.
        sha256: Of its bytes, in lower-case hexadecimal digits: its address in the store.
        format: Such as "safetensors"; `None` where it is not known.
        url: Where its bytes came from, without query, user information and signatures; `None` where it is not known.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    path: str
    size: int
    sha256: str
    format: str | None
    url: str | None = None

    def _summary(self) -> dict[str, object]:
        size, digest = shown_size(self.size), short_digest(self.sha256)
        return {"": self.path, "size": size, "sha256": digest, "format": self.format}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("file", "size", "format", "sha256"), (), numbers=frozenset((1,)))

    def _cells(self) -> tuple[str | Cell, ...]:
        return self.path, shown_size(self.size), self.format or "", cut_digest(self.sha256)


class ParentSchema(Displayed, BaseModel):
    """What a version was made from.

    Attributes:
        version_id: That version.
        relation: How.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    version_id: UUID
    relation: Relation


def _sorted(by: str | None = None) -> AfterValidator:
    """Sort what there are several of, by an attribute or by themselves: databases aggregate in any order."""
    key = None if by is None else attrgetter(by)
    return AfterValidator(lambda given: given and tuple(sorted(given, key=key)))


class VersionSummarySchema(Listed, BaseModel):
    """A version of a model without its files, which may be 10,000, as it was when it was read.

    Attributes:
        id: A UUIDv7.
        namespace: The namespace it lives in.
        model_id: The model it is a version of.
        model_name: That model's name.
        number: 1, 2, 3 and so on within the model.
        version: The label; ``str(number)`` unless one was given.
        source: Where it came from, as `fetch` takes it, without credentials or query; `None` where it is not known.
        hub: Where it was published, such as "huggingface".
        source_repository: Its repository there, such as "org/model".
        source_revision: The revision there, such as a commit.
        description: What is particular about this version.
        digest: SHA-256 over the sorted manifest of its files: see `manifest_digest`.
        size: Bytes, all files together.
        status: Whether it is still being put together, can be used, is kept for the record, or went wrong.
        format: Such as "safetensors": what ``details`` names, or what all files have that have one. `None` otherwise.
        parameters: How many, where ``details`` says: the sum where it says so by data type.
        architecture: As ``details`` has it; `None` where that says nothing.
        quantization: As ``details`` has it.
        context_length: In tokens, as ``details`` has it.
        details: Facts of its inside, as they were read from its files: format, architecture and so on. They are given
            when it is created, and no update changes them. Under ``policy`` is what a `Policy` said of it.
        attributes: What users note of it, as a JSON object.
        revision: Counts its changes by `ModelService.update_version`; 1 when created.
        created_at: UTC.
        updated_at: UTC.
        tags: Keys and values.
        aliases: Those that lead here, sorted.
        derived_from: What it was made from, sorted by its ids.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: UUID
    namespace: str
    model_id: UUID
    model_name: str
    number: int
    version: str
    source: str | None = None
    hub: str | None = None
    source_repository: str | None = None
    source_revision: str | None
    description: str | None = None
    digest: str
    size: int
    status: VersionStatus
    format: str | None = None
    parameters: int | None = None
    architecture: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    details: ReadDetails
    attributes: ReadDetails = Field(default_factory=dict)
    revision: int = 1
    created_at: Moment
    updated_at: Moment
    tags: Annotated[dict[str, str], FromJSON()] = Field(default_factory=dict)
    aliases: Annotated[tuple[str, ...], FromJSON(), _sorted()] = ()
    derived_from: Annotated[tuple[ParentSchema, ...], FromJSON(), _sorted("version_id")] = ()

    def _summary(self) -> dict[str, object]:
        return {
            "": f"{self.model_name}:{self.number}",
            "version": None if self.version == str(self.number) else self.version,
            "status": self.status,
            "files": None,
            "size": shown_size(self.size),
            "digest": short_digest(self.digest),
            "aliases": self.aliases,
        }

    def _tables(self) -> Iterable[Table]:
        known = self._summary() | {
            "": None,
            "files": None,
            "size": self._whole_size(),
            "digest": cut_digest(self.digest),
            "aliases": ", ".join(self.aliases),
            "tags": joined(self.tags),
            "format": self.format,
            "architecture": self.architecture,
            "parameters": f"{self.parameters:,}" if self.parameters is not None else None,
            "quantization": self.quantization,
            "context": f"{self.context_length:,} tokens" if self.context_length else None,
            "source": self.source,
            "revision at its source": self.source_revision,
            "description": self.description,
            "attributes": joined(self.attributes),
            "created": shown_time(self.created_at),
        }
        yield facts(known, heading=self._subject())

    def _whole_size(self) -> str:
        return shown_size(self.size)

    @classmethod
    def _columns(cls) -> Table:
        head = ("version", "status", "format", "parameters", "size", "aliases", "digest", "created")
        return Table(head, (), numbers=frozenset((3, 4)))

    def _cells(self) -> tuple[str | Cell, ...]:
        parameters = "" if self.parameters is None else f"{self.parameters:,}"
        words = self._subject(), self.status, self.format or "", parameters, shown_size(self.size)
        return *words, ", ".join(self.aliases), cut_digest(self.digest), shown_time(self.created_at)


class ModelVersionSchema(VersionSummarySchema):
    """A version of a model, with its files, as it was when it was read.

    Attributes:
        files: Sorted by path.
    """

    files: Annotated[tuple[ModelFileSchema, ...], FromJSON(), _sorted("path")]

    def _summary(self) -> dict[str, object]:
        return super()._summary() | {"files": len(self.files)}

    def _whole_size(self) -> str:
        return f"{super()._whole_size()} in {counted(len(self.files), 'file')}"

    def _tables(self) -> Iterable[Table]:
        yield from super()._tables()
        yield without_empty(listed(self.files))


class CreateFile(InputSchema):
    """A file of a version to create. The attributes are those of `ModelFileSchema`.

    Raises:
        InvalidPathException: The path is not plain and relative.
        InvalidInputException: The size or the digest is not valid.

    Example:
        >>> CreateFile(path="model.onnx", size=3, sha256="ab" * 32).path
        'model.onnx'
    """

    path: FilePath
    size: int = Field(ge=0, le=MAX_SIZE)
    sha256: Sha256
    format: Annotated[ShortText, Field(max_length=64)] | None = None
    url: KeptAddress | None = None


def check_version_label(value: str) -> str:
    """Return a version's label, or raise `InvalidInputException`: a number is not a label, as numbers are assigned."""
    label = check_label(value)
    if label.isdigit():
        reason = f"{label!r} is all digits, which numbers are for; leave it out, or write 'v{label}'"
        raise InvalidInputException("version", reason, value=label)
    return label


def _checked_layout(files: tuple[CreateFile, ...]) -> tuple[CreateFile, ...]:
    check_layout([file.path for file in files])
    if sum(file.size for file in files) > MAX_SIZE:
        raise InvalidInputException("files", f"have over {MAX_SIZE} bytes in all, which databases cannot count")
    return files


_Files = Annotated[tuple[CreateFile, ...], Field(max_length=MAX_FILES), AfterValidator(_checked_layout)]


def _without_verdict(details: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if POLICY in details:
        reason = f"have the key {POLICY!r}, where registration keeps a policy's verdict; leave it out"
        raise InvalidInputException("details", f"{reason}, or note it in attributes")
    return details


class CreateParent(InputSchema):
    """What a version was made from. The attributes are those of `ParentSchema`.

    Raises:
        InvalidInputException: The id or the relation is not valid.

    Example:
        >>> CreateParent(version_id=version.id, relation="quantized").relation
        'quantized'
    """

    version_id: UUID
    relation: Relation


class CreateVersion(InputSchema):
    """A version to create, of files that are in the store or will be. The attributes are those of `ModelVersionSchema`.

    A ``draft`` may have no files yet; `UpdateVersion` gives it some, and makes it ``ready``.

    Raises:
        InvalidInputException: The label cannot be kept; one that is all digits is refused, as numbers are assigned; or
            there are no files or over 10,000, a field has the wrong type or size, or ``details`` have the key
            ``policy``, which is registration's to write.
        InvalidPathException: Two files cannot stand beside each other: the same path, or one the other's directory.

    Example:
        >>> CreateVersion(files=(CreateFile(path="model.onnx", size=3, sha256="ab" * 32),), version="v1.5").version
        'v1.5'
    """

    files: _Files = ()
    version: Annotated[str, AfterValidator(check_version_label)] | None = None
    source: KeptAddress | None = None
    hub: ShortText | None = None
    source_repository: KeptAddress | None = None
    source_revision: ShortText | None = None
    description: Text | None = None
    status: Literal["draft", "ready"] = "ready"
    details: Annotated[Details, AfterValidator(_without_verdict)] = Field(default_factory=dict)
    attributes: Attributes = Field(default_factory=dict)
    tags: Tags = Field(default_factory=dict)
    derived_from: Annotated[tuple[CreateParent, ...], Field(max_length=MAX_PARENTS)] = ()

    @model_validator(mode="after")
    def _has_files(self) -> Self:
        if self.status == "ready" and not self.files:
            raise InvalidInputException("files", "are none, which only a draft may have; give 1 to 10,000")
        return self


class UpdateVersion(UpdateSchema):
    """Changes to a version: only the fields that are given change, and `None` clears one.

    What its files say, its details, is not among them. ``details``, by which users noted what they knew until
    ``attributes`` were there, is read as those.

    Raises:
        InvalidInputException: The new label cannot be kept; or another field has the wrong type or size, or cannot be
            cleared.
        InvalidPathException: Two files cannot stand beside each other.

    Example:
        >>> UpdateVersion(status="archived").changes()
        {'status': 'archived'}
    """

    files: Annotated[_Files | None, AfterValidator(required)] = None
    version: Annotated[Annotated[str, AfterValidator(check_version_label)] | None, AfterValidator(required)] = None
    source: KeptAddress | None = None
    hub: ShortText | None = None
    source_repository: KeptAddress | None = None
    source_revision: ShortText | None = None
    description: Text | None = None
    status: Annotated[VersionStatus | None, AfterValidator(required)] = None
    attributes: Annotated[Attributes | None, AfterValidator(required)] = None

    @model_validator(mode="before")
    @classmethod
    def _read_former_name(cls, given: Any) -> Any:  # Any: what Pydantic is given
        if not isinstance(given, dict) or "details" not in given or "attributes" in given:
            return given
        message = "UpdateVersion(details=…) is deprecated, as facts read from files stay; write attributes=…"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return {"attributes" if key == "details" else key: value for key, value in given.items()}


class RelativeSchema(Listed, BaseModel):
    """A version that another was made from, or that was made from it, directly or over others.

    Attributes:
        version_id: The version.
        model_id: The model it is a version of.
        model_name: That model's name.
        number: Its number.
        relation: How it and the next one on the way to the version that was asked about were made from each other.
        distance: How many steps away: 1 is a parent or a child.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    version_id: UUID
    model_id: UUID
    model_name: str
    number: int
    relation: Relation
    distance: int

    def _summary(self) -> dict[str, object]:
        return {"": f"{self.model_name}:{self.number}", "relation": self.relation, "distance": self.distance}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("version", "relation", "distance"), (), numbers=frozenset((2,)))

    def _cells(self) -> tuple[str, ...]:
        return self._subject(), self.relation, str(self.distance)
