"""Where the bytes are kept, whether they are still right, and how they get where they are needed."""

from kamiwaza_sdk.services.storage.config import StorageConfig
from kamiwaza_sdk.services.storage.exceptions import (
    BlobCorruptException,
    BlobNotFoundException,
    DigestMismatchException,
    FileConflictException,
    OutsideStoreException,
    StorageException,
    StorageFullException,
    StoragePermissionException,
)
from kamiwaza_sdk.services.storage.schemas import BlobSchema, FileLike, HasFiles
from kamiwaza_sdk.services.storage.services import StorageService

__all__ = [
    "BlobCorruptException",
    "BlobNotFoundException",
    "BlobSchema",
    "DigestMismatchException",
    "FileConflictException",
    "FileLike",
    "HasFiles",
    "OutsideStoreException",
    "StorageConfig",
    "StorageException",
    "StorageFullException",
    "StoragePermissionException",
    "StorageService",
]
