"""Statements about configurations."""

from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update

from kamiwaza_sdk.services.model.schemas.config import ModelConfigSchema
from kamiwaza_sdk.services.model.statements.constructs import CONFIG, MODEL, bound, raw

__all__ = [
    "CONFIGS_OF_MODEL",
    "CONFIGS_OF_VERSION",
    "CONFIG_BY_ID",
    "CONFIG_KEYS",
    "CONFIG_OWNER",
    "DELETE_CONFIG",
    "INSERT_CONFIG",
    "UPDATE_CONFIG",
]

CONFIG_KEYS: Final = tuple(ModelConfigSchema.model_fields)

_SELECT: Final = (
    select(*raw(CONFIG, CONFIG_KEYS))
    .join_from(CONFIG, MODEL, (CONFIG.c.namespace == MODEL.c.namespace) & (CONFIG.c.model_id == MODEL.c.id))
    .where(CONFIG.c.namespace == bound(CONFIG, "namespace"), MODEL.c.deleted_at.is_(None))
)
_WITH_ID: Final = (CONFIG.c.namespace == bound(CONFIG, "namespace"), CONFIG.c.id == bound(CONFIG, "id"))

CONFIG_BY_ID: Final = _SELECT.where(CONFIG.c.id == bound(CONFIG, "id"))
#: Which model a configuration is of, deleted or not.
CONFIG_OWNER: Final = select(CONFIG.c.model_id).where(*_WITH_ID)
CONFIGS_OF_MODEL: Final = (
    _SELECT.where(
        CONFIG.c.model_id == bindparam("_owner_id", type_=CONFIG.c.model_id.type), CONFIG.c.version_id.is_(None)
    )
    .order_by(CONFIG.c.name)
    .limit(bindparam("_limit"))
)
CONFIGS_OF_VERSION: Final = (
    _SELECT.where(CONFIG.c.version_id == bindparam("_owner_id", type_=CONFIG.c.model_id.type))
    .order_by(CONFIG.c.name)
    .limit(bindparam("_limit"))
)
INSERT_CONFIG: Final = insert(CONFIG)
UPDATE_CONFIG: Final = update(CONFIG).where(*_WITH_ID)
DELETE_CONFIG: Final = delete(CONFIG).where(*_WITH_ID)
