"""`AsyncModelService`: `ModelService` as coroutines.

Generated from `ModelService` by ``python -m tests.generate_async``: change that, and run this again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from kamiwaza_sdk.services.model import registry
from kamiwaza_sdk.services.model.async_calls import AsyncCalls
from kamiwaza_sdk.services.model.schemas.config import (
    CreateModelConfig,
    ModelConfigSchema,
    ModelEventSchema,
    UpdateModelConfig,
)
from kamiwaza_sdk.services.model.schemas.model import (
    BulkResult,
    CreateModel,
    ModelSchema,
    ModelSort,
    OnConflict,
    Page,
    UpdateModel,
)
from kamiwaza_sdk.services.model.schemas.version import (
    CreateParent,
    CreateVersion,
    ModelVersionSchema,
    RelativeSchema,
    UpdateVersion,
    VersionSort,
    VersionSummarySchema,
)
from kamiwaza_sdk.services.model.services import ModelService

if TYPE_CHECKING:
    import os

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.hub.schemas.policy import Policy
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.hub.services import Source
    from kamiwaza_sdk.services.model.registry.exports import Reader, Writer
    from kamiwaza_sdk.services.model.schemas.exchange import ExportSchema, ImportSchema
    from kamiwaza_sdk.services.model.schemas.filters import Filter
    from kamiwaza_sdk.services.model.schemas.retention import PinSchema, RetentionPlanSchema, RetentionResultSchema
    from kamiwaza_sdk.services.storage.services import StorageService


class AsyncModelService(AsyncCalls):
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
        hub: What ``pull_model`` fetches with. Default: one of its own.
        downloads: What ``download_model`` downloads with. Default: one of its own.

    Raises:
        InvalidInputException: `namespace` cannot be kept; or `db` is no `AsyncSession`, or `actor` no text of at most
            255 characters.
        MissingDependencyException: greenlet is not installed: ``pip install 'kamiwaza-sdk[async]'``.

    Example:
        >>> async def names():
        ...     async with AsyncSession(async_engine) as db:
        ...         return [model.name for model in await AsyncModelService(db).list_models()]
        >>> asyncio.run(names())
        []
    """

    async def create_model(self, model: CreateModel) -> ModelSchema:
        """As `ModelService.create_model`.

        Example:
            >>> (await models.create_model(CreateModel(name="org/tiny"))).revision
            1
        """
        return await self._call(ModelService.create_model, model)

    async def create_models(
        self, models: Iterable[CreateModel], *, on_conflict: OnConflict = "raise", returning: bool = False
    ) -> BulkResult:
        """As `ModelService.create_models`. Each batch is a call of its own: a cancellation leaves those before it.

        Example:
            >>> (await models.create_models(CreateModel(name=f"org/m{number}") for number in range(2000))).created
            2000
        """
        bulk = registry.bulk.BulkCreation(on_conflict=on_conflict, returning=returning)
        for batch in bulk.batches(models):
            await self._call(ModelService._write_batch, bulk, batch)
        return bulk.result()

    async def export_models(
        self, where: "Filter | None" = None, *, to: "str | os.PathLike[str] | Writer", with_deleted: bool = False
    ) -> "ExportSchema":
        """As `ModelService.export_models`.

        Example:
            >>> (await models.export_models(Field.name == "minilm", to="models.jsonl")).models
            1
        """
        return await self._call(ModelService.export_models, where, to=to, with_deleted=with_deleted)

    async def import_models(
        self,
        source: "str | os.PathLike[str] | Reader",
        *,
        on_conflict: OnConflict = "raise",
        storage: "StorageService | None" = None,
    ) -> "ImportSchema":
        """As `ModelService.import_models`.

        Example:
            >>> exported = await models.export_models(to="models.jsonl")
            >>> (await models.import_models("models.jsonl", on_conflict="skip")).skipped
            1
        """
        return await self._call(ModelService.import_models, source, on_conflict=on_conflict, storage=storage)

    async def get_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.get_model`.

        Example:
            >>> (await models.get_model(model.id)).name
            'minilm'
        """
        return await self._call(ModelService.get_model, model_id)

    async def get_model_by_name(self, name: str) -> ModelSchema:
        """As `ModelService.get_model_by_name`.

        Example:
            >>> await models.get_model_by_name("minilm") == model
            True
        """
        return await self._call(ModelService.get_model_by_name, name)

    async def list_models(self, *, after: str = "", limit: int = 1000) -> list[ModelSchema]:
        """As `ModelService.list_models`.

        Example:
            >>> [model.name for model in await models.list_models(limit=1)]
            ['minilm']
        """
        return await self._call(ModelService.list_models, after=after, limit=limit)

    async def search_models(
        self,
        where: "Filter | None" = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
        deleted: bool = False,
    ) -> "Page[ModelSchema]":
        """As `ModelService.search_models`.

        Example:
            >>> page = await models.search_models(Field.private == False, text="mini", sort="created_at", limit=10)
            >>> [model.name for model in page.items], page.next_cursor
            (['minilm'], None)
        """
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
        where: "Filter | None" = None,
        *,
        text: str | None = None,
        sort: ModelSort = "name",
        descending: bool = False,
        deleted: bool = False,
    ) -> AsyncIterator[ModelSchema]:
        """As `ModelService.iter_models`, for ``async for``.

        Example:
            >>> [model.name async for model in models.iter_models(Field.name.startswith("mini"))]
            ['minilm']
        """
        cursor: str | None = None
        while True:
            page = await self.search_models(
                where, text=text, sort=sort, descending=descending, cursor=cursor, limit=1000, deleted=deleted
            )
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def count_models(
        self, where: "Filter | None" = None, *, text: str | None = None, deleted: bool = False
    ) -> int:
        """As `ModelService.count_models`.

        Example:
            >>> await models.count_models()
            1
        """
        return await self._call(ModelService.count_models, where, text=text, deleted=deleted)

    async def update_model(
        self, model_id: UUID, changes: UpdateModel, *, expected_revision: int | None = None
    ) -> ModelSchema:
        """As `ModelService.update_model`.

        Example:
            >>> (await models.update_model(model.id, UpdateModel(license="apache-2.0"))).license
            'apache-2.0'
        """
        return await self._call(ModelService.update_model, model_id, changes, expected_revision=expected_revision)

    async def delete_model(self, model_id: UUID) -> None:
        """As `ModelService.delete_model`.

        Example:
            >>> await models.delete_model(model.id)
            >>> await models.list_models()
            []
        """
        return await self._call(ModelService.delete_model, model_id)

    async def restore_model(self, model_id: UUID) -> ModelSchema:
        """As `ModelService.restore_model`.

        Example:
            >>> await models.delete_model(model.id)
            >>> (await models.restore_model(model.id)).deleted_at is None
            True
        """
        return await self._call(ModelService.restore_model, model_id)

    async def purge_model(self, model_id: UUID) -> None:
        """As `ModelService.purge_model`.

        Example:
            >>> await models.delete_model(model.id)
            >>> await models.purge_model(model.id)
            >>> (await models.create_model(CreateModel(name="minilm"))).revision
            1
        """
        return await self._call(ModelService.purge_model, model_id)

    async def create_version(
        self, model_id: UUID, version: CreateVersion, *, force: bool = False
    ) -> ModelVersionSchema:
        """As `ModelService.create_version`.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=3, sha256="ab" * 32),)
            >>> (await models.create_version(model.id, CreateVersion(files=files))).number
            1
        """
        return await self._call(ModelService.create_version, model_id, version, force=force)

    async def get_version(self, version_id: UUID) -> ModelVersionSchema:
        """As `ModelService.get_version`.

        Example:
            >>> await models.get_version(version.id) == version
            True
        """
        return await self._call(ModelService.get_version, version_id)

    async def list_versions(self, model_id: UUID, *, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
        """As `ModelService.list_versions`.

        Example:
            >>> [version.number for version in await models.list_versions(model.id)]
            [1]
        """
        return await self._call(ModelService.list_versions, model_id, after=after, limit=limit)

    async def search_versions(
        self,
        where: "Filter | None" = None,
        *,
        sort: VersionSort = "created_at",
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
        with_total: bool = False,
    ) -> "Page[ModelVersionSchema]":
        """As `ModelService.search_versions`.

        Example:
            >>> [found.id == version.id for found in (await models.search_versions(Field.size < 2**20)).items]
            [True]
        """
        return await self._call(
            ModelService.search_versions,
            where,
            sort=sort,
            descending=descending,
            cursor=cursor,
            limit=limit,
            with_total=with_total,
        )

    async def count_versions(self, where: "Filter | None" = None) -> int:
        """As `ModelService.count_versions`.

        Example:
            >>> await models.count_versions(Field.status == "failed")
            0
        """
        return await self._call(ModelService.count_versions, where)

    async def resolve(self, reference: str, *, at: datetime | None = None) -> ModelVersionSchema:
        """As `ModelService.resolve`.

        Example:
            >>> await models.resolve("minilm:1") == await models.resolve("minilm") == version
            True
        """
        return await self._call(ModelService.resolve, reference, at=at)

    async def update_version(
        self,
        version_id: UUID,
        changes: UpdateVersion,
        *,
        expected_revision: int | None = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """As `ModelService.update_version`.

        Example:
            >>> (await models.update_version(version.id, UpdateVersion(status="archived"))).status
            'archived'
        """
        return await self._call(
            ModelService.update_version, version_id, changes, expected_revision=expected_revision, force=force
        )

    async def delete_version(self, version_id: UUID) -> None:
        """As `ModelService.delete_version`.

        Example:
            >>> await models.delete_version(version.id)
            >>> await models.list_versions(model.id)
            []
        """
        return await self._call(ModelService.delete_version, version_id)

    async def copy_version(
        self, version_id: UUID, model_id: UUID, *, version: str | None = None, force: bool = False
    ) -> ModelVersionSchema:
        """As `ModelService.copy_version`.

        Example:
            >>> released = await models.create_model(CreateModel(name="minilm-released"))
            >>> (await models.copy_version(version.id, released.id)).digest == version.digest
            True
        """
        return await self._call(ModelService.copy_version, version_id, model_id, version=version, force=force)

    async def set_parent(self, version_id: UUID, parent: CreateParent) -> None:
        """As `ModelService.set_parent`.

        Example:
            >>> base = await models.create_version(model.id, CreateVersion(status="draft"))
            >>> await models.set_parent(version.id, CreateParent(version_id=base.id, relation="fine-tuned"))
            >>> [parent.relation for parent in (await models.get_version(version.id)).derived_from]
            ['fine-tuned']
        """
        return await self._call(ModelService.set_parent, version_id, parent)

    async def delete_parent(self, version_id: UUID, parent_id: UUID) -> None:
        """As `ModelService.delete_parent`.

        Example:
            >>> base = await models.create_version(model.id, CreateVersion(status="draft"))
            >>> await models.set_parent(version.id, CreateParent(version_id=base.id, relation="converted"))
            >>> await models.delete_parent(version.id, base.id)
        """
        return await self._call(ModelService.delete_parent, version_id, parent_id)

    async def list_ancestors(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """As `ModelService.list_ancestors`.

        Example:
            >>> await models.list_ancestors(version.id)
            []
        """
        return await self._call(ModelService.list_ancestors, version_id, limit=limit)

    async def list_descendants(self, version_id: UUID, *, limit: int = 1000) -> list[RelativeSchema]:
        """As `ModelService.list_descendants`.

        Example:
            >>> copied = await models.create_model(CreateModel(name="copied"))
            >>> copy = await models.copy_version(version.id, copied.id)
            >>> [(one.model_name, one.relation, one.distance) for one in await models.list_descendants(version.id)]
            [('copied', 'copied', 1)]
        """
        return await self._call(ModelService.list_descendants, version_id, limit=limit)

    async def create_alias(self, version_id: UUID, alias: str) -> VersionSummarySchema:
        """As `ModelService.create_alias`.

        Example:
            >>> (await models.create_alias(version.id, "production")).aliases
            ('production',)
        """
        return await self._call(ModelService.create_alias, version_id, alias)

    async def set_alias(self, version_id: UUID, alias: str) -> VersionSummarySchema:
        """As `ModelService.set_alias`.

        Example:
            >>> (await models.set_alias(version.id, "production")).id == (await models.resolve("minilm@production")).id
            True
        """
        return await self._call(ModelService.set_alias, version_id, alias)

    async def delete_alias(self, model_id: UUID, alias: str) -> None:
        """As `ModelService.delete_alias`.

        Example:
            >>> (await models.set_alias(version.id, "staging")).aliases
            ('staging',)
            >>> await models.delete_alias(model.id, "staging")
            >>> (await models.get_model(model.id)).aliases
            {}
        """
        return await self._call(ModelService.delete_alias, model_id, alias)

    async def rollback_alias(self, model_id: UUID, alias: str) -> VersionSummarySchema:
        """As `ModelService.rollback_alias`.

        Example:
            >>> files = (CreateFile(path="model.onnx", size=4, sha256="cd" * 32),)
            >>> better = await models.create_version(model.id, CreateVersion(files=files))
            >>> for each in (version, better):
            ...     _ = await models.set_alias(each.id, "production")
            >>> (await models.rollback_alias(model.id, "production")).number
            1
        """
        return await self._call(ModelService.rollback_alias, model_id, alias)

    async def set_model_tag(self, model_id: UUID, key: str, value: str) -> None:
        """As `ModelService.set_model_tag`.

        Example:
            >>> await models.set_model_tag(model.id, "lang", "en")
            >>> (await models.get_model(model.id)).tags
            {'lang': 'en'}
        """
        return await self._call(ModelService.set_model_tag, model_id, key, value)

    async def replace_model_tags(self, model_id: UUID, tags: Mapping[str, str]) -> None:
        """As `ModelService.replace_model_tags`.

        Example:
            >>> await models.replace_model_tags(model.id, {"lang": "en", "tier": "1"})
            >>> await models.replace_model_tags(model.id, {"lang": "ja"})
            >>> (await models.get_model(model.id)).tags
            {'lang': 'ja'}
        """
        return await self._call(ModelService.replace_model_tags, model_id, tags)

    async def delete_model_tag(self, model_id: UUID, key: str) -> None:
        """As `ModelService.delete_model_tag`.

        Example:
            >>> await models.set_model_tag(model.id, "lang", "en")
            >>> await models.delete_model_tag(model.id, "lang")
        """
        return await self._call(ModelService.delete_model_tag, model_id, key)

    async def set_version_tag(self, version_id: UUID, key: str, value: str) -> None:
        """As `ModelService.set_version_tag`.

        Example:
            >>> await models.set_version_tag(version.id, "lang", "en")
            >>> (await models.get_version(version.id)).tags
            {'lang': 'en'}
        """
        return await self._call(ModelService.set_version_tag, version_id, key, value)

    async def replace_version_tags(self, version_id: UUID, tags: Mapping[str, str]) -> None:
        """As `ModelService.replace_version_tags`.

        Example:
            >>> await models.replace_version_tags(version.id, {"lang": "en", "tier": "1"})
            >>> await models.replace_version_tags(version.id, {"lang": "ja"})
            >>> (await models.get_version(version.id)).tags
            {'lang': 'ja'}
        """
        return await self._call(ModelService.replace_version_tags, version_id, tags)

    async def delete_version_tag(self, version_id: UUID, key: str) -> None:
        """As `ModelService.delete_version_tag`.

        Example:
            >>> await models.set_version_tag(version.id, "lang", "en")
            >>> await models.delete_version_tag(version.id, "lang")
        """
        return await self._call(ModelService.delete_version_tag, version_id, key)

    async def create_config(
        self, config: CreateModelConfig, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> ModelConfigSchema:
        """As `ModelService.create_config`.

        Example:
            >>> config = CreateModelConfig(name="fast", config={"temperature": 0.2}, is_default=True)
            >>> (await models.create_config(config, version_id=version.id)).config
            {'temperature': 0.2}
        """
        return await self._call(ModelService.create_config, config, model_id=model_id, version_id=version_id)

    async def get_config(self, config_id: UUID) -> ModelConfigSchema:
        """As `ModelService.get_config`.

        Example:
            >>> created = await models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> await models.get_config(created.id) == created
            True
        """
        return await self._call(ModelService.get_config, config_id)

    async def get_default_config(
        self, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> ModelConfigSchema:
        """As `ModelService.get_default_config`.

        Example:
            >>> config = CreateModelConfig(name="usual", config={"top_p": 0.9, "stop": {"eos": True}}, is_default=True)
            >>> created = await models.create_config(config, model_id=model.id)
            >>> (await models.get_default_config(version_id=version.id)).merged({"stop": {"after": 100}})
            {'top_p': 0.9, 'stop': {'eos': True, 'after': 100}}
        """
        return await self._call(ModelService.get_default_config, model_id=model_id, version_id=version_id)

    async def list_configs(
        self, *, model_id: UUID | None = None, version_id: UUID | None = None
    ) -> list[ModelConfigSchema]:
        """As `ModelService.list_configs`.

        Example:
            >>> await models.list_configs(model_id=model.id)
            []
        """
        return await self._call(ModelService.list_configs, model_id=model_id, version_id=version_id)

    async def update_config(self, config_id: UUID, changes: UpdateModelConfig) -> ModelConfigSchema:
        """As `ModelService.update_config`.

        Example:
            >>> created = await models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> (await models.update_config(created.id, UpdateModelConfig(is_default=True))).is_default
            True
        """
        return await self._call(ModelService.update_config, config_id, changes)

    async def delete_config(self, config_id: UUID) -> None:
        """As `ModelService.delete_config`.

        Example:
            >>> created = await models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
            >>> await models.delete_config(created.id)
        """
        return await self._call(ModelService.delete_config, config_id)

    async def list_events(
        self,
        model_id: UUID | None = None,
        *,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> "Page[ModelEventSchema]":
        """As `ModelService.list_events`.

        Example:
            >>> changed = await models.update_model(model.id, UpdateModel(task="embedding"))
            >>> [(event.kind, event.after) for event in (await models.list_events(model.id)).items]
            [('model.created', {'name': 'minilm'}), ('model.updated', {'task': 'embedding'})]
        """
        return await self._call(ModelService.list_events, model_id, descending=descending, cursor=cursor, limit=limit)

    async def pin_version(self, version_id: UUID, name: str = "default", *, reason: str | None = None) -> "PinSchema":
        """As `ModelService.pin_version`.

        Example:
            >>> (await models.pin_version(version.id, "paper", reason="figure 3")).name
            'paper'
        """
        return await self._call(ModelService.pin_version, version_id, name, reason=reason)

    async def unpin_version(self, version_id: UUID, name: str = "default") -> bool:
        """As `ModelService.unpin_version`.

        Example:
            >>> await models.unpin_version(version.id)
            False
        """
        return await self._call(ModelService.unpin_version, version_id, name)

    async def list_pins(self, version_id: UUID) -> "list[PinSchema]":
        """As `ModelService.list_pins`.

        Example:
            >>> await models.list_pins(version.id)
            []
        """
        return await self._call(ModelService.list_pins, version_id)

    async def plan_retention(
        self,
        *,
        keep_last: int = 3,
        younger_than: timedelta = timedelta(days=30),
        unfinished_younger_than: timedelta = timedelta(days=7),
    ) -> "RetentionPlanSchema":
        """As `ModelService.plan_retention`.

        Example:
            >>> print(await models.plan_retention(keep_last=1))
            0 versions may go.
            Stays: nothing.
        """
        return await self._call(
            ModelService.plan_retention,
            keep_last=keep_last,
            younger_than=younger_than,
            unfinished_younger_than=unfinished_younger_than,
        )

    async def apply_retention(self, plan: "RetentionPlanSchema") -> "RetentionResultSchema":
        """As `ModelService.apply_retention`.

        Example:
            >>> (await models.apply_retention(await models.plan_retention())).deleted
            ()
        """
        return await self._call(ModelService.apply_retention, plan)

    async def register(
        self,
        fetched: "Fetched",
        *,
        name: str | None = None,
        version: str | None = None,
        policy: "Policy | None" = None,
        force: bool = False,
    ) -> ModelVersionSchema:
        """As `ModelService.register`.

        Example:
            >>> await models.register(fetched, name="tiny") == await models.register(fetched, name="tiny")
            True
        """
        fetched, violations, storage = await self._in_thread(self._transfers.examine, fetched, policy)
        return await self._call(
            ModelService._register,
            fetched,
            name=name,
            version=version,
            violations=violations,
            storage=storage,
            force=force,
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
        """As `ModelService.pull_model`.

        Example:
            >>> version = await models.pull_model(directory, name="tiny")
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
        return await self._call(
            ModelService._register,
            fetched,
            name=name,
            version=version,
            violations=violations,
            storage=storage,
            force=force,
        )

    async def download_model(self, url: str) -> bytes:
        """As `ModelService.download_model`.

        Example:
            >>> await models.download_model(url)
            b'weights'
        """
        return await self._transfers.read(url)
