"""The mirror olah (https://github.com/vtuber-plan/olah), unchanged, in front of the loopback hub."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from kamiwaza_sdk import HubConfig, HubService, StorageService
from kamiwaza_sdk.testing import HuggingFaceServer

FILES = {"README.md": b"# tiny\n", "config.json": b"{}", "model.safetensors": b"weights" * 1000}


def _program() -> str:
    found = shutil.which("olah-cli", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        reason = "needs the mirror olah, which brings 40 packages: nox -s mirrors"
        (pytest.fail if os.environ.get("MIRRORS") else pytest.skip)(reason)
    return str(found)


def _free_port() -> int:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def hub_of_one_page() -> Iterator[HuggingFaceServer]:
    """A hub whose listings have one page: olah brings the first, whichever is asked for."""
    with HuggingFaceServer() as server:
        yield server


@pytest.fixture
def mirror(hub_of_one_page: HuggingFaceServer, tmp_path: Path) -> Iterator[str]:
    """The address of a mirror of it."""
    program, port = _program(), _free_port()
    upstream = hub_of_one_page.endpoint.partition("://")[2]
    storage = hub_of_one_page.storage.url("").partition("://")[2]
    here = f"127.0.0.1:{port}"
    options = {
        "host": "127.0.0.1",
        "port": str(port),
        "hf-scheme": "http",
        "hf-netloc": upstream,
        "hf-lfs-netloc": storage,
        "mirror-scheme": "http",
        "mirror-netloc": here,
        "mirror-lfs-netloc": here,
        "repos-path": str(tmp_path / "repositories"),
        "log-path": str(tmp_path / "logs"),
    }
    command = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
    log = tmp_path / "olah.log"
    with log.open("wb") as output, subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output) as running:
        try:
            _wait_until_it_answers(port, running, log)
            yield f"http://{here}"
        finally:
            running.terminate()


def _wait_until_it_answers(port: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        assert running.poll() is None, log.read_text()
        with closing(socket.socket()) as asking:
            if asking.connect_ex(("127.0.0.1", port)) == 0:
                return
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(timeout=0.1)
    pytest.fail(log.read_text())


async def test_a_repository_is_fetched_through_the_mirror(
    mirror: str, hub_of_one_page: HuggingFaceServer, storage: StorageService
) -> None:
    commit = hub_of_one_page.add_repository("org/tiny", FILES)
    hub = HubService(storage=storage, config=HubConfig(hf_endpoint=mirror, hf_token=SecretStr("")))
    fetched = await hub.fetch("hf://org/tiny")
    assert {file.path: storage.path(file.sha256).read_bytes() for file in fetched.files} == FILES
    assert (fetched.source_revision, fetched.faults) == (commit, ())


def test_huggingface_hub_asks_the_mirror_for_paths_branches_and_commits(
    mirror: str, hub_of_one_page: HuggingFaceServer, tmp_path: Path
) -> None:
    commit = hub_of_one_page.add_repository("org/tiny", FILES)
    code = """
import json, os
from huggingface_hub import HfApi, snapshot_download
api = HfApi()
print(json.dumps([
    sorted(os.listdir(snapshot_download("org/tiny"))),
    [one.path for one in api.get_paths_info("org/tiny", ["config.json"])],
    [one.name for one in api.list_repo_refs("org/tiny").branches],
    [one.commit_id for one in api.list_repo_commits("org/tiny")],
]))
"""
    environment = {"PATH": os.environ["PATH"], "HF_ENDPOINT": mirror, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [sorted(FILES), ["config.json"], ["main"], [commit]]
