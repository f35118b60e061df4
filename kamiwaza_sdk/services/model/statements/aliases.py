"""Statements about aliases."""

from typing import Final

from sqlalchemy import Integer, delete, func, insert, select, update

from kamiwaza_sdk.services.model.statements.constructs import ALIAS, EVENT, bound, raw

__all__ = [
    "ALIASES_OF_VERSION",
    "ALIAS_AT",
    "ALIAS_HISTORY",
    "ALIAS_TARGET",
    "COUNT_ALIASES",
    "DELETE_ALIAS",
    "INSERT_ALIAS",
    "MOVE_ALIAS",
]

_OF_MODEL: Final = (
    ALIAS.c.namespace == bound(ALIAS, "namespace"),
    ALIAS.c.model_id == bound(ALIAS, "model_id"),
    ALIAS.c.alias == bound(ALIAS, "alias"),
)
INSERT_ALIAS: Final = insert(ALIAS)
MOVE_ALIAS: Final = update(ALIAS).where(*_OF_MODEL)
DELETE_ALIAS: Final = delete(ALIAS).where(*_OF_MODEL)
#: The version that an alias leads to.
ALIAS_TARGET: Final = select(ALIAS.c.version_id, ALIAS.c.number).where(*_OF_MODEL)
COUNT_ALIASES: Final = (
    select(func.count(type_=Integer))
    .select_from(ALIAS)
    .where(ALIAS.c.namespace == bound(ALIAS, "namespace"), ALIAS.c.model_id == bound(ALIAS, "model_id"))
)
ALIASES_OF_VERSION: Final = (
    select(ALIAS.c.alias)
    .where(ALIAS.c.namespace == bound(ALIAS, "namespace"), ALIAS.c.version_id == bound(ALIAS, "version_id"))
    .order_by(ALIAS.c.alias)
)
_EVENTS: Final = select(*raw(EVENT, ("kind", "version_id"))).where(
    EVENT.c.namespace == bound(EVENT, "namespace"),
    EVENT.c.model_id == bound(EVENT, "model_id"),
    EVENT.c.alias == bound(EVENT, "alias"),
)
#: What an alias went through, from the first on.
ALIAS_HISTORY: Final = _EVENTS.order_by(EVENT.c.sequence)
#: The last that it had gone through at a moment.
ALIAS_AT: Final = _EVENTS.where(EVENT.c.at <= bound(EVENT, "at")).order_by(EVENT.c.sequence.desc()).limit(1)
