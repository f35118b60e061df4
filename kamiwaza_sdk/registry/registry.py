"""`Registry`: the registry for callers without a session."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kamiwaza_sdk.registry import operations
from kamiwaza_sdk.registry.calls import Calls
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


class Registry(Calls):
    """A model registry in three lines: it owns an engine and a store, and each call is a transaction of its own.

    It works the same in a script, a notebook, threads, a web server and forked workers. The database is set up with the
    first call. Files travel in a thread that ends with the call; the database is used in the caller's thread. An
    interrupt (Ctrl-C) cancels a transfer, waits for its end, and is raised then; a second one is raised at once. After
    a fork, connections are made anew; a database in memory is then empty. In a coroutine it works, and blocks the event
    loop: `AsyncRegistry` does not.

    For a session and a transaction of your own, there is `ModelService`.

    Args:
        engine: An engine of SQLAlchemy's, which stays yours; or a URL such as ``postgresql://…``. Default:
            ``MODEL_SERVICE_DATABASE_URL``, which is an SQLite file in the user's data directory. ``sqlite://`` is a
            database in memory, which all threads share.
        storage: Where files are kept. Default: the hub's store, or the one that ``STORAGE_SERVICE_ROOT`` names.
        hub: What it fetches with. Default: one of its own.
        namespace: Sees and touches no other.
        actor: Who is at work, for the history: such as the name of a user or a job.
        config: Default: read from ``MODEL_SERVICE_…``.

    Raises:
        InvalidInputException: `engine` is an `AsyncEngine`, a session or something else; or another argument is of a
            wrong kind.
        ConfigurationException: A setting is unknown, its value cannot be used, or no driver takes the URL.
        DatabaseUnsupportedException: The database is neither SQLite nor PostgreSQL.
        MissingDependencyException: The driver is not installed; the error names the extra.
        DatabaseException: By every method: the database could not do it.
        OpenTransactionException: By every method: it was called in a block of `Registry.transaction`.
        RegistryUnavailableException: By every method: the registry is closed. By those that transfer: no thread can be
            started here, at the interpreter's exit or under gevent.

    Example:
        >>> with Registry("sqlite://") as registry:
        ...     version = registry.pull(directory, name="tiny", alias="production")
        ...     path = registry.materialize("tiny@production")
        >>> version.number, sorted(file.name for file in path.iterdir())
        (1, ['model.onnx'])
    """

    def pull(
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
        """Fetch a source, verify it, register it, and move an alias to it.

        Nothing is fetched or registered twice. What broke off goes on where it stopped when it is called again.

        Args:
            source: As `fetch` takes it.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.
            alias: An alias that leads to the version from then on, moved in the transaction that registers it.
            sha256: As `kamiwaza_sdk.fetch` takes it.
            variant: As `kamiwaza_sdk.fetch` takes it.
            allow: As `kamiwaza_sdk.fetch` takes it.
            ignore: As `kamiwaza_sdk.fetch` takes it.
            policy: What it must be like: see `ModelService.pull_model`.
            force: Register it as ``ready`` whatever a policy has against it.
            progress: `True` for progress bars (extra ``notebook``), or what to call with `DownloadProgress`, in the
                thread of the transfer. It may call the registry.
            timeout: How many seconds the transfer may take. Default: any number.

        Returns:
            The version, ``ready``, or ``failed`` where only its bytes told that the policy objects.

        Raises:
            RegistryTimeoutException: It took longer than `timeout`. Nothing was registered.
            PolicyViolationException: The policy objects to what is announced; or `alias` is to lead to what failed.
            InvalidInputException: A name, a label or an alias cannot be kept, or another argument is of a wrong kind.
            ServiceException: Whatever `ModelService.pull_model` raises.

        Example:
            >>> version = registry.pull(directory, name="tiny", alias="production")
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
        return self._run(steps, "pull()")

    def register(
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
        """Register a model of your own: a directory or a file on this machine, such as what a training has written.

        Its files are taken into the store, so that the directory may change or go.

        Args:
            path: The directory or the file; or what `fetch` returned.
            name: The model's name. Default: that of the directory or the file.
            version: A label for a new version. Default: its number.
            alias: An alias that leads to the version from then on.
            tags: Tags of the version.
            policy: What it must be like.
            force: Register it as ``ready`` whatever a policy has against it.
            progress: As `pull` takes it.

        Returns:
            The version. Where the model has a version of just these files, that one.

        Raises:
            InvalidInputException: `path` is an address, or an argument is of a wrong kind.
            InvalidSourceException: There is nothing at `path`, or a download into it is unfinished.
            ServiceException: Whatever `ModelService.register` raises.

        Example:
            >>> registry.register(directory, name="tiny", tags={"f1": "0.93"}).tags
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
        return self._run(steps, "register()")

    def adopt(
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
        """Take over what another tool on this machine has, without the network, and register it.

        Args:
            source: As `kamiwaza_sdk.adopt` takes it: ``hf://…``, ``ollama://…`` or ``lmstudio://…``.
            name: The model's name. Default: the one that the source suggests.
            version: A label for a new version. Default: its number.
            alias: An alias that leads to the version from then on.
            cache: As `kamiwaza_sdk.adopt` takes it.
            variant: As `kamiwaza_sdk.adopt` takes it.
            allow: As `kamiwaza_sdk.adopt` takes it.
            ignore: As `kamiwaza_sdk.adopt` takes it.
            policy: What it must be like.
            force: Register it as ``ready`` whatever a policy has against it.

        Returns:
            The version.

        Raises:
            NotInCacheException: The cache has it not, or not all that is wanted of it.
            ServiceException: Whatever `kamiwaza_sdk.adopt` and `ModelService.register` raise.

        Example:
            >>> registry.adopt("lmstudio://org/minilm", cache=lm_studio).model_name
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
        return self._run(steps, "adopt()")

    def fetch(
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
        """Bring a source's files into the store, verified, and register nothing.

        Args:
            source: An address, such as ``hf://org/name``, or several of http or https; a file or a directory; a plan;
                a version. A text that is no address, names nothing on this machine, and does not begin with ``/``,
                ``.`` or ``~``, is a reference to a version, such as ``name@production``.
            sha256: As `kamiwaza_sdk.fetch` takes it.
            variant: As `kamiwaza_sdk.fetch` takes it.
            allow: As `kamiwaza_sdk.fetch` takes it.
            ignore: As `kamiwaza_sdk.fetch` takes it.
            max_size: As `kamiwaza_sdk.fetch` takes it.
            progress: As `pull` takes it.
            timeout: As `pull` takes it.

        Returns:
            What `kamiwaza_sdk.fetch` returns: `register` takes it.

        Raises:
            RegistryTimeoutException: It took longer than `timeout`.
            ServiceException: Whatever `kamiwaza_sdk.fetch` raises.

        Example:
            >>> fetched = registry.fetch(directory)
            >>> fetched.size, registry.list()
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
        return self._run(steps, "fetch()")

    def plan(
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
        """Tell what pulling a source would come to, and which of its variants fits, without fetching it.

        Args:
            source: As `fetch` takes it.
            fits: The memory there is, in bytes or as ``8 GiB``: the largest variant that fits is chosen.
            variant: The name of the variant to bring.
            allow: As `kamiwaza_sdk.fetch` takes it.
            ignore: As `kamiwaza_sdk.fetch` takes it.
            policy: What to check the plan against.
            context_length: The tokens of the context that memory is estimated for.

        Returns:
            What `pull` takes to bring just that.

        Raises:
            NothingFitsException: No variant fits.
            ServiceException: Whatever `HubService.plan` raises.

        Example:
            >>> plan = registry.plan(directory)
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
        return self._run(steps, "plan()")

    def mirror(
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
        """Bring many sources into the store, each for itself, and register nothing.

        Args:
            sources: As `fetch` takes each: a list, what `search` returns, versions.
            executor: As `HubService.mirror` takes it.
            at_once: How many sources are under way at once where there is no executor.
            variant: As `kamiwaza_sdk.fetch` takes it, for each.
            allow: As `kamiwaza_sdk.fetch` takes it, for each.
            ignore: As `kamiwaza_sdk.fetch` takes it, for each.
            progress: What to call with `MirrorProgressSchema`, in the thread of the transfer.
            timeout: As `pull` takes it, for all together.

        Returns:
            What came of each, in the order of the sources. That one fails ends none of the others.

        Raises:
            RegistryTimeoutException: It took longer than `timeout`.
            ServiceException: Whatever `HubService.mirror` raises.

        Example:
            >>> [item.error for item in registry.mirror([directory, "/nothing"]).items]
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
        return self._run(steps, "mirror()")

    def search(
        self,
        query: str | None = None,
        *,
        hub: str | None = None,
        task: str | None = None,
        author: str | None = None,
        sort: "RepositorySort | None" = None,
        limit: int = 20,
    ) -> "builtins.list[RepositorySchema]":
        """Ask a Hugging-Face-compatible hub which models it has. `find` asks the registry.

        Args:
            query: Words of the name.
            hub: The hub's address. Default: ``HUB_SERVICE_HF_ENDPOINT``. Another one gets no token.
            task: Such as ``text-generation``.
            author: The organisation or user that they belong to.
            sort: By what, the greatest first. Default: the hub's own order.
            limit: How many at most.

        Raises:
            ServiceException: Whatever `HubService.search` raises.

        Example:
            >>> [found.source for found in registry.search("minilm", hub=hub_server.endpoint)]
            ['hf://org/minilm']
        """
        steps = self._operations.search(query, hub=hub, task=task, author=author, sort=sort, limit=limit)
        return self._run(steps, "search()")

    def find(
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
        """Return a page of the registry's models that fit a filter and have the words of a text.

        Args:
            where: As `ModelService.search_models` takes it, as all that follows.
            text: Words of names, descriptions, cards and tags.
            sort: By what.
            descending: From the greatest on.
            cursor: ``next_cursor`` or ``previous_cursor`` of another page of the same query.
            limit: How many at most: 1 to 1,000.
            with_total: Count those on all pages too.

        Raises:
            InvalidFilterException: The filter is not valid.
            InvalidCursorException: The cursor is of another query.
            InvalidInputException: `limit` or `sort` is out of bounds.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> [model.name for model in registry.find(Field.name.startswith("ti")).items]
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
        return self._run(steps, "find()")

    def get(self, version: AnyVersion, *, at: datetime | None = None) -> "ModelVersionSchema":
        """Return a version, as it is now.

        Args:
            version: A reference: ``name`` for the latest version that is ready, ``name:3``, ``name:v1.5``,
                ``name@production``; or a version's id; or a version, to be read again.
            at: The moment for which to say where an alias led then; aware.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            VersionNotFoundException: There is no such version.
            AliasNotFoundException: The model has no such alias, or had none at that moment.
            InvalidInputException: It is no version, no id and no reference; or `at` is no aware moment.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.get("tiny:1") == registry.get(version.id) == version
            True
        """
        return self._run(in_transaction(lambda models: operations.find_version(models, version, at=at)), "get()")

    def versions(self, model: AnyModel, *, after: int = 0, limit: int = 100) -> "builtins.list[ModelVersionSchema]":
        """Return a page of a model's versions, by number.

        Args:
            model: Its name; or a model, a version of it, or its id.
            after: The number of the last version of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidInputException: An argument is of a wrong kind, or out of bounds.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.versions("tiny") == [version]
            True
        """
        steps = in_transaction(
            lambda models: models.list_versions(operations.find_model(models, model), after=after, limit=limit)
        )
        return self._run(steps, "versions()")

    def set_alias(self, version: AnyVersion, alias: str) -> "ModelVersionSchema":
        """Let an alias lead to a version, wherever it led before.

        Args:
            version: As `get` takes it.
            alias: Such as ``production``.

        Returns:
            The version.

        Raises:
            VersionNotFoundException: There is no such version.
            VersionStatusException: The version is not ready.
            PolicyViolationException: The version has failed.
            InvalidInputException: There can be no such alias.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.set_alias("tiny:1", "production").aliases
            ('production',)
        """
        steps = in_transaction(lambda models: operations.set_alias(models, version, alias))
        return self._run(steps, "set_alias()")

    def rollback(self, reference: str) -> "ModelVersionSchema":
        """Let an alias lead to where it led before.

        Args:
            reference: The model and the alias, as ``name@production``.

        Returns:
            The version it leads to now.

        Raises:
            AliasNotFoundException: The model has no such alias, or it has led nowhere else before.
            InvalidInputException: It names no alias.
            ServiceException: Whatever `ModelService.rollback_alias` raises.

        Example:
            >>> for _ in range(2):
            ...     version = registry.register(directory, name="tiny", alias="production")
            ...     _ = (directory / "config.json").write_text("{}")
            >>> registry.rollback("tiny@production").number
            1
        """
        return self._run(in_transaction(lambda models: operations.roll_back(models, reference)), "rollback()")

    def tag(self, version: AnyVersion, tags: Mapping[str, str | None]) -> "ModelVersionSchema":
        """Set tags of a version, all or none of them.

        Args:
            version: As `get` takes it.
            tags: Keys and values; `None` deletes a tag, where there is one.

        Returns:
            The version, with its tags.

        Raises:
            VersionNotFoundException: There is no such version.
            InvalidInputException: A key or a value cannot be kept, or the version would have over 1,000 tags.

        Example:
            >>> version = registry.register(directory, name="tiny", tags={"draft": "yes"})
            >>> registry.tag("tiny:1", {"f1": "0.93", "draft": None}).tags
            {'f1': '0.93'}
        """
        return self._run(in_transaction(lambda models: operations.tag(models, version, tags)), "tag()")

    def delete(self, target: AnyModel) -> None:
        """Delete a version for good; or, by a name alone, a model, so that it can be restored.

        Bytes in the store are not touched.

        Args:
            target: ``name:3`` or a version, for that version; ``name`` or a model, for the model.

        Raises:
            InUseException: An alias leads to the version, or another version derives from it.
            NotFoundException: There is no such version or model.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.delete("tiny:1")
            >>> registry.versions("tiny")
            []
        """
        self._run(in_transaction(lambda models: operations.delete(models, target)), "delete()")

    def diff(self, before: AnyVersion, after: AnyVersion) -> "VersionDiffSchema":
        """Compare two versions: files, keys of configurations, parameters, licence, facts, tags and notes.

        Args:
            before: As `get` takes it.
            after: As `get` takes it.

        Returns:
            What is different. As a text, it has a line for each difference.

        Raises:
            VersionNotFoundException: There is no such version.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> _ = (directory / "model.onnx").write_bytes(b"Weights")
            >>> print(registry.diff(version, registry.register(directory, name="tiny")))
            tiny:1 → tiny:2
            files (0 files are the same)
              ~ model.onnx: other bytes, of the same size, 7
        """
        return self._run(self._operations.diff(before, after), "diff()")

    def events(
        self,
        model: AnyModel | None = None,
        *,
        descending: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> "Page[ModelEventSchema]":
        """Return a page of the history: what happened to a model, or to all.

        Args:
            model: As `versions` takes it. Default: all.
            descending: Latest first.
            cursor: ``next_cursor`` or ``previous_cursor`` of another page of the same query.
            limit: How many at most: 1 to 1,000.

        Raises:
            ModelNotFoundException: There is no such model in this namespace, or it is deleted.
            InvalidCursorException: The cursor is of another query.
            InvalidInputException: An argument is of a wrong kind, or out of bounds.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> [event.kind for event in registry.events("tiny").items]
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
        return self._run(steps, "events()")

    def materialize(
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
        """Lay out the files of a version, under their own names, and bring those that the store lacks.

        Args:
            version: As `get` takes it.
            directory: Where to. Default: a view in the store, one for each digest of a version: read it, never write
                it.
            layout: How: as `StorageService.materialize` takes it, such as ``ollama`` for the directory of Ollama.
            writable: Make files that may be edited, in a directory of your own.
            force: Lay it out although its status is ``failed``.
            progress: As `pull` takes it, of what has to be brought.
            timeout: How many seconds bringing it may take. Default: any number.

        Returns:
            The directory.

        Raises:
            VersionFailedException: The version failed, as a policy has something against it.
            VersionUnavailableException: It has files that are not kept, and not to be had where they came from.
            FileConflictException: Something else stands where a file is to be.
            RegistryTimeoutException: It took longer than `timeout`.
            ServiceException: Whatever `StorageService.materialize` raises.

        Example:
            >>> version = registry.register(directory, name="tiny", alias="production")
            >>> path = registry.materialize("tiny@production")
            >>> (path / "model.onnx").read_bytes(), path == registry.materialize(version)
            (b'weights', True)
        """
        steps = self._operations.materialize(
            version, directory, layout=layout, writable=writable, force=force, progress=progress, timeout=timeout
        )
        return self._run(steps, "materialize()")

    def list(self, *, after: str = "", limit: int = 1000) -> "builtins.list[ModelSchema]":
        """Return a page of the models, by name.

        Args:
            after: The name of the last model of the page before.
            limit: How many at most: 1 to 1,000.

        Raises:
            InvalidInputException: `limit` is out of bounds.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> [model.name for model in registry.list()]
            ['tiny']
        """
        return self._run(in_transaction(lambda models: models.list_models(after=after, limit=limit)), "list()")

    def usage(self) -> "StorageUsageSchema":
        """Return what the store holds and takes. It looks at every blob.

        Raises:
            StorageException: The store cannot be read.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.usage().blobs
            1
        """
        return self._run(self._operations.usage(), "usage()")

    def verify(self, *, read: bool = False, databases: "Iterable[Engine | AsyncEngine]" = ()) -> "StorageReportSchema":
        """Compare the store with the registry, both ways: what is missing, damaged or of another size. Nothing changes.

        Args:
            read: Read and hash every byte. Without, each blob costs one ``stat``.
            databases: Engines of other registries that use the store. A database in memory cannot be asked.

        Raises:
            DatabaseNotAskedException: The store knows a database that is not among them.
            InvalidInputException: A database is in memory, or an argument is of a wrong kind.
            StorageException: The store cannot be read.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.verify(read=True).problems
            ()
        """
        return self._run(self._operations.verify((self._engine, *databases), read=read), "verify()")

    def repair(
        self, report: "StorageReportSchema", *, databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "RepairSchema":
        """Bring again what a report says is missing or damaged, from where the versions say that it came from.

        What can be read stays. What is damaged is moved to the store's ``quarantine``, never removed.

        Args:
            report: What `verify` returned.
            databases: As `verify` takes them.

        Raises:
            DatabaseNotAskedException: The store knows a database that is not among them.
            InvalidInputException: The report is of another store.
            StorageException: The store cannot be written to.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.repair(file_registry.verify()).brought
            ()
        """
        return self._run(self._operations.repair(report, (self._engine, *databases)), "repair()")

    def plan_cleanup(
        self, *, unused_for: timedelta = timedelta(days=1), databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "CleanupPlanSchema":
        """Return what may go from the store: what no registry refers to and nobody has used for a while.

        Args:
            unused_for: For how long it was not used.
            databases: As `verify` takes them.

        Raises:
            DatabaseNotAskedException: The store knows a database that is not among them.
            InvalidInputException: A database is in memory, or an argument is of a wrong kind.
            StorageException: The store cannot be read.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> print(file_registry.plan_cleanup())
            0 blobs may go, which frees at least 0 B, at most 0 B.
            Stays: nothing.
        """
        steps = self._operations.plan_cleanup((self._engine, *databases), unused_for=unused_for)
        return self._run(steps, "plan_cleanup()")

    def prune(
        self, plan: "CleanupPlanSchema", *, databases: "Iterable[Engine | AsyncEngine]" = ()
    ) -> "CleanupResultSchema":
        """Remove what a plan names, unless somebody refers to it or has used it since.

        Args:
            plan: What `plan_cleanup` returned, today or earlier.
            databases: As `verify` takes them.

        Raises:
            DatabaseNotAskedException: The store knows a database that is not among them. Nothing was removed.
            InvalidInputException: The plan is of another store.
            StorageException: The store cannot be written to.

        Example:
            >>> file_registry = Registry(file_engine, storage=storage)
            >>> file_registry.prune(file_registry.plan_cleanup()).removed.blobs
            0
        """
        return self._run(self._operations.prune(plan, (self._engine, *databases)), "prune()")

    def export_models(
        self, to: "str | os.PathLike[str] | Writer", *, where: "Filter | None" = None, with_deleted: bool = False
    ) -> "ExportSchema":
        """Write what is known of models to a file, for another registry: lines of JSON, without the bytes of models.

        Args:
            to: A path, where a whole export appears, or what was there stays; or a file open for writing bytes.
            where: Which models. Default: all.
            with_deleted: Deleted models too, as for a back-up.

        Raises:
            ServiceException: Whatever `ModelService.export_models` raises.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> registry.export_models("models.jsonl").models
            1
        """
        steps = in_transaction(lambda models: models.export_models(where, to=to, with_deleted=with_deleted))
        return self._run(steps, "export_models()")

    def import_models(
        self, source: "str | os.PathLike[str] | Reader", *, on_conflict: "OnConflict" = "raise"
    ) -> "ImportSchema":
        """Write what an export says into this registry, all of it or nothing. Files are brought when they are laid out.

        The store knows of this registry from then on. A clean-up asks it, so files of the export that are there stay.

        Args:
            source: The path of an export, or a file open for reading bytes.
            on_conflict: As `ModelService.import_models` takes it: ``raise``, ``skip`` or ``update``.

        Raises:
            ServiceException: Whatever `ModelService.import_models` raises.

        Example:
            >>> version = registry.register(directory, name="tiny")
            >>> exported = registry.export_models("models.jsonl")
            >>> registry.import_models("models.jsonl", on_conflict="skip").skipped
            1
        """
        return self._run(self._operations.import_models(source, on_conflict=on_conflict), "import_models()")
