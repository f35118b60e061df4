"""`AsyncRegistry`: `Registry` as coroutines.

Generated from `Registry` by ``python -m tests.generate_async``: change that, and run this again.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk.registry import operations
from kamiwaza_sdk.registry.calls import AsyncCalls
from kamiwaza_sdk.registry.operations import AnyModel, AnyVersion, in_transaction

if TYPE_CHECKING:
    import builtins
    from concurrent.futures import Executor

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.hub.mirror import MirrorCallback
    from kamiwaza_sdk.services.hub.schemas.manifest import RepositorySchema
    from kamiwaza_sdk.services.hub.schemas.mirror import MirrorSchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
    from kamiwaza_sdk.services.hub.schemas.policy import Policy
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.hub.search import RepositorySort
    from kamiwaza_sdk.services.hub.services import Source
    from kamiwaza_sdk.services.model.registry.exports import Reader, Writer
    from kamiwaza_sdk.services.model.schemas.check import RepairSchema, StorageReportSchema
    from kamiwaza_sdk.services.model.schemas.cleanup import CleanupPlanSchema, CleanupResultSchema
    from kamiwaza_sdk.services.model.schemas.config import ModelEventSchema
    from kamiwaza_sdk.services.model.schemas.diff import VersionDiffSchema
    from kamiwaza_sdk.services.model.schemas.exchange import ExportSchema, ImportSchema
    from kamiwaza_sdk.services.model.schemas.filters import Filter
    from kamiwaza_sdk.services.model.schemas.model import ModelSchema, ModelSort, OnConflict, Page
    from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
    from kamiwaza_sdk.services.storage.schemas import StorageUsageSchema
    from kamiwaza_sdk.services.storage.views import Layout


class AsyncRegistry(AsyncCalls):
    """A model registry in three lines, as coroutines: it owns an engine and a store, and each call is a transaction.

    Everything said of `Registry` and its methods holds, but that transfers run in the caller's event loop. A
    transaction is atomic under cancellation: it happens whole or not at all, and `asyncio.CancelledError` is raised
    after it. A transfer that is cancelled leaves what has arrived in the store. Many calls may run at once.

    Args:
        engine: An asynchronous engine of SQLAlchemy's, which stays yours; or a URL such as ``postgresql://…``. Default:
            ``MODEL_SERVICE_DATABASE_URL``, which is an SQLite file in the user's data directory. ``sqlite://`` is a
            database in memory.
        storage: Where files are kept. Default: the hub's store, or the one that ``STORAGE_SERVICE_ROOT`` names.
        hub: What it fetches with. Default: one of its own.
        namespace: Sees and touches no other.
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…``.

    Raises:
        InvalidInputException: `engine` is an `Engine`, a session or something else; or another argument is of a wrong
            kind.
        MissingDependencyException: greenlet or the driver is not installed: ``pip install 'kamiwaza-sdk[async]'``.
        ConfigurationException: A setting is unknown, its value cannot be used, or no driver takes the URL.
        DatabaseUnsupportedException: The database is neither SQLite nor PostgreSQL.
        DatabaseException: By every method: the database could not do it.
        OpenTransactionException: By every method: it was called in a block of `Registry.transaction`.
        RegistryUnavailableException: By every method: the registry is closed.

    Example:
        >>> async def main():
        ...     async with AsyncRegistry("sqlite://") as registry:
        ...         version = await registry.pull(directory, name="tiny", alias="production")
        ...         return await registry.materialize("tiny@production")
        >>> asyncio.run(main()).name == registry.fetch(directory).digest
        True
    """

    async def pull(
        self,
        source: "Source",
        *,
        name: str | None = None,
        version: str | None = None,
        alias: str | None = None,
        sha256: str | Mapping[str, str] | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
        progress: "bool | ProgressCallback" = False,
        timeout: float | None = None,
    ) -> "ModelVersionSchema":
        """As `Registry.pull`.

        Example:
            >>> version = await registry.pull(directory, name="tiny", alias="production")
            >>> version.model_name, version.number, version.aliases
            ('tiny', 1, ('production',))
        """
        steps = self._operations.pull(
            source,
            name=name,
            version=version,
            alias=alias,
            sha256=sha256,
            variant=variant,
            allow=allow,
            ignore=ignore,
            policy=policy,
            force=force,
            progress=progress,
            timeout=timeout,
        )
        return await self._run(steps, "pull()")

    async def register(
        self,
        path: "str | os.PathLike[str] | Fetched",
        *,
        name: str | None = None,
        version: str | None = None,
        alias: str | None = None,
        tags: Mapping[str, str] | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
        progress: "bool | ProgressCallback" = False,
    ) -> "ModelVersionSchema":
        """As `Registry.register`.

        Example:
            >>> (await registry.register(directory, name="tiny", tags={"f1": "0.93"})).tags
            {'f1': '0.93'}
        """
        steps = self._operations.register(
            path,
            name=name,
            version=version,
            alias=alias,
            tags=tags,
            policy=policy,
            force=force,
            progress=progress,
        )
        return await self._run(steps, "register()")

    async def adopt(
        self,
        source: str,
        *,
        name: str | None = None,
        version: str | None = None,
        alias: str | None = None,
        cache: str | os.PathLike[str] | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
    ) -> "ModelVersionSchema":
        """As `Registry.adopt`.

        Example:
            >>> (await registry.adopt("lmstudio://org/minilm", cache=lm_studio)).model_name
            'minilm'
        """
        steps = self._operations.adopt(
            source,
            name=name,
            version=version,
            alias=alias,
            cache=cache,
            variant=variant,
            allow=allow,
            ignore=ignore,
            policy=policy,
            force=force,
        )
        return await self._run(steps, "adopt()")

    async def fetch(
        self,
        source: "Source",
        *,
        sha256: str | Mapping[str, str] | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        max_size: int | None = None,
        progress: "bool | ProgressCallback" = False,
        timeout: float | None = None,
    ) -> "Fetched":
        """As `Registry.fetch`.

        Example:
            >>> fetched = await registry.fetch(directory)
            >>> fetched.size, await registry.list()
            (7, [])
        """
        steps = self._operations.fetch(
            source,
            sha256=sha256,
            variant=variant,
            allow=allow,
            ignore=ignore,
            max_size=max_size,
            progress=progress,
            timeout=timeout,
        )
        return await self._run(steps, "fetch()")

    async def plan(
        self,
        source: "Source",
        *,
        fits: int | str | None = None,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        policy: "Policy | None" = None,
        context_length: int | None = None,
    ) -> "PlanSchema":
        """As `Registry.plan`.

        Example:
            >>> plan = await registry.plan(directory)
            >>> plan.size, plan.bytes_to_fetch
            (7, 0)
        """
        steps = self._operations.plan(
            source,
            fits=fits,
            variant=variant,
            allow=allow,
            ignore=ignore,
            policy=policy,
            context_length=context_length,
        )
        return await self._run(steps, "plan()")

    async def mirror(
        self,
        sources: "Iterable[Source | RepositorySchema]",
        *,
        executor: "Executor | None" = None,
        at_once: int = 4,
        variant: str | None = None,
        allow: str | Iterable[str] | None = None,
        ignore: str | Iterable[str] | None = None,
        progress: "MirrorCallback | None" = None,
        timeout: float | None = None,
    ) -> "MirrorSchema":
        """As `Registry.mirror`.

        Example:
            >>> [item.error for item in (await registry.mirror([directory, "/nothing"])).items]
            [None, 'InvalidSourceException']
        """
        steps = self._operations.mirror(
            sources,
            executor=executor,
            at_once=at_once,
            variant=variant,
            allow=allow,
            ignore=ignore,
            progress=progress,
            timeout=timeout,
        )
        return await self._run(steps, "mirror()")

    async def search(
        self,
        query: str | None = None,
        *,
        hub: str | None = None,
        task: str | None = None,
        author: str | None = None,
        sort: "RepositorySort | None" = None,
        limit: int = 20,
    ) -> "builtins.list[RepositorySchema]":
        """As `Registry.search`.

        Example:
            >>> [found.source for found in await registry.search("minilm", hub=hub_server.endpoint)]
            ['hf://org/minilm']
        """
        steps = self._operations.search(query, hub=hub, task=task, author=author, sort=sort, limit=limit)
        return await self._run(steps, "search()")

    async def find(
        self,
        where: "Filter | None" = None,
        *,
        text: str | None = None,
        sort: "ModelSort" = "name",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
    ) -> "Page[ModelSchema]":
        """As `Registry.find`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> [model.name for model in (await registry.find(Field.name.startswith("ti"))).items]
            ['tiny']
        """
        steps = in_transaction(
            lambda models: models.search_models(
                where,
                text=text,
                sort=sort,
                descending=descending,
                cursor=cursor,
                limit=limit,
                with_total=with_total,
            )
        )
        return await self._run(steps, "find()")

    async def get(self, version: AnyVersion, *, at: datetime | None = None) -> "ModelVersionSchema":
        """As `Registry.get`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> await registry.get("tiny:1") == await registry.get(version.id) == version
            True
        """
        return await self._run(in_transaction(lambda models: operations.find_version(models, version, at=at)), "get()")

    async def versions(
        self, model: AnyModel, *, after: int = 0, limit: int = 100
    ) -> "builtins.list[ModelVersionSchema]":
        """As `Registry.versions`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> await registry.versions("tiny") == [version]
            True
        """
        steps = in_transaction(
            lambda models: models.list_versions(operations.find_model(models, model), after=after, limit=limit)
        )
        return await self._run(steps, "versions()")

    async def set_alias(self, version: AnyVersion, alias: str) -> "ModelVersionSchema":
        """As `Registry.set_alias`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> (await registry.set_alias("tiny:1", "production")).aliases
            ('production',)
        """
        steps = in_transaction(lambda models: operations.set_alias(models, version, alias))
        return await self._run(steps, "set_alias()")

    async def rollback(self, reference: str) -> "ModelVersionSchema":
        """As `Registry.rollback`.

        Example:
            >>> for _ in range(2):
            ...     version = await registry.register(directory, name="tiny", alias="production")
            ...     _ = (directory / "config.json").write_text("{}")
            >>> (await registry.rollback("tiny@production")).number
            1
        """
        return await self._run(in_transaction(lambda models: operations.roll_back(models, reference)), "rollback()")

    async def tag(self, version: AnyVersion, tags: Mapping[str, str | None]) -> "ModelVersionSchema":
        """As `Registry.tag`.

        Example:
            >>> version = await registry.register(directory, name="tiny", tags={"draft": "yes"})
            >>> (await registry.tag("tiny:1", {"f1": "0.93", "draft": None})).tags
            {'f1': '0.93'}
        """
        return await self._run(in_transaction(lambda models: operations.tag(models, version, tags)), "tag()")

    async def delete(self, target: AnyModel) -> None:
        """As `Registry.delete`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> await registry.delete("tiny:1")
            >>> await registry.versions("tiny")
            []
        """
        await self._run(in_transaction(lambda models: operations.delete(models, target)), "delete()")

    async def diff(self, before: AnyVersion, after: AnyVersion) -> "VersionDiffSchema":
        """As `Registry.diff`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> _ = (directory / "model.onnx").write_bytes(b"Weights")
            >>> print(await registry.diff(version, await registry.register(directory, name="tiny")))
            tiny:1 → tiny:2
            files (0 files are the same)
              ~ model.onnx: other bytes, of the same size, 7
        """
        return await self._run(self._operations.diff(before, after), "diff()")

    async def events(
        self,
        model: AnyModel | None = None,
        *,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> "Page[ModelEventSchema]":
        """As `Registry.events`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> [event.kind for event in (await registry.events("tiny")).items]
            ['model.created', 'version.created']
        """
        steps = in_transaction(
            lambda models: models.list_events(
                None if model is None else operations.find_model(models, model),
                descending=descending,
                cursor=cursor,
                limit=limit,
            )
        )
        return await self._run(steps, "events()")

    async def materialize(
        self,
        version: AnyVersion,
        directory: str | os.PathLike[str] | None = None,
        *,
        layout: "Layout" = "plain",
        writable: bool = False,
        force: bool = False,
        progress: "bool | ProgressCallback" = False,
        timeout: float | None = None,
    ) -> Path:
        """As `Registry.materialize`.

        Example:
            >>> version = await registry.register(directory, name="tiny", alias="production")
            >>> path = await registry.materialize("tiny@production")
            >>> (path / "model.onnx").read_bytes(), path == await registry.materialize(version)
            (b'weights', True)
        """
        steps = self._operations.materialize(
            version, directory, layout=layout, writable=writable, force=force, progress=progress, timeout=timeout
        )
        return await self._run(steps, "materialize()")

    async def list(self, *, after: str = "", limit: int = 1000) -> "builtins.list[ModelSchema]":
        """As `Registry.list`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> [model.name for model in await registry.list()]
            ['tiny']
        """
        return await self._run(in_transaction(lambda models: models.list_models(after=after, limit=limit)), "list()")

    async def usage(self) -> "StorageUsageSchema":
        """As `Registry.usage`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> (await registry.usage()).blobs
            1
        """
        return await self._run(self._operations.usage(), "usage()")

    async def verify(
        self, *, read: bool = False, databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "StorageReportSchema":
        """As `Registry.verify`.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.verify(read=True).problems
            ()
        """
        return await self._run(self._operations.verify((self._engine, *databases), read=read), "verify()")

    async def repair(
        self, report: "StorageReportSchema", *, databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "RepairSchema":
        """As `Registry.repair`.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.repair(file_registry.verify()).brought
            ()
        """
        return await self._run(self._operations.repair(report, (self._engine, *databases)), "repair()")

    async def plan_cleanup(
        self, *, unused_for: timedelta = timedelta(days=1), databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "CleanupPlanSchema":
        """As `Registry.plan_cleanup`.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> print(file_registry.plan_cleanup())
            0 blobs may go, which frees at least 0 B, at most 0 B.
            Stays: nothing.
        """
        steps = self._operations.plan_cleanup((self._engine, *databases), unused_for=unused_for)
        return await self._run(steps, "plan_cleanup()")

    async def prune(
        self, plan: "CleanupPlanSchema", *, databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "CleanupResultSchema":
        """As `Registry.prune`.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.prune(file_registry.plan_cleanup()).removed.blobs
            0
        """
        return await self._run(self._operations.prune(plan, (self._engine, *databases)), "prune()")

    async def export_models(
        self, to: "str | os.PathLike[str] | Writer", *, where: "Filter | None" = None, with_deleted: bool = False
    ) -> "ExportSchema":
        """As `Registry.export_models`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> (await registry.export_models("models.jsonl")).models
            1
        """
        steps = in_transaction(lambda models: models.export_models(where, to=to, with_deleted=with_deleted))
        return await self._run(steps, "export_models()")

    async def import_models(
        self, source: "str | os.PathLike[str] | Reader", *, on_conflict: "OnConflict" = "raise"
    ) -> "ImportSchema":
        """As `Registry.import_models`.

        Example:
            >>> version = await registry.register(directory, name="tiny")
            >>> exported = await registry.export_models("models.jsonl")
            >>> (await registry.import_models("models.jsonl", on_conflict="skip")).skipped
            1
        """
        return await self._run(self._operations.import_models(source, on_conflict=on_conflict), "import_models()")
