"""What both colours of the registry do without their session: bytes come first, SQL after."""

from functools import cached_property
from typing import TYPE_CHECKING

from kamiwaza_sdk.services.hub.schemas.fetched import Fetched
from kamiwaza_sdk.services.model.exceptions import OpenTransactionException

if TYPE_CHECKING:
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
        self.config_given = config
        self._hub = hub
        self._downloads = downloads

    @cached_property
    def config(self) -> "ServiceConfig":
        """The registry's configuration, read now unless it was given."""
        from kamiwaza_sdk.services.model.config import ServiceConfig

        return self.config_given or ServiceConfig()

    def refuse_open_transaction(self, is_open: bool) -> None:  # noqa: FBT001 - the subject itself
        """Raise `OpenTransactionException` where one is open."""
        if is_open:
            raise OpenTransactionException(operation="pull_model()")

    async def fetch(
        self, source: "Source", *, sha256: "str | dict[str, str] | None", progress: "bool | ProgressCallback"
    ) -> Fetched:
        """Fetch no more than the registry would accept."""
        from kamiwaza_sdk.services.hub.services import HubService

        hub = self._hub or HubService()
        return await hub.fetch(source, sha256=sha256, max_size=self.config.max_model_size, progress=progress)

    async def read(self, url: str) -> bytes:
        """Return a body no larger than what the registry holds in memory."""
        from kamiwaza_sdk.services.download.services import DownloadService

        downloads = self._downloads or DownloadService()
        return await downloads.read(url, max_size=self.config.max_in_memory_size)
