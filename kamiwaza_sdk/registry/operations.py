"""What each call of a registry does, once for both colours: a generator of steps, for its caller to take.

A step is a transaction, in which a function gets a `ModelService`; a transfer, which is a coroutine; or a function that
reads or writes files, and blocks. What a step returns is sent back; what it raises ends the call.
"""

import os
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from uuid import UUID

from kamiwaza_sdk._validation import check_given, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.download.progress import check_progress
from kamiwaza_sdk.services.hub.addresses import is_address
from kamiwaza_sdk.services.hub.schemas.mirror import MirroredSchema, MirrorSchema
from kamiwaza_sdk.services.hub.services import HubService
from kamiwaza_sdk.services.model.config import ServiceConfig
from kamiwaza_sdk.services.model.diff import compare_versions
from kamiwaza_sdk.services.model.registry.references import parse_reference
from kamiwaza_sdk.services.model.schemas.fields import check_alias
from kamiwaza_sdk.services.model.schemas.model import ModelSchema
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema
from kamiwaza_sdk.services.model.services import ModelService
from kamiwaza_sdk.services.model.store.check import repair, verify_all
from kamiwaza_sdk.services.model.store.cleanup import clean_up, plan_cleanup
from kamiwaza_sdk.services.model.store.registration import note_database
from kamiwaza_sdk.services.model.transfers import Transfers
from kamiwaza_sdk.services.storage.exceptions import StorageException
from kamiwaza_sdk.services.storage.materialize import refuse_failed
from kamiwaza_sdk.services.storage.services import StorageService

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.hub.mirror import MirrorCallback
    from kamiwaza_sdk.services.hub.schemas.manifest import RepositorySchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
    from kamiwaza_sdk.services.hub.schemas.policy import Policy
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.hub.search import RepositorySort
    from kamiwaza_sdk.services.hub.services import Source
    from kamiwaza_sdk.services.model.registry.exports import Reader
    from kamiwaza_sdk.services.model.schemas.check import RepairSchema, StorageReportSchema
    from kamiwaza_sdk.services.model.schemas.cleanup import CleanupPlanSchema, CleanupResultSchema
    from kamiwaza_sdk.services.model.schemas.diff import VersionDiffSchema
    from kamiwaza_sdk.services.model.schemas.exchange import ImportSchema
    from kamiwaza_sdk.services.model.schemas.model import OnConflict
    from kamiwaza_sdk.services.storage.schemas import StorageUsageSchema
    from kamiwaza_sdk.services.storage.views import Layout

_T = TypeVar("_T")

#: What names a version: itself, its id, or a reference such as ``name``, ``name:3`` or ``name@production``.
AnyVersion: TypeAlias = ModelVersionSchema | UUID | str
#: What names a model: itself, a version of it, its id, its name, or a reference to a version of it.
AnyModel: TypeAlias = ModelSchema | ModelVersionSchema | UUID | str
#: Engines of the registries that have registered what lies in the store.
Databases: TypeAlias = "Iterable[Engine | AsyncEngine]"
#: The largest timeout: a year, in seconds.
_LONGEST: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Transaction:
    """A step: call this with a `ModelService`, and commit."""

    function: Callable[[ModelService], Any]  # Any: what each step returns


@dataclass(frozen=True, slots=True)
class Transfer:
    """A step: await this, for so many seconds at most."""

    start: Callable[[], Coroutine[Any, Any, Any]]  # Any: as above
    timeout: float | None


@dataclass(frozen=True, slots=True)
class FileWork:
    """A step: call this, which blocks."""

    function: Callable[[], Any]  # Any: as above


Step: TypeAlias = Transaction | Transfer | FileWork
Steps: TypeAlias = Generator[Step, Any, _T]  # Any: as above


def in_transaction(function: Callable[[ModelService], _T]) -> Steps[_T]:
    """Take a step that is a transaction of its own."""
    result: _T = yield Transaction(function)
    return result


