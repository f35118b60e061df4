"""The registry's tables, one aggregate a file."""

from kamiwaza_sdk.services.model.models.alias import DBModelAlias
from kamiwaza_sdk.services.model.models.base import DBBase
from kamiwaza_sdk.services.model.models.config import DBModelConfig
from kamiwaza_sdk.services.model.models.document import DBModelDocument
from kamiwaza_sdk.services.model.models.event import DBModelEvent
from kamiwaza_sdk.services.model.models.file import DBModelFile
from kamiwaza_sdk.services.model.models.lineage import DBModelLineage
from kamiwaza_sdk.services.model.models.model import DBModel
from kamiwaza_sdk.services.model.models.tag import DBModelTag, DBModelVersionTag
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = [
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
]
