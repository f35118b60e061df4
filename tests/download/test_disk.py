"""What a file system can refuse, for real: small and read-only ones are mounted where the tests run as root."""

import asyncio
import errno
import os
import stat
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from kamiwaza_sdk import DownloadConfig, DownloadDiskException, DownloadService
from kamiwaza_sdk.testing import Chunked, FaultyServer, GeneratedBody, Stall
from tests.download.helpers import descriptors, entries
from tests.serving import Server

BODY = b"x" * 4 * 1024**2
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Generator[Mount]:
    """Return a function that mounts a tmpfs with options, unmounted after the test."""
    mounted: list[Path] = []

    def mount_tmpfs(options: str) -> Path:
        place = tmp_path / f"mount{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting needs root: {done.stderr.strip()}")
        mounted.append(place)
        return place

    try:
        yield mount_tmpfs
    finally:
        for place in mounted:
            subprocess.run(["umount", place], check=True)


async def test_full_disk_says_how_much_is_free_and_leaves_nothing(
    downloads: DownloadService, server: Server, mount: Mount
) -> None:
    place = mount("size=1m")
    with pytest.raises(DownloadDiskException, match="make room") as caught:
        await downloads.download(server.add("/m", body=BODY), place / "model.bin")
    assert isinstance(caught.value, OSError)
    assert (caught.value.errno, caught.value.path, caught.value.free) == (errno.ENOSPC, place / "model.bin", 1024**2)
    assert entries(place) == []


async def test_full_disk_ends_a_download_larger_than_the_buffer(
    downloads: DownloadService, server: Server, mount: Mount
) -> None:
    place = mount("size=1m")
    url = server.add("/m", body=b"x" * 64 * 1024**2, announce="chunked")
    with pytest.raises(DownloadDiskException, match="make room") as caught:
        await downloads.download(url, place / "model.bin")
    assert isinstance(caught.value.__cause__, OSError)
    assert (caught.value.errno, entries(place)) == (errno.ENOSPC, [])


async def test_what_a_full_disk_took_is_gone_on_with_when_there_is_room(
    downloads: DownloadService, faulty_server: FaultyServer, mount: Mount
) -> None:
    place = mount("size=16m")
    url = faulty_server.add("/m", body=GeneratedBody(12 * 1024**2), always=Chunked())
    (place / "other.bin").write_bytes(bytes(6 * 1024**2))
    with pytest.raises(DownloadDiskException, match="make room"):
        await downloads.download(url, place / "model.bin")
    (place / "other.bin").unlink()
    result = await downloads.download(url, place / "model.bin")
    assert result.sha256 == GeneratedBody(12 * 1024**2).sha256()
    assert result.bytes_reused >= 8 * 1024**2
    assert entries(place) == ["model.bin"]


async def test_read_only_file_system(downloads: DownloadService, server: Server, mount: Mount) -> None:
    with pytest.raises(DownloadDiskException, match="may write to") as caught:
        await downloads.download(server.add("/m", body=BODY), mount("ro") / "model.bin")
    assert caught.value.errno == errno.EROFS


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_directory_without_permission(downloads: DownloadService, server: Server, target: Path) -> None:
    target.parent.chmod(0o500)
    with pytest.raises(DownloadDiskException, match="may write to") as caught:
        await downloads.download(server.add("/m", body=BODY), target)
    assert caught.value.errno == errno.EACCES


async def test_directory_that_does_not_exist(downloads: DownloadService, server: Server, target: Path) -> None:
    with pytest.raises(DownloadDiskException, match="create its directory first") as caught:
        await downloads.download(server.add("/m", body=BODY), target.parent / "missing" / "m")
    assert caught.value.errno == errno.ENOENT


async def test_parent_that_is_a_file(downloads: DownloadService, server: Server, target: Path) -> None:
    target.write_bytes(b"a file")
    with pytest.raises(DownloadDiskException) as caught:
        await downloads.download(server.add("/m", body=BODY), target / "m")
    assert (caught.value.errno, target.read_bytes()) == (errno.ENOTDIR, b"a file")


async def test_path_that_is_a_directory(downloads: DownloadService, server: Server, target: Path) -> None:
    with pytest.raises(DownloadDiskException, match="name a file") as caught:
        await downloads.download(server.add("/m", body=BODY), target.parent)
    assert (caught.value.errno, entries(target.parent)) == (errno.EISDIR, [])


async def test_device_is_not_replaced(downloads: DownloadService, server: Server, target: Path) -> None:
    os.mkfifo(target)
    with pytest.raises(DownloadDiskException, match="neither a file nor a link"):
        await downloads.download(server.add("/m", body=BODY), target)
    assert target.is_fifo()


async def test_name_longer_than_the_file_system_allows(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    with pytest.raises(DownloadDiskException) as caught:
        await downloads.download(server.add("/m", body=BODY), target.with_name("n" * 256))
    assert (caught.value.errno, entries(target.parent)) == (errno.ENAMETOOLONG, [])


async def test_longest_name_the_file_system_allows(downloads: DownloadService, server: Server, target: Path) -> None:
    await downloads.download(server.add("/m", body=BODY), target.with_name("n" * 255))
    assert entries(target.parent) == ["n" * 255]


@pytest.mark.parametrize("failing", ["first", "second"])
async def test_nothing_stands_where_it_could_not_be_made_durable(
    failing: str, monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    calls: list[int] = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == {"first": 1, "second": 2}[failing]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DownloadDiskException) as caught:
        await downloads.download(server.add("/m", body=BODY), target)
    assert (caught.value.errno, entries(target.parent)) == (errno.EIO, [])


async def test_failures_of_the_disk_leave_no_descriptor(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    url = server.add("/m", body=b"x")
    await downloads.download(url, target)
    before = descriptors()
    for _ in range(10):
        with pytest.raises(DownloadDiskException):
            await downloads.download(url, target / "m")
    assert [kind for kind in descriptors() if kind != "socket"] == [kind for kind in before if kind != "socket"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("size", [10, 3 * 1024**2])
async def test_a_partial_file_is_private_and_the_whole_one_as_the_umask_says(
    *, size: int, umask: int, mode: int, faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    url = faulty_server.add("/m", body=GeneratedBody(size), faults=[Stall(at=size - 1)])
    before = os.umask(umask)
    try:
        async with DownloadService(config) as downloads:
            download = downloads.start(url, target)
            await asyncio.to_thread(faulty_server.wait_for_stall)
            (partial,) = target.parent.glob("*.partial")
            assert stat.S_IMODE(partial.stat().st_mode) == 0o600
            await download.cancel()
            await downloads.download(url, target)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == mode
