"""What goes into a download and what comes out of it."""

from kamiwaza_sdk.services.download.schemas.download import (
    AttemptCallback,
    DownloadAttempt,
    DownloadOutcome,
    DownloadProgress,
    DownloadRequest,
    DownloadResult,
    ProgressCallback,
    RangeSchema,
    ResponseSchema,
    Validators,
)

__all__ = [
    "AttemptCallback",
    "DownloadAttempt",
    "DownloadOutcome",
    "DownloadProgress",
    "DownloadRequest",
    "DownloadResult",
    "ProgressCallback",
    "RangeSchema",
    "ResponseSchema",
    "Validators",
]
