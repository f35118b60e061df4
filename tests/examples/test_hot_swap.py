"""A service swaps its model under load, and stays with the one it has where the next cannot be loaded."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from threading import Event, Thread
from typing import Final

import pytest

from examples.hot_swap import HotModel, make_model, serving
from kamiwaza_sdk import Registry

PROGRAM: Final = Path(__file__).parents[2] / "examples/hot_swap.py"
PATIENCE: Final = 60.0


def test_the_program_shows_that_no_request_fails() -> None:
    """Four clients check every answer while the alias moves forth and back."""
    command: list[str | Path] = [sys.executable, "-W", "error", PROGRAM]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (run.returncode, run.stdout.startswith("version 1, then 2, then 1 again: ")) == (0, True), run.stderr
    assert [line.split("'")[1] for line in run.stderr.splitlines()] == ["scale:2", "scale:1"]


def ask(port: int) -> tuple[int, list[list[float]]]:
    body = json.dumps({"inputs": [[1, 2, 3]]}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", body, timeout=PATIENCE) as response:
        answer = json.load(response)
    return answer["version"], answer["outputs"]


def test_a_model_that_cannot_be_loaded_is_not_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The one before goes on, the log says why, and the next good one is served."""
    with Registry("sqlite://") as registry:
        registry.register(make_model(tmp_path / "m", factor=1), name="scale", alias="production")
        model = HotModel(registry, "scale@production")
        with serving(model, seconds=0.01) as port:
            content = (tmp_path / "m/model.onnx").read_bytes()
            (tmp_path / "m/model.onnx").write_bytes(content.replace(b"Mul", b"Nul"))  # no operator of that name
            registry.register(tmp_path / "m", name="scale", alias="production")
            while not caplog.records:
                Event().wait(0.01)
            assert ask(port) == (1, [[1, 2, 3]])
            assert "scale@production is not swapped" in caplog.text
            registry.register(make_model(tmp_path / "m", factor=3), name="scale", alias="production")
            while ask(port)[0] == 1:
                Event().wait(0.01)
            assert ask(port) == (3, [[3, 6, 9]])


def test_a_request_stays_with_the_version_that_it_began_with(tmp_path: Path) -> None:
    """Whatever is swapped meanwhile, an answer is never of one version with the number of another."""
    with Registry("sqlite://") as registry:
        for factor in (1, 2):
            registry.register(make_model(tmp_path / "m", factor=factor), name="scale")
        registry.set_alias("scale:1", "production")
        model, wrong, stop = HotModel(registry, "scale@production"), [], Event()

        def predict() -> None:
            while not stop.is_set():
                number, [[first, *_]] = model.predict([[1, 2, 3]])
                if number != first:
                    wrong.append((number, first))

        thread = Thread(target=predict)
        thread.start()
        for number in (2, 1) * 10:
            registry.set_alias(f"scale:{number}", "production")
            assert model.refresh()
            assert not model.refresh()
        stop.set()
        thread.join(PATIENCE)
    assert wrong == []
