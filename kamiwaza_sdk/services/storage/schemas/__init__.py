"""What goes in and out of the store."""

from kamiwaza_sdk.services.storage.schemas.blob import AdoptedBlobSchema, AdoptedBy, BlobSchema, FileLike, HasFiles

__all__ = ["AdoptedBlobSchema", "AdoptedBy", "BlobSchema", "FileLike", "HasFiles"]
