# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk.services.download.schemas import RangeSchema as RangeSchema
from kamiwaza_sdk.services.download.schemas import ResponseSchema as ResponseSchema
from kamiwaza_sdk.services.download.schemas import Validators as Validators
from kamiwaza_sdk.services.hub.exceptions import InvalidAnswerException as InvalidAnswerException
from kamiwaza_sdk.services.hub.exceptions import SourceEntryPointException as SourceEntryPointException
from kamiwaza_sdk.services.hub.schemas.manifest import LeftOutSchema as LeftOutSchema
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema as ManifestFileSchema
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestSchema as ManifestSchema
from kamiwaza_sdk.services.hub.schemas.manifest import RepositorySchema as RepositorySchema
from kamiwaza_sdk.services.hub.schemas.results import manifest_digest as manifest_digest
from kamiwaza_sdk.services.hub.sources.protocol import ModelSource as ModelSource
from kamiwaza_sdk.services.hub.sources.protocol import SourceContext as SourceContext
from kamiwaza_sdk.services.hub.sources.protocol import StreamingSource as StreamingSource

__all__ = [
    "InvalidAnswerException",
    "LeftOutSchema",
    "ManifestFileSchema",
    "ManifestSchema",
    "ModelSource",
    "RangeSchema",
    "RepositorySchema",
    "ResponseSchema",
    "SourceContext",
    "SourceEntryPointException",
    "StreamingSource",
    "Validators",
    "manifest_digest",
]
