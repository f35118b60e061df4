"""A failing call in a notebook ends its cell, and what was queued behind it does not run."""

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.serving import Server

PATIENCE = 60.0


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:  # Any: a client has no types
    """A client of a real kernel that has directories of its own."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "STORAGE_SERVICE_ROOT"):
        monkeypatch.setenv(name, str(tmp_path / name))
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(tmp_path / "k"))
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _ends(client: Any, *asked: str) -> list[str | None]:  # Any: as above
    """Return how each request ended, `None` for one that did not in time."""
    ends: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not ends.keys() >= set(asked):
        try:
            message = client.get_shell_msg(timeout=1)
        except queue.Empty:
            continue
        ends[message["parent_header"]["msg_id"]] = message["content"]["status"]
    return [ends.get(request) for request in asked]


@pytest.mark.parametrize(
    "call",
    [
        "fetch(url, sha256='ab' * 32)",
        "fetch([url, missing])",
        "fetch(missing)",
        "HubService().plan('file:///nowhere/at/all')",
    ],
)
def test_a_failing_cell_ends_and_stops_what_follows(call: str, kernel: Any, server: Server) -> None:  # Any: as above
    url, missing = server.add("/m/a.bin", body=b"weights"), server.url("/m/missing.bin")
    failing = kernel.execute(f"from kamiwaza_sdk import HubService, fetch\n{url=}; {missing=}\nawait {call}")
    following = kernel.execute("1 + 1")
    assert _ends(kernel, failing, following) == ["error", "aborted"]
