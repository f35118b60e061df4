"""A service that swaps its model while it answers, whenever the alias ``production`` moves. No request is interrupted.

::

    pip install -e ".[examples]"
    python examples/hot_swap.py
    python examples/hot_swap.py --serve classifier@production --port 8000
    curl --json '{"inputs": [[1, 2, 3]]}' http://127.0.0.1:8000/

The first line shows it, with two tiny models and a registry of its own: it promotes the second and rolls it back, while
four clients ask without a pause. The second line serves a model of your registry whose file is ``model.onnx``.
"""

import argparse
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it has no types
from onnx import TensorProto, helper

from kamiwaza_sdk import ModelVersionSchema, Registry, StorageConfig, StorageService

__all__ = ["HotModel", "make_model", "serving"]

LOG = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A version, and the session that runs it."""

    version: ModelVersionSchema
    session: onnxruntime.InferenceSession


class HotModel:
    """The model that a reference leads to, and the next one as soon as it leads there."""

    def __init__(self, registry: Registry, reference: str) -> None:
        self._registry = registry
        self._reference = reference
        self._loaded = self._load(registry.get(reference))

    def predict(self, inputs: list[list[float]]) -> tuple[int, list[list[float]]]:
        """Return the number of the version that answers, and its answer."""
        version, session = self._loaded  # read once: this request stays with it, whatever is swapped meanwhile
        [outputs] = session.run(None, {session.get_inputs()[0].name: np.array(inputs, np.float32)})
        return version.number, outputs.tolist()

    def refresh(self) -> bool:
        """Load what the reference leads to now, if that is another version, and serve it. Return whether it is."""
        version = self._registry.get(self._reference)
        if version.id == self._loaded.version.id:
            return False
        self._loaded = self._load(version)  # one assignment: a request sees the one before or this one
        LOG.info("%s is served", version)
        return True

    def watch(self, stop: Event, *, seconds: float) -> None:
        """Ask every so many seconds. What cannot be loaded is not served: the one before goes on."""
        while not stop.wait(seconds):
            try:
                self.refresh()
            except Exception:  # whatever is wrong with the next model, clients are answered
                LOG.exception("%s is not swapped", self._reference)

    def _load(self, version: ModelVersionSchema) -> Loaded:
        """Lay the version out, verified; load it, and ask it once, so that what cannot answer is never served."""
        session = onnxruntime.InferenceSession(self._registry.materialize(version) / "model.onnx")
        [needed] = session.get_inputs()
        shape = [size if isinstance(size, int) else 1 for size in needed.shape]
        session.run(None, {needed.name: np.zeros(shape, np.float32)})
        return Loaded(version, session)


@contextmanager
def serving(model: HotModel, *, port: int = 0, seconds: float = 1.0) -> Iterator[int]:
    """Answer requests on a port of loopback, and watch for the next model, until the block ends. Yield the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            try:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number, outputs = model.predict(body["inputs"])
                self.answer(200, {"version": number, "outputs": outputs})
            except Exception as error:  # noqa: BLE001 - a wrong request gets an answer, whatever is wrong
                self.answer(400, {"error": str(error)})

        def answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log no request."""

    stop = Event()
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threads = [
            Thread(target=server.serve_forever, args=(0.01,)),
            Thread(target=model.watch, args=(stop,), kwargs={"seconds": seconds}),
        ]
        for thread in threads:
            thread.start()
        try:
            yield server.server_port
        finally:
            stop.set()
            server.shutdown()
            for thread in threads:
                thread.join()


def make_model(directory: Path, *, factor: float) -> Path:
    """Write a model that multiplies three numbers by a factor: what a training would leave behind."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])],
    )
    directory.mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, directory / "model.onnx")
    return directory


def ask(port: int, stop: Event, seen: Counter[int]) -> int:
    """Ask without a pause, over one connection, and check that each answer is that of the version it names.

    Return how often.
    """
    connection = HTTPConnection("127.0.0.1", port)
    while not stop.is_set():
        connection.request("POST", "/", json.dumps({"inputs": [[1, 2, 3]]}))
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer  # noqa: PLR2004
        factor = answer["version"]
        assert answer["outputs"] == [[factor, 2 * factor, 3 * factor]], answer
        seen[factor] += 1
    connection.close()
    return seen.total()


def show(work: Path) -> None:
    """Promote version 2 and roll back to 1, under load."""
    registry = Registry(f"sqlite:///{work}/registry.db", storage=StorageService(StorageConfig(root=work / "store")))
    for factor in (1, 2):
        registry.register(make_model(work / "trained", factor=factor), name="scale")
    registry.set_alias("scale:1", "production")
    stop = Event()
    seen: list[Counter[int]] = [Counter() for _ in range(4)]
    model = HotModel(registry, "scale@production")
    with registry, serving(model, seconds=0.05) as port, ThreadPoolExecutor() as threads:
        clients = [threads.submit(ask, port, stop, counter) for counter in seen]
        try:
            wait_for(clients, seen, version=1)
            registry.set_alias("scale:2", "production")
            wait_for(clients, seen, version=2)
            registry.rollback("scale@production")
            wait_for(clients, seen, version=1)
        finally:
            stop.set()
    print("version 1, then 2, then 1 again:", sum(client.result() for client in clients), "requests, and none failed")


def wait_for(clients: list["Future[int]"], seen: list[Counter[int]], *, version: int) -> None:
    """Wait until each client has had a new answer from a version."""
    before = [counter[version] for counter in seen]
    while not all(counter[version] > count for counter, count in zip(seen, before, strict=True)):
        for client in clients:
            if client.done():
                client.result()  # it ends only with an error before it is told to stop
        Event().wait(0.01)


def main() -> None:
    """Serve a model of the registry, or show how it is done."""
    parser = argparse.ArgumentParser(description="Serve a model that is swapped when its alias moves.")
    parser.add_argument("--serve", metavar="REFERENCE", help="a model of your registry, such as classifier@production")
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    logging.basicConfig()
    LOG.setLevel(logging.INFO)
    if arguments.serve is None:
        with tempfile.TemporaryDirectory() as work:
            show(Path(work))
        return
    with Registry() as registry, serving(HotModel(registry, arguments.serve), port=arguments.port):
        Event().wait()


if __name__ == "__main__":
    main()
