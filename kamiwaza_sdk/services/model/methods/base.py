"""What all methods of the registry need."""

from sqlalchemy.orm import Session

from kamiwaza_sdk._validation import check_namespace
from kamiwaza_sdk.services.model.schemas.fields import check_actor
from kamiwaza_sdk.services.model.scope import Scope
from kamiwaza_sdk.services.model.session import check_session

__all__ = ["Bound"]


class Bound:
    """Bound to a session and a namespace."""

    def __init__(self, db: Session, *, namespace: str, actor: str | None) -> None:
        self.db: Session = check_session(db)
        self._scope = Scope(db, check_namespace(namespace), check_actor(actor))

    @property
    def namespace(self) -> str:
        """The namespace that every call is bound to."""
        return self._scope.namespace

    @property
    def actor(self) -> str | None:
        """Who is at work, for the history."""
        return self._scope.actor
