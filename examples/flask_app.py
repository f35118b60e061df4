"""The registry behind Flask: one `Registry` for the application, shared by its threads and forked workers.

::

    pip install -e ".[examples]"
    gunicorn --preload --workers 2 --threads 8 "examples.flask_app:create_app()"
    curl --json '{"source": "https://example.org/model.onnx", "name": "tiny"}' http://127.0.0.1:8000/models
    curl --json '{"alias": "production"}' -X PUT http://127.0.0.1:8000/versions/tiny:1
    curl -O "http://127.0.0.1:8000/files/model.onnx?reference=tiny@production"

It has no users and no permissions: put yours in front. Whoever may pull decides what this server requests.
"""

from typing import Any

from flask import Flask, Response, abort, jsonify, request, send_from_directory

from kamiwaza_sdk import (
    ConflictException,
    DownloadException,
    InvalidInputException,
    NotFoundException,
    Registry,
    ServiceException,
)

__all__ = ["create_app"]

#: The first that an error is one of decides.
STATUSES = {NotFoundException: 404, ConflictException: 409, InvalidInputException: 422, DownloadException: 502}


def create_app(registry: Registry | None = None) -> Flask:
    """Return the application. Each call of the registry is a transaction of its own, so no request needs a session."""
    app = Flask(__name__)
    models = registry or Registry()

    @app.post("/models")
    def pull() -> tuple[Response, int]:
        """Fetch a model and register it; the request waits. As a list, because a text may be a path on this server."""
        version = models.pull([field("source")], name=field("name"))
        return answer(version), 201

    @app.get("/models")
    def find() -> Response:
        """Find models by words; without any, list all. A page has 100."""
        return answer(models.find(text=request.args.get("text"), cursor=request.args.get("cursor")))

    @app.get("/versions/<path:reference>")
    def get(reference: str) -> Response:
        """Return what a reference leads to: ``tiny``, ``tiny:2``, ``org/tiny@production``."""
        return answer(models.get(reference))

    @app.put("/versions/<path:reference>")
    def set_alias(reference: str) -> Response:
        """Let an alias lead to a version."""
        return answer(models.set_alias(reference, field("alias")))

    @app.post("/rollback/<path:reference>")
    def rollback(reference: str) -> Response:
        """Let an alias lead to where it led before."""
        return answer(models.rollback(reference))

    @app.get("/files/<path:path>")
    def download(path: str) -> Response:
        """Send a file of a version: out of its read-only view in the store, which is made once."""
        return send_from_directory(models.materialize(request.args["reference"]), path)

    @app.errorhandler(ServiceException)
    def answer_error(error: ServiceException) -> tuple[Response, int]:
        """Answer with what is wrong; messages about this server's own disk and database go to its log."""
        status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)
        if status == 500:  # noqa: PLR2004
            app.logger.error("%s", error, exc_info=error)
        detail = "The server's log says why." if status == 500 else str(error)  # noqa: PLR2004
        return jsonify(error=type(error).__name__, detail=detail), status

    return app


def answer(result: Any) -> Response:  # Any: a Pydantic model of whatever kind
    """Return a result as JSON."""
    return Response(result.model_dump_json(), mimetype="application/json")


def field(name: str) -> str:
    """Return a field of the request's body, a text that must be there."""
    body = request.get_json(silent=True)
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str):
        abort(422, f"{name} must be a text")
    return value
