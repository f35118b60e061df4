"""What a request gets: a session that is its transaction, and the registry in it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from kamiwaza_sdk import AsyncModelService

__all__ = ["Database", "Service", "get_db", "get_service"]


async def get_db(request: Request) -> AsyncIterator[AsyncSession]:
    """Yield a session; commit when the route has returned, roll back when it has raised.

    There is no ``db.begin()``: the transaction opens with the first statement, so that a pull, whose first statement
    comes after its last byte, holds none while it transfers.
    """
    async with AsyncSession(request.state.engine) as db:
        yield db
        await db.commit()


# Of scope "function", the commit comes before the answer. By default it would come after: a client that was told
# "created" might then find nothing.
Database = Annotated[AsyncSession, Depends(get_db, scope="function")]


async def get_service(request: Request, db: Database) -> AsyncModelService:
    """Return the registry in the request's session, sharing the application's downloads.

    Who is at work is whom the proxy in front says that it has let in. Without one, anybody could say anything.
    """
    actor = request.headers.get("X-Forwarded-User")
    return AsyncModelService(db, actor=actor, config=request.state.config, hub=request.state.hub)


Service = Annotated[AsyncModelService, Depends(get_service)]
