# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk.services.download.schemas import AttemptCallback as AttemptCallback
from kamiwaza_sdk.services.download.schemas import DownloadAttempt as DownloadAttempt
from kamiwaza_sdk.services.download.schemas import DownloadOutcome as DownloadOutcome
from kamiwaza_sdk.services.download.schemas import DownloadProgress as DownloadProgress
from kamiwaza_sdk.services.download.schemas import ProgressCallback as ProgressCallback
from kamiwaza_sdk.services.hub.services import RepositorySort as RepositorySort
from kamiwaza_sdk.services.hub.services import Source as Source
from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion as RegisteredVersion
from kamiwaza_sdk.services.model.registry.bulk import OnConflict as OnConflict
from kamiwaza_sdk.services.model.schemas.config import EventKind as EventKind
from kamiwaza_sdk.services.model.schemas.version import Relation as Relation
from kamiwaza_sdk.services.model.schemas.version import VersionStatus as VersionStatus
from kamiwaza_sdk.services.model.search.listings import ModelSort as ModelSort
from kamiwaza_sdk.services.model.search.listings import VersionSort as VersionSort
from kamiwaza_sdk.services.storage.schemas import AdoptedBy as AdoptedBy
from kamiwaza_sdk.services.storage.schemas import FileEntry as FileEntry
from kamiwaza_sdk.services.storage.schemas import HasFiles as HasFiles

__all__ = [
    "AdoptedBy",
    "AttemptCallback",
    "DownloadAttempt",
    "DownloadOutcome",
    "DownloadProgress",
    "EventKind",
    "FileEntry",
    "HasFiles",
    "ModelSort",
    "OnConflict",
    "ProgressCallback",
    "RegisteredVersion",
    "Relation",
    "RepositorySort",
    "Source",
    "VersionSort",
    "VersionStatus",
]
