"""The first program that a reader runs: in a process of its own, with nothing but a data directory."""

import os
import pty
import runpy
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import ModelService, ModelVersionSchema, StorageService, create_engine

if TYPE_CHECKING:
    from tests.serving import Server

QUICKSTART: Final = Path(__file__).parents[2] / "examples" / "quickstart.py"
PATIENCE: Final = 120.0

#: Runs a program that may speak to loopback only.
CONFINED: Final = """
import runpy, sys

def guard(event, arguments):
    if event == "socket.connect" and arguments[1][0] != "127.0.0.1":
        raise AssertionError(f"connects to {arguments[1]}")
    if event == "socket.getaddrinfo" and arguments[0] not in {"127.0.0.1", "localhost"}:
        raise AssertionError(f"looks up {arguments[0]}")

sys.addaudithook(guard)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def quickstart(*arguments: str | Path) -> str:
    """Run it, and return what it printed; it has to succeed without a word on stderr."""
    process = run(QUICKSTART, *arguments)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def registered() -> list[ModelVersionSchema]:
    engine = create_engine()
    with Session(engine) as db:
        models = ModelService(db)
        versions = [version for model in models.list_models() for version in models.list_versions(model.id)]
    engine.dispose()
    return versions


def last_line(output: str) -> str:
    return output.rstrip().rpartition("\n")[2]


def test_second_run_transfers_nothing_and_registers_nothing() -> None:
    """Run twice, it transfers the model once and registers one version, and differs in saying so only."""
    first, second = quickstart(), quickstart()

    assert last_line(first) == "3.0 MiB of 3.0 MiB travelled."
    assert last_line(second) == "0 bytes of 3.0 MiB travelled."
    assert second.splitlines()[:-1] == first.splitlines()[:-1]
    assert_says_what_is_registered(first)


def assert_says_what_is_registered(output: str) -> None:
    """Check name, version, and each file's path, digest and place; the files are in the store, and sound."""
    [version] = registered()
    store = StorageService()
    assert output.startswith(f"magika, version {version.version}: 3.0 MiB\n")
    assert [file.path for file in version.files] == ["README.md", "config.min.json", "model.onnx"]
    for file in version.files:
        assert f"\n  {file.path}, " in output
        assert f"\n  sha256 {file.sha256}\n  {store.path(file.sha256)}\n" in output
        assert store.verify(file.sha256).size == file.size


def test_speaks_to_loopback_only() -> None:
    """Without a network it works just as well: it looks up no name and connects to nothing but itself."""
    process = run("-c", CONFINED, QUICKSTART)

    assert (process.returncode, process.stderr) == (0, "")
    assert last_line(process.stdout) == "3.0 MiB of 3.0 MiB travelled."


def test_shows_progress_on_a_terminal() -> None:
    """Where stderr is a terminal, a bar of all files fills."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    process = subprocess.Popen([sys.executable, QUICKSTART], stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = "".join(read_terminal(controller))

    assert process.wait(PATIENCE) == 0
    assert "3.03M/3.03M" in shown
    assert "model: 100%" in shown


def read_terminal(controller: int) -> Iterator[str]:
    """Yield what is written to a terminal until nobody has it open any more, which Linux reports as an error."""
    with open(controller, "rb", buffering=0) as stream:
        try:
            while piece := stream.read(65536):
                yield piece.decode(errors="replace")
        except OSError:
            return


def test_takes_a_directory(tmp_path: Path) -> None:
    """A directory's files are registered under its name; nothing travels for them."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "model.onnx").write_bytes(b"weights")

    output = quickstart("--source", tmp_path / "tiny")

    assert output.startswith("tiny, version 1: 7 B\n")
    assert last_line(output) == "0 bytes of 7 B travelled."


def test_takes_a_url(server: "Server") -> None:
    """A URL's file is registered under the name that is given; fetched again, it costs a question, and no bytes."""
    url = server.add("/tiny/model.onnx", body=b"weights" * 1000, etag='"1"')

    first = quickstart("--source", url, "--name", "org/tiny")
    second = quickstart("--source", url, "--name", "org/tiny")

    assert first.startswith("org/tiny, version 1: 6.8 KiB\n")
    assert last_line(first) == "6.8 KiB of 6.8 KiB travelled."
    assert last_line(second) == "0 bytes of 6.8 KiB travelled."
    assert [(version.model_name, version.number) for version in registered()] == [("org/tiny", 1)]


def test_takes_several_urls(server: "Server") -> None:
    """Several URLs are the files of one model, whose next version has what changed at one of them."""
    urls = [server.add(f"/tiny/{name}", body=b"first", etag='"1"') for name in ("config.json", "model.onnx")]

    quickstart("--source", *urls)
    server.add("/tiny/config.json", body=b"second", etag='"2"')
    output = quickstart("--source", *urls)

    assert output.startswith("tiny, version 2: ")
    assert [[file.size for file in version.files] for version in registered()] == [[5, 5], [6, 5]]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("ftp://example.org/model.onnx", "is no http or https URL; write http://… or https://…"),
        ("https://me:secret@example.org/ /model.onnx", "contains white space"),
    ],
)
def test_refuses_what_is_no_source(source: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no source ends it with one line that says why, without a password."""
    monkeypatch.setattr(sys, "argv", [str(QUICKSTART), "--source", source])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(QUICKSTART), run_name="__main__")

    said = str(ended.value.code)
    assert said.startswith("error: ")
    assert problem in said
    assert "\n" not in said
    assert "secret" not in said


def test_ends_with_one_line_where_something_is_wrong() -> None:
    """There is no traceback."""
    process = run(QUICKSTART, "--source", "nonsense")

    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith("error: source 'nonsense' cannot be read: No such file or directory; ")
    assert process.stderr.count("\n") == 1


def test_says_which_address_has_no_file(server: "Server") -> None:
    """A URL that leads nowhere is named in the error, with what the server said; nothing is registered."""
    process = run(QUICKSTART, "--source", server.url("/missing.onnx"))

    assert process.returncode == 1
    assert process.stderr.startswith(f"error: {server.url('/missing.onnx')} answered 404 Not Found")
    assert not Path(os.environ["XDG_DATA_HOME"], "kamiwaza_sdk", "registry.db").exists()