def _transferred(
    start: Callable[[], Coroutine[Any, Any, _T]],  # Any: asyncio's
    timeout: float | None = None,
) -> Steps[_T]:
    result: _T = yield Transfer(start, timeout)
    return result


def _with_files(function: Callable[[], _T]) -> Steps[_T]:
    result: _T = yield FileWork(function)
    return result


class Operations:
    """The calls of a registry that take more than one transaction.

    Raises:
        InvalidInputException: The hub has another store.
    """

    def __init__(self, *, storage: StorageService | None, hub: HubService | None, config: ServiceConfig | None) -> None:
        storage = check_given(
            storage, StorageService, field="storage", way_out="write StorageService(StorageConfig(root=…))"
        )
        given = check_given(hub, HubService, field="hub", way_out="write HubService(…)")
        self.hub: HubService = given or HubService(storage=storage)
        self.storage: StorageService = self.hub.storage
        if storage is not None and self.storage is not storage:
            raise InvalidInputException("storage", "is another store than the hub's; give one of the two")
        self.config: ServiceConfig | None = config
        self._transfers = Transfers(config=config, hub=self.hub, downloads=None)

    def pull(
        self,
        source: "Source",
        *,
        name: str | None,
        version: str | None,
        alias: str | None,
        sha256: str | Mapping[str, str] | None,
        variant: str | None,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        policy: "Policy | None",
        force: bool,
        progress: "bool | ProgressCallback",
        timeout: float | None,
    ) -> Steps[ModelVersionSchema]:
        """Fetch, register, and move the alias."""
        check_progress(progress)
        self._check_names(name, version, alias)
        wanted = yield from self._source(source)
        fetched = yield from _transferred(
            lambda: self._transfers.fetch(
                wanted,
                sha256=sha256,
                variant=variant,
                allow=allow,
                ignore=ignore,
                progress=progress,
                policy=policy,
                force=force,
            ),
            check_timeout(timeout),
        )
        return (
            yield from self._registered(fetched, name=name, version=version, alias=alias, policy=policy, force=force)
        )

    def register(
        self,
        path: "str | os.PathLike[str] | Fetched",
        *,
        name: str | None,
        version: str | None,
        alias: str | None,
        tags: Mapping[str, str] | None,
        policy: "Policy | None",
        force: bool,
        progress: "bool | ProgressCallback",
    ) -> Steps[ModelVersionSchema]:
        """Take a model of this machine into the store, register it, tag it, and move the alias."""
        from kamiwaza_sdk.services.hub.schemas.results import Fetched

        self._check_names(name, version, alias)
        fetched = path if isinstance(path, Fetched) else (yield from self._taken_in(path, progress=progress))
        return (
            yield from self._registered(
                fetched, name=name, version=version, alias=alias, tags=tags, policy=policy, force=force
            )
        )

    def _taken_in(self, path: str | os.PathLike[str], *, progress: "bool | ProgressCallback") -> Steps["Fetched"]:
        if not isinstance(path, str | os.PathLike):
            reason = f"must be a file or a directory, or what fetch() returned, not {shown(path)}"
            raise InvalidInputException("path", reason)
        if isinstance(path, str) and is_address(path):
            raise InvalidInputException("path", f"is the address {shown(path)}; pull() takes that")
        limit = (yield from _with_files(self._transfers.config)).max_model_size
        place = Path(path).expanduser()
        return (yield from _transferred(lambda: self.hub.fetch(place, max_size=limit, progress=progress)))

    def adopt(
        self,
        source: str,
        *,
        name: str | None,
        version: str | None,
        alias: str | None,
        cache: str | os.PathLike[str] | None,
        variant: str | None,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        policy: "Policy | None",
        force: bool,
    ) -> Steps[ModelVersionSchema]:
        """Take over what another tool has, register it, and move the alias."""
        self._check_names(name, version, alias)
        adopted = yield from _transferred(
            lambda: self.hub.adopt(source, cache=cache, variant=variant, allow=allow, ignore=ignore)
        )
        return (
            yield from self._registered(adopted, name=name, version=version, alias=alias, policy=policy, force=force)
        )

    def _check_names(self, name: str | None, version: str | None, alias: str | None) -> None:
        """Refuse what could only be refused again once everything has travelled."""
        self._transfers.check_pull(name=name, version=version, in_open_transaction=False)
        if alias is not None:
            check_alias(alias)

    def _registered(
        self,
        fetched: "Fetched",
        *,
        name: str | None,
        version: str | None,
        alias: str | None,
        policy: "Policy | None",
        force: bool,
        tags: Mapping[str, str] | None = None,
    ) -> Steps[ModelVersionSchema]:
        checked, violations, storage = yield from _with_files(lambda: self._transfers.examine(fetched, policy))

        def write(models: ModelService) -> ModelVersionSchema:
            registered = models._register(
                checked, name=name, version=version, violations=violations, storage=storage, force=force
            )
            if tags:
                tag(models, registered, tags)
            if alias is not None:
                models.set_alias(registered.id, alias)
            return models.get_version(registered.id) if tags or alias is not None else registered

        registered = yield from in_transaction(write)
        yield from _with_files(lambda: self._release(fetched))
        return registered

    def _release(self, fetched: "Fetched") -> None:
        """End the lease of what is registered: the registry refers to it now."""
        if fetched.lease is not None:
            with suppress(StorageException):  # it ends by itself
                self.storage.release(fetched.lease)

    def fetch(
        self,
        source: "Source",
        *,
        sha256: str | Mapping[str, str] | None,
        variant: str | None,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        max_size: int | None,
        progress: "bool | ProgressCallback",
        timeout: float | None,
    ) -> Steps["Fetched"]:
        """Bring files into the store."""
        wanted = yield from self._source(source)
        return (
            yield from _transferred(
                lambda: self.hub.fetch(
                    wanted,
                    sha256=sha256,
                    variant=variant,
                    allow=allow,
                    ignore=ignore,
                    max_size=max_size,
                    progress=progress,
                ),
                check_timeout(timeout),
            )
        )

    def mirror(
        self,
        sources: "Iterable[Source | RepositorySchema]",
        *,
        executor: "Executor | None",
        at_once: int,
        variant: str | None,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        progress: "MirrorCallback | None",
        timeout: float | None,
    ) -> Steps["MirrorSchema"]:
        """Bring many sources into the store."""
        if isinstance(sources, str) or not isinstance(sources, Iterable):
            raise InvalidInputException("sources", f"must be several sources, not {shown(sources)}; write [source]")
        wanted, failed = list["Source | RepositorySchema"](), dict[int, MirroredSchema]()
        for number, source in enumerate(sources):
            if isinstance(source, ModelVersionSchema | UUID) or (isinstance(source, str) and _is_reference(source)):
                found = yield from in_transaction(partial(_found_or_failed, source))
                if isinstance(found, MirroredSchema):  # that ends none of the others
                    failed[number] = found
                else:
                    wanted.append(found)
            else:
                wanted.append(source)
        mirrored = yield from _transferred(
            lambda: self.hub.mirror(
                wanted,
                executor=executor,
                at_once=at_once,
                variant=variant,
                allow=allow,
                ignore=ignore,
                progress=progress,
            ),
            check_timeout(timeout),
        )
        brought = iter(mirrored.items)
        count = len(wanted) + len(failed)
        return MirrorSchema(items=tuple(failed[one] if one in failed else next(brought) for one in range(count)))

    def plan(
        self,
        source: "Source",
        *,
        fits: int | str | None,
        variant: str | None,
        allow: str | Iterable[str] | None,
        ignore: str | Iterable[str] | None,
        policy: "Policy | None",
        context_length: int | None,
    ) -> Steps["PlanSchema"]:
        """Tell what fetching would come to."""
        wanted = yield from self._source(source)
        return (
            yield from _transferred(
                lambda: self.hub.plan(
                    wanted,
                    fits=fits,
                    variant=variant,
                    allow=allow,
                    ignore=ignore,
                    policy=policy,
                    context_length=context_length,
                ),
            )
        )

    def search(
        self,
        query: str | None,
        *,
        hub: str | None,
        task: str | None,
        author: str | None,
        sort: "RepositorySort | None",
        limit: int,
    ) -> Steps["list[RepositorySchema]"]:
        """Ask the hub."""

        async def found() -> "list[RepositorySchema]":
            pages = self.hub.search(query, hub=hub, task=task, author=author, sort=sort, limit=limit)
            return [repository async for repository in pages]

        return (yield from _transferred(found))

    def materialize(
        self,
        version: AnyVersion,
        directory: str | os.PathLike[str] | None,
        *,
        layout: "Layout",
        writable: bool,
        force: bool,
        progress: "bool | ProgressCallback",
        timeout: float | None,
    ) -> Steps[Path]:
        """Lay a version out, and bring what the store lacks of it."""
        check_progress(progress)
        limit = check_timeout(timeout)
        found = yield from in_transaction(lambda models: find_version(models, version))
        if not force:
            refuse_failed(found)
        if (yield from _with_files(lambda: self._lacks_any(found))):
            fetched = yield from _transferred(lambda: self.hub.fetch(found, progress=progress), limit)
            yield from in_transaction(self._note)
            yield from _with_files(lambda: self._release(fetched))
        lay_out = partial(self.storage.materialize, layout=layout, writable=writable, force=force)
        return (yield from _with_files(lambda: lay_out(found, directory)))

    def import_models(
        self, source: "str | os.PathLike[str] | Reader", *, on_conflict: "OnConflict"
    ) -> Steps["ImportSchema"]:
        """Read an export. What it refers to may lie in the store, which knows of this registry from then on."""

        def write(models: ModelService) -> "ImportSchema":
            self._note(models)
            return models.import_models(source, on_conflict=on_conflict)

        return (yield from in_transaction(write))

    def _note(self, models: ModelService) -> None:
        """Let the store know of this registry, so that a clean-up asks it."""
        note_database(models.db.connection(), self.storage)

    def _lacks_any(self, version: ModelVersionSchema) -> bool:
        return any(self.storage.find(file.sha256, size=file.size) is None for file in version.files)

    def diff(self, before: AnyVersion, after: AnyVersion) -> Steps["VersionDiffSchema"]:
        """Compare two versions by what the registry knows, and their configurations by what the store has."""
        (old, old_license), (new, new_license) = yield from in_transaction(
            lambda models: [_with_license(models, one) for one in (before, after)]
        )
        return (
            yield from _with_files(
                lambda: compare_versions(old, new, licenses=(old_license, new_license), storage=self.storage)
            )
        )

    def verify(self, databases: Databases, *, read: bool) -> Steps["StorageReportSchema"]:
        """Compare the store with its registries."""
        yield from in_transaction(lambda _: None)  # so that the tables are there
        return (yield from _with_files(lambda: verify_all(self.storage, databases=databases, read=read)))

    def repair(self, report: "StorageReportSchema", databases: Databases) -> Steps["RepairSchema"]:
        """Bring again what is missing or damaged."""
        return (yield from _transferred(lambda: repair(report, self.storage, databases=databases, hub=self.hub)))

    def plan_cleanup(self, databases: Databases, *, unused_for: timedelta) -> Steps["CleanupPlanSchema"]:
        """Tell what may go."""
        yield from in_transaction(lambda _: None)
        return (yield from _with_files(lambda: plan_cleanup(self.storage, databases=databases, unused_for=unused_for)))

    def prune(self, plan: "CleanupPlanSchema", databases: Databases) -> Steps["CleanupResultSchema"]:
        """Remove it."""
        return (yield from _with_files(lambda: clean_up(plan, self.storage, databases=databases)))

    def usage(self) -> Steps["StorageUsageSchema"]:
        """Count the store."""
        return (yield from _with_files(self.storage.usage))

    def _source(self, source: "Source") -> Steps["Source"]:
        """Return a source; a version of the registry where a text is neither an address nor a path."""
        if isinstance(source, UUID) or (isinstance(source, str) and _is_reference(source)):
            reference = source
            return (yield from in_transaction(lambda models: find_version(models, reference)))
        if isinstance(source, ModelVersionSchema):
            given = source
            return (yield from in_transaction(lambda models: find_version(models, given)))
        return source


