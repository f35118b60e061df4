# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk.registry.operations import AnyModel as AnyModel
from kamiwaza_sdk.registry.operations import AnyVersion as AnyVersion
from kamiwaza_sdk.services.download.schemas import AttemptCallback as AttemptCallback
from kamiwaza_sdk.services.download.schemas import DownloadAttempt as DownloadAttempt
from kamiwaza_sdk.services.download.schemas import DownloadOutcome as DownloadOutcome
from kamiwaza_sdk.services.download.schemas import DownloadProgress as DownloadProgress
from kamiwaza_sdk.services.download.schemas import ProgressCallback as ProgressCallback
from kamiwaza_sdk.services.hub.mirror import MirrorCallback as MirrorCallback
from kamiwaza_sdk.services.hub.schemas.mirror import MirroredSchema as MirroredSchema
from kamiwaza_sdk.services.hub.schemas.mirror import MirrorProgressSchema as MirrorProgressSchema
from kamiwaza_sdk.services.hub.schemas.mirror import MirrorSchema as MirrorSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanFileSchema as PlanFileSchema
from kamiwaza_sdk.services.hub.schemas.plan import PlanVariantSchema as PlanVariantSchema
from kamiwaza_sdk.services.hub.schemas.policy import ViolationSchema as ViolationSchema
from kamiwaza_sdk.services.hub.schemas.results import Adopted as Adopted
from kamiwaza_sdk.services.hub.schemas.results import AdoptedFile as AdoptedFile
from kamiwaza_sdk.services.hub.schemas.results import FileFaultSchema as FileFaultSchema
from kamiwaza_sdk.services.hub.search import RepositorySort as RepositorySort
from kamiwaza_sdk.services.hub.services import Source as Source
from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion as RegisteredVersion
from kamiwaza_sdk.services.model.exceptions import ExportFileException as ExportFileException
from kamiwaza_sdk.services.model.exceptions import ExportTooNewException as ExportTooNewException
from kamiwaza_sdk.services.model.exceptions import ImportException as ImportException
from kamiwaza_sdk.services.model.schemas.check import BlobProblem as BlobProblem
from kamiwaza_sdk.services.model.schemas.check import BlobProblemSchema as BlobProblemSchema
from kamiwaza_sdk.services.model.schemas.check import CheckProgressSchema as CheckProgressSchema
from kamiwaza_sdk.services.model.schemas.check import FailedRepairSchema as FailedRepairSchema
from kamiwaza_sdk.services.model.schemas.check import HolderSchema as HolderSchema
from kamiwaza_sdk.services.model.schemas.check import NamespaceUsageSchema as NamespaceUsageSchema
from kamiwaza_sdk.services.model.schemas.check import RepairSchema as RepairSchema
from kamiwaza_sdk.services.model.schemas.check import StorageReportSchema as StorageReportSchema
from kamiwaza_sdk.services.model.schemas.cleanup import CleanupBlobSchema as CleanupBlobSchema
from kamiwaza_sdk.services.model.schemas.cleanup import CleanupPlanSchema as CleanupPlanSchema
from kamiwaza_sdk.services.model.schemas.cleanup import CleanupResultSchema as CleanupResultSchema
from kamiwaza_sdk.services.model.schemas.cleanup import CountSchema as CountSchema
from kamiwaza_sdk.services.model.schemas.cleanup import KeptReason as KeptReason
from kamiwaza_sdk.services.model.schemas.config import EventKind as EventKind
from kamiwaza_sdk.services.model.schemas.diff import ChangeKind as ChangeKind
from kamiwaza_sdk.services.model.schemas.diff import ChangeSchema as ChangeSchema
from kamiwaza_sdk.services.model.schemas.diff import FileChangeSchema as FileChangeSchema
from kamiwaza_sdk.services.model.schemas.diff import VersionDiffSchema as VersionDiffSchema
from kamiwaza_sdk.services.model.schemas.exchange import ExportSchema as ExportSchema
from kamiwaza_sdk.services.model.schemas.exchange import ImportSchema as ImportSchema
from kamiwaza_sdk.services.model.schemas.model import LatestVersionSchema as LatestVersionSchema
from kamiwaza_sdk.services.model.schemas.model import ModelSort as ModelSort
from kamiwaza_sdk.services.model.schemas.model import OnConflict as OnConflict
from kamiwaza_sdk.services.model.schemas.retention import PinSchema as PinSchema
from kamiwaza_sdk.services.model.schemas.retention import RetentionPlanSchema as RetentionPlanSchema
from kamiwaza_sdk.services.model.schemas.retention import RetentionResultSchema as RetentionResultSchema
from kamiwaza_sdk.services.model.schemas.retention import RetentionRulesSchema as RetentionRulesSchema
from kamiwaza_sdk.services.model.schemas.retention import RetentionVersionSchema as RetentionVersionSchema
from kamiwaza_sdk.services.model.schemas.retention import StaysReason as StaysReason
from kamiwaza_sdk.services.model.schemas.version import ModelFileSchema as ModelFileSchema
from kamiwaza_sdk.services.model.schemas.version import ParentSchema as ParentSchema
from kamiwaza_sdk.services.model.schemas.version import Relation as Relation
from kamiwaza_sdk.services.model.schemas.version import RelativeSchema as RelativeSchema
from kamiwaza_sdk.services.model.schemas.version import VersionSort as VersionSort
from kamiwaza_sdk.services.model.schemas.version import VersionStatus as VersionStatus
from kamiwaza_sdk.services.model.schemas.version import VersionSummarySchema as VersionSummarySchema
from kamiwaza_sdk.services.storage.exceptions import LayoutNotPossibleException as LayoutNotPossibleException
from kamiwaza_sdk.services.storage.exceptions import RemoteStoreException as RemoteStoreException
from kamiwaza_sdk.services.storage.schemas import AdoptedBlobSchema as AdoptedBlobSchema
from kamiwaza_sdk.services.storage.schemas import AdoptedBy as AdoptedBy
from kamiwaza_sdk.services.storage.schemas import FileEntry as FileEntry
from kamiwaza_sdk.services.storage.schemas import HasFiles as HasFiles
from kamiwaza_sdk.services.storage.schemas import LeftoverSchema as LeftoverSchema
from kamiwaza_sdk.services.storage.schemas import StorageUsageSchema as StorageUsageSchema
from kamiwaza_sdk.services.storage.schemas import StoreDatabaseSchema as StoreDatabaseSchema
from kamiwaza_sdk.services.storage.views import Layout as Layout

