"""`ModelService`: the registry, in the caller's own session."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched
from kamiwaza_sdk.services.model import model_operations, version_operations
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema, UpdateModel
from kamiwaza_sdk.services.model.schemas.version import CreateVersion, ModelVersionSchema
from kamiwaza_sdk.services.model.scope import Scope
from kamiwaza_sdk.services.model.session import check_session, in_transaction
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig

__all__ = ["ModelService"]


class ModelService:
    """The models of one namespace: which there are, in which versions, made of which files.

    Works in the session it is given and leaves it to the caller: it flushes what is pending, executes, and never
    commits, rolls back or closes. What it writes commits or vanishes with the caller's own rows. An expected refusal
    (not found, exists, invalid) writes nothing and leaves the transaction usable. A session serves one call at a time.

    Args:
        db: The host's session.
        namespace: Sees and touches no other. Created by its first model.
        config: Default: read from ``MODEL_SERVICE_…`` when first needed.
        hub: What `pull_model` fetches with. Default: one of its own.
        downloads: What `download_model` downloads with. Default: one of its own.

    Raises:
        InvalidNameException: `namespace` cannot be kept.
        InvalidInputException: `db` is no synchronous session.

    Example:
        >>> with Session(engine) as db, db.begin():
        ...     models = ModelService(db)
        ...     model = models.create_model(CreateModel(name="minilm", task="feature-extraction"))
        ...     [model.name for model in models.list_models()]
        ['minilm']
    """

    def __init__(
        self,
        db: Session,
        *,
        namespace: str = "default",
        config: "ServiceConfig | None" = None,
        hub: "HubService | None" = None,
        downloads: "DownloadService | None" = None,
    ) -> None:
        self.db: Session = check_session(db)
        self.namespace: str = check_namespace(namespace)
        self._scope = Scope(db, self.namespace)
        self._transfers = Transfers(config=config, hub=hub, downloads=downloads)

    def create_model(self, model: CreateModel) -> ModelSchema:
        """Create a model. It has no versions yet.

        Args:
            model: What it is.

        Returns:
            The model at revision 1.

        Raises:
            ModelAlreadyExistsException: The name is taken, perhaps by a deleted model.
            DatabaseException: The database could not do it.

        Example:
            >>> models.create_model(CreateModel(name="org/tiny")).revision
            1
        """
        return model_operations.create(self._scope, model)

    def get_model(self, model_id: UUID) -> ModelSchema:
        """Return a model by its id.

        Args:
            model_id: The id.

        Raises:
            ModelNotFoundException: There is none in this namespace, or it is deleted.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_model(model.id).name
            'minilm'
        """
        return model_operations.get(self._scope, model_id)

    def get_model_by_name(self, name: str) -> ModelSchema:
        """Return a model by its name.

        Args:
            name: The name, case and all.

        Raises:
            ModelNotFoundException: There is none in this namespace, or it is deleted.
            InvalidNameException: No model can have such a name.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_model_by_name("minilm") == model
            True
        """
        return model_operations.get_by_name(self._scope, name)

    def list_models(self, *, after: str = "", limit: int = 1000) -> list[ModelSchema]:
        """Return a page of the models that are not deleted, by name in code point order.

        Args:
            after: The name of the last model of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            InvalidInputException: `limit` is out of bounds, or `after` is no text.
            DatabaseException: The database could not do it.

        Example:
            >>> [model.name for model in models.list_models(limit=1)]
            ['minilm']
        """
        return model_operations.page(self._scope, after=after, limit=limit)

    def update_model(self, model_id: UUID, changes: UpdateModel) -> ModelSchema:
        """Change those fields of a model that are given; `None` clears one. Counts its revision up.

        Args:
            model_id: The model.
            changes: What changes. A new ``name`` renames it.

        Returns:
            The model as it is now.

        Raises:
            ModelNotFoundException: There is none in this namespace, or it is deleted.
            ModelAlreadyExistsException: The new name is taken.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.update_model(model.id, UpdateModel(license="apache-2.0")).license
            'apache-2.0'
        """
        return model_operations.update(self._scope, model_id, changes)

    def delete_model(self, model_id: UUID) -> None:
        """Delete a model so that `restore_model` can bring it back, with its versions. Its name stays taken.

        Args:
            model_id: The model.

        Raises:
            ModelNotFoundException: There is none in this namespace, or it is deleted already.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_model(model.id)
            >>> models.list_models()
            []
        """
        model_operations.delete(self._scope, model_id)

    def restore_model(self, model_id: UUID) -> ModelSchema:
        """Bring a deleted model back, with its versions. Does nothing to one that is not deleted.

        Args:
            model_id: The model.

        Returns:
            The model as it is now.

        Raises:
            ModelNotFoundException: There is none in this namespace.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.delete_model(model.id)
            >>> models.restore_model(model.id).deleted_at is None
            True
        """
        return model_operations.restore(self._scope, model_id)

    def create_version(self, model_id: UUID, version: CreateVersion) -> ModelVersionSchema:
        """Create a version with the next number, made of files that are in the store or will be.

        Holds the model's row until the transaction ends, so that numbers have no gaps: whoever creates another version
        of the same model meanwhile waits.

        Args:
            model_id: The model.
            version: Its files, and what is known of them.

        Returns:
            The version, ``ready``.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionAlreadyExistsException: The label is taken.
            InvalidInputException: `model_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=3, sha256="ab" * 32),)
            >>> models.create_version(model.id, CreateVersion(files=files)).number
            1
        """
        return version_operations.create(self._scope, model_id, version)

    def get_version(self, version_id: UUID) -> ModelVersionSchema:
        """Return a version by its id, with its files.

        Args:
            version_id: The id.

        Raises:
            VersionNotFoundException: There is none in this namespace, or its model is deleted.
            InvalidInputException: `version_id` is no UUID.
            DatabaseException: The database could not do it.

        Example:
            >>> models.get_version(version.id) == version
            True
        """
        return version_operations.get(self._scope, version_id)

    def list_versions(self, model_id: UUID, *, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
        """Return a page of a model's versions with their files, by number, in two statements.

        Args:
            model_id: The model.
            after: The number of the last version of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidInputException: `model_id` is no UUID, or `after` or `limit` is out of bounds.
            DatabaseException: The database could not do it.

        Example:
            >>> [version.number for version in models.list_versions(model.id)]
            [1]
        """
        return version_operations.page(self._scope, model_id, after=after, limit=limit)

    def resolve(self, reference: str) -> ModelVersionSchema:
        """Return the version that a reference string names, with its files.

        Args:
            reference: ``name`` for the latest version that is ready, ``name:3`` for a number, ``name:v1.5`` for a
                label.

        Raises:
            InvalidReferenceException: It has none of these forms.
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: The model has no such version.
            DatabaseException: The database could not do it.

        Example:
            >>> models.resolve("minilm:1") == models.resolve("minilm") == version
            True
        """
        return version_operations.resolve(self._scope, reference)

    def register(self, fetched: Fetched, *, name: str | None = None, version: str | None = None) -> ModelVersionSchema:
        """Register what was fetched: create the model where it is missing, and a version of these files.

        Nothing is registered twice: where the model has a version of just these files, that one is returned.

        Args:
            fetched: What `fetch` returned, here or elsewhere.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.

        Returns:
            The version, ``ready``.

        Raises:
            ModelAlreadyExistsException: The name belongs to a deleted model.
            VersionAlreadyExistsException: The label is taken, or these files have another one.
            ModelTooLargeException: The files have more bytes than ``max_model_size``.
            InvalidNameException: The name or the label cannot be kept.
            InvalidInputException: There are no files, or over 10,000.
            DatabaseException: The database could not do it.

        Example:
            >>> models.register(fetched, name="tiny") == models.register(fetched, name="tiny")
            True
        """
        limit = self._transfers.config().max_model_size
        return version_operations.register(self._scope, fetched, name=name, version=version, max_size=limit)

    async def pull_model(
        self,
        source: "Source",
        *,
        name: str | None = None,
        version: str | None = None,
        sha256: "str | dict[str, str] | None" = None,
        progress: "bool | ProgressCallback" = False,
        allow_open_transaction: bool = False,
    ) -> ModelVersionSchema:
        """Fetch a source into the store, then register it. No SQL is executed before the last byte is verified.

        The registration blocks the event loop for a moment; `AsyncModelService` does not.

        Args:
            source: As `fetch` takes it.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.
            sha256: As `fetch` takes it.
            progress: As `fetch` takes it.
            allow_open_transaction: Transfer even though the session's transaction stays open for as long.

        Returns:
            The version, ``ready``.

        Raises:
            OpenTransactionException: The session has a transaction open.
            ServiceException: Whatever `fetch` and `register` raise.

        Example:
            >>> version = asyncio.run(models.pull_model(directory, name="tiny"))
            >>> version.status
            'ready'
        """
        in_open_transaction = not allow_open_transaction and in_transaction(self.db)
        self._transfers.check_pull(name=name, version=version, in_open_transaction=in_open_transaction)
        fetched = await self._transfers.fetch(source, sha256=sha256, progress=progress)
        return self.register(fetched, name=name, version=version)

    async def download_model(self, url: str) -> bytes:
        """Return the body of a URL. For what fits in memory; `pull_model` is for everything else.

        Args:
            url: http or https.

        Raises:
            DownloadTooLargeException: The body is larger than ``max_in_memory_size``; use `pull_model`.
            DownloadException: The body did not arrive whole.
            InvalidUrlException: `url` is none.

        Example:
            >>> asyncio.run(models.download_model(url))
            b'weights'
        """
        return await self._transfers.read(url)
