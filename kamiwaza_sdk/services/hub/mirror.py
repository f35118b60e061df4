"""Mirroring: many sources into one store, here or by an executor's workers, each for itself.

A worker gets a source and settings, fetches, and returns what came or why it did not: an exception of ours travels as
its name and text, as not every executor brings one back as it was. How far a worker is, it notes in the store, which is
what both sides have in common.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from kamiwaza_sdk._tasks import for_each
from kamiwaza_sdk._validation import check_count, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.hub.addresses import redacted
from kamiwaza_sdk.services.hub.config import HubConfig
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema, RepositorySchema
from kamiwaza_sdk.services.hub.schemas.mirror import MirroredSchema, MirrorProgressSchema, MirrorSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema
from kamiwaza_sdk.services.hub.sources.local import in_thread

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.schemas import DownloadProgress
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.storage.config import StorageConfig
    from kamiwaza_sdk.services.storage.services import StorageService

#: What is told how far mirroring is, in the event loop's thread.
MirrorCallback: TypeAlias = Callable[[MirrorProgressSchema], object]

#: Between two notes of how far a worker is, and two looks at them, in seconds.
_INTERVAL: Final = 1.0


@dataclass(frozen=True, slots=True)
class MirrorTask:
    """What a worker is to do. It can be pickled.

    Attributes:
        source: What to fetch.
        variant: As `fetch` takes it.
        allow: As `fetch` takes it.
        ignore: As `fetch` takes it.
        storage: The settings of the store; `None` has the worker read its environment.
        hub: The settings of hubs, likewise.
        note: The name under which it notes how far it is.
    """

    source: "Source"
    variant: str | None
    allow: tuple[str, ...] | None
    ignore: tuple[str, ...] | None
    storage: "StorageConfig | None" = None
    hub: HubConfig | None = None
    note: str = ""


async def mirror(
    hub: "HubService",
    sources: "Iterable[Source | RepositorySchema] | AsyncIterable[Source | RepositorySchema]",
    *,
    options: Mapping[str, object],
    executor: Executor | None,
    at_once: int,
    progress: MirrorCallback | None,
) -> MirrorSchema:
    """Bring sources into the store of a hub. The public docstring is that of `HubService.mirror`."""
    check_count(at_once, field="at_once", least=1)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InvalidInputException("executor", f"must be a concurrent.futures.Executor, not {shown(executor)}")
    wanted = [source async for source in _each(sources)]
    note = f"mirrors/{secrets.token_hex(16)}"
    tasks = [_task(hub, source, options, f"{note}/{number}") for number, source in enumerate(wanted)]
    mirroring = _Mirroring(hub.storage, tasks, progress)
    return await (mirroring.here(hub, at_once) if executor is None else mirroring.by(executor))


async def _each(
    sources: "Iterable[Source | RepositorySchema] | AsyncIterable[Source | RepositorySchema]",
) -> "AsyncIterable[Source]":
    if isinstance(sources, str) or not isinstance(sources, Iterable | AsyncIterable):
        raise InvalidInputException("sources", f"must be several sources, not {shown(sources)}; write [source]")
    if isinstance(sources, AsyncIterable):
        async for source in sources:
            yield source.source if isinstance(source, RepositorySchema) else source
    else:
        for source in sources:
            yield source.source if isinstance(source, RepositorySchema) else source


def _task(hub: "HubService", source: "Source", options: Mapping[str, object], note: str) -> MirrorTask:
    return MirrorTask(
        source=source,
        variant=None if options["variant"] is None else str(options["variant"]),
        allow=_patterns(options["allow"]),
        ignore=_patterns(options["ignore"]),
        storage=hub.storage._config,
        hub=hub._config,
        note=note,
    )


def _patterns(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(map(str, given)) if isinstance(given, Iterable) else ()


class _Mirroring:
    """One call of `mirror`: which sources are done, and how many bytes have arrived."""

    def __init__(self, storage: "StorageService", tasks: Sequence[MirrorTask], progress: MirrorCallback | None) -> None:
        self._storage = storage
        self._tasks = tasks
        self._progress = progress
        self._done = dict[int, MirroredSchema]()
        self._bytes = dict[int, int]()
        self._raised: BaseException | None = None

    async def here(self, hub: "HubService", at_once: int) -> MirrorSchema:
        """Fetch in this process, a few at once."""

        async def one(number: int) -> None:
            received, task = dict[str, int](), self._tasks[number]

            def note(news: "DownloadProgress") -> None:
                received[str(news.path)] = news.received
                self._bytes[number] = sum(received.values())
                self._tell()

            try:
                outcome = await _outcome(hub, task, note if self._progress else None)
            except Exception as error:
                if error is self._raised:
                    raise
                outcome = _failed(task, type(error).__name__, str(error) or "its source failed")
            self._end(number, outcome)

        await for_each(one, range(len(self._tasks)), at_once=at_once)
        return self._result()

    async def by(self, executor: Executor) -> MirrorSchema:
        """Have the workers of an executor fetch. What one of them dies of is its source's error."""
        futures = [_submitted(executor, task) for task in self._tasks]

        async def one(number: int) -> None:
            try:
                outcome = await asyncio.wrap_future(futures[number])
            except asyncio.CancelledError:
                if not futures[number].cancelled():
                    raise
                outcome = _failed(self._tasks[number], "CancelledError", "the executor has cancelled it")
            except Exception as error:  # noqa: BLE001 - of whatever kind an executor's are
                outcome = _failed(self._tasks[number], type(error).__name__, str(error) or "its worker died")
            self._end(number, outcome)

        watching = asyncio.ensure_future(self._watch())
        try:
            await asyncio.gather(*map(one, range(len(self._tasks))))
        finally:
            watching.cancel()
            for future in futures:
                future.cancel()
        return self._result()

    async def _watch(self) -> None:
        """Read again and again what workers have noted."""
        while self._progress is not None:
            await asyncio.sleep(_INTERVAL)
            with suppress(ServiceException):  # it is only news
                self._bytes.update(await in_thread(self._noted))
            self._tell()

    def _noted(self) -> dict[int, int]:
        notes = dict[int, int]()
        for number, task in enumerate(self._tasks):
            held = None if number in self._done else self._storage._objects.read(task.note)
            with suppress(ValueError, TypeError):
                if held is not None:
                    notes[number] = int(json.loads(held.content))
        return notes

    def _end(self, number: int, outcome: MirroredSchema) -> None:
        self._done[number] = outcome
        self._bytes[number] = 0 if outcome.fetched is None else outcome.fetched.size
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            failed = sum(outcome.fetched is None for outcome in self._done.values())
            done, size = len(self._done) - failed, sum(self._bytes.values())
            try:
                self._progress(MirrorProgressSchema(sources=len(self._tasks), done=done, failed=failed, bytes=size))
            except BaseException as error:  # which ends all, unlike that of a source
                self._raised = error
                raise

    def _result(self) -> MirrorSchema:
        return MirrorSchema(items=tuple(self._done[number] for number in range(len(self._tasks))))


