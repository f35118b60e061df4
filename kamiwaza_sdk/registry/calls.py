"""How a registry takes the steps of a call: in the caller's thread, or in the caller's event loop."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session

from kamiwaza_sdk._tasks import running_loop, settled, thread_to_its_end
from kamiwaza_sdk._validation import check_given, check_namespace
from kamiwaza_sdk.registry import database
from kamiwaza_sdk.registry.exceptions import RegistryUnavailableException
from kamiwaza_sdk.registry.operations import FileWork, Operations, Step, Steps, Transaction, Transfer
from kamiwaza_sdk.registry.threads import CLOSED, Threads, within
from kamiwaza_sdk.services.model.config import ServiceConfig
from kamiwaza_sdk.services.model.exceptions import OpenTransactionException
from kamiwaza_sdk.services.model.schemas.fields import check_actor
from kamiwaza_sdk.services.model.services import ModelService

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from kamiwaza_sdk.services.hub.services import HubService
    from kamiwaza_sdk.services.model.async_services import AsyncModelService
    from kamiwaza_sdk.services.storage.services import StorageService

_T = TypeVar("_T")

_WAY_OUT: Final = "call the ModelService that transaction() yields, or leave its block first"


class _Open:
    """A transaction that the caller has open, by `transaction`. In a process that is forked meanwhile, it is not."""

    def __init__(self) -> None:
        self._process: int | None = os.getpid()

    @property
    def is_open(self) -> bool:
        """Whether it is open in this process."""
        return self._process == os.getpid()

    def close(self) -> None:
        """Note that it has ended."""
        self._process = None


#: The transactions that are open where the caller is: in its thread, or its task.
_opened: Final[ContextVar[dict[int, _Open] | None]] = ContextVar("kamiwaza_sdk_opened", default=None)


class _Bound:
    """What both colours have: a namespace, a store, a hub."""

    def __init__(
        self,
        *,
        storage: "StorageService | None",
        hub: "HubService | None",
        namespace: str,
        actor: str | None,
        config: ServiceConfig | None,
    ) -> None:
        self._namespace = check_namespace(namespace)
        self._actor = check_actor(actor)
        self._operations = Operations(storage=storage, hub=hub, config=config)
        self._is_closed = False

    @property
    def namespace(self) -> str:
        """The namespace that every call is bound to."""
        return self._namespace

    @property
    def actor(self) -> str | None:
        """Who is at work, for the history."""
        return self._actor

    @property
    def storage(self) -> "StorageService":
        """The store that files are kept in."""
        return self._operations.storage

    @property
    def hub(self) -> "HubService":
        """What it fetches with."""
        return self._operations.hub

    def _check_usable(self, operation: str) -> None:
        if self._is_closed:
            raise RegistryUnavailableException(operation=operation, reason=CLOSED)
        opened = (_opened.get() or {}).get(id(self))
        if opened is not None and opened.is_open:
            raise OpenTransactionException(operation=operation, way_out=_WAY_OUT)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note for the block that the caller has a transaction open."""
        opened = _Open()
        token = _opened.set({**(_opened.get() or {}), id(self): opened})
        try:
            yield
        finally:
            opened.close()
            with suppress(ValueError):  # the block ends in another context, as that of an asynchronous generator may
                _opened.reset(token)

    def _service(self, db: Session) -> ModelService:
        operations = self._operations
        return ModelService(
            db, namespace=self._namespace, actor=self._actor, config=operations.config, hub=operations.hub
        )


