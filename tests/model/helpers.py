"""What tests of the registry look at beside its answers: the statements it sends, and the rows that are there."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from kamiwaza_sdk.orm import DBBase
from tests.backends import Backend

#: Every row of ours, by table, in an order of its own.
Dump = dict[str, list[tuple[object, ...]]]


@contextmanager
def statements(backend: Backend) -> Iterator[list[str]]:
    """Yield a list that grows by every statement that the database is sent."""
    engine = backend.engine.sync_engine if isinstance(backend.engine, AsyncEngine) else backend.engine
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def dump(db: AsyncSession) -> Dump:
    """Return what our tables hold, as a session of either colour sees it."""
    return {
        table.name: sorted(map(tuple, (await db.execute(select(table))).all()), key=repr)
        for table in DBBase.metadata.sorted_tables
    }


def dump_namespace(db: Session, namespace: str) -> Dump:
    """Return what our tables hold of a namespace."""
    return {
        table.name: sorted(
            map(tuple, db.connection().execute(select(table).where(table.c.namespace == namespace)).all()), key=repr
        )
        for table in DBBase.metadata.sorted_tables
        if "namespace" in table.c  # but for the registry's own id
    }
