"""The registry behind HTTP: what a web application adds to `AsyncModelService`, and nothing else.

``api.py`` is the thin layer, one line a route; ``dependencies.py`` gives each request a session and commits it;
``models.py`` has a table of the application's own, whose rows commit together with the registry's; ``migrations/`` is
the one Alembic lineage of both; ``errors.py`` turns every error into an answer; ``main.py`` puts them together.

From the repository's root, on PostgreSQL (or without the first line, on SQLite)::

    export MODEL_SERVICE_DATABASE_URL=postgresql+asyncpg://postgres@127.0.0.1/postgres
    pip install -e ".[asyncpg,examples]"
    alembic -c examples/fastapi_app/alembic.ini upgrade head
    uvicorn --factory examples.fastapi_app.main:create_app
    curl --json '{"url": "https://example.org/model.onnx", "name": "tiny"}' http://127.0.0.1:8000/models/pull
    curl --json '{"where": {"field": "size", "op": "lt", "value": 1000000}}' http://127.0.0.1:8000/models/search
    curl --json '{"reference": "tiny"}' -X PUT http://127.0.0.1:8000/deployments/gpu-1

It has no users and no permissions: put yours in front. Whoever may pull decides what this server requests.
"""