def _found_or_failed(version: AnyVersion, models: ModelService) -> ModelVersionSchema | MirroredSchema:
    """Return a version, or what says why there is none."""
    try:
        return find_version(models, version)
    except ServiceException as error:
        return MirroredSchema(source=str(version), error=type(error).__name__, reason=str(error))


def _is_reference(text: str) -> bool:
    """Tell whether a text can only be a reference: no address, nothing that is there, and not written as a path."""
    if not text or is_address(text) or text.startswith(("/", ".", "~")):
        return False
    try:
        if os.path.lexists(text):
            return False
        parse_reference(text)
    except ValueError:  # it holds NUL, or is no reference
        return False
    return True


def check_timeout(timeout: float | None) -> float | None:
    """Return a number of seconds, or refuse what is none."""
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= _LONGEST:
        reason = f"is {shown(timeout)}; give a number of seconds above 0, up to a year, or None for no limit"
        raise InvalidInputException("timeout", reason)
    return float(timeout)


def find_version(models: ModelService, version: AnyVersion, *, at: datetime | None = None) -> ModelVersionSchema:
    """Return the version as it is now; that of a reference, as of a moment."""
    if isinstance(version, ModelVersionSchema):
        return models.get_version(version.id)
    if isinstance(version, UUID):
        return models.get_version(version)
    if not isinstance(version, str):
        reason = f"must be a version, its id or a reference such as 'name@production', not {shown(version)}"
        raise InvalidInputException("version", reason)
    return models.resolve(version, at=at)


