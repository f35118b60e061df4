"""The one place where errors become answers, in ``application/problem+json`` as RFC 9457 describes it."""

import logging
from http import HTTPStatus
from typing import Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from kamiwaza_sdk import (
    AlreadyExistsException,
    BulkException,
    ConflictException,
    DatabaseBusyException,
    DatabaseConnectionException,
    DownloadDiskException,
    DownloadException,
    DownloadTooLargeException,
    InvalidInputException,
    ModelTooLargeException,
    NotFoundException,
    OpenTransactionException,
    ServiceException,
    StorageFullException,
)

__all__ = ["answer_invalid_request", "answer_service_exception"]

_LOG: Final = logging.getLogger(__name__)

#: What a problem's type begins with: an address of the application's own, which need not lead anywhere.
_TYPES: Final = "https://models.example/problems/"

#: The first that an error is one of decides.
_STATUSES: Final[dict[type[ServiceException], HTTPStatus]] = {
    NotFoundException: HTTPStatus.NOT_FOUND,
    AlreadyExistsException: HTTPStatus.CONFLICT,
    ConflictException: HTTPStatus.CONFLICT,
    OpenTransactionException: HTTPStatus.CONFLICT,
    DownloadTooLargeException: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ModelTooLargeException: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    InvalidInputException: HTTPStatus.UNPROCESSABLE_ENTITY,
    DownloadDiskException: HTTPStatus.INSUFFICIENT_STORAGE,
    StorageFullException: HTTPStatus.INSUFFICIENT_STORAGE,
    DownloadException: HTTPStatus.BAD_GATEWAY,
    DatabaseBusyException: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseConnectionException: HTTPStatus.SERVICE_UNAVAILABLE,
}
_UNKNOWN: Final = HTTPStatus.INTERNAL_SERVER_ERROR
#: Messages about this server's own directories and settings are for its log.
_CONFIDENTIAL: Final = {_UNKNOWN, HTTPStatus.INSUFFICIENT_STORAGE}


async def answer_service_exception(_request: Request, error: Exception) -> JSONResponse:
    """Answer with what the service says is wrong. The request's session is rolled back by now."""
    assert isinstance(error, ServiceException)  # it is registered for these; Starlette's type says less
    cause = error.__cause__ if isinstance(error, BulkException) else error  # of many, the one that was refused decides
    status = next((status for kind, status in _STATUSES.items() if isinstance(cause, kind)), _UNKNOWN)
    if status in _CONFIDENTIAL:
        _LOG.error("%s", error, exc_info=error)
        return _problem(status, kind=type(error), detail="The server's log says why.")
    return _problem(status, kind=type(error), detail=str(error))


async def answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that FastAPI refuses before a route is called, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)  # as above
    problem = error.errors()[0]
    cause = problem.get("ctx", {}).get("error")
    if not isinstance(cause, ServiceException):  # it is where one of our own schemas refused the body
        cause = InvalidInputException(".".join(map(str, problem["loc"])), f"is not acceptable: {problem['msg']}")
    return await answer_service_exception(request, cause)


def _problem(status: HTTPStatus, *, kind: type[ServiceException], detail: str) -> JSONResponse:
    return JSONResponse(
        {"type": f"{_TYPES}{kind.__name__}", "title": status.phrase, "status": status, "detail": detail},
        status_code=status,
        headers={"Retry-After": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None,
        media_type="application/problem+json",
    )
