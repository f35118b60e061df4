"""`ModelService`: methods for aliases, tags, configurations and the history."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.model import registry, search
from kamiwaza_sdk.services.model.schemas.config import (
    CreateModelConfig,
    ModelConfigSchema,
    ModelEventSchema,
    UpdateModelConfig,
)
from kamiwaza_sdk.services.model.schemas.fields import check_actor
from kamiwaza_sdk.services.model.schemas.version import VersionSummarySchema
from kamiwaza_sdk.services.model.session import Scope, check_session, in_transaction

if TYPE_CHECKING:
    from kamiwaza_sdk.services.model.schemas.model import Page


class Bound:
    """Bound to a session and a namespace."""

    def __init__(self, db: Session, *, namespace: str, actor: str | None) -> None:
        self.db: Session = check_session(db)
        self._scope = Scope(db, check_namespace(namespace), check_actor(actor))

    @property
    def namespace(self) -> str:
        """The namespace that every call is bound to."""
        return self._scope.namespace

    @property
    def actor(self) -> str | None:
        """Who is at work, for the history."""
        return self._scope.actor

    @property
    def _in_transaction(self) -> bool:
        return in_transaction(self.db)


class LabelMethods(Bound):
    """Aliases, which lead to versions, and tags."""

    def create_alias(self, version_id: UUID, alias: str) -> VersionSummarySchema:
        """Let a new alias of its model lead to a version. One that exists is left where it is.

        Args:
            version_id: The version, which is ready.
            alias: Such as ``production``: one segment, not all digits, not ``latest``.

        Returns:
            The version without its files, which may be many. `get_version` has them.

        Raises:
            AliasAlreadyExistsException: The model has the alias, and it is not to be moved.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            PolicyViolationException: The version has failed, because a policy objects to it.
            VersionStatusException: The version is not ready.
            InvalidInputException: There can be no such alias; or `version_id` is no UUID, or the model would have over
                1,000 aliases.
            DatabaseException: The database could not do it.

        Example:
            >>> models.create_alias(version.id, "production").aliases
            ('production',)
        """
        return registry.aliases.create_alias(self._scope, version_id, alias)

    def set_alias(self, version_id: UUID, alias: str) -> VersionSummarySchema:
        """Let an alias of its model lead to a version: a new one, or one that is moved. The history keeps where it led.

        Args:
            version_id: The version, which is ready.
            alias: Such as ``production``: one segment, not all digits, not ``latest``.

        Returns:
            The version without its files, which may be many. `get_version` has them.

        Raises:
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            PolicyViolationException: The version has failed, because a policy objects to it.
            VersionStatusException: The version is not ready.
            InvalidInputException: There can be no such alias; or `version_id` is no UUID, or the model would have over
                1,000 aliases.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_alias(version.id, "production").id == models.resolve("minilm@production").id
            True
        """
        return registry.aliases.set_alias(self._scope, version_id, alias)

    def delete_alias(self, model_id: UUID, alias: str) -> None:
        """Delete an alias of a model. The version it led to is left as it is.

        Args:
            model_id: The model.
            alias: The alias.

        Raises:
            AliasNotFoundException: The model has no such alias.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InUseException: Rows of your own refer to the alias.
            InvalidInputException: There can be no such alias; or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_alias(version.id, "staging").aliases
            ('staging',)
            >>> models.delete_alias(model.id, "staging")
            >>> models.get_model(model.id).aliases
            {}
        """
        registry.aliases.delete_alias(self._scope, model_id, alias)

    def rollback_alias(self, model_id: UUID, alias: str) -> VersionSummarySchema:
        """Let an alias lead to where it led before. Done again, to where it led before that, and so on.

        Args:
            model_id: The model.
            alias: The alias.

        Returns:
            The version it leads to now, without its files.

        Raises:
            AliasNotFoundException: The model has no such alias, or it has led nowhere else before.
            VersionNotFoundException: The version it led to has been deleted.
            PolicyViolationException: The version it led to has failed, and a policy objects to it.
            VersionStatusException: The version it led to is not ready any more.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidInputException: There can be no such alias; or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=4, sha256="cd" * 32),)
            >>> better = models.create_version(model.id, CreateVersion(files=files))
            >>> for each in (version, better):
            ...     _ = models.set_alias(each.id, "production")
            >>> models.rollback_alias(model.id, "production").number
            1
        """
        return registry.aliases.roll_back_alias(self._scope, model_id, alias)

    def set_model_tag(self, model_id: UUID, key: str, value: str) -> None:
        """Give a model a tag, or a tag it has another value. The model is found by its words.

        Args:
            model_id: The model.
            key: 1 to 255 characters, without control characters.
            value: At most 5,000 characters.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidInputException: Key or value cannot be kept, the model would have over 1,000 tags, or `model_id` is
                no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_model_tag(model.id, "lang", "en")
            >>> models.get_model(model.id).tags
            {'lang': 'en'}
        """
        registry.tags.set_model_tag(self._scope, model_id, key, value)

    def replace_model_tags(self, model_id: UUID, tags: Mapping[str, str]) -> None:
        """Give a model just these tags: others that it has are deleted.

        Args:
            model_id: The model.
            tags: Keys and values, as of `set_model_tag`; at most 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InUseException: Rows of your own refer to a tag that would be deleted.
            InvalidInputException: They cannot be kept, or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.replace_model_tags(model.id, {"lang": "en", "tier": "1"})
            >>> models.replace_model_tags(model.id, {"lang": "ja"})
            >>> models.get_model(model.id).tags
            {'lang': 'ja'}
        """
        registry.tags.replace_model_tags(self._scope, model_id, tags)

    def delete_model_tag(self, model_id: UUID, key: str) -> None:
        """Delete a tag of a model.

        Args:
            model_id: The model.
            key: The tag's key.

        Raises:
            TagNotFoundException: The model has no tag of that key.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InUseException: Rows of your own refer to the tag.
            InvalidInputException: There can be no such key, or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_model_tag(model.id, "lang", "en")
            >>> models.delete_model_tag(model.id, "lang")
        """
        registry.tags.delete_model_tag(self._scope, model_id, key)

    def set_version_tag(self, version_id: UUID, key: str, value: str) -> None:
        """Give a version a tag, or a tag it has another value.

        Args:
            version_id: The version.
            key: 1 to 255 characters, without control characters.
            value: At most 5,000 characters.

        Raises:
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InvalidInputException: Key or value cannot be kept, the version would have over 1,000 tags, or
                `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_version_tag(version.id, "lang", "en")
            >>> models.get_version(version.id).tags
            {'lang': 'en'}
        """
        registry.tags.set_version_tag(self._scope, version_id, key, value)

    def replace_version_tags(self, version_id: UUID, tags: Mapping[str, str]) -> None:
        """Give a version just these tags: others that it has are deleted.

        Args:
            version_id: The version.
            tags: Keys and values, as of `set_version_tag`; at most 1,000.

        Raises:
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InUseException: Rows of your own refer to a tag that would be deleted.
            InvalidInputException: They cannot be kept, or `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.replace_version_tags(version.id, {"lang": "en", "tier": "1"})
            >>> models.replace_version_tags(version.id, {"lang": "ja"})
            >>> models.get_version(version.id).tags
            {'lang': 'ja'}
        """
        registry.tags.replace_version_tags(self._scope, version_id, tags)

    def delete_version_tag(self, version_id: UUID, key: str) -> None:
        """Delete a tag of a version.

        Args:
            version_id: The version.
            key: The tag's key.

        Raises:
            TagNotFoundException: The version has no tag of that key.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InUseException: Rows of your own refer to the tag.
            InvalidInputException: There can be no such key, or `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_version_tag(version.id, "lang", "en")
            >>> models.delete_version_tag(version.id, "lang")
        """
        registry.tags.delete_version_tag(self._scope, version_id, key)


class RecordMethods(Bound):
    """Configurations, and what has happened."""

    def create_config(
        self, config: CreateModelConfig, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> ModelConfigSchema:
        """Create a configuration of a model or of a version.

        Args:
            config: Its name and settings.
            model_id: Whose it is; or
            version_id: Whose it is.

        Raises:
            ModelConfigAlreadyExistsException: The name is taken there, or there is a default one already.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InvalidInputException: Not just one of `model_id` and `version_id` is given, one is no UUID, or there
                would be over 1,000.
            DatabaseException: The database could not do it.

        Example:
            >>> config = CreateModelConfig(name="fast", config={"temperature": 0.2}, is_default=True)
            >>> models.create_config(config, version_id=version.id).config
            {'temperature': 0.2}
        """
        return registry.configs.create_config(self._scope, model_id, version_id, config)

    def get_config(self, config_id: UUID) -> ModelConfigSchema:
        """Return a configuration by its id.

        Args:
            config_id: The id.

        Raises:
            ModelConfigNotFoundException: This namespace has no such configuration, or its model is deleted.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.get_config(created.id) == created
            True
        """
        return registry.configs.get_config(self._scope, config_id)

    def get_default_config(self, *, model_id: UUID | None = None, version_id: UUID | None = None) -> ModelConfigSchema:
        """Return the default configuration of a model, or of a version: its own, or else that of its model.

        Args:
            model_id: Whose; or
            version_id: Whose.

        Raises:
            ModelConfigNotFoundException: There is no default one.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InvalidInputException: Not just one of `model_id` and `version_id` is given, or it is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> config = CreateModelConfig(name="usual", config={"top_p": 0.9, "stop": {"eos": True}}, is_default=True)
            >>> created = models.create_config(config, model_id=model.id)
            >>> models.get_default_config(version_id=version.id).merged({"stop": {"after": 100}})
            {'top_p': 0.9, 'stop': {'eos': True, 'after': 100}}
        """
        return registry.configs.default_config(self._scope, model_id, version_id)

    def list_configs(self, *, model_id: UUID | None = None, version_id: UUID | None = None) -> list[ModelConfigSchema]:
        """Return the configurations of a model, or of a version, by name: at most 1,000.

        Args:
            model_id: Whose; those of its versions are left out; or
            version_id: Whose; those of its model are left out.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            InvalidInputException: Not just one of `model_id` and `version_id` is given, or it is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.list_configs(model_id=model.id)
            []
        """
        return registry.configs.list_configs(self._scope, model_id, version_id)

    def update_config(self, config_id: UUID, changes: UpdateModelConfig) -> ModelConfigSchema:
        """Change those fields of a configuration that are given. Where it becomes the default, another stops being it.

        Args:
            config_id: The configuration.
            changes: What changes; settings are replaced as a whole.

        Returns:
            The configuration as it is now.

        Raises:
            ModelConfigNotFoundException: This namespace has no such configuration, or its model is deleted.
            ModelConfigAlreadyExistsException: The new name is taken.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.update_config(created.id, UpdateModelConfig(is_default=True)).is_default
            True
        """
        return registry.configs.update_config(self._scope, config_id, changes)

    def delete_config(self, config_id: UUID) -> None:
        """Delete a configuration.

        Args:
            config_id: The configuration.

        Raises:
            ModelConfigNotFoundException: This namespace has no such configuration, or its model is deleted.
            InUseException: It is of a model, and rows of your own refer to it; or it is of a version, and rows of your
                own refer to it.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.delete_config(created.id)
        """
        registry.configs.delete_config(self._scope, config_id)

    def list_events(
        self,
        model_id: UUID | None = None,
        *,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> "Page[ModelEventSchema]":
        """Return a page of the history: of a model, deleted or purged ones too, or of the whole namespace.

        Every change writes one event, or a few, in its own transaction. Those of a model come in the order of their
        commits; those of a namespace by their moments.

        Args:
            model_id: The model. Default: all.
            descending: Latest first.
            cursor: ``next_cursor`` or ``previous_cursor`` of another page of the same query.
            limit: How many at most: 1 to 1,000.

        Raises:
            InvalidCursorException: The cursor is of another query or order, or was altered.
            InvalidInputException: `model_id` is no UUID, or `limit` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> changed = models.update_model(model.id, UpdateModel(task="embedding"))
            >>> [(event.kind, event.after) for event in models.list_events(model.id).items]
            [('model.created', {'name': 'minilm'}), ('model.updated', {'task': 'embedding'})]
        """
        return search.listings.list_events(self._scope, model_id, descending=descending, cursor=cursor, limit=limit)