def _submitted(executor: Executor, task: MirrorTask) -> "Future[MirroredSchema]":
    """Hand a task over. Where that cannot be, as to a pool whose process has died, the future says why."""
    try:
        return executor.submit(run_task, task)
    except Exception as error:  # noqa: BLE001 - of whatever kind an executor's are
        refused = Future[MirroredSchema]()
        refused.set_exception(error)
        return refused


def run_task(task: MirrorTask) -> MirroredSchema:
    """Fetch one source, in a worker, and return what came or why it did not. Blocks."""
    from kamiwaza_sdk.services.hub.services import HubService
    from kamiwaza_sdk.services.storage.services import StorageService

    hub = HubService(storage=StorageService(task.storage), config=task.hub)
    return asyncio.run(_fetched_and_noted(hub, task))


async def _fetched_and_noted(hub: "HubService", task: MirrorTask) -> MirroredSchema:
    received = dict[str, int]()

    def note(news: "DownloadProgress") -> None:
        received[str(news.path)] = news.received

    async def noting() -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            with suppress(ServiceException):  # it is only news
                await in_thread(lambda: hub.storage._objects.write(task.note, b"%d" % sum(received.values())))

    watching = asyncio.ensure_future(noting())
    try:
        return await _outcome(hub, task, note)
    finally:
        watching.cancel()
        with suppress(ServiceException):
            await in_thread(lambda: hub.storage._objects.delete(task.note))


async def _outcome(
    hub: "HubService", task: MirrorTask, note: "Callable[[DownloadProgress], None] | None"
) -> MirroredSchema:
    try:
        fetched = await hub.fetch(
            task.source,
            variant=task.variant,
            allow=task.allow,
            ignore=task.ignore,
            progress=False if note is None else note,
        )
    except ServiceException as error:
        return _failed(task, type(error).__name__, str(error))
    return MirroredSchema(source=_named(task), fetched=fetched)


def _failed(task: MirrorTask, error: str, reason: str) -> MirroredSchema:
    return MirroredSchema(source=_named(task), error=error, reason=reason)


def _named(task: MirrorTask) -> str:
    """Return what was asked for, in words."""
    source = task.source
    return redacted(source.source if isinstance(source, ManifestSchema | PlanSchema) else str(source))