__all__ = [
    "Adopted",
    "AdoptedBlobSchema",
    "AdoptedBy",
    "AdoptedFile",
    "AnyModel",
    "AnyVersion",
    "AttemptCallback",
    "BlobProblem",
    "BlobProblemSchema",
    "ChangeKind",
    "ChangeSchema",
    "CheckProgressSchema",
    "CleanupBlobSchema",
    "CleanupPlanSchema",
    "CleanupResultSchema",
    "CountSchema",
    "DownloadAttempt",
    "DownloadOutcome",
    "DownloadProgress",
    "EventKind",
    "ExportFileException",
    "ExportSchema",
    "ExportTooNewException",
    "FailedRepairSchema",
    "FileChangeSchema",
    "FileEntry",
    "FileFaultSchema",
    "HasFiles",
    "HolderSchema",
    "ImportException",
    "ImportSchema",
    "KeptReason",
    "LatestVersionSchema",
    "Layout",
    "LayoutNotPossibleException",
    "LeftoverSchema",
    "MirrorCallback",
    "MirrorProgressSchema",
    "MirrorSchema",
    "MirroredSchema",
    "ModelFileSchema",
    "ModelSort",
    "NamespaceUsageSchema",
    "OnConflict",
    "ParentSchema",
    "PinSchema",
    "PlanFileSchema",
    "PlanVariantSchema",
    "ProgressCallback",
    "RegisteredVersion",
    "Relation",
    "RelativeSchema",
    "RemoteStoreException",
    "RepairSchema",
    "RepositorySort",
    "RetentionPlanSchema",
    "RetentionResultSchema",
    "RetentionRulesSchema",
    "RetentionVersionSchema",
    "Source",
    "StaysReason",
    "StorageReportSchema",
    "StorageUsageSchema",
    "StoreDatabaseSchema",
    "VersionDiffSchema",
    "VersionSort",
    "VersionStatus",
    "VersionSummarySchema",
    "ViolationSchema",
]
