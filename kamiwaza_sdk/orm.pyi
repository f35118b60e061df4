# Written by tests/public_names.py from kamiwaza_sdk/_names.py.

from kamiwaza_sdk.services.model.models import DBBase as DBBase
from kamiwaza_sdk.services.model.models import DBModel as DBModel
from kamiwaza_sdk.services.model.models import DBModelAlias as DBModelAlias
from kamiwaza_sdk.services.model.models import DBModelConfig as DBModelConfig
from kamiwaza_sdk.services.model.models import DBModelDocument as DBModelDocument
from kamiwaza_sdk.services.model.models import DBModelEvent as DBModelEvent
from kamiwaza_sdk.services.model.models import DBModelFile as DBModelFile
from kamiwaza_sdk.services.model.models import DBModelLineage as DBModelLineage
from kamiwaza_sdk.services.model.models import DBModelPin as DBModelPin
from kamiwaza_sdk.services.model.models import DBModelTag as DBModelTag
from kamiwaza_sdk.services.model.models import DBModelVersion as DBModelVersion
from kamiwaza_sdk.services.model.models import DBModelVersionTag as DBModelVersionTag
from kamiwaza_sdk.services.model.models import DBRegistry as DBRegistry

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
