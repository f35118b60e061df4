"""What goes in and out of the store."""

from kamiwaza_sdk.services.storage.schemas.blob import (
    AdoptedBlobSchema,
    AdoptedBy,
    BlobSchema,
    FileEntry,
    HasFiles,
    LeftoverSchema,
    StorageUsageSchema,
    StoreDatabaseSchema,
    WantedBlob,
)

__all__ = [
    "AdoptedBlobSchema",
    "AdoptedBy",
    "BlobSchema",
    "FileEntry",
    "HasFiles",
    "LeftoverSchema",
    "StorageUsageSchema",
    "StoreDatabaseSchema",
    "WantedBlob",
]
