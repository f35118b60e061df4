"""What both colours of the registry do without their session: bytes come first, SQL after."""

import asyncio
from typing import TYPE_CHECKING

from kamiwaza_sdk._validation import check_name
from kamiwaza_sdk.services.hub.schemas.fetched import Fetched
from kamiwaza_sdk.services.model.exceptions import OpenTransactionException
from kamiwaza_sdk.services.model.schemas.version import check_version_label

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig

__all__ = ["Transfers"]


class Transfers:
    """The registry's hub and downloads, made and configured when first needed."""

    def __init__(
        self, *, config: "ServiceConfig | None", hub: "HubService | None", downloads: "DownloadService | None"
    ) -> None:
        #: The registry's configuration, once it is known.
        self.known_config = config
        self._hub = hub
        self._downloads = downloads

    def config(self) -> "ServiceConfig":
        """Return the registry's configuration, read now unless it is known. Blocks."""
        from kamiwaza_sdk.services.model.config import ServiceConfig

        if self.known_config is None:
            self.known_config = ServiceConfig()
        return self.known_config

    def check_pull(self, *, name: str | None, version: str | None, in_open_transaction: bool) -> None:
        """Refuse what could only be refused again once everything has travelled."""
        if in_open_transaction:
            raise OpenTransactionException(operation="pull_model()")
        if name is not None:
            check_name(name)
        if version is not None:
            check_version_label(version)

    async def fetch(
        self,
        source: "Source",
        *,
        sha256: "str | dict[str, str] | None",
        allow: "str | Iterable[str] | None",
        ignore: "str | Iterable[str] | None",
        progress: "bool | ProgressCallback",
    ) -> Fetched:
        """Fetch no more than the registry would accept."""
        from kamiwaza_sdk.services.hub.services import HubService

        limit = (await asyncio.to_thread(self.config)).max_model_size
        hub = self._hub or HubService()
        return await hub.fetch(source, sha256=sha256, allow=allow, ignore=ignore, max_size=limit, progress=progress)

    async def read(self, url: str) -> bytes:
        """Return a body no larger than what the registry holds in memory."""
        from kamiwaza_sdk.services.download.exceptions import DownloadTooLargeException
        from kamiwaza_sdk.services.download.services import DownloadService

        limit = (await asyncio.to_thread(self.config)).max_in_memory_size
        downloads = self._downloads or DownloadService()
        try:
            return await downloads.read(url, max_size=limit)
        except DownloadTooLargeException as error:
            way_out = "pull_model() needs no memory for it; or raise MODEL_SERVICE_MAX_IN_MEMORY_SIZE"
            raise DownloadTooLargeException(
                url=str(error.url),
                limit=error.limit,
                announced=error.announced,
                received=error.received,
                way_out=way_out,
            ) from error
