"""The three lines in a notebook, and in a web server under load."""

import json
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
