"""`AsyncModelService`: `ModelService` as coroutines. All logic is there; a test holds the signatures equal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._tasks import running_loop, settled
from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.hub.schemas.results import Fetched
from kamiwaza_sdk.services.model.registry.bulk import BulkCreation, OnConflict
from kamiwaza_sdk.services.model.schemas.config import (
    CreateModelConfig,
    ModelConfigSchema,
    ModelEventSchema,
    UpdateModelConfig,
)
from kamiwaza_sdk.services.model.schemas.fields import check_actor
from kamiwaza_sdk.services.model.schemas.filters import Filter
from kamiwaza_sdk.services.model.schemas.model import BulkResult, CreateModel, ModelSchema, Page, UpdateModel
from kamiwaza_sdk.services.model.schemas.version import (
    CreateParent,
    CreateVersion,
    ModelVersionSchema,
    RelativeSchema,
    UpdateVersion,
)
from kamiwaza_sdk.services.model.search.listings import ModelSort, VersionSort
from kamiwaza_sdk.services.model.services import ModelService, register_checked
from kamiwaza_sdk.services.model.session import check_async_session, in_transaction
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.schemas.policy import Policy
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig


#: One session serves one call at a time, also where several services share it: by the lock of its event loop.
_locks: "WeakKeyDictionary[AsyncSession, tuple[asyncio.AbstractEventLoop, asyncio.Lock]]" = WeakKeyDictionary()

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
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…`` when first needed.
        hub: What `pull_model` fetches with. Default: one of its own.
        downloads: What `download_model` downloads with. Default: one of its own.

    Raises:
        InvalidNameException: `namespace` cannot be kept.
        InvalidInputException: `db` is no `AsyncSession`, or `actor` no text of at most 255 characters.
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
        actor: str | None = None,
        config: "ServiceConfig | None" = None,
        hub: "HubService | None" = None,
        downloads: "DownloadService | None" = None,
    ) -> None:
        require("greenlet", extra="async")
        self.db: AsyncSession = check_async_session(db)
        self._namespace = check_namespace(namespace)
        self._actor = check_actor(actor)
        self._transfers = Transfers(config=config, hub=hub, downloads=downloads)

    @property
    def namespace(self) -> str:
        """The namespace that every call is bound to."""
        return self._namespace

    @property
    def actor(self) -> str | None:
        """Who is at work, for the history."""
        return self._actor

    async def create_model(self, model: CreateModel) -> ModelSchema:
        """As `ModelService.create_model`."""
        return await self._call(ModelService.create_model, model)

    async def create_models(
        self, models: Iterable[CreateModel], *, on_conflict: OnConflict = "raise", returning: bool = False
    ) -> BulkResult:
        """As `ModelService.create_models`. Each batch is a call of its own: a cancellation leaves those before it."""
        bulk = BulkCreation(on_conflict=on_conflict, returning=returning)
        for batch in bulk.batches(models):
            await self._call(_write_batch, bulk, batch)
        return bulk.result()

    async def get_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.get_model`."""
        return await self._call(ModelService.get_model, model_id)

    async def get_model_by_name(self, name: str) -> ModelSchema:
        """As `ModelService.get_model_by_name`."""
        return await self._call(ModelService.get_model_by_name, name)

    async def list_models(self, *, after: str = "", limit: int = 1000) -> list[ModelSchema]:
        """As `ModelService.list_models`."""
        return await self._call(ModelService.list_models, after=after, limit=limit)

    async def search_models(
        self,
        where: Filter | None = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
        deleted: bool = False,
    ) -> Page[ModelSchema]:
        """As `ModelService.search_models`."""
        return await self._call(
            ModelService.search_models,
            where,
            text=text,
            sort=sort,
            descending=descending,
            cursor=cursor,
            limit=limit,
            with_total=with_total,
            deleted=deleted,
        )

    async def iter_models(
        self,
        where: Filter | None = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        deleted: bool = False,
    ) -> AsyncIterator[ModelSchema]:
        """As `ModelService.iter_models`, for ``async for``."""
        cursor: str | None = None
        while True:
            page = await self.search_models(
                where, text=text, sort=sort, descending=descending, cursor=cursor, limit=1000, deleted=deleted
            )
            for model in page.items:
                yield model
            if (cursor := page.next_cursor) is None:
                return

    async def count_models(self, where: Filter | None = None, *, text: str | None = None, deleted: bool = False) -> int:
        """As `ModelService.count_models`."""
        return await self._call(ModelService.count_models, where, text=text, deleted=deleted)

    async def update_model(
        self, model_id: UUID, changes: UpdateModel, *, expected_revision: int | None = None
    ) -> ModelSchema:
        """As `ModelService.update_model`."""
        return await self._call(ModelService.update_model, model_id, changes, expected_revision=expected_revision)

    async def delete_model(self, model_id: UUID) -> None:
        """As `ModelService.delete_model`."""
        return await self._call(ModelService.delete_model, model_id)

    async def restore_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.restore_model`."""
        return await self._call(ModelService.restore_model, model_id)

    async def purge_model(self, model_id: UUID) -> None:
        """As `ModelService.purge_model`."""
        return await self._call(ModelService.purge_model, model_id)

    async def create_version(
        self, model_id: UUID, version: CreateVersion, *, force: bool = False
    ) -> ModelVersionSchema:
        """As `ModelService.create_version`."""
        return await self._call(ModelService.create_version, model_id, version, force=force)

    async def get_version(self, version_id: UUID) -> ModelVersionSchema:
        """As `ModelService.get_version`."""
        return await self._call(ModelService.get_version, version_id)

    async def list_versions(self, model_id: UUID, *, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
        """As `ModelService.list_versions`."""
        return await self._call(ModelService.list_versions, model_id, after=after, limit=limit)

    async def search_versions(
        self,
        where: Filter | None = None,
        *,
        sort: VersionSort = "created_at",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
    ) -> Page[ModelVersionSchema]:
        """As `ModelService.search_versions`."""
        return await self._call(
            ModelService.search_versions,
            where,
            sort=sort,
            descending=descending,
            cursor=cursor,
            limit=limit,
            with_total=with_total,
        )

    async def count_versions(self, where: Filter | None = None) -> int:
        """As `ModelService.count_versions`."""
        return await self._call(ModelService.count_versions, where)

    async def resolve(self, reference: str, *, at: datetime | None = None) -> ModelVersionSchema:
        """As `ModelService.resolve`."""
        return await self._call(ModelService.resolve, reference, at=at)

    async def update_version(
        self,
        version_id: UUID,
        changes: UpdateVersion,
        *,
        expected_revision: int | None = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """As `ModelService.update_version`."""
        return await self._call(
            ModelService.update_version, version_id, changes, expected_revision=expected_revision, force=force
        )

    async def delete_version(self, version_id: UUID) -> None:
        """As `ModelService.delete_version`."""
        return await self._call(ModelService.delete_version, version_id)

    async def copy_version(
        self, version_id: UUID, model_id: UUID, *, version: str | None = None, force: bool = False
    ) -> ModelVersionSchema:
        """As `ModelService.copy_version`."""
        return await self._call(ModelService.copy_version, version_id, model_id, version=version, force=force)

    async def set_parent(self, version_id: UUID, parent: CreateParent) -> None:
        """As `ModelService.set_parent`."""
        return await self._call(ModelService.set_parent, version_id, parent)

    async def delete_parent(self, version_id: UUID, parent_id: UUID) -> None:
        """As `ModelService.delete_parent`."""
        return await self._call(ModelService.delete_parent, version_id, parent_id)

    async def list_ancestors(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """As `ModelService.list_ancestors`."""
        return await self._call(ModelService.list_ancestors, version_id, limit=limit)

    async def list_descendants(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """As `ModelService.list_descendants`."""
        return await self._call(ModelService.list_descendants, version_id, limit=limit)

    async def create_alias(self, version_id: UUID, alias: str) -> ModelVersionSchema:
        """As `ModelService.create_alias`."""
        return await self._call(ModelService.create_alias, version_id, alias)

    async def set_alias(self, version_id: UUID, alias: str) -> ModelVersionSchema:
        """As `ModelService.set_alias`."""
        return await self._call(ModelService.set_alias, version_id, alias)

    async def delete_alias(self, model_id: UUID, alias: str) -> None:
        """As `ModelService.delete_alias`."""
        return await self._call(ModelService.delete_alias, model_id, alias)

    async def rollback_alias(self, model_id: UUID, alias: str) -> ModelVersionSchema:
        """As `ModelService.rollback_alias`."""
        return await self._call(ModelService.rollback_alias, model_id, alias)

    async def set_model_tag(self, model_id: UUID, key: str, value: str) -> None:
        """As `ModelService.set_model_tag`."""
        return await self._call(ModelService.set_model_tag, model_id, key, value)

    async def replace_model_tags(self, model_id: UUID, tags: Mapping[str, str]) -> None:
        """As `ModelService.replace_model_tags`."""
        return await self._call(ModelService.replace_model_tags, model_id, tags)

    async def delete_model_tag(self, model_id: UUID, key: str) -> None:
        """As `ModelService.delete_model_tag`."""
        return await self._call(ModelService.delete_model_tag, model_id, key)

    async def set_version_tag(self, version_id: UUID, key: str, value: str) -> None:
        """As `ModelService.set_version_tag`."""
        return await self._call(ModelService.set_version_tag, version_id, key, value)

    async def replace_version_tags(self, version_id: UUID, tags: Mapping[str, str]) -> None:
        """As `ModelService.replace_version_tags`."""
        return await self._call(ModelService.replace_version_tags, version_id, tags)

    async def delete_version_tag(self, version_id: UUID, key: str) -> None:
        """As `ModelService.delete_version_tag`."""
        return await self._call(ModelService.delete_version_tag, version_id, key)

    async def create_config(
        self, config: CreateModelConfig, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> ModelConfigSchema:
        """As `ModelService.create_config`."""
        return await self._call(ModelService.create_config, config, model_id=model_id, version_id=version_id)

    async def get_config(self, config_id: UUID) -> ModelConfigSchema:
        """As `ModelService.get_config`."""
        return await self._call(ModelService.get_config, config_id)

    async def get_default_config(
        self, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> ModelConfigSchema:
        """As `ModelService.get_default_config`."""
        return await self._call(ModelService.get_default_config, model_id=model_id, version_id=version_id)

    async def list_configs(
        self, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> list[ModelConfigSchema]:
        """As `ModelService.list_configs`."""
        return await self._call(ModelService.list_configs, model_id=model_id, version_id=version_id)

    async def update_config(self, config_id: UUID, changes: UpdateModelConfig) -> ModelConfigSchema:
        """As `ModelService.update_config`."""
        return await self._call(ModelService.update_config, config_id, changes)

    async def delete_config(self, config_id: UUID) -> None:
        """As `ModelService.delete_config`."""
        return await self._call(ModelService.delete_config, config_id)

    async def list_events(
        self, model_id: UUID | None = None, *, descending: bool = False, cursor: str | None = None, limit: int = 100
    ) -> Page[ModelEventSchema]:
        """As `ModelService.list_events`."""
        return await self._call(ModelService.list_events, model_id, descending=descending, cursor=cursor, limit=limit)

    async def register(
        self,
        fetched: Fetched,
        *,
        name: str | None = None,
        version: str | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """As `ModelService.register`."""
        running_loop()
        if self._transfers.known_config is None:
            await asyncio.to_thread(self._transfers.config)
        fetched, objections = await asyncio.to_thread(self._transfers.examine, fetched, policy)
        return await self._call(
            register_checked, fetched, name=name, version=version, objections=objections, force=force
        )

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
        """As `ModelService.pull_model`."""
        in_open_transaction = not allow_open_transaction and in_transaction(_own(self.db).sync_session)
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
        return await self.register(fetched, name=name, version=version, policy=policy, force=force)

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
            service = ModelService(db, namespace=self.namespace, actor=self.actor, config=self._transfers.known_config)
            return method(service, *args, **kwargs)

        db = _own(self.db)
        async with _lock(db):
            task = asyncio.ensure_future(db.run_sync(call))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                await settled(task)  # what it raised yields to the cancellation
                raise


def _write_batch(service: ModelService, bulk: BulkCreation, batch: list[CreateModel]) -> None:
    bulk.write(service._scope, batch)


def _lock(db: "AsyncSession") -> asyncio.Lock:
    """Return a session's lock. A session may serve one event loop after the other, which a lock refuses."""
    loop = running_loop()
    known = _locks.get(db)
    if known is None or known[0] is not loop:
        known = _locks[db] = (loop, asyncio.Lock())
    return known[1]


def _own(db: "AsyncSession | async_scoped_session[AsyncSession]") -> "AsyncSession":
    """Return the session that a scoped one stands for now."""
    from sqlalchemy.ext.asyncio import AsyncSession

    return db if isinstance(db, AsyncSession) else db()
