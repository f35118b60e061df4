"""`AsyncModelService`: `ModelService` as coroutines. All logic is there; a test holds the signatures equal."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema, UpdateModel
from kamiwaza_sdk.services.model.schemas.version import CreateVersion, ModelVersionSchema
from kamiwaza_sdk.services.model.services import ModelService
from kamiwaza_sdk.services.model.session import check_async_session, in_transaction
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig

__all__ = ["AsyncModelService"]

#: One session serves one call at a time, also where several services share it.
_locks: "WeakKeyDictionary[AsyncSession, asyncio.Lock]" = WeakKeyDictionary()

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AsyncModelService:
    """The models of one namespace, as coroutines over the host's `AsyncSession`.

    Everything said of `ModelService` and its methods holds. A call is atomic under cancellation: it happens whole or
    not at all, the session stays usable, and `asyncio.CancelledError` is raised after it. So a call that waits for
    another transaction's lock is not cut short by `asyncio.timeout`, but by the database's own ``lock_timeout``. Calls
    on one session take turns.

    Args:
        db: The host's session.
        namespace: Sees and touches no other. Created by its first model.
        config: Default: read from ``MODEL_SERVICE_…`` when first needed.
        hub: What `pull_model` fetches with. Default: one of its own.
        downloads: What `download_model` downloads with. Default: one of its own.

    Raises:
        InvalidNameException: `namespace` cannot be kept.
        InvalidInputException: `db` is no `AsyncSession`.
        MissingDependencyException: greenlet is not installed: ``pip install 'kamiwaza-sdk[async]'``.

    Example:
        >>> async def names():
        ...     async with AsyncSession(async_engine) as db:
        ...         return [model.name for model in await AsyncModelService(db).list_models()]
        >>> asyncio.run(names())
        []
    """

    def __init__(
        self,
        db: "AsyncSession",
        *,
        namespace: str = "default",
        config: "ServiceConfig | None" = None,
        hub: "HubService | None" = None,
        downloads: "DownloadService | None" = None,
    ) -> None:
        require("greenlet", extra="async")
        self.db: AsyncSession = check_async_session(db)
        self.namespace: str = check_namespace(namespace)
        self._transfers = Transfers(config=config, hub=hub, downloads=downloads)

    async def create_model(self, model: CreateModel) -> ModelSchema:
        """As `ModelService.create_model`."""
        return await self._call(ModelService.create_model, model)

    async def get_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.get_model`."""
        return await self._call(ModelService.get_model, model_id)

    async def get_model_by_name(self, name: str) -> ModelSchema:
        """As `ModelService.get_model_by_name`."""
        return await self._call(ModelService.get_model_by_name, name)

    async def list_models(self, *, after: str = "", limit: int = 1000) -> list[ModelSchema]:
        """As `ModelService.list_models`."""
        return await self._call(ModelService.list_models, after=after, limit=limit)

    async def update_model(self, model_id: UUID, changes: UpdateModel) -> ModelSchema:
        """As `ModelService.update_model`."""
        return await self._call(ModelService.update_model, model_id, changes)

    async def delete_model(self, model_id: UUID) -> None:
        """As `ModelService.delete_model`."""
        return await self._call(ModelService.delete_model, model_id)

    async def restore_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.restore_model`."""
        return await self._call(ModelService.restore_model, model_id)

    async def create_version(self, model_id: UUID, version: CreateVersion) -> ModelVersionSchema:
        """As `ModelService.create_version`."""
        return await self._call(ModelService.create_version, model_id, version)

    async def get_version(self, version_id: UUID) -> ModelVersionSchema:
        """As `ModelService.get_version`."""
        return await self._call(ModelService.get_version, version_id)

    async def list_versions(self, model_id: UUID, *, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
        """As `ModelService.list_versions`."""
        return await self._call(ModelService.list_versions, model_id, after=after, limit=limit)

    async def resolve(self, reference: str) -> ModelVersionSchema:
        """As `ModelService.resolve`."""
        return await self._call(ModelService.resolve, reference)

    async def register(
        self, fetched: Fetched, *, name: str | None = None, version: str | None = None
    ) -> ModelVersionSchema:
        """As `ModelService.register`."""
        if self._transfers.known_config is None:
            await asyncio.to_thread(self._transfers.config)
        return await self._call(ModelService.register, fetched, name=name, version=version)

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
        """As `ModelService.pull_model`."""
        in_open_transaction = not allow_open_transaction and in_transaction(_own(self.db).sync_session)
        self._transfers.check_pull(name=name, version=version, in_open_transaction=in_open_transaction)
        fetched = await self._transfers.fetch(source, sha256=sha256, progress=progress)
        return await self.register(fetched, name=name, version=version)

    async def download_model(self, url: str) -> bytes:
        """As `ModelService.download_model`."""
        return await self._transfers.read(url)

    async def _call(
        self,
        method: Callable[Concatenate[ModelService, _P], _T],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Call a method of `ModelService` in the session's greenlet, whole even if the caller is cancelled."""

        def call(db: Session) -> _T:
            service = ModelService(db, namespace=self.namespace, config=self._transfers.known_config)
            return method(service, *args, **kwargs)

        db = _own(self.db)
        async with _locks.setdefault(db, asyncio.Lock()):
            task = asyncio.ensure_future(db.run_sync(call))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await _finish(task)
                raise


def _own(db: "AsyncSession | async_scoped_session[AsyncSession]") -> "AsyncSession":
    """Return the session that a scoped one stands for now."""
    from sqlalchemy.ext.asyncio import AsyncSession

    return db if isinstance(db, AsyncSession) else db()


async def _finish(task: "asyncio.Future[_T]") -> None:
    """Wait until a task is done, however often the waiting is cancelled. What it raised yields to the cancellation."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue
    if not task.cancelled():
        task.exception()
