"""`ModelService`: the registry, in the caller's own session."""

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from kamiwaza_sdk.services.model import registry
from kamiwaza_sdk.services.model.methods.labels import LabelMethods, RecordMethods
from kamiwaza_sdk.services.model.methods.models import ModelMethods
from kamiwaza_sdk.services.model.methods.retention import RetentionMethods
from kamiwaza_sdk.services.model.methods.versions import VersionMethods
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.schemas.policy import Policy, ViolationSchema
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig
    from kamiwaza_sdk.services.storage.services import StorageService


class ModelService(ModelMethods, VersionMethods, LabelMethods, RecordMethods, RetentionMethods):
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
        InvalidInputException: `namespace` cannot be kept; or `db` is no synchronous session, or `actor` no text of at
            most 255 characters.

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

    def register(
        self,
        fetched: "Fetched",
        *,
        name: str | None = None,
        version: str | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """Register what was fetched: create the model where it is missing, and a version of these files.

        Nothing is registered twice: where the model has a version of just these files, that one is returned. A model
        that is created takes hub, repository, author, licence and task from what was fetched, and a version that is
        created its revision and its details; what is there already stays as it is.

        A policy is checked on the bytes, which have to be in the store, and its verdict is kept in the details of the
        version under ``policy``. One that does not pass is created as ``failed``: it is not what the model's name leads
        to, and can have no alias. Registered again without a policy, its files are refused. Files that are not what
        their names promise, such as Git LFS pointers and web pages, make it ``failed`` without any policy, by the rule
        ``content``, which goes by their bytes where those are in the store, else by `Fetched.faults`.

        Where the store at hand is the one that has what was fetched (`Fetched.store`), each file is looked at after its
        row is written, so that no clean-up can take it: the concept page says how. What was fetched elsewhere, or into
        another store than the hub's, is not looked at.

        Args:
            fetched: What `fetch` returned, here or elsewhere.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.
            policy: What it must be like. The files are read before anything is written.
            force: Make it ``ready`` whatever a policy has against it. Its details and the history tell.

        Returns:
            The version, ``ready``, or ``failed`` where the policy objects or its files are not the model.

        Raises:
            PolicyViolationException: A policy objects, now to a version that is ready already; or did before, to these
                files in any version of the namespace, and there is none now.
            ModelAlreadyExistsException: The name belongs to a deleted model.
            VersionAlreadyExistsException: The label is taken, or these files have another one.
            ModelTooLargeException: The files have more bytes than ``max_model_size``.
            BlobNotFoundException: The store has lost a file since it was fetched. Fetch it again.
            BlobCorruptException: A file in the store was damaged since. Fetch it again.
            StoragePermissionException: This user may not note the database in the store.
            InvalidInputException: The name or the label cannot be kept; or there are no files, or over 10,000, or an
                argument is of a wrong kind.
            DatabaseException: The database could not do it.

        Example:
            >>> models.register(fetched, name="tiny") == models.register(fetched, name="tiny")
            True
        """
        fetched, violations, storage = self._transfers.examine(fetched, policy)
        return self._register(fetched, name=name, version=version, violations=violations, storage=storage, force=force)

    async def pull_model(
        self,
        source: "Source",
        *,
        name: str | None = None,
        version: str | None = None,
        sha256: "str | Mapping[str, str] | None" = None,
        variant: str | None = None,
        allow: "str | Iterable[str] | None" = None,
        ignore: "str | Iterable[str] | None" = None,
        progress: "bool | ProgressCallback" = False,
        policy: "Policy | None" = None,
        force: bool = False,
        allow_open_transaction: bool = False,
    ) -> ModelVersionSchema:
        """Fetch a source into the store, then register it. No SQL is executed before the last byte is verified.

        The registration blocks the event loop for a moment; `AsyncModelService` does not.

        Args:
            source: As `fetch` takes it.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.
            sha256: As `fetch` takes it.
            variant: As `fetch` takes it: the version has only its files.
            allow: As `fetch` takes it.
            ignore: As `fetch` takes it.
            progress: As `fetch` takes it.
            policy: What it must be like, as far as that can be told before it travels, and once it is here.
            force: Fetch it, and make it ``ready``, whatever a policy has against it.
            allow_open_transaction: Transfer even though the session's transaction stays open for as long.

        Returns:
            The version, ``ready``, or ``failed`` where only its bytes told that the policy objects.

        Raises:
            OpenTransactionException: The session has a transaction open.
            PolicyViolationException: The policy objects to what is announced. Nothing was fetched.
            ServiceException: Whatever `fetch` and `register` raise.

        Example:
            >>> version = asyncio.run(models.pull_model(directory, name="tiny"))
            >>> version.status
            'ready'
        """
        in_open_transaction = not allow_open_transaction and self._in_transaction
        self._transfers.check_pull(name=name, version=version, in_open_transaction=in_open_transaction)
        fetched = await self._transfers.fetch(
            source,
            sha256=sha256,
            variant=variant,
            allow=allow,
            ignore=ignore,
            progress=progress,
            policy=policy,
            force=force,
        )
        fetched, violations, storage = await asyncio.to_thread(self._transfers.examine, fetched, policy)
        return self._register(fetched, name=name, version=version, violations=violations, storage=storage, force=force)

    async def download_model(self, url: str) -> bytes:
        """Return the body of a URL. For what fits in memory; `pull_model` is for everything else.

        Args:
            url: http or https.

        Raises:
            DownloadTooLargeException: The body is larger than ``max_in_memory_size``; use `pull_model`.
            DownloadException: The body did not arrive whole.
            InvalidInputException: `url` is not a valid URL.

        Example:
            >>> asyncio.run(models.download_model(url))
            b'weights'
        """
        return await self._transfers.read(url)

    def _register(
        self,
        fetched: "Fetched",
        *,
        name: str | None,
        version: str | None,
        violations: "tuple[ViolationSchema, ...] | None",
        storage: "StorageService | None",
        force: bool,
    ) -> ModelVersionSchema:
        """Register what was examined already."""
        return registry.versions.register(
            self._scope,
            fetched,
            name=name,
            version=version,
            max_size=self._transfers.config().max_model_size,
            violations=violations,
            storage=storage,
            force=force,
        )
