"""A model registry and verified model store that a program gets by importing it.

In the program's own database, inside its own transaction, with no server and no web layer. Everything public is
importable from here, and loaded when first used: importing the package reads and opens nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from kamiwaza_sdk.exceptions import InvalidNameException as InvalidNameException
    from kamiwaza_sdk.exceptions import InvalidPathException as InvalidPathException
    from kamiwaza_sdk.exceptions import MissingDependencyException as MissingDependencyException
    from kamiwaza_sdk.exceptions import NotFoundException as NotFoundException
    from kamiwaza_sdk.exceptions import ServiceException as ServiceException
    from kamiwaza_sdk.formats.exceptions import FormatException as FormatException
    from kamiwaza_sdk.formats.exceptions import FormatLimitException as FormatLimitException
    from kamiwaza_sdk.formats.exceptions import MalformedFileException as MalformedFileException
    from kamiwaza_sdk.formats.exceptions import NotTheModelException as NotTheModelException
    from kamiwaza_sdk.formats.exceptions import UnknownFormatException as UnknownFormatException
    from kamiwaza_sdk.formats.exceptions import UnknownVariantException as UnknownVariantException
    from kamiwaza_sdk.formats.inspection import FileFormat as FileFormat
    from kamiwaza_sdk.formats.inspection import ReadRange as ReadRange
    from kamiwaza_sdk.formats.inspection import detect_format as detect_format
    from kamiwaza_sdk.formats.inspection import inspect_file as inspect_file
    from kamiwaza_sdk.formats.inspection import inspect_remote as inspect_remote
    from kamiwaza_sdk.formats.layouts.describe import describe_layout as describe_layout
    from kamiwaza_sdk.formats.memory import HasWeights as HasWeights
    from kamiwaza_sdk.formats.memory import estimate_memory as estimate_memory
    from kamiwaza_sdk.formats.memory import longest_context as longest_context
    from kamiwaza_sdk.formats.repository import DESCRIBING_FILES as DESCRIBING_FILES
    from kamiwaza_sdk.formats.repository import combine_shards as combine_shards
    from kamiwaza_sdk.formats.repository import describe_repository as describe_repository
    from kamiwaza_sdk.formats.repository import inspect_directory as inspect_directory
    from kamiwaza_sdk.formats.repository import inspect_shards as inspect_shards
    from kamiwaza_sdk.formats.schemas import AttentionLayersSchema as AttentionLayersSchema
    from kamiwaza_sdk.formats.schemas import AttentionSchema as AttentionSchema
    from kamiwaza_sdk.formats.schemas import CompanionSchema as CompanionSchema
    from kamiwaza_sdk.formats.schemas import FormatSchema as FormatSchema
    from kamiwaza_sdk.formats.schemas import GGUFArraySchema as GGUFArraySchema
    from kamiwaza_sdk.formats.schemas import GGUFSchema as GGUFSchema
    from kamiwaza_sdk.formats.schemas import GGUFValue as GGUFValue
    from kamiwaza_sdk.formats.schemas import IncompleteVariantSchema as IncompleteVariantSchema
    from kamiwaza_sdk.formats.schemas import LayoutSchema as LayoutSchema
    from kamiwaza_sdk.formats.schemas import MemoryEstimateSchema as MemoryEstimateSchema
    from kamiwaza_sdk.formats.schemas import ONNXSchema as ONNXSchema
    from kamiwaza_sdk.formats.schemas import ONNXValueSchema as ONNXValueSchema
    from kamiwaza_sdk.formats.schemas import OtherFileSchema as OtherFileSchema
    from kamiwaza_sdk.formats.schemas import OtherFormat as OtherFormat
    from kamiwaza_sdk.formats.schemas import PickleImportSchema as PickleImportSchema
    from kamiwaza_sdk.formats.schemas import PickleSchema as PickleSchema
    from kamiwaza_sdk.formats.schemas import PickleVerdict as PickleVerdict
    from kamiwaza_sdk.formats.schemas import RepositoryDetailsSchema as RepositoryDetailsSchema
    from kamiwaza_sdk.formats.schemas import SafetensorsSchema as SafetensorsSchema
    from kamiwaza_sdk.formats.schemas import ShardedSafetensorsSchema as ShardedSafetensorsSchema
    from kamiwaza_sdk.formats.schemas import TensorSchema as TensorSchema
    from kamiwaza_sdk.formats.schemas import TensorTable as TensorTable
    from kamiwaza_sdk.formats.schemas import VariantSchema as VariantSchema
    from kamiwaza_sdk.services.download.config import DownloadConfig as DownloadConfig
    from kamiwaza_sdk.services.download.exceptions import ChecksumMismatchException as ChecksumMismatchException
    from kamiwaza_sdk.services.download.exceptions import DownloadDiskException as DownloadDiskException
    from kamiwaza_sdk.services.download.exceptions import DownloadException as DownloadException
    from kamiwaza_sdk.services.download.exceptions import DownloadInterruptedException as DownloadInterruptedException
    from kamiwaza_sdk.services.download.exceptions import DownloadStatusException as DownloadStatusException
    from kamiwaza_sdk.services.download.exceptions import DownloadTimeoutException as DownloadTimeoutException
    from kamiwaza_sdk.services.download.exceptions import DownloadTooLargeException as DownloadTooLargeException
    from kamiwaza_sdk.services.download.exceptions import HostNotAllowedException as HostNotAllowedException
    from kamiwaza_sdk.services.download.exceptions import InvalidUrlException as InvalidUrlException
    from kamiwaza_sdk.services.download.exceptions import PrivateAddressException as PrivateAddressException
    from kamiwaza_sdk.services.download.exceptions import RangeNotSupportedException as RangeNotSupportedException
    from kamiwaza_sdk.services.download.exceptions import SizeMismatchException as SizeMismatchException
    from kamiwaza_sdk.services.download.exceptions import UnexpectedEncodingException as UnexpectedEncodingException
    from kamiwaza_sdk.services.download.progress import Download as Download
    from kamiwaza_sdk.services.download.schemas import AttemptCallback as AttemptCallback
    from kamiwaza_sdk.services.download.schemas import DownloadAttempt as DownloadAttempt
    from kamiwaza_sdk.services.download.schemas import DownloadOutcome as DownloadOutcome
    from kamiwaza_sdk.services.download.schemas import DownloadProgress as DownloadProgress
    from kamiwaza_sdk.services.download.schemas import DownloadRequest as DownloadRequest
    from kamiwaza_sdk.services.download.schemas import DownloadResult as DownloadResult
    from kamiwaza_sdk.services.download.schemas import ProgressCallback as ProgressCallback
    from kamiwaza_sdk.services.download.schemas import RangeSchema as RangeSchema
    from kamiwaza_sdk.services.download.schemas import ResponseSchema as ResponseSchema
    from kamiwaza_sdk.services.download.schemas import Validators as Validators
    from kamiwaza_sdk.services.download.services import DownloadService as DownloadService
    from kamiwaza_sdk.services.hub.config import HubConfig as HubConfig
    from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException as GitBlobMismatchException
    from kamiwaza_sdk.services.hub.exceptions import HubException as HubException
    from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException as InvalidAnswerException
    from kamiwaza_sdk.services.hub.exceptions import InvalidSourceException as InvalidSourceException
    from kamiwaza_sdk.services.hub.exceptions import NothingFitsException as NothingFitsException
    from kamiwaza_sdk.services.hub.exceptions import NotInCacheException as NotInCacheException
    from kamiwaza_sdk.services.hub.exceptions import ObjectStorageException as ObjectStorageException
    from kamiwaza_sdk.services.hub.exceptions import OfflineException as OfflineException
    from kamiwaza_sdk.services.hub.exceptions import PolicyViolationException as PolicyViolationException
    from kamiwaza_sdk.services.hub.exceptions import RepositoryGatedException as RepositoryGatedException
    from kamiwaza_sdk.services.hub.exceptions import RepositoryNotFoundException as RepositoryNotFoundException
    from kamiwaza_sdk.services.hub.exceptions import RepositoryPrivateException as RepositoryPrivateException
    from kamiwaza_sdk.services.hub.exceptions import RepositoryRenamedException as RepositoryRenamedException
    from kamiwaza_sdk.services.hub.exceptions import RevisionNotFoundException as RevisionNotFoundException
    from kamiwaza_sdk.services.hub.exceptions import SourceEntryPointException as SourceEntryPointException
    from kamiwaza_sdk.services.hub.exceptions import SourceTooLargeException as SourceTooLargeException
    from kamiwaza_sdk.services.hub.exceptions import VersionUnavailableException as VersionUnavailableException
    from kamiwaza_sdk.services.hub.plots import plot_memory as plot_memory
    from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema as LeftOutSchema
    from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema as ManifestFileSchema
    from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema as ManifestSchema
    from kamiwaza_sdk.services.hub.schemas.manifest import RepositorySchema as RepositorySchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanFileSchema as PlanFileSchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanSchema as PlanSchema
    from kamiwaza_sdk.services.hub.schemas.plan import PlanVariantSchema as PlanVariantSchema
    from kamiwaza_sdk.services.hub.schemas.policy import ObjectionSchema as ObjectionSchema
    from kamiwaza_sdk.services.hub.schemas.policy import Policy as Policy
    from kamiwaza_sdk.services.hub.schemas.results import Adopted as Adopted
    from kamiwaza_sdk.services.hub.schemas.results import AdoptedFile as AdoptedFile
    from kamiwaza_sdk.services.hub.schemas.results import Fetched as Fetched
    from kamiwaza_sdk.services.hub.schemas.results import FetchedFile as FetchedFile
    from kamiwaza_sdk.services.hub.schemas.results import FileFaultSchema as FileFaultSchema
    from kamiwaza_sdk.services.hub.schemas.results import manifest_digest as manifest_digest
    from kamiwaza_sdk.services.hub.services import HubService as HubService
    from kamiwaza_sdk.services.hub.services import RepositorySort as RepositorySort
    from kamiwaza_sdk.services.hub.services import Source as Source
    from kamiwaza_sdk.services.hub.services import adopt as adopt
    from kamiwaza_sdk.services.hub.services import fetch as fetch
    from kamiwaza_sdk.services.hub.services import search as search
    from kamiwaza_sdk.services.hub.sources.context import SourceContext as SourceContext
    from kamiwaza_sdk.services.hub.sources.protocol import ModelSource as ModelSource
    from kamiwaza_sdk.services.hub.sources.protocol import StreamingSource as StreamingSource
    from kamiwaza_sdk.services.hub.sources.versions import RegisteredVersion as RegisteredVersion
    from kamiwaza_sdk.services.model.async_services import AsyncModelService as AsyncModelService
    from kamiwaza_sdk.services.model.config import ServiceConfig as ServiceConfig
    from kamiwaza_sdk.services.model.exceptions import AliasAlreadyExistsException as AliasAlreadyExistsException
    from kamiwaza_sdk.services.model.exceptions import AliasNotFoundException as AliasNotFoundException
    from kamiwaza_sdk.services.model.exceptions import BulkException as BulkException
    from kamiwaza_sdk.services.model.exceptions import DatabaseBusyException as DatabaseBusyException
    from kamiwaza_sdk.services.model.exceptions import DatabaseConnectionException as DatabaseConnectionException
    from kamiwaza_sdk.services.model.exceptions import DatabaseException as DatabaseException
    from kamiwaza_sdk.services.model.exceptions import DatabaseNotReadyException as DatabaseNotReadyException
    from kamiwaza_sdk.services.model.exceptions import DatabaseRefusedException as DatabaseRefusedException
    from kamiwaza_sdk.services.model.exceptions import DatabaseTooNewException as DatabaseTooNewException
    from kamiwaza_sdk.services.model.exceptions import DatabaseUnsupportedException as DatabaseUnsupportedException
    from kamiwaza_sdk.services.model.exceptions import DataLossException as DataLossException
    from kamiwaza_sdk.services.model.exceptions import InvalidCursorException as InvalidCursorException
    from kamiwaza_sdk.services.model.exceptions import InvalidFilterException as InvalidFilterException
    from kamiwaza_sdk.services.model.exceptions import InvalidReferenceException as InvalidReferenceException
    from kamiwaza_sdk.services.model.exceptions import LineageCycleException as LineageCycleException
    from kamiwaza_sdk.services.model.exceptions import ModelAlreadyExistsException as ModelAlreadyExistsException
    from kamiwaza_sdk.services.model.exceptions import (
        ModelConfigAlreadyExistsException as ModelConfigAlreadyExistsException,
    )
    from kamiwaza_sdk.services.model.exceptions import ModelConfigNotFoundException as ModelConfigNotFoundException
    from kamiwaza_sdk.services.model.exceptions import ModelInUseException as ModelInUseException
    from kamiwaza_sdk.services.model.exceptions import ModelNotFoundException as ModelNotFoundException
    from kamiwaza_sdk.services.model.exceptions import ModelTooLargeException as ModelTooLargeException
    from kamiwaza_sdk.services.model.exceptions import OpenTransactionException as OpenTransactionException
    from kamiwaza_sdk.services.model.exceptions import RevisionConflictException as RevisionConflictException
    from kamiwaza_sdk.services.model.exceptions import TagNotFoundException as TagNotFoundException
    from kamiwaza_sdk.services.model.exceptions import TransactionRequiredException as TransactionRequiredException
    from kamiwaza_sdk.services.model.exceptions import VersionAlreadyExistsException as VersionAlreadyExistsException
    from kamiwaza_sdk.services.model.exceptions import VersionInUseException as VersionInUseException
    from kamiwaza_sdk.services.model.exceptions import VersionNotFoundException as VersionNotFoundException
    from kamiwaza_sdk.services.model.exceptions import VersionStatusException as VersionStatusException
    from kamiwaza_sdk.services.model.models import DBBase as DBBase
    from kamiwaza_sdk.services.model.models import DBModel as DBModel
    from kamiwaza_sdk.services.model.models import DBModelAlias as DBModelAlias
    from kamiwaza_sdk.services.model.models import DBModelConfig as DBModelConfig
    from kamiwaza_sdk.services.model.models import DBModelDocument as DBModelDocument
    from kamiwaza_sdk.services.model.models import DBModelEvent as DBModelEvent
    from kamiwaza_sdk.services.model.models import DBModelFile as DBModelFile
    from kamiwaza_sdk.services.model.models import DBModelLineage as DBModelLineage
    from kamiwaza_sdk.services.model.models import DBModelTag as DBModelTag
    from kamiwaza_sdk.services.model.models import DBModelVersion as DBModelVersion
    from kamiwaza_sdk.services.model.models import DBModelVersionTag as DBModelVersionTag
    from kamiwaza_sdk.services.model.registry.bulk import OnConflict as OnConflict
    from kamiwaza_sdk.services.model.schemas.config import CreateModelConfig as CreateModelConfig
    from kamiwaza_sdk.services.model.schemas.config import EventKind as EventKind
    from kamiwaza_sdk.services.model.schemas.config import ModelConfigSchema as ModelConfigSchema
    from kamiwaza_sdk.services.model.schemas.config import ModelEventSchema as ModelEventSchema
    from kamiwaza_sdk.services.model.schemas.config import UpdateModelConfig as UpdateModelConfig
    from kamiwaza_sdk.services.model.schemas.filters import Field as Field
    from kamiwaza_sdk.services.model.schemas.filters import Filter as Filter
    from kamiwaza_sdk.services.model.schemas.model import BulkResult as BulkResult
    from kamiwaza_sdk.services.model.schemas.model import CreateModel as CreateModel
    from kamiwaza_sdk.services.model.schemas.model import LatestVersionSchema as LatestVersionSchema
    from kamiwaza_sdk.services.model.schemas.model import ModelSchema as ModelSchema
    from kamiwaza_sdk.services.model.schemas.model import Page as Page
    from kamiwaza_sdk.services.model.schemas.model import UpdateModel as UpdateModel
    from kamiwaza_sdk.services.model.schemas.version import CreateFile as CreateFile
    from kamiwaza_sdk.services.model.schemas.version import CreateParent as CreateParent
    from kamiwaza_sdk.services.model.schemas.version import CreateVersion as CreateVersion
    from kamiwaza_sdk.services.model.schemas.version import ModelFileSchema as ModelFileSchema
    from kamiwaza_sdk.services.model.schemas.version import ModelVersionSchema as ModelVersionSchema
    from kamiwaza_sdk.services.model.schemas.version import ParentSchema as ParentSchema
    from kamiwaza_sdk.services.model.schemas.version import Relation as Relation
    from kamiwaza_sdk.services.model.schemas.version import RelativeSchema as RelativeSchema
    from kamiwaza_sdk.services.model.schemas.version import UpdateVersion as UpdateVersion
    from kamiwaza_sdk.services.model.schemas.version import VersionStatus as VersionStatus
    from kamiwaza_sdk.services.model.search.listings import ModelSort as ModelSort
    from kamiwaza_sdk.services.model.search.listings import VersionSort as VersionSort
    from kamiwaza_sdk.services.model.services import ModelService as ModelService
    from kamiwaza_sdk.services.storage.config import StorageConfig as StorageConfig
    from kamiwaza_sdk.services.storage.exceptions import BlobCorruptException as BlobCorruptException
    from kamiwaza_sdk.services.storage.exceptions import BlobNotFoundException as BlobNotFoundException
    from kamiwaza_sdk.services.storage.exceptions import DigestMismatchException as DigestMismatchException
    from kamiwaza_sdk.services.storage.exceptions import FileConflictException as FileConflictException
    from kamiwaza_sdk.services.storage.exceptions import OutsideStoreException as OutsideStoreException
    from kamiwaza_sdk.services.storage.exceptions import StorageDiskException as StorageDiskException
    from kamiwaza_sdk.services.storage.exceptions import StorageException as StorageException
    from kamiwaza_sdk.services.storage.exceptions import StorageFullException as StorageFullException
    from kamiwaza_sdk.services.storage.exceptions import StoragePermissionException as StoragePermissionException
    from kamiwaza_sdk.services.storage.exceptions import VersionFailedException as VersionFailedException
    from kamiwaza_sdk.services.storage.schemas import AdoptedBlobSchema as AdoptedBlobSchema
    from kamiwaza_sdk.services.storage.schemas import AdoptedBy as AdoptedBy
    from kamiwaza_sdk.services.storage.schemas import BlobSchema as BlobSchema
    from kamiwaza_sdk.services.storage.schemas import FileLike as FileLike
    from kamiwaza_sdk.services.storage.schemas import HasFiles as HasFiles
    from kamiwaza_sdk.services.storage.services import StorageService as StorageService

__all__ = [
    "Adopted",
    "AdoptedBlobSchema",
    "AdoptedBy",
    "AdoptedFile",
    "AliasAlreadyExistsException",
    "AliasNotFoundException",
    "AlreadyExistsException",
    "AsyncModelService",
    "AsyncioRequiredException",
    "AttemptCallback",
    "AttentionLayersSchema",
    "AttentionSchema",
    "BlobCorruptException",
    "BlobNotFoundException",
    "BlobSchema",
    "BulkException",
    "BulkResult",
    "ChecksumMismatchException",
    "CompanionSchema",
    "ConfigurationException",
    "ConflictException",
    "CreateFile",
    "CreateModel",
    "CreateModelConfig",
    "CreateParent",
    "CreateVersion",
    "DBBase",
    "DBModel",
    "DBModelAlias",
    "DBModelConfig",
    "DBModelDocument",
    "DBModelEvent",
    "DBModelFile",
    "DBModelLineage",
    "DBModelTag",
    "DBModelVersion",
    "DBModelVersionTag",
    "DESCRIBING_FILES",
    "DataLossException",
    "DatabaseBusyException",
    "DatabaseConnectionException",
    "DatabaseException",
    "DatabaseNotReadyException",
    "DatabaseRefusedException",
    "DatabaseTooNewException",
    "DatabaseUnsupportedException",
    "DigestMismatchException",
    "Download",
    "DownloadAttempt",
    "DownloadConfig",
    "DownloadDiskException",
    "DownloadException",
    "DownloadInterruptedException",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadRequest",
    "DownloadResult",
    "DownloadService",
    "DownloadStatusException",
    "DownloadTimeoutException",
    "DownloadTooLargeException",
    "EventKind",
    "Fetched",
    "FetchedFile",
    "Field",
    "FileConflictException",
    "FileFaultSchema",
    "FileFormat",
    "FileLike",
    "Filter",
    "FormatException",
    "FormatLimitException",
    "FormatSchema",
    "GGUFArraySchema",
    "GGUFSchema",
    "GGUFValue",
    "GitBlobMismatchException",
    "HasFiles",
    "HasWeights",
    "HostNotAllowedException",
    "HubConfig",
    "HubException",
    "HubService",
    "IncompleteVariantSchema",
    "InvalidAnswerException",
    "InvalidCursorException",
    "InvalidFilterException",
    "InvalidInputException",
    "InvalidNameException",
    "InvalidPathException",
    "InvalidReferenceException",
    "InvalidSourceException",
    "InvalidUrlException",
    "LatestVersionSchema",
    "LayoutSchema",
    "LeftOutSchema",
    "LineageCycleException",
    "MalformedFileException",
    "ManifestFileSchema",
    "ManifestSchema",
    "MemoryEstimateSchema",
    "MissingDependencyException",
    "ModelAlreadyExistsException",
    "ModelConfigAlreadyExistsException",
    "ModelConfigNotFoundException",
    "ModelConfigSchema",
    "ModelEventSchema",
    "ModelFileSchema",
    "ModelInUseException",
    "ModelNotFoundException",
    "ModelSchema",
    "ModelService",
    "ModelSort",
    "ModelSource",
    "ModelTooLargeException",
    "ModelVersionSchema",
    "NotFoundException",
    "NotInCacheException",
    "NotTheModelException",
    "NothingFitsException",
    "ONNXSchema",
    "ONNXValueSchema",
    "ObjectStorageException",
    "ObjectionSchema",
    "OfflineException",
    "OnConflict",
    "OpenTransactionException",
    "OtherFileSchema",
    "OtherFormat",
    "OutsideStoreException",
    "Page",
    "ParentSchema",
    "PickleImportSchema",
    "PickleSchema",
    "PickleVerdict",
    "PlanFileSchema",
    "PlanSchema",
    "PlanVariantSchema",
    "Policy",
    "PolicyViolationException",
    "PrivateAddressException",
    "ProgressCallback",
    "RangeNotSupportedException",
    "RangeSchema",
    "ReadRange",
    "RegisteredVersion",
    "Relation",
    "RelativeSchema",
    "RepositoryDetailsSchema",
    "RepositoryGatedException",
    "RepositoryNotFoundException",
    "RepositoryPrivateException",
    "RepositoryRenamedException",
    "RepositorySchema",
    "RepositorySort",
    "ResponseSchema",
    "RevisionConflictException",
    "RevisionNotFoundException",
    "SafetensorsSchema",
    "ServiceConfig",
    "ServiceException",
    "ShardedSafetensorsSchema",
    "SizeMismatchException",
    "Source",
    "SourceContext",
    "SourceEntryPointException",
    "SourceTooLargeException",
    "StorageConfig",
    "StorageDiskException",
    "StorageException",
    "StorageFullException",
    "StoragePermissionException",
    "StorageService",
    "StreamingSource",
    "TagNotFoundException",
    "TensorSchema",
    "TensorTable",
    "TransactionRequiredException",
    "UnexpectedEncodingException",
    "UnknownFormatException",
    "UnknownVariantException",
    "UpdateModel",
    "UpdateModelConfig",
    "UpdateVersion",
    "Validators",
    "VariantSchema",
    "VersionAlreadyExistsException",
    "VersionFailedException",
    "VersionInUseException",
    "VersionNotFoundException",
    "VersionSort",
    "VersionStatus",
    "VersionStatusException",
    "VersionUnavailableException",
    "adopt",
    "check_database",
    "combine_shards",
    "create_async_engine",
    "create_engine",
    "describe_layout",
    "describe_repository",
    "detect_format",
    "estimate_memory",
    "fetch",
    "inspect_directory",
    "inspect_file",
    "inspect_remote",
    "inspect_shards",
    "longest_context",
    "manifest_digest",
    "migrations",
    "plot_memory",
    "search",
    "setup_database",
]

#: Which module each name comes from.
_MODULES = {
    "Adopted": "kamiwaza_sdk.services.hub.schemas.results",
    "AdoptedBlobSchema": "kamiwaza_sdk.services.storage.schemas",
    "AdoptedBy": "kamiwaza_sdk.services.storage.schemas",
    "AdoptedFile": "kamiwaza_sdk.services.hub.schemas.results",
    "AliasAlreadyExistsException": "kamiwaza_sdk.services.model.exceptions",
    "AliasNotFoundException": "kamiwaza_sdk.services.model.exceptions",
    "AlreadyExistsException": "kamiwaza_sdk.exceptions",
    "AsyncModelService": "kamiwaza_sdk.services.model.async_services",
    "AsyncioRequiredException": "kamiwaza_sdk.exceptions",
    "AttemptCallback": "kamiwaza_sdk.services.download.schemas",
    "AttentionLayersSchema": "kamiwaza_sdk.formats.schemas",
    "AttentionSchema": "kamiwaza_sdk.formats.schemas",
    "BlobCorruptException": "kamiwaza_sdk.services.storage.exceptions",
    "BlobNotFoundException": "kamiwaza_sdk.services.storage.exceptions",
    "BlobSchema": "kamiwaza_sdk.services.storage.schemas",
    "BulkException": "kamiwaza_sdk.services.model.exceptions",
    "BulkResult": "kamiwaza_sdk.services.model.schemas.model",
    "ChecksumMismatchException": "kamiwaza_sdk.services.download.exceptions",
    "CompanionSchema": "kamiwaza_sdk.formats.schemas",
    "ConfigurationException": "kamiwaza_sdk.exceptions",
    "ConflictException": "kamiwaza_sdk.exceptions",
    "CreateFile": "kamiwaza_sdk.services.model.schemas.version",
    "CreateModel": "kamiwaza_sdk.services.model.schemas.model",
    "CreateModelConfig": "kamiwaza_sdk.services.model.schemas.config",
    "CreateParent": "kamiwaza_sdk.services.model.schemas.version",
    "CreateVersion": "kamiwaza_sdk.services.model.schemas.version",
    "DBBase": "kamiwaza_sdk.services.model.models",
    "DBModel": "kamiwaza_sdk.services.model.models",
    "DBModelAlias": "kamiwaza_sdk.services.model.models",
    "DBModelConfig": "kamiwaza_sdk.services.model.models",
    "DBModelDocument": "kamiwaza_sdk.services.model.models",
    "DBModelEvent": "kamiwaza_sdk.services.model.models",
    "DBModelFile": "kamiwaza_sdk.services.model.models",
    "DBModelLineage": "kamiwaza_sdk.services.model.models",
    "DBModelTag": "kamiwaza_sdk.services.model.models",
    "DBModelVersion": "kamiwaza_sdk.services.model.models",
    "DBModelVersionTag": "kamiwaza_sdk.services.model.models",
    "DESCRIBING_FILES": "kamiwaza_sdk.formats.repository",
    "DataLossException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseBusyException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseConnectionException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseNotReadyException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseRefusedException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseTooNewException": "kamiwaza_sdk.services.model.exceptions",
    "DatabaseUnsupportedException": "kamiwaza_sdk.services.model.exceptions",
    "DigestMismatchException": "kamiwaza_sdk.services.storage.exceptions",
    "Download": "kamiwaza_sdk.services.download.progress",
    "DownloadAttempt": "kamiwaza_sdk.services.download.schemas",
    "DownloadConfig": "kamiwaza_sdk.services.download.config",
    "DownloadDiskException": "kamiwaza_sdk.services.download.exceptions",
    "DownloadException": "kamiwaza_sdk.services.download.exceptions",
    "DownloadInterruptedException": "kamiwaza_sdk.services.download.exceptions",
    "DownloadOutcome": "kamiwaza_sdk.services.download.schemas",
    "DownloadProgress": "kamiwaza_sdk.services.download.schemas",
    "DownloadRequest": "kamiwaza_sdk.services.download.schemas",
    "DownloadResult": "kamiwaza_sdk.services.download.schemas",
    "DownloadService": "kamiwaza_sdk.services.download.services",
    "DownloadStatusException": "kamiwaza_sdk.services.download.exceptions",
    "DownloadTimeoutException": "kamiwaza_sdk.services.download.exceptions",
    "DownloadTooLargeException": "kamiwaza_sdk.services.download.exceptions",
    "EventKind": "kamiwaza_sdk.services.model.schemas.config",
    "Fetched": "kamiwaza_sdk.services.hub.schemas.results",
    "FetchedFile": "kamiwaza_sdk.services.hub.schemas.results",
    "Field": "kamiwaza_sdk.services.model.schemas.filters",
    "FileConflictException": "kamiwaza_sdk.services.storage.exceptions",
    "FileFaultSchema": "kamiwaza_sdk.services.hub.schemas.results",
    "FileFormat": "kamiwaza_sdk.formats.inspection",
    "FileLike": "kamiwaza_sdk.services.storage.schemas",
    "Filter": "kamiwaza_sdk.services.model.schemas.filters",
    "FormatException": "kamiwaza_sdk.formats.exceptions",
    "FormatLimitException": "kamiwaza_sdk.formats.exceptions",
    "FormatSchema": "kamiwaza_sdk.formats.schemas",
    "GGUFArraySchema": "kamiwaza_sdk.formats.schemas",
    "GGUFSchema": "kamiwaza_sdk.formats.schemas",
    "GGUFValue": "kamiwaza_sdk.formats.schemas",
    "GitBlobMismatchException": "kamiwaza_sdk.services.hub.exceptions",
    "HasFiles": "kamiwaza_sdk.services.storage.schemas",
    "HasWeights": "kamiwaza_sdk.formats.memory",
    "HostNotAllowedException": "kamiwaza_sdk.services.download.exceptions",
    "HubConfig": "kamiwaza_sdk.services.hub.config",
    "HubException": "kamiwaza_sdk.services.hub.exceptions",
    "HubService": "kamiwaza_sdk.services.hub.services",
    "IncompleteVariantSchema": "kamiwaza_sdk.formats.schemas",
    "InvalidAnswerException": "kamiwaza_sdk.services.hub.exceptions",
    "InvalidCursorException": "kamiwaza_sdk.services.model.exceptions",
    "InvalidFilterException": "kamiwaza_sdk.services.model.exceptions",
    "InvalidInputException": "kamiwaza_sdk.exceptions",
    "InvalidNameException": "kamiwaza_sdk.exceptions",
    "InvalidPathException": "kamiwaza_sdk.exceptions",
    "InvalidReferenceException": "kamiwaza_sdk.services.model.exceptions",
    "InvalidSourceException": "kamiwaza_sdk.services.hub.exceptions",
    "InvalidUrlException": "kamiwaza_sdk.services.download.exceptions",
    "LatestVersionSchema": "kamiwaza_sdk.services.model.schemas.model",
    "LayoutSchema": "kamiwaza_sdk.formats.schemas",
    "LeftOutSchema": "kamiwaza_sdk.services.hub.schemas.manifest",
    "LineageCycleException": "kamiwaza_sdk.services.model.exceptions",
    "MalformedFileException": "kamiwaza_sdk.formats.exceptions",
    "ManifestFileSchema": "kamiwaza_sdk.services.hub.schemas.manifest",
    "ManifestSchema": "kamiwaza_sdk.services.hub.schemas.manifest",
    "MemoryEstimateSchema": "kamiwaza_sdk.formats.schemas",
    "MissingDependencyException": "kamiwaza_sdk.exceptions",
    "ModelAlreadyExistsException": "kamiwaza_sdk.services.model.exceptions",
    "ModelConfigAlreadyExistsException": "kamiwaza_sdk.services.model.exceptions",
    "ModelConfigNotFoundException": "kamiwaza_sdk.services.model.exceptions",
    "ModelConfigSchema": "kamiwaza_sdk.services.model.schemas.config",
    "ModelEventSchema": "kamiwaza_sdk.services.model.schemas.config",
    "ModelFileSchema": "kamiwaza_sdk.services.model.schemas.version",
    "ModelInUseException": "kamiwaza_sdk.services.model.exceptions",
    "ModelNotFoundException": "kamiwaza_sdk.services.model.exceptions",
    "ModelSchema": "kamiwaza_sdk.services.model.schemas.model",
    "ModelService": "kamiwaza_sdk.services.model.services",
    "ModelSort": "kamiwaza_sdk.services.model.search.listings",
    "ModelSource": "kamiwaza_sdk.services.hub.sources.protocol",
    "ModelTooLargeException": "kamiwaza_sdk.services.model.exceptions",
    "ModelVersionSchema": "kamiwaza_sdk.services.model.schemas.version",
    "NotFoundException": "kamiwaza_sdk.exceptions",
    "NotInCacheException": "kamiwaza_sdk.services.hub.exceptions",
    "NotTheModelException": "kamiwaza_sdk.formats.exceptions",
    "NothingFitsException": "kamiwaza_sdk.services.hub.exceptions",
    "ONNXSchema": "kamiwaza_sdk.formats.schemas",
    "ONNXValueSchema": "kamiwaza_sdk.formats.schemas",
    "ObjectStorageException": "kamiwaza_sdk.services.hub.exceptions",
    "ObjectionSchema": "kamiwaza_sdk.services.hub.schemas.policy",
    "OfflineException": "kamiwaza_sdk.services.hub.exceptions",
    "OnConflict": "kamiwaza_sdk.services.model.registry.bulk",
    "OpenTransactionException": "kamiwaza_sdk.services.model.exceptions",
    "OtherFileSchema": "kamiwaza_sdk.formats.schemas",
    "OtherFormat": "kamiwaza_sdk.formats.schemas",
    "OutsideStoreException": "kamiwaza_sdk.services.storage.exceptions",
    "Page": "kamiwaza_sdk.services.model.schemas.model",
    "ParentSchema": "kamiwaza_sdk.services.model.schemas.version",
    "PickleImportSchema": "kamiwaza_sdk.formats.schemas",
    "PickleSchema": "kamiwaza_sdk.formats.schemas",
    "PickleVerdict": "kamiwaza_sdk.formats.schemas",
    "PlanFileSchema": "kamiwaza_sdk.services.hub.schemas.plan",
    "PlanSchema": "kamiwaza_sdk.services.hub.schemas.plan",
    "PlanVariantSchema": "kamiwaza_sdk.services.hub.schemas.plan",
    "Policy": "kamiwaza_sdk.services.hub.schemas.policy",
    "PolicyViolationException": "kamiwaza_sdk.services.hub.exceptions",
    "PrivateAddressException": "kamiwaza_sdk.services.download.exceptions",
    "ProgressCallback": "kamiwaza_sdk.services.download.schemas",
    "RangeNotSupportedException": "kamiwaza_sdk.services.download.exceptions",
    "RangeSchema": "kamiwaza_sdk.services.download.schemas",
    "ReadRange": "kamiwaza_sdk.formats.inspection",
    "RegisteredVersion": "kamiwaza_sdk.services.hub.sources.versions",
    "Relation": "kamiwaza_sdk.services.model.schemas.version",
    "RelativeSchema": "kamiwaza_sdk.services.model.schemas.version",
    "RepositoryDetailsSchema": "kamiwaza_sdk.formats.schemas",
    "RepositoryGatedException": "kamiwaza_sdk.services.hub.exceptions",
    "RepositoryNotFoundException": "kamiwaza_sdk.services.hub.exceptions",
    "RepositoryPrivateException": "kamiwaza_sdk.services.hub.exceptions",
    "RepositoryRenamedException": "kamiwaza_sdk.services.hub.exceptions",
    "RepositorySchema": "kamiwaza_sdk.services.hub.schemas.manifest",
    "RepositorySort": "kamiwaza_sdk.services.hub.services",
    "ResponseSchema": "kamiwaza_sdk.services.download.schemas",
    "RevisionConflictException": "kamiwaza_sdk.services.model.exceptions",
    "RevisionNotFoundException": "kamiwaza_sdk.services.hub.exceptions",
    "SafetensorsSchema": "kamiwaza_sdk.formats.schemas",
    "ServiceConfig": "kamiwaza_sdk.services.model.config",
    "ServiceException": "kamiwaza_sdk.exceptions",
    "ShardedSafetensorsSchema": "kamiwaza_sdk.formats.schemas",
    "SizeMismatchException": "kamiwaza_sdk.services.download.exceptions",
    "Source": "kamiwaza_sdk.services.hub.services",
    "SourceContext": "kamiwaza_sdk.services.hub.sources.context",
    "SourceEntryPointException": "kamiwaza_sdk.services.hub.exceptions",
    "SourceTooLargeException": "kamiwaza_sdk.services.hub.exceptions",
    "StorageConfig": "kamiwaza_sdk.services.storage.config",
    "StorageDiskException": "kamiwaza_sdk.services.storage.exceptions",
    "StorageException": "kamiwaza_sdk.services.storage.exceptions",
    "StorageFullException": "kamiwaza_sdk.services.storage.exceptions",
    "StoragePermissionException": "kamiwaza_sdk.services.storage.exceptions",
    "StorageService": "kamiwaza_sdk.services.storage.services",
    "StreamingSource": "kamiwaza_sdk.services.hub.sources.protocol",
    "TagNotFoundException": "kamiwaza_sdk.services.model.exceptions",
    "TensorSchema": "kamiwaza_sdk.formats.schemas",
    "TensorTable": "kamiwaza_sdk.formats.schemas",
    "TransactionRequiredException": "kamiwaza_sdk.services.model.exceptions",
    "UnexpectedEncodingException": "kamiwaza_sdk.services.download.exceptions",
    "UnknownFormatException": "kamiwaza_sdk.formats.exceptions",
    "UnknownVariantException": "kamiwaza_sdk.formats.exceptions",
    "UpdateModel": "kamiwaza_sdk.services.model.schemas.model",
    "UpdateModelConfig": "kamiwaza_sdk.services.model.schemas.config",
    "UpdateVersion": "kamiwaza_sdk.services.model.schemas.version",
    "Validators": "kamiwaza_sdk.services.download.schemas",
    "VariantSchema": "kamiwaza_sdk.formats.schemas",
    "VersionAlreadyExistsException": "kamiwaza_sdk.services.model.exceptions",
    "VersionFailedException": "kamiwaza_sdk.services.storage.exceptions",
    "VersionInUseException": "kamiwaza_sdk.services.model.exceptions",
    "VersionNotFoundException": "kamiwaza_sdk.services.model.exceptions",
    "VersionSort": "kamiwaza_sdk.services.model.search.listings",
    "VersionStatus": "kamiwaza_sdk.services.model.schemas.version",
    "VersionStatusException": "kamiwaza_sdk.services.model.exceptions",
    "VersionUnavailableException": "kamiwaza_sdk.services.hub.exceptions",
    "adopt": "kamiwaza_sdk.services.hub.services",
    "check_database": "kamiwaza_sdk.database",
    "combine_shards": "kamiwaza_sdk.formats.repository",
    "create_async_engine": "kamiwaza_sdk.database",
    "create_engine": "kamiwaza_sdk.database",
    "describe_layout": "kamiwaza_sdk.formats.layouts.describe",
    "describe_repository": "kamiwaza_sdk.formats.repository",
    "detect_format": "kamiwaza_sdk.formats.inspection",
    "estimate_memory": "kamiwaza_sdk.formats.memory",
    "fetch": "kamiwaza_sdk.services.hub.services",
    "inspect_directory": "kamiwaza_sdk.formats.repository",
    "inspect_file": "kamiwaza_sdk.formats.inspection",
    "inspect_remote": "kamiwaza_sdk.formats.inspection",
    "inspect_shards": "kamiwaza_sdk.formats.repository",
    "longest_context": "kamiwaza_sdk.formats.memory",
    "manifest_digest": "kamiwaza_sdk.services.hub.schemas.results",
    "plot_memory": "kamiwaza_sdk.services.hub.plots",
    "search": "kamiwaza_sdk.services.hub.services",
    "setup_database": "kamiwaza_sdk.database",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name == "migrations":
        return import_module("kamiwaza_sdk.migrations")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what can be imported, loaded or not."""
    return sorted({*globals(), *__all__})