def _with_license(models: ModelService, version: AnyVersion) -> tuple[ModelVersionSchema, str | None]:
    found = find_version(models, version)
    return found, models.get_model(found.model_id).license


def find_model(models: ModelService, model: AnyModel) -> UUID:
    """Return the id of the model."""
    if isinstance(model, ModelSchema):
        return model.id
    if isinstance(model, ModelVersionSchema):
        return model.model_id
    if isinstance(model, UUID):
        return model
    if not isinstance(model, str):
        raise InvalidInputException("model", f"must be a model, a version, an id or a name, not {shown(model)}")
    return models.get_model_by_name(parse_reference(model).name).id


def delete(models: ModelService, target: AnyModel) -> None:
    """Delete a version for good; or, where a name says no more, the model, so that it can be restored."""
    if isinstance(target, ModelSchema):
        models.delete_model(target.id)
        return
    if isinstance(target, str):
        reference = parse_reference(target)
        if reference.version is None and reference.alias is None:
            models.delete_model(models.get_model_by_name(reference.name).id)
            return
    models.delete_version(find_version(models, target).id)


def roll_back(models: ModelService, reference: str) -> ModelVersionSchema:
    """Let the alias of a reference lead to where it led before."""
    parsed = parse_reference(reference)
    if parsed.alias is None:
        raise InvalidInputException("reference", f"{shown(reference)} has no alias; write 'name@production'")
    return models.get_version(models.rollback_alias(models.get_model_by_name(parsed.name).id, parsed.alias).id)


def set_alias(models: ModelService, version: AnyVersion, alias: str) -> ModelVersionSchema:
    """Let an alias lead to a version."""
    return models.get_version(models.set_alias(find_version(models, version).id, alias).id)


def tag(models: ModelService, version: AnyVersion, tags: Mapping[str, str | None]) -> ModelVersionSchema:
    """Set the tags of a version that have a value, and delete those that have none."""
    if not isinstance(tags, Mapping):
        raise InvalidInputException("tags", f"must be a mapping from key to value, not {shown(tags)}")
    found = find_version(models, version)
    for key, value in tags.items():
        if value is not None:
            models.set_version_tag(found.id, key, value)
        elif key in found.tags:
            models.delete_version_tag(found.id, key)
    return models.get_version(found.id)
