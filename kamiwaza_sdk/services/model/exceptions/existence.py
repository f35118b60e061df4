"""A model, a version, or what belongs to one is not there, or its name is taken."""

from uuid import UUID

from kamiwaza_sdk._validation import shown
from kamiwaza_sdk.exceptions import AlreadyExistsException, NotFoundException

__all__ = [
    "AliasAlreadyExistsException",
    "AliasNotFoundException",
    "ModelAlreadyExistsException",
    "ModelConfigAlreadyExistsException",
    "ModelConfigNotFoundException",
    "ModelNotFoundException",
    "TagNotFoundException",
    "VersionAlreadyExistsException",
    "VersionNotFoundException",
]


class ModelNotFoundException(NotFoundException):
    """There is no such model in the namespace, or it is deleted.

    Attributes:
        model: The id or name that was asked for; `None` where only a message was given.
        namespace: The namespace that was searched; `None` where only a message was given.
        deleted: The deleted model's id, for `ModelService.restore_model`; `None` where there is none.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        model: UUID | str | None = None,
        namespace: str | None = None,
        deleted: UUID | None = None,
    ) -> None:
        super().__init__(message or self._message(model, namespace, deleted))
        self.model = model
        self.namespace = namespace
        self.deleted = deleted

    @staticmethod
    def _message(model: UUID | str | None, namespace: str | None, deleted: UUID | None) -> str:
        if model is None:
            return "Model not found"
        named = f"Model {shown(model) if isinstance(model, str) else model}"
        if deleted is not None:
            return f"{named} is deleted in namespace {namespace!r}; restore_model({deleted}) brings it back"
        return f"{named} not found in namespace {namespace!r}; list_models() tells which there are"


class VersionNotFoundException(NotFoundException):
    """There is no such version of a model.

    Attributes:
        version: The id or reference that was asked for.
        namespace: The namespace that was searched.
        deleted: The deleted model that the version is of, for `ModelService.restore_model`; `None` where there is none.
    """

    def __init__(
        self,
        *,
        version: UUID | str,
        namespace: str,
        way_out: str = "list_versions() tells which there are",
        deleted: UUID | None = None,
    ) -> None:
        named = shown(version) if isinstance(version, str) else version
        if deleted is not None:
            way_out = f"its model is deleted; restore_model({deleted}) brings it back"
        super().__init__(f"Version {named} not found in namespace {namespace!r}; {way_out}")
        self.version = version
        self.namespace = namespace
        self.deleted = deleted


class ModelAlreadyExistsException(AlreadyExistsException):
    """The name is taken in the namespace. Nothing was written, and the transaction goes on.

    Attributes:
        name: The name.
        namespace: The namespace.
        model_id: The model that has it; `None` where another transaction has created it and not committed yet, or
            where it is a constraint of the application's own that is in the way.
        deleted: Whether that one is deleted, which keeps the name taken.
    """

    def __init__(self, *, name: str, namespace: str, model_id: UUID | None, deleted: bool) -> None:
        way_out = (
            f"it is deleted: restore_model({model_id}) brings it back, or choose another name"
            if deleted
            else "use that one, or choose another name"
        )
        holder = f"exists in namespace {namespace!r} as {model_id}"
        if model_id is None:
            holder = (
                f"cannot be created in namespace {namespace!r}: something is in its way that is not to be seen here"
            )
            way_out = "another transaction, or a constraint of the application's own; choose another name, or try again"
        super().__init__(f"Model {name!r} {holder}; {way_out}")
        self.name = name
        self.namespace = namespace
        self.model_id = model_id
        self.deleted = deleted


class VersionAlreadyExistsException(AlreadyExistsException):
    """The label is taken in the model, or the same files are registered under another one. Nothing was written.

    Attributes:
        model: The model's name.
        version: The label of the version that exists.
        namespace: The namespace.
    """

    def __init__(self, *, model: str, version: str, namespace: str, same_files: bool = False) -> None:
        reason = " with the same files; leave the label out to get it" if same_files else "; choose another label"
        super().__init__(f"Version {model}:{version} exists in namespace {namespace!r}{reason}")
        self.model = model
        self.version = version
        self.namespace = namespace


class AliasNotFoundException(NotFoundException):
    """The model has no such alias, or had none at that moment.

    Attributes:
        alias: The alias.
        model: The model's name.
        namespace: The namespace.
    """

    def __init__(self, *, alias: str, model: str, namespace: str, reason: str | None = None) -> None:
        reason = reason or "the model has no alias of that name; set_alias() gives it one"
        super().__init__(f"Alias {shown(f'{model}@{alias}')} not found in namespace {namespace!r}: {reason}")
        self.alias = alias
        self.model = model
        self.namespace = namespace


class AliasAlreadyExistsException(AlreadyExistsException):
    """The model has the alias already. Nothing was written.

    Attributes:
        alias: The alias.
        model: The model's name.
        number: The version it leads to.
        namespace: The namespace.
    """

    def __init__(self, *, alias: str, model: str, number: int, namespace: str) -> None:
        super().__init__(
            f"Alias {model}@{alias} exists in namespace {namespace!r} and leads to version {number}; "
            "set_alias() moves it"
        )
        self.alias = alias
        self.model = model
        self.number = number
        self.namespace = namespace


class TagNotFoundException(NotFoundException):
    """The model or version has no tag of that key.

    Attributes:
        key: The key.
        owner: The model or version.
        namespace: The namespace.
    """

    def __init__(self, *, key: str, owner: UUID, namespace: str) -> None:
        super().__init__(
            f"Tag {shown(key)} not found on {owner} in namespace {namespace!r}; its schema tells which there are"
        )
        self.key = key
        self.owner = owner
        self.namespace = namespace


class ModelConfigNotFoundException(NotFoundException):
    """There is no such configuration in the namespace, or its model is deleted.

    Attributes:
        config: The id that was asked for; `None` where the default one was.
        namespace: The namespace that was searched.
        deleted: The deleted model that the configuration is of, for `ModelService.restore_model`; `None` where there is
            none.
    """

    def __init__(self, *, config: UUID | None, namespace: str, deleted: UUID | None = None) -> None:
        named = "Default configuration" if config is None else f"Configuration {config}"
        way_out = (
            "list_configs() tells which there are"
            if deleted is None
            else f"its model is deleted; restore_model({deleted}) brings it back"
        )
        super().__init__(f"{named} not found in namespace {namespace!r}; {way_out}")
        self.config = config
        self.namespace = namespace
        self.deleted = deleted


class ModelConfigAlreadyExistsException(AlreadyExistsException):
    """The model or version has a configuration of that name, or a default one. Nothing was written.

    Attributes:
        name: The name of the configuration that exists.
        owner: The model or version that has it.
        namespace: The namespace.
        is_default: Whether it is for being the default that it is in the way.
    """

    def __init__(self, *, name: str, owner: UUID, namespace: str, is_default: bool) -> None:
        what, way_out = (
            ("as the default", "update_config() with is_default=True moves that")
            if is_default
            else ("by that name", "update_config() changes it, or choose another name")
        )
        super().__init__(f"Configuration {name!r} exists {what} on {owner} in namespace {namespace!r}; {way_out}")
        self.name = name
        self.owner = owner
        self.namespace = namespace
        self.is_default = is_default
