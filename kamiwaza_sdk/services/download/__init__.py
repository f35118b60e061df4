"""Downloads: how the bytes of a URL get here, whole and verified."""

from kamiwaza_sdk.services.download.config import DownloadConfig
from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadDiskException,
    DownloadException,
    DownloadInterruptedException,
    DownloadStatusException,
    DownloadTimeoutException,
    DownloadTooLargeException,
    InvalidUrlException,
    SizeMismatchException,
    UnexpectedEncodingException,
)
from kamiwaza_sdk.services.download.schemas import DownloadProgress, DownloadResult, ProgressCallback, Validators
from kamiwaza_sdk.services.download.services import DownloadService

__all__ = [
    "ChecksumMismatchException",
    "DownloadConfig",
    "DownloadDiskException",
    "DownloadException",
    "DownloadInterruptedException",
    "DownloadProgress",
    "DownloadResult",
    "DownloadService",
    "DownloadStatusException",
    "DownloadTimeoutException",
    "DownloadTooLargeException",
    "InvalidUrlException",
    "ProgressCallback",
    "SizeMismatchException",
    "UnexpectedEncodingException",
    "Validators",
]