class _Process:
    """What a registry has in one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_set_up = False
        self.threads = Threads()


class Calls(_Bound):
    """Takes database steps in the caller's thread, transfers in threads of their own."""

    def __init__(
        self,
        engine: Engine | URL | str | None = None,
        *,
        storage: "StorageService | None" = None,
        hub: "HubService | None" = None,
        namespace: str = "default",
        actor: str | None = None,
        config: ServiceConfig | None = None,
    ) -> None:
        config = check_given(config, ServiceConfig, field="config", way_out="write ServiceConfig(…)")
        super().__init__(storage=storage, hub=hub, namespace=namespace, actor=actor, config=config)
        self._engine, self._owns_engine = database.engine_of(engine, config)
        self._processes: dict[int, _Process] = {}

    @property
    def engine(self) -> Engine:
        """The engine of its database."""
        return self._engine

    def __enter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what it has opened. Transfers of other threads are cancelled, and waited for; later calls are refused.

        An engine that was handed in is left alone.
        """
        self._is_closed = True
        self._process.threads.close()
        if self._owns_engine:
            self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[ModelService]:
        """Yield the registry in a session: what is done in the block is committed together, or not at all.

        In the block, calls of the registry itself are refused: they would wait for it, on SQLite for ever.

        Yields:
            A `ModelService`, which has everything that a registry can do, in your transaction.

        Raises:
            RegistryUnavailableException: The registry is closed.
            OpenTransactionException: The caller is in such a block already.
            DatabaseException: The database cannot be reached, or could not commit.

        Example:
            >>> with registry.transaction() as models:
            ...     model = models.create_model(CreateModel(name="minilm"))
            ...     models.set_model_tag(model.id, "lang", "en")
            >>> [model.tags for model in registry.list()]
            [{'lang': 'en'}]
        """
        self._check_usable("transaction()")
        self._set_up()
        with database.session(self._engine) as db, self._noted():
            yield self._service(db)

    @property
    def _process(self) -> _Process:
        return self._processes.get(os.getpid()) or self._processes.setdefault(os.getpid(), _Process())

    def _set_up(self) -> None:
        process = self._process
        if process.is_set_up:
            return
        with process.lock:
            if not process.is_set_up:
                with database.turn(self._engine):
                    database.set_up(self._engine)
                process.is_set_up = True

    def _run(self, steps: Steps[_T], operation: str) -> _T:
        """Take the steps of a call."""
        self._check_usable(operation)
        result: object = None
        while True:
            try:
                step: Step = steps.send(result)
            except StopIteration as done:
                value: _T = done.value
                return value
            result = self._take(step, operation)

    def _take(self, step: Step, operation: str) -> object:
        match step:
            case Transaction(function):
                with self.transaction() as models:
                    return function(models)
            case Transfer(start, timeout):
                return self._process.threads.run(start, operation=operation, timeout=timeout)
            case FileWork(function):
                return function()


class AsyncCalls(_Bound):
    """Takes database steps and transfers in the caller's event loop, and reads files in a thread."""

    def __init__(
        self,
        engine: "AsyncEngine | URL | str | None" = None,
        *,
        storage: "StorageService | None" = None,
        hub: "HubService | None" = None,
        namespace: str = "default",
        actor: str | None = None,
        config: ServiceConfig | None = None,
    ) -> None:
        config = check_given(config, ServiceConfig, field="config", way_out="write ServiceConfig(…)")
        super().__init__(storage=storage, hub=hub, namespace=namespace, actor=actor, config=config)
        self._engine, self._owns_engine = database.async_engine_of(engine, config)
        self._set_up_in: tuple[int, asyncio.AbstractEventLoop | None, asyncio.Lock, bool] | None = None
        self._running = set[asyncio.Task[Any]]()  # Any: of whatever they return

    @property
    def engine(self) -> "AsyncEngine":
        """The engine of its database."""
        return self._engine

    async def __aenter__(self) -> Self:
        """Return itself, to be closed at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what it has opened. Transfers of other tasks are cancelled, and waited for; later calls are refused.

        An engine that was handed in is left alone.
        """
        self._is_closed = True
        running = [task for task in self._running if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._owns_engine:
            await self._engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[AsyncModelService]":
        """Yield the registry in a session: what is done in the block is committed together, or not at all.

        Everything said of `Registry.transaction` holds.

        Yields:
            An `AsyncModelService`.

        Example:
            >>> async with registry.transaction() as models:
            ...     model = await models.create_model(CreateModel(name="minilm"))
            >>> [model.name for model in await registry.list()]
            ['minilm']
        """
        from kamiwaza_sdk.services.model.async_services import AsyncModelService

        self._check_usable("transaction()")
        await self._set_up()
        operations = self._operations
        async with database.async_session(self._engine) as db:
            with self._noted():
                yield AsyncModelService(
                    db, namespace=self._namespace, actor=self._actor, config=operations.config, hub=operations.hub
                )

    async def _set_up(self) -> None:
        loop, process = running_loop(), os.getpid()
        known = self._set_up_in
        if known is None or known[:2] != (process, loop):
            known = self._set_up_in = (process, loop, asyncio.Lock(), False)
        if known[3]:
            return
        async with known[2]:
            if not (self._set_up_in or known)[3]:
                await database.async_set_up(self._engine)
                self._set_up_in = (process, loop, known[2], True)

    async def _run(self, steps: Steps[_T], operation: str) -> _T:
        """Take the steps of a call."""
        running_loop()
        self._check_usable(operation)
        result: object = None
        while True:
            try:
                step: Step = steps.send(result)
            except StopIteration as done:
                value: _T = done.value
                return value
            result = await self._take(step, operation)

    async def _take(self, step: Step, operation: str) -> object:
        match step:
            case Transaction(function):
                return await self._whole(self._transact(function))
            case Transfer(start, timeout):
                return await self._transfer(start, operation, timeout)
            case FileWork(function):
                return await thread_to_its_end(function)

    async def _transact(self, function: Callable[[ModelService], object]) -> object:
        await self._set_up()
        async with database.async_session(self._engine) as db:
            return await db.run_sync(lambda session: function(self._service(session)))

    async def _whole(self, call: Coroutine[Any, Any, object]) -> object:  # Any: asyncio's
        """Have a transaction happen whole, commit and all, even if the caller is cancelled."""
        task = asyncio.ensure_future(call)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await settled(task)  # what it raised yields to the cancellation
            raise

    async def _transfer(
        self,
        start: Callable[[], Coroutine[Any, Any, object]],  # Any: as above
        operation: str,
        seconds: float | None,
    ) -> object:
        task = asyncio.ensure_future(within(seconds, start, operation=operation))
        self._running.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not self._is_closed or (current is not None and current.cancelling()):
                raise
            raise RegistryUnavailableException(operation=operation, reason=f"cancelled, as {CLOSED}") from None
        finally:
            self._running.discard(task)
