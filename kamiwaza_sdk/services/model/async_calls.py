"""How a coroutine calls a method of `ModelService`: in the session's greenlet, and whole even if it is cancelled."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy.orm import Session

from kamiwaza_sdk._dependencies import require
from kamiwaza_sdk._tasks import running_loop, settled
from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.model import registry, search
from kamiwaza_sdk.services.model.schemas.fields import check_actor
from kamiwaza_sdk.services.model.services import ModelService
from kamiwaza_sdk.services.model.session import check_async_session, in_transaction
from kamiwaza_sdk.services.model.transfers import Transfers

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session

    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.services import HubService
    from kamiwaza_sdk.services.model.config import ServiceConfig


# Now: a call runs on the event loop, and its first would wait for the disk.
registry.load()
search.load()
#: One session serves one call at a time, also where several services share it: by the lock of its event loop.
_locks: "WeakKeyDictionary[AsyncSession, tuple[asyncio.AbstractEventLoop, asyncio.Lock]]" = WeakKeyDictionary()

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AsyncCalls:
    """Bound to the host's `AsyncSession` and a namespace."""

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

    @property
    def _in_transaction(self) -> bool:
        return in_transaction(_own(self.db).sync_session)

    async def _in_thread(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function that blocks, and that uses no database."""
        running_loop()
        return await asyncio.to_thread(function, *args, **kwargs)

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
