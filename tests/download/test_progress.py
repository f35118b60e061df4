"""What a caller is told while bytes travel."""

import asyncio
import io
import logging
import sys
import threading
import time
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadException,
    DownloadRequest,
    DownloadService,
    DownloadStatusException,
    InvalidInputException,
)
from kamiwaza_sdk.exceptions import MissingDependencyException
from kamiwaza_sdk.services.download import progress as progress_of_downloads
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.types import DownloadProgress
from tests.download.helpers import entries
from tests.serving import Server

BODY = b"x" * 8 * 1024**2


async def test_callback_is_told_the_end_exactly_once(downloads: DownloadService, server: Server, target: Path) -> None:
    seen: list[DownloadProgress] = []
    url = server.add("/m", body=BODY)
    await downloads.download(f"{url}?secret", target, progress=seen.append)
    assert seen[-1] == DownloadProgress(url=url, path=target, received=len(BODY), total=len(BODY), finished=True)
    assert [progress.finished for progress in seen[:-1]] == [False] * (len(seen) - 1)
    assert [progress.received for progress in seen] == sorted(progress.received for progress in seen)


async def test_callback_is_called_at_most_some_ten_times_a_second(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    seen: list[DownloadProgress] = []
    began = time.monotonic()
    await downloads.download(server.add("/m", body=BODY), target, progress=seen.append)
    assert len(seen) <= (time.monotonic() - began) * 10 + 2  # the first and the last are told whenever they are


async def _await_me(_: DownloadProgress) -> None:
    """Would never be awaited."""


@pytest.mark.parametrize("wrong", ["yes", 5, _await_me])
async def test_what_cannot_be_told_is_refused_at_once(wrong: object, downloads: DownloadService, target: Path) -> None:
    url = "https://example.org/m"
    with pytest.raises(InvalidInputException, match="progress is .*give"):
        await downloads.download(url, target, progress=wrong)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(InvalidInputException, match="progress is .*give"):
        await downloads.download_many([], progress=wrong)  # type: ignore[arg-type]  # as above


async def test_callback_is_called_on_the_event_loop(downloads: DownloadService, server: Server, target: Path) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    await downloads.download(
        server.add("/m", body=BODY), target, progress=lambda _: loops.append(asyncio.get_running_loop())
    )
    assert set(loops) == {asyncio.get_running_loop()}


async def test_total_is_unknown_where_the_server_does_not_say(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    seen: list[DownloadProgress] = []
    await downloads.download(server.add("/m", body=BODY, announce="chunked"), target, progress=seen.append)
    assert {progress.total for progress in seen} == {None}


async def test_end_is_told_when_nothing_was_modified(downloads: DownloadService, server: Server, target: Path) -> None:
    seen: list[DownloadProgress] = []
    url = server.add("/m", body=BODY, etag='"1"')
    await downloads.download(url, target, validators=Validators(etag='"1"'), progress=seen.append)
    assert seen == [DownloadProgress(url=url, path=target, received=0, total=None, finished=True)]


@pytest.mark.parametrize("at_the_end", [False, True])
async def test_what_a_callback_raises_ends_the_download_cleanly(
    at_the_end: bool, downloads: DownloadService, server: Server, target: Path
) -> None:
    def refuse(progress: DownloadProgress) -> None:
        if progress.finished is at_the_end:
            raise ZeroDivisionError("the caller's own")

    with pytest.raises(ZeroDivisionError, match="the caller's own"):
        await downloads.download(server.add("/m", body=BODY), target, progress=refuse)
    assert entries(target.parent) == []


async def test_failed_download_is_never_called_finished(
    downloads: DownloadService, server: Server, target: Path
) -> None:
    seen: list[DownloadProgress] = []
    with pytest.raises(DownloadException):
        await downloads.download(server.add("/m", body=BODY), target, sha256="0" * 64, progress=seen.append)
    assert [progress.finished for progress in seen] == [False] * len(seen)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks at bars, as in a terminal."""
    monkeypatch.setattr(progress_of_downloads, "_is_watched", lambda: True)


@pytest.mark.usefixtures("watched")
async def test_bar_shows_the_whole_file(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    await downloads.download(server.add("/m", body=BODY), target, progress=True)
    last = screen.getvalue().rpartition("\r")[2]
    assert "model.bin: 100%" in last
    assert "8.00M/8.00M" in last
    assert last.endswith("\n")


@pytest.mark.usefixtures("watched")
async def test_bar_is_closed_when_the_download_fails(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    with pytest.raises(ChecksumMismatchException):
        await downloads.download(server.add("/m", body=BODY), target, sha256="0" * 64, progress=True)
    assert "model.bin: " in screen.getvalue()
    assert screen.getvalue().endswith("\n")


@pytest.mark.usefixtures("watched")
async def test_there_is_no_bar_before_there_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    with pytest.raises(DownloadStatusException):
        await downloads.download(server.url("/missing"), target, progress=True)
    assert screen.getvalue() == ""


@pytest.mark.usefixtures("watched")
async def test_bar_without_tqdm_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(MissingDependencyException, match="notebook"):
        await downloads.download(server.add("/m", body=BODY), target, progress=True)
    assert server.requests == []


@pytest.mark.parametrize("total", [None, 8 * 1024**2])
async def test_where_nobody_looks_there_are_lines_in_the_log(  # noqa: PLR0917 - they are fixtures
    total: int | None,
    monkeypatch: pytest.MonkeyPatch,
    downloads: DownloadService,
    server: Server,
    target: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress_of_downloads, "_LOGGED_EVERY", 0.0)
    monkeypatch.setitem(sys.modules, "tqdm", None)  # which is not needed then
    request = DownloadRequest(url=server.add("/m", body=BODY), path=target, size=total)
    with caplog.at_level(logging.INFO, "kamiwaza_sdk.progress"):
        await downloads.download_many([request], progress=True)
    last = caplog.messages[-1]
    assert last.startswith("1 file: 8.0 MiB of 8.0 MiB (100 %), " if total else "1 file: 8.0 MiB, ")
    assert last.endswith("/s")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("watched")
async def test_downloads_of_several_threads_share_the_bar_of_all(
    monkeypatch: pytest.MonkeyPatch, server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    monkeypatch.setattr(progress_of_downloads, "_LARGE", 1)
    both = threading.Barrier(2)

    async def bring(name: str) -> None:
        paths = [tmp_path / name / "model" / f"{number}.bin" for number in range(2)]
        requests = [
            DownloadRequest(url=server.add(f"/{name}/{path.name}", body=BODY), path=path, size=len(BODY))
            for path in paths
        ]
        paths[0].parent.mkdir(parents=True)
        async with DownloadService() as downloads:
            bars = progress_of_downloads.reporting_all(True, requests)
            async with bars:
                await asyncio.to_thread(both.wait, 30)
                await downloads.download_many(requests, progress=True)
                await asyncio.to_thread(both.wait, 30)

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, bring(name)) for name in ("one", "other")))
    shown = screen.getvalue()
    assert "4 downloads: " in shown or "3 downloads: " in shown
    assert "0.bin" in shown
    assert shown.count("\n") >= 1


@pytest.mark.usefixtures("watched")
async def test_large_files_have_bars_with_their_folders(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    monkeypatch.setattr(progress_of_downloads, "_LARGE", len(BODY))
    sizes = {"a/model.bin": BODY, "b/model.bin": BODY, "b/config.json": b"{}"}
    requests = list[DownloadRequest]()
    for name, body in sizes.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        requests.append(DownloadRequest(url=server.add(f"/{name}", body=body), path=tmp_path / name, size=len(body)))
    await downloads.download_many(requests, progress=True)
    shown = screen.getvalue()
    assert "3 files: 100%" in shown
    assert "a/model.bin: " in shown
    assert "b/model.bin: " in shown
    assert "config.json" not in shown
