"""Statements about the history."""

from typing import Final

from sqlalchemy import insert, select

from kamiwaza_sdk.services.model.schemas.event import ModelEventSchema
from kamiwaza_sdk.services.model.statements.constructs import EVENT, bound, raw

__all__ = ["EVENTS", "EVENT_KEYS", "INSERT_EVENTS"]

EVENT_KEYS: Final = tuple(ModelEventSchema.model_fields)
EVENTS: Final = select(*raw(EVENT, EVENT_KEYS)).where(EVENT.c.namespace == bound(EVENT, "namespace"))
INSERT_EVENTS: Final = insert(EVENT)
