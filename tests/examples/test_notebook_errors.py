"""A failing call in a notebook ends its cell, and what was queued behind it does not run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import ends, running_kernel
from tests.serving import Server


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Any]:  # Any: a client has no types
    """A client of a real kernel that has directories of its own."""
    with running_kernel(tmp_path) as (_, client):
        yield client


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
    error, aborted = ends(kernel, failing, following)
    assert error is not None
    assert (error.endswith("Exception"), aborted) == (True, "aborted")
