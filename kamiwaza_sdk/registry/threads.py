"""Transfers for callers without an event loop: each call runs a loop of its own, in a thread that ends with it.

A thread that stayed would gain nothing, as nothing is pooled, and would deadlock where a progress callback, which runs
in it, calls the registry again.
"""

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar, cast

from kamiwaza_sdk.registry.exceptions import RegistryTimeoutException, RegistryUnavailableException

_T = TypeVar("_T")

CLOSED: Final = "the registry is closed; make another Registry"
_AT_EXIT: Final = "the interpreter is shutting down, and starts no thread any more; call it before the program ends"
_GREEN: Final = (
    "{name} has patched the module threading, so that an event loop would stop the whole program; call the registry "
    "from a real thread pool ({pool}), or in a process of its own"
)
#: What replaces threads by something else: the module, the function that tells, and its own real threads.
_PATCHES: Final = (
    ("gevent.monkey", "is_module_patched", "gevent.get_hub().threadpool.apply"),
    ("eventlet.patcher", "is_monkey_patched", "eventlet.tpool.execute"),
)


async def within(
    seconds: float | None,
    start: Callable[[], Coroutine[Any, Any, _T]],  # Any: asyncio's
    *,
    operation: str,
) -> _T:
    """Return what a coroutine returns, or cancel it after so many seconds.

    Raises:
        RegistryTimeoutException: It took longer.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await start()
    except TimeoutError as error:  # perhaps of a server that did not answer
        if not limit.expired():
            raise
        raise RegistryTimeoutException(operation=operation, seconds=seconds or 0) from error


def refuse_where_no_thread_runs(operation: str) -> None:
    """Refuse a transfer that no thread could do.

    Raises:
        RegistryUnavailableException: The interpreter ends, or threads are not threads here.
    """
    if not threading.main_thread().is_alive():
        raise RegistryUnavailableException(operation=operation, reason=_AT_EXIT)
    for module, asked, pool in _PATCHES:
        is_patched: Callable[[str], bool] | None = getattr(sys.modules.get(module), asked, None)
        if is_patched is not None and (is_patched("thread") or is_patched("threading")):
            reason = _GREEN.format(name=module.partition(".")[0], pool=pool)
            raise RegistryUnavailableException(operation=operation, reason=reason)


class _Running(Generic[_T]):
    """A coroutine in a thread of its own."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, _T]]) -> None:  # Any: as above
        self._start = start
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None  # Any: of whatever it returns
        self._cancelled = False
        self._done = threading.Event()
        self._result: _T | None = None
        self._error: BaseException | None = None
        # With the caller's context: by that, a notebook knows which cell a progress bar belongs to.
        run = contextvars.copy_context().run
        # A daemon: where a second interrupt leaves it behind, the program need not wait for it.
        self._thread = threading.Thread(target=run, args=(self._run,), name="kamiwaza-transfer", daemon=True)

    def result(self) -> _T:
        """Run it, and return what it returns. Whatever interrupts that cancels it, and is raised when it has ended.

        A second interrupt is raised at once.
        """
        try:
            self._thread.start()
            self._done.wait()
        except BaseException:
            self.cancel()
            if self._thread.ident is not None:
                self._done.wait()
            raise
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # else it and its traceback would hold each other
        return cast("_T", self._result)  # cast: None may be what it returned

    def cancel(self) -> None:
        """Have it cancelled, from any thread, now or as soon as it begins."""
        with self._lock:
            self._cancelled = True
            if self._loop is not None and self._task is not None:
                with suppress(RuntimeError):  # it has ended meanwhile
                    self._loop.call_soon_threadsafe(self._task.cancel)

    def wait(self) -> None:
        """Wait for its end."""
        self._done.wait()

    def _run(self) -> None:
        try:
            self._result = asyncio.run(self._work())
        except BaseException as error:  # noqa: BLE001 - raised where its result is waited for
            self._error = error
        finally:
            self._done.set()

    async def _work(self) -> _T:
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            if self._cancelled and self._task is not None:
                self._task.cancel()
        return await self._start()


class Threads:
    """The transfers that a registry has under way in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = set[_Running[Any]]()  # Any: as above
        self._closed = False
        self._here = threading.local()

    def run(
        self,
        start: Callable[[], Coroutine[Any, Any, _T]],  # Any: as above
        *,
        operation: str,
        timeout: float | None,
    ) -> _T:
        """Return what a coroutine returns, which runs in a thread meanwhile.

        Raises:
            RegistryUnavailableException: The registry is closed, or was meanwhile; or no thread can run here.
            RegistryTimeoutException: It took longer than `timeout`, in seconds.
        """
        refuse_where_no_thread_runs(operation)
        running = _Running(lambda: self._within(start, operation=operation, timeout=timeout))
        with self._lock:
            if self._closed:
                raise RegistryUnavailableException(operation=operation, reason=CLOSED)
            self._running.add(running)
        try:
            return running.result()
        except asyncio.CancelledError:
            if not self._closed:
                raise
            raise RegistryUnavailableException(operation=operation, reason=f"cancelled, as {CLOSED}") from None
        finally:
            with self._lock:
                self._running.discard(running)

    async def _within(
        self,
        start: Callable[[], Coroutine[Any, Any, _T]],  # Any: as above
        *,
        operation: str,
        timeout: float | None,  # noqa: ASYNC109 - what `within` does
    ) -> _T:
        self._here.is_transfer = True
        return await within(timeout, start, operation=operation)

    def close(self) -> None:
        """Refuse what comes, cancel what runs, and wait for its end; but not in a callback of a transfer."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for one in running:
            one.cancel()
        if not getattr(self._here, "is_transfer", False):
            for one in running:
                one.wait()
