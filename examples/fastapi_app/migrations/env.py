"""Runs the migrations over the driver that the application uses, an asynchronous one, and leaves our tables alone."""

import asyncio

from alembic import context
from sqlalchemy import Connection

import kamiwaza_sdk
from examples.fastapi_app.models import Base
from kamiwaza_sdk import create_async_engine


def migrate(connection: Connection) -> None:
    """Run what was asked for in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=kamiwaza_sdk.migrations.include_name,  # autogenerate does not look at the registry's tables
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect to the database that the application uses."""
    engine = create_async_engine()
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
