"""What `ModelService` does with configurations and the history."""

from uuid import UUID

from kamiwaza_sdk.services.model.methods.base import Bound
from kamiwaza_sdk.services.model.operations import configs, listings
from kamiwaza_sdk.services.model.schemas.config import CreateModelConfig, ModelConfigSchema, UpdateModelConfig
from kamiwaza_sdk.services.model.schemas.event import ModelEventSchema
from kamiwaza_sdk.services.model.schemas.page import Page

__all__ = ["RecordMethods"]


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
        return configs.create(self._scope, model_id, version_id, config)

    def get_config(self, config_id: UUID) -> ModelConfigSchema:
        """Return a configuration by its id.

        Args:
            config_id: The id.

        Raises:
            ModelConfigNotFoundException: There is none in this namespace, or its model is deleted.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.get_config(created.id) == created
            True
        """
        return configs.get(self._scope, config_id)

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
        return configs.default(self._scope, model_id, version_id)

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
        return configs.list_(self._scope, model_id, version_id)

    def update_config(self, config_id: UUID, changes: UpdateModelConfig) -> ModelConfigSchema:
        """Change those fields of a configuration that are given. Where it becomes the default, another stops being it.

        Args:
            config_id: The configuration.
            changes: What changes; settings are replaced as a whole.

        Returns:
            The configuration as it is now.

        Raises:
            ModelConfigNotFoundException: There is none in this namespace, or its model is deleted.
            ModelConfigAlreadyExistsException: The new name is taken.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.update_config(created.id, UpdateModelConfig(is_default=True)).is_default
            True
        """
        return configs.update(self._scope, config_id, changes)

    def delete_config(self, config_id: UUID) -> None:
        """Delete a configuration.

        Args:
            config_id: The configuration.

        Raises:
            ModelConfigNotFoundException: There is none in this namespace, or its model is deleted.
            ModelInUseException: It is of a model, and rows of your own refer to it.
            VersionInUseException: It is of a version, and rows of your own refer to it.
            InvalidInputException: `config_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> created = models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> models.delete_config(created.id)
        """
        configs.delete(self._scope, config_id)

    def list_events(
        self,
        model_id: UUID | None = None,
        *,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[ModelEventSchema]:
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
        return listings.list_events(self._scope, model_id, descending=descending, cursor=cursor, limit=limit)
