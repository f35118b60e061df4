"""The fake downloads: they look like the real ones, do what those do, and show what they were asked."""

import asyncio
import hashlib
import inspect
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadDiskException,
    DownloadRequest,
    DownloadResult,
    DownloadService,
    DownloadStatusException,
    DownloadTimeoutException,
    DownloadTooLargeException,
    HubService,
    InvalidInputException,
    ModelService,
    ServiceConfig,
    SizeMismatchException,
    StorageService,
)
from kamiwaza_sdk.testing import DownloadCall, FakeDownloads, FaultyServer
from kamiwaza_sdk.types import DownloadProgress

URL = "https://user:secret@example.org/m/model.bin?token=secret"
SHOWN = "https://example.org/m/model.bin"
DIGEST = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture
def downloads(fake_downloads: FakeDownloads) -> FakeDownloads:
    """What has one file."""
    fake_downloads.files["model.bin"] = b"weights"
    return fake_downloads


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory."""
    place = tmp_path / "place"
    place.mkdir()
    return place


@pytest.mark.parametrize("name", [name for name in vars(DownloadService) if not name.startswith("_")])
def test_they_are_asked_like_the_real_ones(name: str) -> None:
    assert inspect.signature(getattr(FakeDownloads, name)) == inspect.signature(getattr(DownloadService, name))


def test_all_that_they_do_in_place_of_the_real_ones_is_what_those_do() -> None:
    """So that nothing here stays behind when something there is renamed."""
    own = {name for name in ("_transfer", "get", "read", "read_range") if inspect.isfunction(vars(FakeDownloads)[name])}
    assert {name: inspect.signature(vars(FakeDownloads)[name]).parameters.keys() for name in own} == {
        name: inspect.signature(vars(DownloadService)[name]).parameters.keys() for name in own
    }


async def test_a_registry_takes_them(mock_db: Session, downloads: FakeDownloads) -> None:
    models = ModelService(mock_db, downloads=downloads, config=ServiceConfig(max_in_memory_size=7))
    assert await models.download_model(URL) == b"weights"
    assert downloads.calls == [DownloadCall(URL, max_size=7)]


async def test_a_hub_takes_them(storage: StorageService, downloads: FakeDownloads) -> None:
    hub = HubService(storage=storage, downloads=downloads)
    assert (await hub.fetch(URL, sha256=DIGEST)).bytes_fetched == 7
    assert (await hub.fetch(URL)).files == (await hub.fetch(URL)).files
    assert storage.get(DIGEST).path.read_bytes() == b"weights"
    assert [call.sha256 for call in downloads.calls] == [DIGEST, None, None]


async def test_a_file_is_written_and_told_of_without_secrets(downloads: FakeDownloads, place: Path) -> None:
    seen: list[DownloadProgress] = []
    result = await downloads.download(URL, place / "m", sha256=DIGEST, size=7, progress=seen.append)
    assert (result.url, result.size, result.sha256, result.bytes_fetched) == (SHOWN, 7, DIGEST, 7)
    assert [(glance.url, glance.received, glance.finished) for glance in seen] == [(SHOWN, 0, False), (SHOWN, 7, True)]
    assert [(entry.name, entry.read_bytes()) for entry in place.iterdir()] == [("m", b"weights")]
    assert downloads.calls == [DownloadCall(URL, place / "m", DIGEST, 7, None)]


async def test_the_whole_url_goes_before_the_name(downloads: FakeDownloads) -> None:
    downloads.files[URL] = b"these"
    assert await downloads.read(URL, max_size=7) == b"these"
    assert await downloads.read(SHOWN, max_size=7) == b"weights"


async def test_a_download_is_followed_and_cancelled_as_a_real_one(downloads: FakeDownloads, place: Path) -> None:
    async with downloads:
        download = downloads.start(URL, place / "m")
        assert [glance.received async for glance in download][-1] == 7
        assert (await download).path == place / "m"
        cancelled = downloads.start(URL, place / "other")
        await cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert [entry.name for entry in place.iterdir()] == ["m"]


async def test_what_has_not_changed_is_not_brought(downloads: FakeDownloads, place: Path) -> None:
    first = await downloads.download(URL, place / "m")
    again = await downloads.download(URL, place / "again", validators=first.validators)
    assert (again.not_modified, (place / "again").exists()) == (True, False)


async def test_a_file_that_is_there_with_its_digest_is_the_result_as_of_the_real_ones(
    faulty_server: FaultyServer, downloads: FakeDownloads, place: Path
) -> None:
    told = list[tuple[DownloadResult, list[DownloadProgress]]]()
    (place / "m").write_bytes(b"weights")
    for service in (DownloadService(), downloads):
        seen: list[DownloadProgress] = []
        url = faulty_server.url("/nothing-is-here")
        result = await service.download(url, place / "m", sha256=DIGEST, progress=seen.append)
        told.append((result.model_copy(update={"seconds": 0.0}), seen))
    assert told[0] == told[1]
    assert (told[1][0].bytes_fetched, told[1][0].bytes_reused, faulty_server.requests) == (0, 7, [])
    (place / "m").write_bytes(b"another")
    assert (await downloads.download(URL, place / "m", sha256=DIGEST)).bytes_fetched == 7
    request = DownloadRequest(url="https://example.org/gone", path=place / "m", sha256=DIGEST)
    (outcome,) = await downloads.download_many([request], all_or_nothing=True)
    assert outcome.result is not None
    assert outcome.result.bytes_reused == 7


@pytest.mark.parametrize("service", [DownloadService, FakeDownloads])
async def test_a_name_that_no_file_can_have_is_told_alike(place: Path, service: type[DownloadService]) -> None:
    with pytest.raises(DownloadDiskException):
        await service().download(URL, place / ("m" * 300), sha256=DIGEST)


async def test_a_call_notes_an_absolute_path(
    downloads: FakeDownloads, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    await downloads.download(URL, Path("m"))
    assert [call.path for call in downloads.calls] == [place / "m"]


async def test_several_calls_can_bring_the_same_to_one_path_at_once(downloads: FakeDownloads, place: Path) -> None:
    results = await asyncio.gather(*(downloads.download(URL, place / "model.bin") for _ in range(32)))
    assert {result.size for result in results} == {7}
    assert [path.name for path in place.iterdir()] == ["model.bin"]


async def test_many_have_a_result_or_an_error_each(downloads: FakeDownloads, place: Path) -> None:
    requests = [DownloadRequest(url=f"https://example.org/{name}", path=place / name) for name in ("model.bin", "x")]
    good, missing = await downloads.download_many(requests)
    assert (good.result is not None, type(missing.error)) == (True, DownloadStatusException)
    (place / "model.bin").unlink()
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(requests, all_or_nothing=True)
    assert list(place.iterdir()) == []
    downloads.files["x"] = b"x"
    await downloads.download_many(requests, all_or_nothing=True)
    assert sorted(entry.name for entry in place.iterdir()) == ["model.bin", "x"]


async def test_what_is_still_written_when_another_ends_them_all_leaves_nothing(
    downloads: FakeDownloads, place: Path
) -> None:
    def complain(report: DownloadProgress) -> None:
        if report.finished:
            raise LookupError(report.path.name)

    downloads.files.update({"model.bin": bytes(64 * 1024**2), "small": b""})
    requests = [DownloadRequest(url=f"https://example.org/{name}", path=place / name) for name in downloads.files]
    with pytest.raises(LookupError, match="small"):
        await downloads.download_many(requests, all_or_nothing=True, progress=complain)
    assert list(place.iterdir()) == []


async def test_they_refuse_as_the_real_ones_do(downloads: FakeDownloads, place: Path) -> None:
    target = place / "m"
    with pytest.raises(ChecksumMismatchException):
        await downloads.download(URL, target, sha256="0" * 64)
    with pytest.raises(SizeMismatchException):
        await downloads.download(URL, target, size=6)
    with pytest.raises(DownloadTooLargeException):
        await downloads.download(URL, target, max_size=6)
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.download("ftp://example.org/model.bin", target)
    with pytest.raises(DownloadDiskException):
        await downloads.download(URL, place / "nowhere" / "m")
    with pytest.raises(ChecksumMismatchException):
        await downloads.read(URL, sha256="0" * 64, max_size=7)
    with pytest.raises(DownloadTooLargeException):
        await downloads.read(URL, max_size=6)
    with pytest.raises(DownloadStatusException, match="404"):
        await downloads.read("https://example.org/other", max_size=6)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(("offset", "length"), [(0, 3), (2, 3), (5, 10), (7, 1), (100, 1)])
async def test_a_part_is_the_one_that_a_server_sends(
    faulty_server: FaultyServer, downloads: FakeDownloads, offset: int, length: int
) -> None:
    url = faulty_server.add("/m/model.bin", body=b"weights")
    real = await DownloadService().read_range(url, offset=offset, length=length)
    assert await downloads.read_range(url, offset=offset, length=length) == real
    assert downloads.calls == [DownloadCall(url, offset=offset, length=length)]


async def test_a_part_of_what_is_empty_is_empty(faulty_server: FaultyServer, downloads: FakeDownloads) -> None:
    url, downloads.files["empty"] = faulty_server.add("/empty"), b""
    real = await DownloadService().read_range(url, offset=0, length=1)
    assert await downloads.read_range(url, offset=0, length=1) == real


async def test_an_answer_is_the_one_that_a_server_gives(faulty_server: FaultyServer, downloads: FakeDownloads) -> None:
    for path, size in (("/m/model.bin?token=1", 7), ("/other", 0)):
        faulty_server.add("/m/model.bin", body=b"weights")
        url = faulty_server.url(path)
        real, fake = await DownloadService().get(url, max_size=100), await downloads.get(url, max_size=7)
        assert (fake.url, fake.status, type(fake.status)) == (real.url, real.status, int)
        assert (fake.headers["content-length"], len(fake.body)) == (str(size), size)
    assert [call.max_size for call in downloads.calls] == [7, 7]
    assert (await downloads.get(URL, max_size=7)).url == f"{SHOWN}?token=secret"


@pytest.mark.parametrize("service", [DownloadService, FakeDownloads])
async def test_parts_and_answers_are_refused_alike(faulty_server: FaultyServer, service: type[DownloadService]) -> None:
    url = faulty_server.add("/model.bin", body=b"weights")
    downloads = FakeDownloads({"model.bin": b"weights"}) if service is FakeDownloads else service()
    for offset, length, field in ((-1, 1, "offset"), (True, 1, "offset"), (0, 0, "length")):
        with pytest.raises(InvalidInputException, match=f"^{field} is .* a whole number of bytes"):
            await downloads.read_range(url, offset=offset, length=length)
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.read_range("ftp://example.org/m", offset=0, length=1)
    with pytest.raises(DownloadStatusException) as missing:
        await downloads.read_range(faulty_server.url("/other"), offset=0, length=1)
    assert missing.value.status == 404
    with pytest.raises(InvalidInputException, match="max_size"):
        await downloads.get(url, max_size=-1)
    with pytest.raises(InvalidInputException, match="^url"):
        await downloads.get("ftp://example.org/m", max_size=7)
    with pytest.raises(DownloadTooLargeException) as large:
        await downloads.get(url, max_size=6)
    assert (large.value.announced, large.value.received) == (7, 0)


async def test_they_raise_what_they_are_told_to(downloads: FakeDownloads, place: Path) -> None:
    downloads.error = DownloadTimeoutException(url=SHOWN, seconds=60, received=3, setting="stall_timeout")
    with pytest.raises(DownloadTimeoutException):
        await downloads.read(URL, max_size=7)
    with pytest.raises(DownloadTimeoutException):
        await downloads.start(URL, place / "m")
    with pytest.raises(DownloadTimeoutException):
        await downloads.get(URL, max_size=7)
    with pytest.raises(DownloadTimeoutException):
        await downloads.read_range(URL, offset=0, length=1)
    assert len(downloads.calls) == 4
