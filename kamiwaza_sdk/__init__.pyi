# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk import migrations as migrations
from kamiwaza_sdk.database import check_database as check_database
from kamiwaza_sdk.database import create_async_engine as create_async_engine
from kamiwaza_sdk.database import create_engine as create_engine
from kamiwaza_sdk.database import setup_database as setup_database
from kamiwaza_sdk.exceptions import AlreadyExistsException as AlreadyExistsException
from kamiwaza_sdk.exceptions import AsyncioRequiredException as AsyncioRequiredException
from kamiwaza_sdk.exceptions import ConfigurationException as ConfigurationException
from kamiwaza_sdk.exceptions import ConflictException as ConflictException
from kamiwaza_sdk.exceptions import InvalidInputException as InvalidInputException
from kamiwaza_sdk.exceptions import InvalidPathException as InvalidPathException
from kamiwaza_sdk.exceptions import MissingDependencyException as MissingDependencyException
from kamiwaza_sdk.exceptions import NotFoundException as NotFoundException
from kamiwaza_sdk.exceptions import ServiceException as ServiceException
from kamiwaza_sdk.formats.exceptions import FormatException as FormatException
from kamiwaza_sdk.formats.exceptions import UnknownVariantException as UnknownVariantException
from kamiwaza_sdk.formats.inspection import inspect_file as inspect_file
from kamiwaza_sdk.formats.memory import estimate_memory as estimate_memory
from kamiwaza_sdk.formats.repository import inspect_directory as inspect_directory
from kamiwaza_sdk.registry.async_registry import AsyncRegistry as AsyncRegistry
from kamiwaza_sdk.registry.exceptions import RegistryTimeoutException as RegistryTimeoutException
from kamiwaza_sdk.registry.exceptions import RegistryUnavailableException as RegistryUnavailableException
from kamiwaza_sdk.registry.registry import Registry as Registry
from kamiwaza_sdk.services.download.config import DownloadConfig as DownloadConfig
from kamiwaza_sdk.services.download.exceptions import ChecksumMismatchException as ChecksumMismatchException
from kamiwaza_sdk.services.download.exceptions import DownloadDiskException as DownloadDiskException
from kamiwaza_sdk.services.download.exceptions import DownloadException as DownloadException
from kamiwaza_sdk.services.download.exceptions import DownloadInterruptedException as DownloadInterruptedException
from kamiwaza_sdk.services.download.exceptions import DownloadStatusException as DownloadStatusException
from kamiwaza_sdk.services.download.exceptions import DownloadTimeoutException as DownloadTimeoutException
from kamiwaza_sdk.services.download.exceptions import DownloadTooLargeException as DownloadTooLargeException
from kamiwaza_sdk.services.download.exceptions import HostNotAllowedException as HostNotAllowedException
from kamiwaza_sdk.services.download.exceptions import RangeNotSupportedException as RangeNotSupportedException
from kamiwaza_sdk.services.download.exceptions import SizeMismatchException as SizeMismatchException
from kamiwaza_sdk.services.download.exceptions import UnexpectedEncodingException as UnexpectedEncodingException
from kamiwaza_sdk.services.download.progress import Download as Download
from kamiwaza_sdk.services.download.schemas import DownloadRequest as DownloadRequest
from kamiwaza_sdk.services.download.schemas import DownloadResult as DownloadResult
from kamiwaza_sdk.services.download.services import DownloadService as DownloadService
from kamiwaza_sdk.services.hub.config import HubConfig as HubConfig
from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException as GitBlobMismatchException
from kamiwaza_sdk.services.hub.exceptions import HubException as HubException
from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException as InvalidSourceException
from kamiwaza_sdk.services.hub.exceptions import ModelTooLargeException as ModelTooLargeException
from kamiwaza_sdk.services.hub.exceptions import NothingFitsException as NothingFitsException
from kamiwaza_sdk.services.hub.exceptions import NotInCacheException as NotInCacheException
from kamiwaza_sdk.services.hub.exceptions import ObjectStorageException as ObjectStorageException
from kamiwaza_sdk.services.hub.exceptions import OfflineException as OfflineException
from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException as PolicyViolationException
from kamiwaza_sdk.services.hub.exceptions import RepositoryAccessException as RepositoryAccessException
from kamiwaza_sdk.services.hub.exceptions import RepositoryNotFoundException as RepositoryNotFoundException
from kamiwaza_sdk.services.hub.exceptions import RepositoryRenamedException as RepositoryRenamedException
from kamiwaza_sdk.services.hub.exceptions import RevisionNotFoundException as RevisionNotFoundException
from kamiwaza_sdk.services.hub.exceptions import VersionUnavailableException as VersionUnavailableException
from kamiwaza_sdk.services.hub.render import plot_memory as plot_memory
from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema as PlanSchema
from kamiwaza_sdk.services.hub.schemas.policy import Policy as Policy
from kamiwaza_sdk.services.hub.schemas.results import Fetched as Fetched
from kamiwaza_sdk.services.hub.schemas.results import FetchedFile as FetchedFile
from kamiwaza_sdk.services.hub.services import HubService as HubService
from kamiwaza_sdk.services.hub.services import adopt as adopt
from kamiwaza_sdk.services.hub.services import fetch as fetch
from kamiwaza_sdk.services.hub.services import search as search
from kamiwaza_sdk.services.model.async_services import AsyncModelService as AsyncModelService
from kamiwaza_sdk.services.model.config import ServiceConfig as ServiceConfig
from kamiwaza_sdk.services.model.exceptions import AliasAlreadyExistsException as AliasAlreadyExistsException
from kamiwaza_sdk.services.model.exceptions import AliasNotFoundException as AliasNotFoundException
from kamiwaza_sdk.services.model.exceptions import BulkException as BulkException
from kamiwaza_sdk.services.model.exceptions import DatabaseBusyException as DatabaseBusyException
from kamiwaza_sdk.services.model.exceptions import DatabaseConnectionException as DatabaseConnectionException
from kamiwaza_sdk.services.model.exceptions import DatabaseException as DatabaseException
from kamiwaza_sdk.services.model.exceptions import DatabaseNotAskedException as DatabaseNotAskedException
from kamiwaza_sdk.services.model.exceptions import DatabaseNotReadyException as DatabaseNotReadyException
from kamiwaza_sdk.services.model.exceptions import DatabaseRefusedException as DatabaseRefusedException
from kamiwaza_sdk.services.model.exceptions import DatabaseTooNewException as DatabaseTooNewException
from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException as DatabaseUnsupportedException
from kamiwaza_sdk.services.model.exceptions import DataLossException as DataLossException
from kamiwaza_sdk.services.model.exceptions import InUseException as InUseException
from kamiwaza_sdk.services.model.exceptions import InvalidCursorException as InvalidCursorException
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException as InvalidFilterException
from kamiwaza_sdk.services.model.exceptions import LineageCycleException as LineageCycleException
from kamiwaza_sdk.services.model.exceptions import ModelAlreadyExistsException as ModelAlreadyExistsException
from kamiwaza_sdk.services.model.exceptions import (
    ModelConfigAlreadyExistsException as ModelConfigAlreadyExistsException,
)
from kamiwaza_sdk.services.model.exceptions import ModelConfigNotFoundException as ModelConfigNotFoundException
from kamiwaza_sdk.services.model.exceptions import ModelNotFoundException as ModelNotFoundException
from kamiwaza_sdk.services.model.exceptions import OpenTransactionException as OpenTransactionException
from kamiwaza_sdk.services.model.exceptions import RevisionConflictException as RevisionConflictException
from kamiwaza_sdk.services.model.exceptions import TagNotFoundException as TagNotFoundException
from kamiwaza_sdk.services.model.exceptions import TransactionRequiredException as TransactionRequiredException
from kamiwaza_sdk.services.model.exceptions import VersionAlreadyExistsException as VersionAlreadyExistsException
from kamiwaza_sdk.services.model.exceptions import VersionNotFoundException as VersionNotFoundException
from kamiwaza_sdk.services.model.exceptions import VersionStatusException as VersionStatusException
from kamiwaza_sdk.services.model.models import DBModel as DBModel
from kamiwaza_sdk.services.model.plots import plot_lineage as plot_lineage
from kamiwaza_sdk.services.model.schemas.config import CreateModelConfig as CreateModelConfig
from kamiwaza_sdk.services.model.schemas.config import ModelConfigSchema as ModelConfigSchema
from kamiwaza_sdk.services.model.schemas.config import ModelEventSchema as ModelEventSchema
from kamiwaza_sdk.services.model.schemas.config import UpdateModelConfig as UpdateModelConfig
from kamiwaza_sdk.services.model.schemas.filters import Field as Field
from kamiwaza_sdk.services.model.schemas.filters import Filter as Filter
from kamiwaza_sdk.services.model.schemas.model import BulkResult as BulkResult
from kamiwaza_sdk.services.model.schemas.model import CreateModel as CreateModel
from kamiwaza_sdk.services.model.schemas.model import ModelSchema as ModelSchema
from kamiwaza_sdk.services.model.schemas.model import Page as Page
from kamiwaza_sdk.services.model.schemas.model import UpdateModel as UpdateModel
from kamiwaza_sdk.services.model.schemas.version import CreateFile as CreateFile
from kamiwaza_sdk.services.model.schemas.version import CreateParent as CreateParent
from kamiwaza_sdk.services.model.schemas.version import CreateVersion as CreateVersion
from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema as ModelVersionSchema
from kamiwaza_sdk.services.model.schemas.version import UpdateVersion as UpdateVersion
from kamiwaza_sdk.services.model.services import ModelService as ModelService
from kamiwaza_sdk.services.model.store.check import repair as repair
from kamiwaza_sdk.services.model.store.check import verify_all as verify_all
from kamiwaza_sdk.services.model.store.cleanup import clean_up as clean_up
from kamiwaza_sdk.services.model.store.cleanup import plan_cleanup as plan_cleanup
from kamiwaza_sdk.services.storage.config import StorageConfig as StorageConfig
from kamiwaza_sdk.services.storage.exceptions import BlobCorruptException as BlobCorruptException
from kamiwaza_sdk.services.storage.exceptions import BlobNotFoundException as BlobNotFoundException
from kamiwaza_sdk.services.storage.exceptions import DigestMismatchException as DigestMismatchException
from kamiwaza_sdk.services.storage.exceptions import FileConflictException as FileConflictException
from kamiwaza_sdk.services.storage.exceptions import PathTraversalException as PathTraversalException
from kamiwaza_sdk.services.storage.exceptions import StorageDiskException as StorageDiskException
from kamiwaza_sdk.services.storage.exceptions import StorageException as StorageException
from kamiwaza_sdk.services.storage.exceptions import StorageFullException as StorageFullException
from kamiwaza_sdk.services.storage.exceptions import StoragePermissionException as StoragePermissionException
from kamiwaza_sdk.services.storage.exceptions import StorageQuotaException as StorageQuotaException
from kamiwaza_sdk.services.storage.exceptions import StorageTooNewException as StorageTooNewException
from kamiwaza_sdk.services.storage.exceptions import VersionFailedException as VersionFailedException
from kamiwaza_sdk.services.storage.schemas import BlobSchema as BlobSchema
from kamiwaza_sdk.services.storage.services import StorageService as StorageService

