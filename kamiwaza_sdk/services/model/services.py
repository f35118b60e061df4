"""`ModelService`: the registry, in the caller's own session."""

from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from kamiwaza_sdk.services.hub.schemas.fetched import Fetched
from kamiwaza_sdk.services.model.methods.labels import LabelMethods
from kamiwaza_sdk.services.model.methods.models import ModelMethods
from kamiwaza_sdk.services.model.methods.records import RecordMethods
from kamiwaza_sdk.services.model.methods.versions import VersionMethods
from kamiwaza_sdk.services.model.operations import versions
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
from kamiwaza_sdk.services.model.session import in_transaction
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig

__all__ = ["ModelService"]


class ModelService(ModelMethods, VersionMethods, LabelMethods, RecordMethods):
    """The models of one namespace: which there are, in which versions, made of which files, changed by whom.

    Works in the session it is given and leaves it to the caller: it flushes what is pending, executes, and never
    commits, rolls back or closes. What it writes commits or vanishes with the caller's own rows. An expected refusal
    (not found, exists, invalid) writes nothing and leaves the transaction usable. A session serves one call at a time.

    Args:
        db: The host's session.
        namespace: Sees and touches no other. Created by its first model.
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…`` when first needed.
        hub: What `pull_model` fetches with. Default: one of its own.
        downloads: What `download_model` downloads with. Default: one of its own.

    Raises:
        InvalidNameException: `namespace` cannot be kept.
        InvalidInputException: `db` is no synchronous session, or `actor` no text of at most 255 characters.

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
        actor: str | None = None,
        config: "ServiceConfig | None" = None,
        hub: "HubService | None" = None,
        downloads: "DownloadService | None" = None,
    ) -> None:
        super().__init__(db, namespace=namespace, actor=actor)
        self._transfers = Transfers(config=config, hub=hub, downloads=downloads)

    def register(self, fetched: Fetched, *, name: str | None = None, version: str | None = None) -> ModelVersionSchema:
        """Register what was fetched: create the model where it is missing, and a version of these files.

        Nothing is registered twice: where the model has a version of just these files, that one is returned. A model
        that is created takes hub, repository, author, licence and task from what was fetched, and a version that is
        created its revision; what is there already stays as it is.

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
        return versions.register(self._scope, fetched, name=name, version=version, max_size=limit)

    async def pull_model(
        self,
        source: "Source",
        *,
        name: str | None = None,
        version: str | None = None,
        sha256: "str | dict[str, str] | None" = None,
        allow: "str | Iterable[str] | None" = None,
        ignore: "str | Iterable[str] | None" = None,
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
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.
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
        fetched = await self._transfers.fetch(source, sha256=sha256, allow=allow, ignore=ignore, progress=progress)
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
