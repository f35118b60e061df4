"""Configurations and events of the history, as input and as output."""

from copy import deepcopy
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from kamiwaza_sdk._display import Listed, Table, joined, shown_time
from kamiwaza_sdk._validation import InputSchema, check_name, shown
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.schemas.fields import Details, Moment, ReadDetails, UpdateSchema, required


class ModelConfigSchema(Listed, BaseModel):
    """Named settings to run a model or a version with, as they were when they were read.

    Attributes:
        id: A UUIDv7.
        namespace: The namespace it lives in.
        model_id: The model.
        version_id: The version; `None` where the settings are the model's.
        name: Unique among those of the model, or of the version.
        is_default: Whether it is the default one; of each model, and of each version, one at most is.
        config: What the model is run with, such as a temperature.
        system_config: What it is run on, such as a number of GPUs.
        created_at: UTC.
        updated_at: UTC.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    id: UUID
    namespace: str
    model_id: UUID
    version_id: UUID | None
    name: str
    is_default: bool
    config: ReadDetails
    system_config: ReadDetails
    created_at: Moment
    updated_at: Moment

    def _summary(self) -> dict[str, object]:
        of = "version" if self.version_id else "model"
        return {"": self.name, "of": of, "default": self.is_default or None, "config": self.config}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("configuration", "of", "", "config", "system", "updated"), ())

    def _cells(self) -> tuple[str, ...]:
        words = self.name, "version" if self.version_id else "model", "default" if self.is_default else ""
        return *words, joined(self.config), joined(self.system_config), shown_time(self.updated_at)

    def merged(self, overrides: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Return `config` with overrides laid over it, objects within objects too; nothing is changed.

        An override of `None` takes a key away (RFC 7396, JSON Merge Patch); a list replaces a list.

        Args:
            overrides: What a single call wants otherwise.

        Raises:
            InvalidInputException: They are no dict.

        Example:
            >>> fast = CreateModelConfig(name="fast", config={"a": {"b": 1, "c": 2}})
            >>> models.create_config(fast, model_id=model.id).merged({"a": {"c": None, "d": 3}})
            {'a': {'b': 1, 'd': 3}}
        """
        if not isinstance(overrides, dict):
            raise InvalidInputException("overrides", f"must be a dict, not {shown(overrides)}; {{}} changes nothing")
        return _merge(deepcopy(self.config), deepcopy(overrides))


def _merge(base: dict[str, JsonValue], patch: dict[str, JsonValue]) -> dict[str, JsonValue]:
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            inner = merged.get(key)
            merged[key] = _merge(inner if isinstance(inner, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _config_name(value: str) -> str:
    return check_name(value)


class CreateModelConfig(InputSchema):
    """A configuration to create. The attributes are those of `ModelConfigSchema`.

    Raises:
        InvalidInputException: The name cannot be kept; or a value is what JSON or a database cannot hold.

    Example:
        >>> CreateModelConfig(name="fast", config={"temperature": 0.2}, is_default=True).is_default
        True
    """

    name: Annotated[str, AfterValidator(_config_name)]
    is_default: bool = False
    config: Details = Field(default_factory=dict)
    system_config: Details = Field(default_factory=dict)


class UpdateModelConfig(UpdateSchema):
    """Changes to a configuration: only the fields that are given change. To be the default moves there from another.

    Raises:
        InvalidInputException: The new name cannot be kept; or a value is what JSON or a database cannot hold, or cannot
            be cleared.

    Example:
        >>> UpdateModelConfig(is_default=True).changes()
        {'is_default': True}
    """

    name: Annotated[str | None, AfterValidator(required), AfterValidator(_config_name)] = None
    is_default: Annotated[bool | None, AfterValidator(required)] = None
    config: Annotated[Details | None, AfterValidator(required)] = None
    system_config: Annotated[Details | None, AfterValidator(required)] = None


#: What can happen.
EventKind = Literal[
    "model.created",
    "model.updated",
    "model.deleted",
    "model.restored",
    "model.purged",
    "version.created",
    "version.updated",
    "version.deleted",
    "alias.set",
    "alias.rolled_back",
    "alias.deleted",
    "tag.set",
    "tag.deleted",
    "config.created",
    "config.updated",
    "config.deleted",
    "parent.set",
    "parent.deleted",
]


class ModelEventSchema(Listed, BaseModel):
    """One change. It is written together with what it tells of, and neither edited nor deleted, but by a purge.

    Attributes:
        model_id: The model.
        sequence: 1, 2, 3 and so on within the model, in the order of commits, without gaps.
        namespace: The namespace of the model.
        at: When, in UTC. Within a model it never runs backwards, whatever clocks do.
        kind: What happened.
        actor: Who did it: what the service was given.
        version_id: The version it happened to; `None` where it happened to the model as a whole.
        alias: The alias, where it is about one.
        before: What changed, as it was.
        after: What changed, as it is since.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    model_id: UUID
    sequence: int
    namespace: str
    at: Moment
    kind: EventKind
    actor: str | None
    version_id: UUID | None
    alias: str | None
    before: ReadDetails
    after: ReadDetails

    def _summary(self) -> dict[str, object]:
        at = shown_time(self.at)
        return {"": self.kind, "sequence": self.sequence, "at": at, "actor": self.actor, "alias": self.alias}

    @classmethod
    def _columns(cls) -> Table:
        return Table(("#", "at", "what", "alias", "by", "before", "after"), (), numbers=frozenset((0,)))

    def _cells(self) -> tuple[str, ...]:
        words = str(self.sequence), shown_time(self.at), self.kind, self.alias or "", self.actor or ""
        return *words, joined(self.before), joined(self.after)
