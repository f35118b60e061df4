"""What a caller is told while bytes travel."""

import asyncio
import io
import sys
import time
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadException,
    DownloadService,
    DownloadStatusException,
    InvalidInputException,
)
from kamiwaza_sdk.exceptions import MissingDependencyException
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


async def test_bar_shows_the_whole_file(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    await downloads.download(server.add("/m", body=BODY), target, progress=True)
    last = screen.getvalue().rpartition("\r")[2]
    assert "model.bin: 100%" in last
    assert "8.00M/8.00M" in last
    assert last.endswith("\n")


async def test_bar_is_closed_when_the_download_fails(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    with pytest.raises(ChecksumMismatchException):
        await downloads.download(server.add("/m", body=BODY), target, sha256="0" * 64, progress=True)
    assert "model.bin: " in screen.getvalue()
    assert screen.getvalue().endswith("\n")


async def test_there_is_no_bar_before_there_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    with pytest.raises(DownloadStatusException):
        await downloads.download(server.url("/missing"), target, progress=True)
    assert screen.getvalue() == ""


async def test_bar_without_tqdm_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, downloads: DownloadService, server: Server, target: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(MissingDependencyException, match="notebook"):
        await downloads.download(server.add("/m", body=BODY), target, progress=True)
    assert server.requests == []
