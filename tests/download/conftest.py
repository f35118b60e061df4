"""A server, a service with short timeouts, and a watch over the event loop."""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from kamiwaza_sdk import DownloadConfig, DownloadService
from tests.download.tls import server_context
from tests.loops import watched
from tests.serving import Server


@pytest.fixture(autouse=True)
def no_blocking(monkeypatch: pytest.MonkeyPatch) -> Generator[BlockBuster]:
    """Fail whatever of ours blocks the event loop."""
    with watched() as blockbuster:
        yield blockbuster
        monkeypatch.undo()  # afterwards it would put back functions that are watched, for all later tests


@pytest.fixture
def server() -> Generator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with Server(tls=server_context(tmp_path_factory.mktemp("tls"))) as server:
        yield server


@pytest.fixture
def config() -> DownloadConfig:
    return DownloadConfig(connect_timeout=5, stall_timeout=5, max_size=2**30)


@pytest.fixture
async def downloads(config: DownloadConfig) -> AsyncGenerator[DownloadService]:
    async with DownloadService(config) as service:
        yield service


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where downloads go: a file in an empty directory."""
    directory = tmp_path / "into"
    directory.mkdir()
    return directory / "model.bin"