__all__ = [
    "AliasAlreadyExistsException",
    "AliasNotFoundException",
    "AlreadyExistsException",
    "AsyncModelService",
    "AsyncRegistry",
    "AsyncioRequiredException",
    "BlobCorruptException",
    "BlobNotFoundException",
    "BlobSchema",
    "BulkException",
    "BulkResult",
    "ChecksumMismatchException",
    "ConfigurationException",
    "ConflictException",
    "CreateFile",
    "CreateModel",
    "CreateModelConfig",
    "CreateParent",
    "CreateVersion",
    "DBModel",
    "DataLossException",
    "DatabaseBusyException",
    "DatabaseConnectionException",
    "DatabaseException",
    "DatabaseNotAskedException",
    "DatabaseNotReadyException",
    "DatabaseRefusedException",
    "DatabaseTooNewException",
    "DatabaseUnsupportedException",
    "DigestMismatchException",
    "Download",
    "DownloadConfig",
    "DownloadDiskException",
    "DownloadException",
    "DownloadInterruptedException",
    "DownloadRequest",
    "DownloadResult",
    "DownloadService",
    "DownloadStatusException",
    "DownloadTimeoutException",
    "DownloadTooLargeException",
    "Fetched",
    "FetchedFile",
    "Field",
    "FileConflictException",
    "Filter",
    "FormatException",
    "GitBlobMismatchException",
    "HostNotAllowedException",
    "HubConfig",
    "HubException",
    "HubService",
    "InUseException",
    "InvalidCursorException",
    "InvalidFilterException",
    "InvalidInputException",
    "InvalidPathException",
    "InvalidSourceException",
    "LineageCycleException",
    "MissingDependencyException",
    "ModelAlreadyExistsException",
    "ModelConfigAlreadyExistsException",
    "ModelConfigNotFoundException",
    "ModelConfigSchema",
    "ModelEventSchema",
    "ModelNotFoundException",
    "ModelSchema",
    "ModelService",
    "ModelTooLargeException",
    "ModelVersionSchema",
    "NotFoundException",
    "NotInCacheException",
    "NothingFitsException",
    "ObjectStorageException",
    "OfflineException",
    "OpenTransactionException",
    "Page",
    "PathTraversalException",
    "PlanSchema",
    "Policy",
    "PolicyViolationException",
    "RangeNotSupportedException",
    "Registry",
    "RegistryTimeoutException",
    "RegistryUnavailableException",
    "RepositoryAccessException",
    "RepositoryNotFoundException",
    "RepositoryRenamedException",
    "RevisionConflictException",
    "RevisionNotFoundException",
    "ServiceConfig",
    "ServiceException",
    "SizeMismatchException",
    "StorageConfig",
    "StorageDiskException",
    "StorageException",
    "StorageFullException",
    "StoragePermissionException",
    "StorageQuotaException",
    "StorageService",
    "StorageTooNewException",
    "TagNotFoundException",
    "TransactionRequiredException",
    "UnexpectedEncodingException",
    "UnknownVariantException",
    "UpdateModel",
    "UpdateModelConfig",
    "UpdateVersion",
    "VersionAlreadyExistsException",
    "VersionFailedException",
    "VersionNotFoundException",
    "VersionStatusException",
    "VersionUnavailableException",
    "adopt",
    "check_database",
    "clean_up",
    "create_async_engine",
    "create_engine",
    "estimate_memory",
    "fetch",
    "inspect_directory",
    "inspect_file",
    "migrations",
    "plan_cleanup",
    "plot_lineage",
    "plot_memory",
    "repair",
    "search",
    "setup_database",
    "verify_all",
]
