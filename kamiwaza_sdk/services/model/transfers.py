"""What both colours of the registry do without their session: bytes come first, SQL after."""

import asyncio
from typing import TYPE_CHECKING

from kamiwaza_sdk._tasks import running_loop
from kamiwaza_sdk._validation import check_name, revalidated
from kamiwaza_sdk.services.model import registry
from kamiwaza_sdk.services.model.exceptions import OpenTransactionException
from kamiwaza_sdk.services.model.schemas.version import check_version_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kamiwaza_sdk.services.download.schemas import ProgressCallback
    from kamiwaza_sdk.services.download.services import DownloadService
    from kamiwaza_sdk.services.hub.schemas.policy import Policy, ViolationSchema
    from kamiwaza_sdk.services.hub.schemas.results import Fetched
    from kamiwaza_sdk.services.hub.services import HubService, Source
    from kamiwaza_sdk.services.model.config import ServiceConfig
    from kamiwaza_sdk.services.storage.services import StorageService


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
        sha256: "str | Mapping[str, str] | None",
        variant: str | None,
        allow: "str | Iterable[str] | None",
        ignore: "str | Iterable[str] | None",
        progress: "bool | ProgressCallback",
        policy: "Policy | None",
        force: bool,
    ) -> "Fetched":
        """Fetch no more than the registry would accept, and nothing that a policy objects to, as far as can be told."""
        from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException
        from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema

        running_loop()
        limit = (await asyncio.to_thread(self.config)).max_model_size
        hub = self._some_hub()
        if force and isinstance(source, PlanSchema):
            source = source.manifest
        if variant is None and (policy is None or force):
            return await hub.fetch(source, sha256=sha256, allow=allow, ignore=ignore, max_size=limit, progress=progress)
        manifest = await hub.resolve(source, sha256=sha256, allow=allow, ignore=ignore)
        plan = await hub.plan(manifest, variant=variant, policy=None if force else policy, max_size=limit)
        if plan.violations:
            way_out = "nothing of it was fetched; choose others, or pull it with force=True"
            raise PolicyViolationException(subject=plan.source, violations=plan.violations, way_out=way_out)
        return await hub.fetch(manifest if variant is None else plan.manifest, max_size=limit, progress=progress)

    def examine(
        self, fetched: "Fetched", policy: "Policy | None"
    ) -> "tuple[Fetched, tuple[ViolationSchema, ...] | None, StorageService | None]":
        """Return what was fetched, validated once more, what speaks against its bytes, and the store that has them.

        What speaks against it is `None` where nothing does and there is no policy; that a file is not what its name
        promises needs none. The store is `None` where it is another than the one at hand. Blocks.
        """
        self.config()  # here, where it may block: the registration needs it
        from kamiwaza_sdk.services.model.store.registration import store_of

        fetched = registry.versions.check_fetched(fetched)
        storage: StorageService | None = getattr(self._some_hub(), "storage", None)  # a host's stand-in may have none
        content = _content(fetched, storage)
        if policy is None:
            return fetched, content or None, store_of(fetched, storage)
        from kamiwaza_sdk.services.hub.policy import check_fetched as check_bytes
        from kamiwaza_sdk.services.hub.schemas.policy import Policy

        checked = revalidated(policy, Policy, "policy")
        violations = check_bytes(fetched, checked, self._some_hub().storage) + content
        return fetched, violations, store_of(fetched, storage)

    def _some_hub(self) -> "HubService":
        from kamiwaza_sdk.services.hub.services import HubService

        if self._hub is None:
            self._hub = HubService()
        return self._hub

    async def read(self, url: str) -> bytes:
        """Return a body no larger than what the registry holds in memory."""
        from kamiwaza_sdk.services.download.exceptions import DownloadTooLargeException
        from kamiwaza_sdk.services.download.services import DownloadService

        running_loop()
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


def _content(fetched: "Fetched", storage: "StorageService | None") -> "tuple[ViolationSchema, ...]":
    """Return which files are not what their names promise: by their bytes where those are here, else as told."""
    from kamiwaza_sdk.services.hub.details import faults_of
    from kamiwaza_sdk.services.hub.schemas.policy import CONTENT, ViolationSchema

    told = {fault.path: fault for fault in fetched.faults}
    found = () if storage is None else faults_of(fetched.files, storage)
    faults = told | {fault.path: fault for fault in found}
    return tuple(ViolationSchema(rule=CONTENT, path=path, reason=faults[path].reason) for path in sorted(faults))
