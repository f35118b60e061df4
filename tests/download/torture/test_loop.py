"""While a gigabyte is received, hashed and written, the event loop is free for others."""

import asyncio
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from kamiwaza_sdk import DownloadConfig, DownloadService
from kamiwaza_sdk.testing import GeneratedBody
from tests.nginx import serving
from tests.processes import FRESH

BODY = GeneratedBody(1024**3)
LIMIT = 0.05
#: Others, who use the machine too, can only make a gap longer: the shortest of a few is closest to the truth.
TRIES = 8


def test_never_blocked_for_long(ground: Path) -> None:
    """A task that ticks is never kept waiting for over 50 ms while 1 GiB is downloaded and verified."""
    sha256 = BODY.sha256()
    gaps: list[float] = []
    with serving(BODY, ground / "nginx") as server, ProcessPoolExecutor(1, mp_context=FRESH) as pool:
        while len(gaps) < TRIES and min(gaps, default=1) > LIMIT:
            gaps.append(pool.submit(_bring, server.url("/model.bin"), ground / "model.bin", sha256).result())
    print(f"\nlongest gaps between ticks: {', '.join(f'{gap * 1e3:.1f} ms' for gap in gaps)}")  # noqa: T201 - promised
    assert min(gaps) <= LIMIT


def _bring(url: str, path: Path, sha256: str) -> float:
    """Return the longest gap between two ticks meanwhile."""
    path.unlink(missing_ok=True)
    return asyncio.run(_download(url, path, sha256))


async def _download(url: str, path: Path, sha256: str) -> float:
    ticks: list[float] = []
    ticking = asyncio.create_task(_tick(ticks))
    result = await DownloadService(DownloadConfig()).download(url, path, sha256=sha256)
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    assert result.bytes_fetched == BODY.size
    return max(later - earlier for earlier, later in pairwise(ticks))


async def _tick(ticks: list[float]) -> None:
    now = asyncio.get_running_loop().time
    while True:
        ticks.append(now())
        await asyncio.sleep(0.001)
