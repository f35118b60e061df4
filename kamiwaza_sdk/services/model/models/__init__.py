"""The registry's tables, one aggregate a file."""

from kamiwaza_sdk.services.model.models.base import DBBase
from kamiwaza_sdk.services.model.models.file import DBModelFile
from kamiwaza_sdk.services.model.models.model import DBModel
from kamiwaza_sdk.services.model.models.version import DBModelVersion

__all__ = ["DBBase", "DBModel", "DBModelFile", "DBModelVersion"]
