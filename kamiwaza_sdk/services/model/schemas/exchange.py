"""The lines of an export, and what became of one that was written or read."""

from operator import attrgetter
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from kamiwaza_sdk._display import Displayed, Table, facts, shown_size
from kamiwaza_sdk._validation import MAX_SIZE, InputSchema, KeptAddress, Sha256, Text, check_label, check_name
from kamiwaza_sdk.services.model.schemas.config import CreateModelConfig, EventKind
from kamiwaza_sdk.services.model.schemas.fields import (
    KeptAttributes,
    KeptDetails,
    Moment,
    ShortText,
    Tags,
    check_alias,
    check_kept_json,
)
from kamiwaza_sdk.services.model.schemas.model import CreateModel
from kamiwaza_sdk.services.model.schemas.version import MAX_PARENTS, CreateFile, CreateParent, VersionStatus

_Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
_Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
_Amount = Annotated[int, Field(ge=0, le=MAX_SIZE)]
_Told = Annotated[dict[str, JsonValue], AfterValidator(check_kept_json)]
_Alias = Annotated[str, AfterValidator(check_alias)]


def _by_id(parents: tuple[CreateParent, ...]) -> tuple[CreateParent, ...]:
    return tuple(sorted(parents, key=attrgetter("version_id")))


class HeaderRecord(InputSchema):
    """The first line: what the file is, and how its other lines are to be read."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["kamiwaza-models"] = "kamiwaza-models"
    version: _Number
    namespace: str


class ModelRecord(CreateModel):
    """A model, with its tags. What belongs to it follows."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["model"] = "model"
    id: UUID
    revision: _Number
    last_number: _Count
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None
    attributes: KeptAttributes
    last_event: _Count
    last_event_at: Moment | None


class VersionRecord(InputSchema):
    """A version of the model above, with its tags and its parents. Its files follow."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["version"] = "version"
    id: UUID
    number: _Number
    version: Annotated[str, AfterValidator(check_label)]
    source_revision: ShortText | None
    digest: Sha256
    size: _Amount
    status: VersionStatus
    format: Annotated[ShortText, Field(max_length=64)] | None
    parameters: _Amount | None
    details: KeptDetails
    created_at: Moment
    updated_at: Moment
    source: KeptAddress | None
    hub: ShortText | None
    source_repository: KeptAddress | None
    description: Text | None
    architecture: ShortText | None
    quantization: ShortText | None
    context_length: _Amount | None
    attributes: KeptAttributes
    revision: _Number
    tags: Tags
    derived_from: Annotated[tuple[CreateParent, ...], Field(max_length=MAX_PARENTS), AfterValidator(_by_id)]


class FileRecord(CreateFile):
    """A file of the version above."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["file"] = "file"


class AliasRecord(InputSchema):
    """An alias of the model above."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["alias"] = "alias"
    alias: _Alias
    version_id: UUID
    number: _Number
    updated_at: Moment


class ConfigRecord(CreateModelConfig):
    """A configuration of the model above, or of a version of it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["config"] = "config"
    id: UUID
    version_id: UUID | None
    config: KeptDetails
    system_config: KeptDetails
    created_at: Moment
    updated_at: Moment


class EventRecord(InputSchema):
    """What happened to the model above."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["event"] = "event"
    sequence: _Number
    at: Moment
    event: EventKind
    actor: ShortText | None
    version_id: UUID | None
    alias: Annotated[str, AfterValidator(check_name)] | None
    before: _Told
    after: _Told


class EndRecord(InputSchema):
    """The last line: without it, the file was cut."""

    model_config: ClassVar[ConfigDict] = ConfigDict(defer_build=True)  # few calls need it

    kind: Literal["end"] = "end"
    lines: Annotated[int, Field(ge=1)]
    sha256: Sha256


Record = ModelRecord | VersionRecord | FileRecord | AliasRecord | ConfigRecord | EventRecord


class ExportSchema(Displayed, BaseModel):
    """What `ModelService.export_models` has written.

    Attributes:
        models: How many models.
        versions: How many versions of them.
        files: How many files those have.
        size: How many bytes the export has.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    models: int
    versions: int
    files: int
    size: int

    def _summary(self) -> dict[str, object]:
        counts = {"models": self.models, "versions": self.versions, "files": self.files}
        return {**counts, "size": shown_size(self.size)}

    def _tables(self) -> tuple[Table, ...]:
        return (facts(self._summary()),)


class ImportSchema(Displayed, BaseModel):
    """What became of the models that `ModelService.import_models` has read.

    Attributes:
        created: How many are new.
        updated: How many existed, and were changed or got something new.
        skipped: How many existed, and are as they were.
        versions: How many versions are new.
        aliases_kept: How many aliases lead to another version here than in the file, and were left so.
        parents_missing: How many times a new version was made from one that is neither in the file nor here. That it
            was is in its history alone.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    created: int = 0
    updated: int = 0
    skipped: int = 0
    versions: int = 0
    aliases_kept: int = 0
    parents_missing: int = 0

    def _summary(self) -> dict[str, object]:
        return self.model_dump()

    def _tables(self) -> tuple[Table, ...]:
        return (facts(self._summary()),)
