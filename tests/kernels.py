"""A real kernel, as Jupyter runs one, and how what it was asked ended."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from jupyter_client.manager import KernelManager

PATIENCE: Final = 60.0


@contextmanager
def running_kernel(directory: Path) -> Iterator[tuple[Any, Any]]:  # Any: neither has types
    """Yield the manager and a client of a kernel that has directories of its own."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "STORAGE_SERVICE_ROOT"):
            environment.setenv(name, str(directory / name))
        manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(directory / "k"))
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=PATIENCE)
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def ends(client: Any, *asked: str) -> list[str | None]:  # Any: as above
    """Return how each request ended, with the name of the error where it is one; `None` for one not in time."""
    found: dict[str, str] = {}
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not found.keys() >= set(asked):
        try:
            message = client.get_shell_msg(timeout=1)
        except queue.Empty:
            continue
        content = message["content"]
        found[message["parent_header"]["msg_id"]] = content.get("ename") or content["status"]
    return [found.get(request) for request in asked]
