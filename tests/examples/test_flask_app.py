"""The Flask application behind gunicorn, as its docstring starts it: loaded once, then forked."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from tests.serving import Server

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 60.0


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Where it answers. Who connects early waits in the socket's backlog."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "4"]
        command += ["--bind", f"fd://{listener.fileno()}", "--log-level", "warning", "--chdir", str(ROOT)]
        command += ["--no-control-socket", "examples.flask_app:create_app()"]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], cwd=tmp_path)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def ask(url: str, *, method: str = "GET", **body: str) -> tuple[int, Any]:  # Any: JSON, or a file
    """Send fields, and return the status and what was answered."""
    headers = {"Content-Type": "application/json"} if body else {}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            content, status, kind = response.read(), response.status, response.headers.get_content_type()
    except urllib.error.HTTPError as error:
        content, status, kind = error.read(), error.code, error.headers.get_content_type()
    return status, json.loads(content) if kind == "application/json" else content


def test_forked_workers_pull_promote_serve_and_roll_back(address: str, server: Server) -> None:
    """Eight clients that pull the same two models at once get two models, whichever worker answers them."""
    sources = [server.add(f"/{number}/model.onnx", body=b"weights" * number) for number in (1, 2)]
    with ThreadPoolExecutor(8) as clients:
        pulled = list(
            clients.map(
                lambda source: ask(f"{address}/models", method="POST", source=source, name="org/tiny"), sources * 4
            )
        )
    assert {status for status, _ in pulled} == {201}
    assert {version["number"] for _, version in pulled} == {1, 2}

    for number in (1, 2):
        assert ask(f"{address}/versions/org/tiny:{number}", method="PUT", alias="production")[0] == 200
    production = f"{address}/files/model.onnx?reference=org/tiny@production"
    second = ask(production)
    assert ask(f"{address}/rollback/org/tiny@production", method="POST")[1]["number"] == 1
    first = ask(production)
    assert {len(second[1]), len(first[1])} == {7, 14}
    assert [model["name"] for model in ask(f"{address}/models?text=tiny")[1]["items"]] == ["org/tiny"]


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /versions/missing", {}, 404),
        ("POST /models", {"source": "/etc/hostname", "name": "tiny"}, 422),
        ("POST /models", {"source": "http://127.0.0.1:1/x", "name": "a:b"}, 422),
        ("POST /models", {"name": "tiny"}, 422),
        ("GET /files/model.onnx", {}, 400),
    ],
)
def test_what_is_wrong_has_a_status_of_its_own(
    flask_client: Any, request_line: str, body: dict[str, str], status: int
) -> None:  # Any: it has no types
    method, path = request_line.split()
    answer = flask_client.open(path, method=method, json=body or None)
    assert answer.status_code == status


@pytest.fixture
def flask_client() -> Iterator[Any]:  # Any: as above
    """A client that asks the application in this process."""
    from examples.flask_app import create_app
    from kamiwaza_sdk import Registry

    with Registry("sqlite://") as registry, create_app(registry).test_client() as client:
        yield client
