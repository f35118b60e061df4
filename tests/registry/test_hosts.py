"""The three lines in a notebook, and in a web server under load."""

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flask import Flask, request
from werkzeug.serving import make_server

from kamiwaza_sdk import Registry, StorageService
from tests.kernels import ends, running_kernel
from tests.serving import Server

PATIENCE: Final = 60.0


def test_in_a_cell_the_three_lines_work_and_an_interrupt_ends_only_the_cell(tmp_path: Path, server: Server) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    stalling = server.add("/m/stalling.bin", body=bytes(10), stall_after=5)
    with running_kernel(tmp_path) as (manager, client):
        three = client.execute(
            "import asyncio\n"
            "from kamiwaza_sdk import Registry\n"
            "assert asyncio.get_running_loop().is_running()\n"
            f"registry = Registry('sqlite:///{tmp_path}/registry.db')\n"
            f"version = registry.pull({url!r}, name='tiny', alias='production', progress=True)\n"
            "path = registry.materialize('tiny@production')\n"
            "assert (path / 'model.onnx').read_bytes() == b'weights'"
        )
        assert ends(client, three) == ["ok"]
        pulling = client.execute(f"registry.pull({stalling!r}, name='other')")
        assert server.stalled.wait(PATIENCE)
        manager.interrupt_kernel()
        assert ends(client, pulling) == ["KeyboardInterrupt"]
        after = client.execute(
            "import threading\n"
            "assert [model.name for model in registry.list()] == ['tiny']\n"
            "assert 'kamiwaza-transfer' not in [thread.name for thread in threading.enumerate()]"
        )
        assert ends(client, after) == ["ok"]


def _app(registry: Registry) -> Flask:
    app = Flask(__name__)

    @app.get("/pull")
    def pull() -> dict[str, object]:
        version = registry.pull(request.args["source"], name=request.args["name"], alias="production")
        return {"number": version.number, "models": len(registry.list())}

    return app


@contextmanager
def _serving(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


def test_flask_under_load(tmp_path: Path, storage: StorageService, server: Server) -> None:
    sources = [server.add(f"/m/{number}.bin", body=b"weights" * number) for number in range(1, 5)]
    registry = Registry(f"sqlite:///{tmp_path}/registry.db", storage=storage)
    with registry, _serving(_app(registry)) as address, ThreadPoolExecutor(8) as clients:

        def ask(number: int) -> tuple[int, dict[str, int]]:
            query = urllib.parse.urlencode({"source": sources[number % 4], "name": f"tiny-{number % 4}"})
            with urllib.request.urlopen(f"{address}/pull?{query}", timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)

        answers = list(clients.map(ask, range(32)))
        assert {(status, answer["number"]) for status, answer in answers} == {(200, 1)}
        assert len(registry.list()) == 4


_PRELOADED: Final = """
import os
from flask import Flask, request
from kamiwaza_sdk import Registry

registry = Registry(os.environ["REGISTRY"])
registry.register(os.environ["TRAINED"], name="before")  # the database is used before the workers are forked
app = Flask(__name__)


@app.get("/pull")
def pull():
    version = registry.pull(request.args["source"], name=request.args["name"])
    return {"worker": os.getpid(), "number": version.number, "models": len(registry.list())}
"""


def test_gunicorn_with_a_registry_that_was_used_before_its_workers_were_forked(
    cleared_postgresql: str, tmp_path: Path, trained: Path, server: Server
) -> None:
    """Each worker connects anew: none of them takes a connection of the process that it came from."""
    (tmp_path / "preloaded.py").write_text(_PRELOADED)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--threads", "2"]
        command += ["--bind", f"fd://{listening.fileno()}", "--log-level", "warning", "preloaded:app"]
        environment = {**os.environ, "REGISTRY": cleared_postgresql, "TRAINED": str(trained)}
        running = subprocess.Popen(command, cwd=tmp_path, env=environment, pass_fds=[listening.fileno()])
        port: int = listening.getsockname()[1]
    try:
        answers = list[dict[str, int]]()
        with ThreadPoolExecutor(4) as threads:
            for number in range(3):
                source = server.add(f"/m/{number}.bin", body=b"weights %d" % number)
                asked = [f"http://127.0.0.1:{port}/pull?{_query(source, f'model-{number}')}"] * 4
                answers += threads.map(_answer, asked)
    finally:
        running.terminate()
        running.wait(PATIENCE)
    assert running.pid not in {answer["worker"] for answer in answers}
    assert {answer["number"] for answer in answers} == {1}
    assert max(answer["models"] for answer in answers) == 4


def _query(source: str, name: str) -> str:
    return urllib.parse.urlencode({"source": source, "name": name})


def _answer(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=PATIENCE) as response:
        said: dict[str, int] = json.load(response)
    return said
