"""What goes into a download and what comes out of it."""

from kamiwaza_sdk.services.download.schemas.attempt import AttemptCallback, DownloadAttempt
from kamiwaza_sdk.services.download.schemas.part import RangeSchema
from kamiwaza_sdk.services.download.schemas.progress import DownloadProgress, ProgressCallback
from kamiwaza_sdk.services.download.schemas.request import DownloadOutcome, DownloadRequest
from kamiwaza_sdk.services.download.schemas.response import ResponseSchema
from kamiwaza_sdk.services.download.schemas.result import DownloadResult
from kamiwaza_sdk.services.download.schemas.validators import Validators

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
