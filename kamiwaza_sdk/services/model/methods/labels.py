"""What `ModelService` does with aliases and tags."""

from collections.abc import Mapping
from uuid import UUID

from kamiwaza_sdk.services.model.methods.base import Bound
from kamiwaza_sdk.services.model.operations import aliases
from kamiwaza_sdk.services.model.operations import tags as tag_operations
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema

__all__ = ["LabelMethods"]


class LabelMethods(Bound):
    """Aliases, which lead to versions, and tags."""

    def create_alias(self, version_id: UUID, alias: str) -> ModelVersionSchema:
        """Let a new alias of its model lead to a version. One that exists is left where it is.

        Args:
            version_id: The version, which is ready.
            alias: Such as ``production``: one segment, not all digits, not ``latest``.

        Returns:
            The version.

        Raises:
            AliasAlreadyExistsException: The model has the alias, and it is not to be moved.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            PolicyViolationException: The version has failed, because a policy objects to it.
            VersionStatusException: The version is not ready.
            InvalidNameException: There can be no such alias.
            InvalidInputException: `version_id` is no UUID, or the model would have over 1,000 aliases.
            DatabaseException: The database could not do it.

        Example:
            >>> models.create_alias(version.id, "production").aliases
            ('production',)
        """
        return aliases.create(self._scope, version_id, alias)

    def set_alias(self, version_id: UUID, alias: str) -> ModelVersionSchema:
        """Let an alias of its model lead to a version: a new one, or one that is moved. The history keeps where it led.

        Args:
            version_id: The version, which is ready.
            alias: Such as ``production``: one segment, not all digits, not ``latest``.

        Returns:
            The version.

        Raises:
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            PolicyViolationException: The version has failed, because a policy objects to it.
            VersionStatusException: The version is not ready.
            InvalidNameException: There can be no such alias.
            InvalidInputException: `version_id` is no UUID, or the model would have over 1,000 aliases.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_alias(version.id, "production").id == models.resolve("minilm@production").id
            True
        """
        return aliases.set_(self._scope, version_id, alias)

    def delete_alias(self, model_id: UUID, alias: str) -> None:
        """Delete an alias of a model. The version it led to is left as it is.

        Args:
            model_id: The model.
            alias: The alias.

        Raises:
            AliasNotFoundException: The model has no such alias.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            ModelInUseException: Rows of your own refer to the alias.
            InvalidNameException: There can be no such alias.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_alias(version.id, "staging").aliases
            ('staging',)
            >>> models.delete_alias(model.id, "staging")
            >>> models.get_model(model.id).aliases
            {}
        """
        aliases.delete(self._scope, model_id, alias)

    def rollback_alias(self, model_id: UUID, alias: str) -> ModelVersionSchema:
        """Let an alias lead to where it led before. Done again, to where it led before that, and so on.

        Args:
            model_id: The model.
            alias: The alias.

        Returns:
            The version it leads to now.

        Raises:
            AliasNotFoundException: The model has no such alias, or it has led nowhere else before.
            VersionNotFoundException: The version it led to has been deleted.
            PolicyViolationException: The version it led to has failed, and a policy objects to it.
            VersionStatusException: The version it led to is not ready any more.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidNameException: There can be no such alias.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=4, sha256="cd" * 32),)
            >>> better = models.create_version(model.id, CreateVersion(files=files))
            >>> for each in (version, better):
            ...     _ = models.set_alias(each.id, "production")
            >>> models.rollback_alias(model.id, "production").number
            1
        """
        return aliases.roll_back(self._scope, model_id, alias)

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
        tag_operations.set_model_tag(self._scope, model_id, key, value)

    def replace_model_tags(self, model_id: UUID, tags: Mapping[str, str]) -> None:
        """Give a model just these tags: others that it has are deleted.

        Args:
            model_id: The model.
            tags: Keys and values, as of `set_model_tag`; at most 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            ModelInUseException: Rows of your own refer to a tag that would be deleted.
            InvalidInputException: They cannot be kept, or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.replace_model_tags(model.id, {"lang": "en", "tier": "1"})
            >>> models.replace_model_tags(model.id, {"lang": "ja"})
            >>> models.get_model(model.id).tags
            {'lang': 'ja'}
        """
        tag_operations.replace_model_tags(self._scope, model_id, tags)

    def delete_model_tag(self, model_id: UUID, key: str) -> None:
        """Delete a tag of a model.

        Args:
            model_id: The model.
            key: The tag's key.

        Raises:
            TagNotFoundException: The model has no tag of that key.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            ModelInUseException: Rows of your own refer to the tag.
            InvalidInputException: There can be no such key, or `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_model_tag(model.id, "lang", "en")
            >>> models.delete_model_tag(model.id, "lang")
        """
        tag_operations.delete_model_tag(self._scope, model_id, key)

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
        tag_operations.set_version_tag(self._scope, version_id, key, value)

    def replace_version_tags(self, version_id: UUID, tags: Mapping[str, str]) -> None:
        """Give a version just these tags: others that it has are deleted.

        Args:
            version_id: The version.
            tags: Keys and values, as of `set_version_tag`; at most 1,000.

        Raises:
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            VersionInUseException: Rows of your own refer to a tag that would be deleted.
            InvalidInputException: They cannot be kept, or `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.replace_version_tags(version.id, {"lang": "en", "tier": "1"})
            >>> models.replace_version_tags(version.id, {"lang": "ja"})
            >>> models.get_version(version.id).tags
            {'lang': 'ja'}
        """
        tag_operations.replace_version_tags(self._scope, version_id, tags)

    def delete_version_tag(self, version_id: UUID, key: str) -> None:
        """Delete a tag of a version.

        Args:
            version_id: The version.
            key: The tag's key.

        Raises:
            TagNotFoundException: The version has no tag of that key.
            VersionNotFoundException: There is no such version in this namespace, or its model is deleted.
            VersionInUseException: Rows of your own refer to the tag.
            InvalidInputException: There can be no such key, or `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.set_version_tag(version.id, "lang", "en")
            >>> models.delete_version_tag(version.id, "lang")
        """
        tag_operations.delete_version_tag(self._scope, version_id, key)
