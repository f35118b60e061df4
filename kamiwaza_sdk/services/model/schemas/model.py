"""Models as input and as output, pages of them, and the result of a bulk creation."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from kamiwaza_sdk._display import Displayed, Listed, Table, facts, joined, listed, shown_time
from kamiwaza_sdk._validation import InputSchema, KeptAddress, ModelName, Text
from kamiwaza_sdk.services.model.schemas.fields import (
    Attributes,
    FromJSON,
    Moment,
    ReadDetails,
    ShortText,
    Tags,
    UpdateSchema,
    required,
)

#: What models can be sorted by.
ModelSort = Literal["name", "created_at", "updated_at", "task", "author", "family"]
#: What becomes of a model whose name is taken.
OnConflict = Literal["raise", "skip", "update"]


class LatestVersionSchema(Displayed, BaseModel):
    """Which version of a model is the latest: of those that are ready, the one with the highest number.

    Attributes:
        id: The version.
        number: Its number.
        version: Its label.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: UUID
    number: int
    version: str


class ModelSchema(Listed, BaseModel):
    """A model, as it was when it was read.

    Attributes:
        id: A UUIDv7: ids sort by creation, approximately across machines.
        namespace: The namespace it lives in.
        name: Unique in its namespace.
        family: Such as "llama".
        task: Such as "text-generation".
        author: Who made it.
        hub: Where it was published, such as "huggingface".
        source_repository: Its repository or address there, without credentials. Of a model that was pulled: where its
            first version came from; each version says where it came from itself.
        description: What it is.
        license: Such as "apache-2.0".
        model_card: Its model card, as Markdown.
        attributes: What users note of it, as a JSON object.
        private: Whether whoever shows models should keep it to its owners. The registry shows it all the same.
        revision: Counts the changes of these fields and of being deleted; 1 when created. What its tags, aliases,
            versions and configurations go through does not count.
        created_at: UTC.
        updated_at: When `revision` was last counted up. UTC.
        deleted_at: UTC; `None` unless it is deleted.
        tags: Keys and values.
        aliases: Which version each alias leads to, by number.
        latest_version: `None` where no version is ready.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: UUID
    namespace: str
    name: str
    family: str | None
    task: str | None
    author: str | None
    hub: str | None
    source_repository: str | None
    description: str | None
    license: str | None
    model_card: str | None
    attributes: ReadDetails = Field(default_factory=dict)
    private: bool
    revision: int
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None
    tags: Annotated[dict[str, str], FromJSON()] = Field(default_factory=dict)
    aliases: Annotated[dict[str, int], FromJSON()] = Field(default_factory=dict)
    latest_version: Annotated[LatestVersionSchema, FromJSON()] | None = None

    def _summary(self) -> dict[str, object]:
        return {
            "": self.name,
            "namespace": None if self.namespace == "default" else self.namespace,
            "task": self.task,
            "license": self.license,
            "latest": self.latest_version and self.latest_version.version,
            "aliases": self.aliases,
            "deleted": shown_time(self.deleted_at),
        }

    def _tables(self) -> Iterable[Table]:
        known = self._summary() | {
            "": None,
            "family": self.family,
            "author": self.author,
            "aliases": joined(self.aliases),
            "tags": joined(self.tags),
            "source": self.source_repository,
            "description": self.description,
            "attributes": joined(self.attributes),
            "private": self.private or None,
            "created": shown_time(self.created_at),
            "updated": f"{shown_time(self.updated_at)} (revision {self.revision})",
        }
        return (facts(known, heading=self.name),)

    @classmethod
    def _columns(cls) -> Table:
        return Table(("model", "task", "license", "latest", "aliases", "updated"), ())

    def _cells(self) -> tuple[str, ...]:
        latest = self.latest_version.version if self.latest_version else ""
        words = self.name, self.task or "", self.license or "", latest
        return *words, joined(self.aliases), shown_time(self.updated_at)


class CreateModel(InputSchema):
    """A model to create. The attributes are those of `ModelSchema`.

    Raises:
        InvalidInputException: The name is not 1 to 255 characters in segments without control characters or dots alone;
            or another field has the wrong type, is too long, or holds what is no text.

    Example:
        >>> CreateModel(name="sentence-transformers/all-MiniLM-L6-v2", task="feature-extraction").name
        'sentence-transformers/all-MiniLM-L6-v2'
    """

    name: ModelName
    family: ShortText | None = None
    task: ShortText | None = None
    author: ShortText | None = None
    hub: ShortText | None = None
    source_repository: KeptAddress | None = None
    description: Text | None = None
    license: ShortText | None = None
    model_card: Text | None = None
    attributes: Attributes = Field(default_factory=dict)
    private: bool = False
    tags: Tags = Field(default_factory=dict)


class UpdateModel(UpdateSchema):
    """Changes to a model: only the fields that are given change, and `None` clears one.

    Raises:
        InvalidInputException: The new name cannot be kept; or another field has the wrong type, is too long, or cannot
            be cleared.

    Example:
        >>> UpdateModel(description="Small and quick.", license=None).changes()
        {'description': 'Small and quick.', 'license': None}
    """

    name: Annotated[ModelName | None, AfterValidator(required)] = None
    family: ShortText | None = None
    task: ShortText | None = None
    author: ShortText | None = None
    hub: ShortText | None = None
    source_repository: KeptAddress | None = None
    description: Text | None = None
    license: ShortText | None = None
    model_card: Text | None = None
    attributes: Annotated[Attributes | None, AfterValidator(required)] = None
    private: Annotated[bool | None, AfterValidator(required)] = None


class BulkResult(Displayed, BaseModel):
    """What became of the models that were given to `ModelService.create_models`.

    Attributes:
        created: How many are new.
        updated: How many existed, and were changed.
        skipped: How many existed, and are as they were.
        models: All of these in the order given, where they were asked for.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    created: int = 0
    updated: int = 0
    skipped: int = 0
    models: tuple[ModelSchema, ...] = ()

    def _summary(self) -> dict[str, object]:
        counts = {"created": self.created, "updated": self.updated, "skipped": self.skipped}
        return {**counts, "models": len(self.models) or None}

    def _tables(self) -> Iterable[Table]:
        yield facts(self._summary())
        yield listed(self.models)


_Item = TypeVar("_Item")


class Page(Displayed, BaseModel, Generic[_Item]):
    """Some of what was asked for, and how to get to the rest.

    Attributes:
        items: In the order asked for.
        next_cursor: What gets the page after this one; `None` where there is none.
        previous_cursor: What gets the page before this one; `None` where there is none.
        total: How many there are on all pages; `None` unless it was asked for.
        truncated: Whether a text found 10,000 models or more, of which only so many were looked at.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    items: tuple[_Item, ...]
    next_cursor: str | None = None
    previous_cursor: str | None = None
    total: int | None = None
    truncated: bool = False

    def _summary(self) -> dict[str, object]:
        more = self.next_cursor is not None
        return {"": len(self.items), "total": self.total, "more": more, "truncated": self.truncated or None}

    def _tables(self) -> Iterable[Table]:
        total = "" if self.total is None else f" of {self.total:,}"
        heading = f"{len(self.items):,} shown{total}{', more follow' if self.next_cursor is not None else ''}"
        shown = [item for item in self.items if isinstance(item, Listed)]
        return (listed(shown, heading=heading, most=len(shown)),)
