"""The registry's tables, one aggregate a file."""

from kamiwaza_sdk.services.model.models.model import DBBase, DBModel, DBModelDocument, DBModelEvent
from kamiwaza_sdk.services.model.models.version import (
    DBModelAlias,
    DBModelConfig,
    DBModelFile,
    DBModelLineage,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
)

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
