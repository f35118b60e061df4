"""The application: what lives as long as it does, its routes, and how it answers errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from examples.fastapi_app.api import router
from examples.fastapi_app.errors import answer_invalid_request, answer_service_exception
from kamiwaza_sdk import (
    DownloadService,
    HubService,
    ServiceConfig,
    ServiceException,
    check_database,
    create_async_engine,
)

__all__ = ["State", "create_app"]


class State(TypedDict):
    """What every request shares: it is in ``request.state``."""

    config: ServiceConfig
    engine: AsyncEngine
    hub: HubService


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    """Refuse to start on a database that the migrations have not reached; close connections after the last request."""
    config = ServiceConfig()
    engine = create_async_engine(config=config)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(check_database)
        async with DownloadService() as downloads:
            yield {"config": config, "engine": engine, "hub": HubService(downloads=downloads)}
    finally:
        await engine.dispose()


def create_app() -> FastAPI:
    """Return a new application. Nothing is read or opened before it starts."""
    app = FastAPI(title="Model registry", lifespan=lifespan)
    app.include_router(router)
    app.add_exception_handler(ServiceException, answer_service_exception)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    return app
