"""The database refused, or is not fit for the registry."""

from typing import Final

from kamiwaza_sdk.exceptions import ServiceException

__all__ = [
    "DataLossException",
    "DatabaseBusyException",
    "DatabaseConnectionException",
    "DatabaseException",
    "DatabaseNotReadyException",
    "DatabaseRefusedException",
    "DatabaseTooNewException",
    "DatabaseUnsupportedException",
    "TransactionRequiredException",
]


#: PostgreSQL: a lock was not given in time.
_LOCK_TIMEOUT: Final = "55P03"


class DatabaseException(ServiceException):
    """The database could not do what was asked. The driver's error is the cause."""

    def _undone(self) -> None:
        """Note that the call is undone: the transaction can go on now."""
        self.transaction_usable = True

    def _lost(self) -> None:
        """Note that the call could not be undone alone: the transaction is lost with it."""
        if self.transaction_usable:
            self.transaction_usable: bool = False
            ServiceException.__init__(self, f"{self}; the whole transaction is undone, so roll back")


class DatabaseNotReadyException(DatabaseException):
    """The registry's tables are missing or of an older schema version: `setup_database` was not called.

    Attributes:
        revision: The schema version found; `None` where there is none, or it is not known.
    """

    def __init__(self, *, revision: str | None = None, transaction_usable: bool = True) -> None:
        found = f"is at schema version {revision}" if revision else "has no (current) tables of the registry"
        super().__init__(f"The database {found}; call kamiwaza_sdk.setup_database(engine) once")
        self.revision = revision
        self.transaction_usable: bool = transaction_usable


class DatabaseTooNewException(DatabaseException):
    """The database was upgraded by a newer version of the library. Nothing was touched.

    Attributes:
        revision: The schema version found.
        known: The newest schema version this library knows.
    """

    def __init__(self, *, revision: str, known: str) -> None:
        super().__init__(
            f"The database is at schema version {revision}, which this library does not know: its newest is {known}; "
            "upgrade kamiwaza-sdk"
        )
        self.revision = revision
        self.known = known


class DatabaseRefusedException(DatabaseException):
    """The database is there, and refuses to do what was asked: it is read-only, full or damaged, or was told to stop.

    Attributes:
        code: The database's own: an SQLSTATE, or SQLite's error name.
    """

    def __init__(self, *, code: str, reason: str, transaction_usable: bool) -> None:
        super().__init__(f"The database refuses ({code}): {reason}")
        self.code = code
        self.transaction_usable: bool = transaction_usable


class TransactionRequiredException(DatabaseException):
    """The connection commits every statement by itself, and what was asked takes several. Nothing was written."""

    def __init__(self) -> None:
        super().__init__(
            "The connection is in AUTOCOMMIT, and this takes several statements that must commit or vanish together; "
            "use an engine or a connection with a transactional isolation level"
        )


class DatabaseUnsupportedException(DatabaseException):
    """The registry cannot live in this kind of database, or in this build of it.

    Attributes:
        dialect: SQLAlchemy's name of it.
        reason: What this build lacks; `None` where it is the kind.
    """

    def __init__(self, *, dialect: str, reason: str | None = None) -> None:
        message = f"The registry lives in SQLite or PostgreSQL, not in {dialect}; give it a database of those"
        super().__init__(f"The registry cannot live in this {dialect}: {reason}" if reason else message)
        self.dialect = dialect
        self.reason = reason


class DataLossException(DatabaseException):
    """A downgrade would drop tables that have rows, or columns that have values. Nothing was touched.

    Attributes:
        to: The schema version to return to; `None` for none.
        losses: How many rows of each table would go, or lose such a value.
    """

    def __init__(self, *, to: str | None, losses: dict[str, int]) -> None:
        rows = ", ".join(f"{table} ({count})" for table, count in losses.items())
        super().__init__(
            f"Downgrading to {f'schema version {to}' if to else 'no schema at all'} would lose the rows of {rows}; "
            "save what is needed, then pass lose_data=True"
        )
        self.to = to
        self.losses = losses


class DatabaseBusyException(DatabaseException):
    """Another transaction is in the way: a lock not given in time, a deadlock, a serialization failure.

    The whole transaction may be tried again; `transaction_usable` says whether it must be rolled back first.

    Attributes:
        code: The database's own: an SQLSTATE, or SQLite's error name.
    """

    retryable = True

    def __init__(self, *, code: str, transaction_usable: bool) -> None:
        super().__init__(self._message(code, transaction_usable=transaction_usable))
        self.code = code
        self.transaction_usable: bool = transaction_usable

    @staticmethod
    def _message(code: str, *, transaction_usable: bool) -> str:
        way_out = "try again" if transaction_usable else "roll back and try the whole transaction again"
        return f"Another transaction is in the way ({code}); {way_out}"

    def _undone(self) -> None:
        """Note that the call is undone. That helps where a lock was waited for: all else concerns the transaction."""
        if self.code == _LOCK_TIMEOUT:
            self.transaction_usable = True
            super().__init__(self._message(self.code, transaction_usable=True))  # the message alone

    def _lost(self) -> None:
        """Note that the transaction is lost with the call."""
        self.transaction_usable = False
        super().__init__(self._message(self.code, transaction_usable=False))  # as above


class DatabaseConnectionException(DatabaseException):
    """The database cannot be reached, or the connection was lost.

    Attributes:
        reason: Why, where SQLite or the engine's pool says it; `None` elsewhere: other drivers repeat what may be
            secret.
    """

    retryable: bool = True
    transaction_usable: bool = False

    def _undone(self) -> None:
        """Note nothing: with the connection, the transaction is gone."""

    def __init__(self, reason: str | None = None) -> None:
        because = "" if reason is None else f" ({reason})"
        super().__init__(
            f"The database cannot be reached, or the connection was lost{because}; roll back, check it, try again"
        )
        self.reason = reason
