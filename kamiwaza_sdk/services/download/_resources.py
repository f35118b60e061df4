"""What the calls of a service share: a session and the threads that write."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

from kamiwaza_sdk.services.download.config import DownloadConfig

if TYPE_CHECKING:
    import aiohttp

    from kamiwaza_sdk.services.download._network import Network

__all__ = ["Resources", "settled"]


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
        self._threads: list[threading.Thread] = []
        self.executor = ThreadPoolExecutor(
            2 * config.max_concurrency + 1,
            "kamiwaza-download",
            lambda: self._threads.append(threading.current_thread()),
        )

    async def network(self) -> "Network":
        """Return what requests go through.

        Raises:
            ConfigurationException: The caller's session is closed, or cannot do what the settings ask for; or the file
                of certificates cannot be used.
        """
        from kamiwaza_sdk.services.download._network import Network
        from kamiwaza_sdk.services.download._session import check_session, open_session, trusting

        if self._given is not None:
            check_session(self._given, self._config)
            return Network(self._given, self._config, given=True)
        if self._network is None:
            ca_file = self._config.ca_file
            trusted = None if ca_file is None else await asyncio.to_thread(trusting, ca_file)
            if self._network is None:  # else another call was faster
                self._own = open_session(self._config, trusted)
                self._network = Network(self._own, self._config, given=False)
        return self._network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.executor.shutdown(wait=False)
        if self._own is not None:
            await self._own.close()
        # They have nothing left to do, so this is about a millisecond; joining them would block the event loop for it.
        while any(thread.is_alive() for thread in self._threads):  # noqa: ASYNC110 - a thread's end signals nothing
            await asyncio.sleep(0.001)


async def settled(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait for the end of `future` through any number of cancellations, and return the last of them."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if not future.cancelled():
        future.exception()  # marked as seen: whoever was to see it has
    return cancelled
