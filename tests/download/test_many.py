"""Many files at once."""

import asyncio
import errno
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadDiskException,
    DownloadInterruptedException,
    DownloadRequest,
    DownloadResult,
    DownloadService,
    DownloadStatusException,
    InvalidInputException,
)
from kamiwaza_sdk.services.download.transfer.many import Many
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.testing import Delay, FaultyServer, Rate, Stall, Status
from kamiwaza_sdk.types import DownloadProgress
from tests.download.helpers import digest, entries, visible

BODIES = {f"file{number}.bin": bytes([number]) * (number * 1000) for number in range(1, 21)}


def requests_for(server: FaultyServer, directory: Path) -> list[DownloadRequest]:
    return [
        DownloadRequest(url=server.add(f"/{name}", body=body), path=directory / name, size=len(body))
        for name, body in BODIES.items()
    ]


def slow_request(faulty_server: FaultyServer, beside: Path, *, seconds: float) -> DownloadRequest:
    """Return one that others have to wait for."""
    name = "slow" if beside.name == "model.bin" else f"slow-{beside.name}"
    return DownloadRequest(
        url=faulty_server.add(f"/{name}", body=b"slow", always=Delay(seconds)), path=beside.with_name(name)
    )


async def test_all_arrive_and_are_told_of_in_order(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    requests = requests_for(faulty_server, tmp_path)
    outcomes = await downloads.download_many(requests)
    assert [outcome.request for outcome in outcomes] == requests
    assert [outcome.result.sha256 if outcome.result else None for outcome in outcomes] == list(
        map(digest, BODIES.values())
    )
    assert {name: (tmp_path / name).read_bytes() for name in BODIES} == BODIES


async def test_the_largest_come_first_and_those_of_unknown_size_before_them(
    faulty_server: FaultyServer, config: DownloadConfig, tmp_path: Path
) -> None:
    requests = requests_for(faulty_server, tmp_path)
    requests[4] = requests[4].model_copy(update={"size": None})
    one_by_one = config.model_copy(update={"max_concurrency": 1})
    await DownloadService(one_by_one).download_many(requests)
    asked = [request.path for request in faulty_server.requests]
    largest_first = ["/file5.bin", *(f"/file{number}.bin" for number in range(20, 0, -1) if number != 5)]
    # Two are in work at once, one of which travels: neighbours may change places.
    assert all(abs(asked.index(path) - place) <= 2 for place, path in enumerate(largest_first))


async def test_no_more_travel_at_once_than_is_set(
    faulty_server: FaultyServer, config: DownloadConfig, tmp_path: Path
) -> None:
    directory = tmp_path / "into"
    directory.mkdir()
    requests = [
        DownloadRequest(url=faulty_server.add(f"/{name}", body=b"x", always=Stall(at=0)), path=directory / name)
        for name in BODIES
    ]
    async with DownloadService(config.model_copy(update={"max_concurrency": 3})) as downloads:
        many = asyncio.create_task(downloads.download_many(requests))
        while len(faulty_server.requests) < 3:  # noqa: ASYNC110 - the server is in other threads
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert len(faulty_server.requests) == 3
        many.cancel()
        await asyncio.gather(many, return_exceptions=True)


async def test_each_has_its_own_result_or_error(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    requests = [
        DownloadRequest(url=faulty_server.add("/good", body=b"good"), path=tmp_path / "good"),
        DownloadRequest(url=faulty_server.url("/missing"), path=tmp_path / "missing"),
        DownloadRequest(url=faulty_server.add("/wrong", body=b"w"), path=tmp_path / "wrong", sha256="0" * 64),
        DownloadRequest(url="ftp://example.org/m", path=tmp_path / "odd"),
        DownloadRequest(url=faulty_server.url("/good"), path=tmp_path / "nowhere" / "good"),
    ]
    outcomes = await downloads.download_many(requests)
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        DownloadStatusException,
        ChecksumMismatchException,
        InvalidInputException,
        DownloadDiskException,
    ]
    assert [outcome.result is not None for outcome in outcomes] == [True, False, False, False, False]


async def test_all_or_nothing_gives_all(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    requests = requests_for(faulty_server, tmp_path)
    (tmp_path / "file1.bin").write_bytes(b"as it was")
    outcomes = await downloads.download_many(requests, all_or_nothing=True)
    assert {name: (tmp_path / name).read_bytes() for name in BODIES} == BODIES
    assert [outcome.result.path if outcome.result else None for outcome in outcomes] == [
        request.path for request in requests
    ]
    assert [name for name in entries(tmp_path) if name.startswith(".")] == []


async def test_all_or_nothing_gives_nothing_where_one_fails(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    requests = requests_for(faulty_server, target.parent)
    first = target.with_name("file1.bin")
    first.write_bytes(b"as it was")
    faulty_server.add("/file1.bin", always=Status(404))
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(requests, all_or_nothing=True)
    assert (visible(target.parent), first.read_bytes()) == ([first.name], b"as it was")


async def test_all_or_nothing_does_not_bring_again_what_a_digest_names(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    requests = [
        request.model_copy(update={"sha256": digest(BODIES[request.path.name])})
        for request in requests_for(faulty_server, target.parent)
    ]
    faulty_server.add("/file1.bin", always=(Delay(0.5), Status(404)))
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(requests, all_or_nothing=True)
    assert visible(target.parent) == []
    faulty_server.add("/file1.bin", body=BODIES["file1.bin"])
    outcomes = await downloads.download_many(requests, all_or_nothing=True)
    assert sum(outcome.result.bytes_fetched for outcome in outcomes if outcome.result) == 1000
    assert visible(target.parent) == sorted(BODIES)


async def test_all_or_nothing_leaves_what_is_right_where_it_stands(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """It is not asked for, and what an earlier try had of it beside that is not left."""
    requests = [
        request.model_copy(update={"sha256": digest(BODIES[request.path.name])})
        for request in requests_for(faulty_server, target.parent)
    ]
    missing, standing = requests[0], requests[1:]
    faulty_server.add("/file1.bin", always=(Delay(0.5), Status(404)))
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(requests, all_or_nothing=True)
    faulty_server.add("/file1.bin", body=BODIES["file1.bin"])
    for request in standing:
        request.path.write_bytes(BODIES[request.path.name])
    before = {request.path: request.path.stat().st_ino for request in standing}
    seen: list[DownloadProgress] = []
    outcomes = await downloads.download_many(requests, all_or_nothing=True, progress=seen.append)
    results = [outcome.result for outcome in outcomes if outcome.result]
    assert [result.path for result in results] == [request.path for request in requests]
    assert [result.bytes_fetched for result in results] == [missing.size] + [0] * len(standing)
    assert {path: path.stat().st_ino for path in before} == before
    assert {progress.path for progress in seen} == {request.path for request in requests}
    assert entries(target.parent) == sorted(BODIES)


async def test_cancelled_while_names_are_given_all_or_nothing_gives_all(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    url = faulty_server.add("/m", body=b"new")
    requests = [DownloadRequest(url=f"{url}?{number}", path=tmp_path / f"{number}") for number in range(300)]
    for request in requests:
        request.path.write_bytes(b"old")
    bringing = asyncio.create_task(downloads.download_many(requests, all_or_nothing=True))
    while all(request.path.read_bytes() == b"old" for request in requests[::30]):  # noqa: ASYNC110 - as it is told
        await asyncio.sleep(0)
    bringing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bringing
    assert {request.path.read_bytes() for request in requests} == {b"new"}
    assert [name for name in entries(tmp_path) if name.startswith(".")] == []


async def test_two_contents_for_one_path_wait_in_two_places(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """Of two calls at once each names what it was asked for, though the other has brought something else meanwhile."""
    slow = faulty_server.add("/slow", body=b"slow", always=Delay(1.5))
    missing = faulty_server.add("/missing", always=(Delay(0.7), Status(404)))

    def wanted(name: str, body: bytes, other: str) -> list[DownloadRequest]:
        url = faulty_server.add(f"/{name}", body=body)
        beside = DownloadRequest(url=other, path=target.with_name(name))
        return [DownloadRequest(url=url, path=target, sha256=digest(body)), beside]

    ours = asyncio.create_task(downloads.download_many(wanted("ours", b"ours", slow), all_or_nothing=True))
    await asyncio.sleep(0.3)
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(wanted("theirs", b"theirs", missing), all_or_nothing=True)
    outcome, _ = await ours
    assert outcome.result is not None
    assert (outcome.result.sha256, target.read_bytes()) == (digest(b"ours"), b"ours")


@pytest.mark.parametrize("other", ["m", "../{here}/m", "link/m"])
async def test_the_same_path_twice_is_refused(other: str, downloads: DownloadService, target: Path) -> None:
    here = target.parent
    (here / "link").symlink_to(here)
    paths = [here / "m", here / other.format(here=here.name)]
    twice = [DownloadRequest(url="https://example.org/m", path=path) for path in paths]
    with pytest.raises(InvalidInputException, match="2 with the path"):
        await downloads.download_many(twice)


@pytest.mark.parametrize("wrong", ["https://example.org/m", DownloadRequest(url="https://e.org/m", path=Path("m")), 7])
async def test_what_is_no_list_of_requests_is_refused(wrong: object, downloads: DownloadService) -> None:
    for requests in (wrong, [wrong] if not isinstance(wrong, DownloadRequest) else [("url", "m")]):
        with pytest.raises(InvalidInputException, match=r"requests (is|holds) .*DownloadRequest\(url=…, path=…\)"):
            await downloads.download_many(requests)  # type: ignore[arg-type]  # the mistake under test


async def test_none_is_none(downloads: DownloadService) -> None:
    assert await downloads.download_many([]) == await downloads.download_many([], all_or_nothing=True) == []


async def test_progress_is_told_of_each(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    seen: list[DownloadProgress] = []
    await downloads.download_many(requests_for(faulty_server, tmp_path), progress=seen.append)
    assert {progress.path.name for progress in seen if progress.finished} == set(BODIES)


async def test_bars_show_each_and_all(
    faulty_server: FaultyServer,
    downloads: DownloadService,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.services.download.progress._is_watched", lambda: True)
    monkeypatch.setattr("kamiwaza_sdk.services.download.progress._LARGE", 1)
    requests = requests_for(faulty_server, tmp_path)
    faulty_server.add("/file20.bin", body=BODIES["file20.bin"], always=Rate(60_000))
    await downloads.download_many(requests, progress=True)
    shown = capsys.readouterr().err
    assert "20 files: 100%" in shown
    assert "file20.bin" in shown


async def test_what_progress_raises_ends_them_all(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    def complain(_: DownloadProgress) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await downloads.download_many(requests_for(faulty_server, target.parent), progress=complain)
    assert visible(target.parent) == []


async def test_leaving_the_service_ends_them_all(faulty_server: FaultyServer, target: Path) -> None:
    request = DownloadRequest(url=faulty_server.add("/m", body=b"x" * 10, always=Stall(at=5)), path=target)
    async with DownloadService() as downloads:
        many = asyncio.create_task(downloads.download_many([request]))
        await asyncio.to_thread(faulty_server.wait_for_stall)
    with pytest.raises(DownloadInterruptedException, match="closed"):
        await many


async def test_what_waited_in_vain_does_not_replace_a_file_that_is_not_modified(
    faulty_server: FaultyServer, downloads: DownloadService, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    url = faulty_server.add("/m", body=b"old", headers={"ETag": '"old"'})
    waits = DownloadRequest(url=url, path=path, sha256=digest(b"old"))
    fails = DownloadRequest(url=faulty_server.add("/n", always=(Delay(0.5), Status(404))), path=tmp_path / "n")
    with pytest.raises(DownloadStatusException):
        await downloads.download_many([waits, fails], all_or_nothing=True)
    assert any(name.endswith(".whole") for name in entries(tmp_path)), "kept, as its digest is known"

    url = faulty_server.add("/m", body=b"new", headers={"ETag": '"new"'})
    path.write_bytes(b"new")
    unchanged = DownloadRequest(url=url, path=path, validators=Validators(etag='"new"'))
    (outcome,) = await downloads.download_many([unchanged], all_or_nothing=True)
    assert outcome.result is not None
    assert outcome.result.not_modified
    assert path.read_bytes() == b"new"


async def test_all_or_nothing_brings_again_what_another_took_away(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """Of two calls that wait for files without a digest by the same names, one fails and removes its own."""
    url = faulty_server.add("/m", body=b"body")
    ours = [DownloadRequest(url=url, path=target), slow_request(faulty_server, target, seconds=2)]
    theirs = [
        DownloadRequest(url=url, path=target),
        DownloadRequest(url=faulty_server.add("/n", always=(Delay(0.5), Status(404))), path=target.with_name("other")),
    ]
    brought = asyncio.create_task(downloads.download_many(ours, all_or_nothing=True))
    with pytest.raises(DownloadStatusException):
        await downloads.download_many(theirs, all_or_nothing=True)
    assert [outcome.result and outcome.result.sha256 for outcome in await brought] == [digest(b"body"), digest(b"slow")]
    assert (target.read_bytes(), entries(target.parent)) == (b"body", ["model.bin", "slow"])


@pytest.mark.parametrize("theirs", [b"body", b"else"])
async def test_all_or_nothing_names_its_own_where_another_has_brought_the_file_anew(
    theirs: bytes, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """Another call replaces what waits, by the same or by a new content, and is not done when names are given."""
    request = DownloadRequest(url=faulty_server.add("/m", body=b"body"), path=target)
    slow = slow_request(faulty_server, target, seconds=1)
    ours = asyncio.create_task(downloads.download_many([request, slow], all_or_nothing=True))
    await asyncio.sleep(0.4)
    faulty_server.add("/m", body=theirs)
    slower = slow_request(faulty_server, target.with_name("slower"), seconds=2)
    other = asyncio.create_task(downloads.download_many([request, slower], all_or_nothing=True))
    outcome, _ = await ours
    assert outcome.result is not None
    assert (outcome.result.sha256, target.read_bytes()) == (digest(theirs), theirs)
    outcome, _ = await other
    assert outcome.result is not None
    assert (outcome.result.sha256, target.read_bytes()) == (digest(theirs), theirs)
    assert [name for name in entries(target.parent) if name.startswith(".")] == []


async def test_what_the_disk_refuses_is_told_by_its_own_name(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    request = DownloadRequest(url=faulty_server.add("/m", body=b"body"), path=target.with_name("missing") / "m")
    with pytest.raises(DownloadDiskException, match="missing/m: No such file") as caught:
        await downloads.download_many([request], all_or_nothing=True)
    assert caught.value.path == request.path


async def test_all_or_nothing_says_so_where_others_take_away_each_time_what_it_brings(target: Path) -> None:
    brought: list[Path] = []

    async def bring(request: DownloadRequest, into: Path) -> DownloadResult:
        brought.append(into)
        url, nothing = request.url, Validators()
        return DownloadResult(
            url=url,
            final_url=url,
            path=into,
            size=4,
            sha256=digest(b"body"),
            bytes_fetched=4,
            validators=nothing,
            seconds=1,
        )

    many = Many([DownloadRequest(url="https://example.org/m", path=target)], bring, concurrency=1)
    with pytest.raises(DownloadDiskException, match="taken away what was brought, 5 times; try again") as caught:
        await many.all_or_nothing()
    assert (caught.value.errno, caught.value.path, len(brought)) == (errno.ESTALE, target, 5)


async def test_all_or_nothing_twice_at_once_gives_all_to_both(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    both = [
        DownloadRequest(url=faulty_server.add(f"/{number}", body=b"body"), path=target.with_name(f"{number}"))
        for number in range(5)
    ]
    await asyncio.gather(*(downloads.download_many(both, all_or_nothing=True) for _ in range(2)))
    assert [request.path.read_bytes() for request in both] == [b"body"] * 5
