"""The registry's tables, one aggregate a file."""

from kamiwaza_sdk.services.model.models.model import DBBase, DBModel, DBModelDocument, DBModelEvent
from kamiwaza_sdk.services.model.models.version import (
    DBModelAlias,
    DBModelConfig,
    DBModelFile,
    DBModelLineage,
    DBModelPin,
    DBModelTag,
    DBModelVersion,
    DBModelVersionTag,
    DBRegistry,
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
    "DBModelPin",
    "DBModelTag",
    "DBModelVersion",
    "DBModelVersionTag",
    "DBRegistry",
]
