"""The registry behind HTTP: what a web application adds to `AsyncModelService`, and nothing else.

``api.py`` is the thin layer, one line a route; ``dependencies.py`` gives each request a session and commits it;
``errors.py`` turns every error into an answer; ``main.py`` puts them together. From the repository's root::

    pip install -e ".[examples]"
    uvicorn --factory examples.fastapi_app.main:create_app
    curl --json '{"url": "https://example.org/model.onnx", "name": "tiny"}' http://127.0.0.1:8000/models/pull
    curl --json '{"where": {"field": "size", "op": "lt", "value": 1000000}}' http://127.0.0.1:8000/models/search

It has no users and no permissions: put yours in front. Whoever may pull decides what this server requests.
"""
