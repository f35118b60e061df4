"""What the calls of a service share: a session, the threads that write, and a limit of connections."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.partial.disk import NewFileMode
from kamiwaza_sdk.services.download.transfer.threads import Threads

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download.http.client import Network


class Resources:
    """Opens each of them when first used; after leaving its context none is left.

    Args:
        config: How the session is made, and how many files travel at once: each needs one thread while it does, and as
            many others need one for a moment now and then.
        session: The caller's own session, used and not closed.
    """

    def __init__(self, config: DownloadConfig, session: "aiohttp.ClientSession | None") -> None:
        self._config = config
        self._given = session
        self._own: aiohttp.ClientSession | None = None
        self._network: Network | None = None
        self.mode = NewFileMode()
        self.threads = Threads(2 * config.max_concurrency + 1)

    async def network(self) -> "Network":
        """Return what requests go through.

        Raises:
            ConfigurationException: The caller's session is closed, or cannot do what the settings ask for; or the file
                of certificates cannot be used.
        """
        if self._network is not None:
            return self._network
        from kamiwaza_sdk.services.download.http.client import Network, check_session, open_session, trusting

        if self._given is not None:
            check_session(self._given, self._config)
            return Network(self._given, self._config, given=True)
        ca_file, strict = self._config.ca_file, self._config.tls_strict
        own = ca_file is not None or not strict
        trusted = await asyncio.to_thread(trusting, ca_file, strict=strict) if own else None
        if self._network is None:  # else another call was faster
            self._own = open_session(self._config, trusted)
            self._network = Network(self._own, self._config, given=False)
        return self._network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._own is not None:
                await self._own.close()
        finally:  # also when cancelled meanwhile
            await self.threads.close()


class Slots:
    """A semaphore that says whether somebody waits: who holds more than one slot then gives back what was borrowed.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def wanted(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def borrow(self) -> bool:
        """Take one if it is free, to be given back by `release`."""
        if not self._free:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Give one back, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                turn.set_result(None)
                return
        self._free += 1

    async def __aenter__(self) -> Self:
        if not self.borrow():
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._forget(turn)
                raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def _forget(self, turn: asyncio.Future[None]) -> None:
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif not turn.cancelled():  # its turn came in the same moment
            self.release()
