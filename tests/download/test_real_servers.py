"""Real servers that ignore ``If-Range``, and a file that is replaced while it travels."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadConfig, DownloadException, DownloadService, HubService, StorageConfig, StorageService
from kamiwaza_sdk.testing import GeneratedBody
from tests.download.helpers import digest, entries
from tests.download.servers import SERVERS, Line, serving

MIB = 1024**2
OLD, NEW = (GeneratedBody(6 * MIB, seed=seed).read() for seed in (1, 2))
FIRST, SECOND = 1_700_000_000, 1_700_003_600


@pytest.fixture(params=list(SERVERS))
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """A line to a server of the directory ``served``, cut in the middle of the first answer."""
    served = tmp_path / "served"
    served.mkdir()
    put(served, OLD, FIRST)
    with serving(str(request.param), served) as port, Line(port, cut=4 * MIB) as line:
        yield line


def put(served: Path, body: bytes, changed: int) -> None:
    staged = served.with_name("staged")
    staged.write_bytes(body)
    os.utime(staged, (changed, changed))
    staged.replace(served / "model.bin")


@pytest.mark.parametrize("sha256", [None, digest(NEW)], ids=["no digest", "digest"])
@pytest.mark.parametrize("calls", [False, True], ids=["within one call", "in the next call"])
async def test_a_file_that_is_replaced_meanwhile_is_never_mixed(
    sha256: str | None, *, calls: bool, line: Line, config: DownloadConfig, target: Path, tmp_path: Path
) -> None:
    attempts = 1 if calls else 3
    config = config.model_copy(update={"retry_pause": 0.0, "max_attempts": attempts})
    url = line.url("model.bin")
    line.on_cut = lambda: put(tmp_path / "served", NEW, SECOND)
    async with DownloadService(config) as downloads:
        if calls:
            with pytest.raises(DownloadException):
                await downloads.download(url, target, sha256=sha256)
        result = await downloads.download(url, target, sha256=sha256)
    assert (result.sha256, target.read_bytes() == NEW) == (digest(NEW), True)
    assert entries(target.parent) == [target.name]


async def test_a_file_that_stays_as_it_is_is_gone_on_with(line: Line, config: DownloadConfig, target: Path) -> None:
    patient = config.model_copy(update={"retry_pause": 0.0, "max_attempts": 3})
    async with DownloadService(patient) as downloads:
        result = await downloads.download(line.url("model.bin"), target)
    assert (result.sha256, result.bytes_fetched) == (digest(OLD), len(OLD))


async def test_a_fetch_puts_no_mixture_into_the_store(line: Line, config: DownloadConfig, tmp_path: Path) -> None:
    line.on_cut = lambda: put(tmp_path / "served", NEW, SECOND)
    impatient = config.model_copy(update={"max_attempts": 1})
    storage = StorageService(await asyncio.to_thread(StorageConfig, root=tmp_path / "store"))
    hub = HubService(downloads=DownloadService(impatient), storage=storage)
    with pytest.raises(DownloadException):
        await hub.fetch(line.url("model.bin"))
    fetched = await hub.fetch(line.url("model.bin"))
    assert [file.sha256 for file in fetched.files] == [digest(NEW)]


@pytest.mark.parametrize("offset", [6 * MIB, 6 * MIB + 1, 7 * MIB])
async def test_behind_the_end_there_is_nothing(line: Line, config: DownloadConfig, offset: int) -> None:
    async with DownloadService(config) as downloads:
        part = await downloads.read_range(line.url("model.bin"), offset=offset, length=10)
    assert (part.offset, part.body) == (offset, b"")
