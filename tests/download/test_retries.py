"""Trying again: what can succeed later, how often, how long, and what is told of it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    DownloadTooLargeException,
)
from kamiwaza_sdk.services.download.retries import parse_retry_after
from kamiwaza_sdk.types import DownloadAttempt
from tests.download.helpers import digest, entries
from tests.serving import Server

BODY = b"weights" * 1000
PATH = "/model.bin"
#: What a server may do first, so that trying again can help.
TRANSIENT: dict[str, dict[str, Any]] = {  # Any: arguments of Server.add
    **{str(status): {"status": status} for status in (408, 425, 429, 500, 502, 503, 504, 599)},
    "breaks off": {"body": BODY, "drop_after": 700},
    "breaks off at once": {"body": BODY, "drop_after": 0},
    "stalls": {"body": BODY, "stall_after": 700},
}
#: What stays as it is.
PERMANENT: dict[str, dict[str, Any]] = {  # Any: as above
    **{str(status): {"status": status} for status in (400, 401, 403, 404, 410, 451)},
    "compressed": {"body": BODY[::-1], "headers": {"Content-Encoding": "br"}},
    "too large": {"body": BODY + b"x" * 1000},
    "leads elsewhere": {"redirect": "ftp://127.0.0.1/model.bin"},
}


async def service(
    on_attempt: Callable[[DownloadAttempt], object] | None = None,
    **settings: Any,  # Any: of DownloadConfig
) -> tuple[DownloadService, list[DownloadAttempt]]:
    """Return a service, and where its attempts are noted."""
    attempts: list[DownloadAttempt] = []

    def note(attempt: DownloadAttempt) -> None:
        attempts.append(attempt)
        if on_attempt is not None:
            on_attempt(attempt)

    quick = {"max_attempts": 5, "retry_pause": 0.001, "stall_timeout": 0.2, "max_size": len(BODY)}
    config = await asyncio.to_thread(lambda: DownloadConfig(**(quick | settings)))  # it looks for a file
    return DownloadService(config, on_attempt=note), attempts


@pytest.mark.parametrize("fault", TRANSIENT)
async def test_what_can_succeed_later_is_tried_again(server: Server, target: Path, fault: str) -> None:
    url = server.add(PATH, **TRANSIENT[fault])

    def mend(attempt: DownloadAttempt) -> None:
        if attempt.number == 2:
            server.add(PATH, body=BODY)

    downloads, attempts = await service(mend)
    result = await downloads.download(url, target, sha256=digest(BODY))
    assert (target.read_bytes(), result.sha256) == (BODY, digest(BODY))
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert [attempt.error is None for attempt in attempts] == [False, False, True]
    assert len(server.requests) == 3
    assert entries(target.parent) == ["model.bin"]


@pytest.mark.parametrize("fault", PERMANENT)
async def test_what_cannot_is_not(server: Server, target: Path, fault: str) -> None:
    url = server.add(PATH, **PERMANENT[fault])
    downloads, attempts = await service()
    with pytest.raises(DownloadException) as refused:
        await downloads.download(url, target, sha256=digest(BODY))
    assert (refused.value.attempts, len(server.requests)) == (1, 1)
    assert [(attempt.number, attempt.error, attempt.pause) for attempt in attempts] == [(1, refused.value, None)]
    assert entries(target.parent) == []


@pytest.mark.parametrize("max_attempts", [1, 5])
async def test_other_bytes_are_asked_for_once_more_and_then_refused(
    server: Server, target: Path, max_attempts: int
) -> None:
    url = server.add(PATH, body=BODY[::-1])
    downloads, attempts = await service(max_attempts=max_attempts)
    with pytest.raises(ChecksumMismatchException) as refused:
        await downloads.download(url, target, sha256=digest(BODY))
    assert (refused.value.attempts, len(server.requests)) == (2, 2)
    assert [(attempt.number, attempt.pause) for attempt in attempts] == [(1, 0.0), (2, None)]
    assert entries(target.parent) == []


async def test_bytes_that_were_damaged_on_their_way_are_asked_for_once_more(server: Server, target: Path) -> None:
    url = server.add(PATH, body=BODY[::-1])
    downloads, _ = await service(lambda _: server.add(PATH, body=BODY), max_attempts=1)
    result = await downloads.download(url, target, sha256=digest(BODY))
    assert (target.read_bytes(), result.bytes_fetched, len(server.requests)) == (BODY, 2 * len(BODY), 2)
    server.add(PATH, body=BODY[::-1])
    assert await downloads.read(url, sha256=digest(BODY), max_size=len(BODY)) == BODY


async def test_a_break_after_other_bytes_is_tried_again_within_the_budget(server: Server, target: Path) -> None:
    url = server.add(PATH, body=BODY[::-1])
    then: list[dict[str, Any]] = [{"status": 503}, {"body": BODY}, {"status": 404}]  # Any: arguments of Server.add
    downloads, attempts = await service(lambda _: server.add(PATH, **then.pop(0)))
    await downloads.download(url, target, sha256=digest(BODY))
    assert [type(attempt.error) for attempt in attempts] == [
        ChecksumMismatchException,
        DownloadStatusException,
        type(None),
    ]
    assert entries(target.parent) == ["model.bin"]


async def test_attempts_are_bounded_and_the_error_says_how_many_there_were(server: Server, target: Path) -> None:
    url = server.add(PATH, status=503)
    downloads, attempts = await service(max_attempts=3)
    with pytest.raises(DownloadStatusException) as refused:
        await downloads.download(url, target)
    assert (refused.value.attempts, refused.value.status, len(server.requests)) == (3, 503, 3)
    assert refused.value.__notes__[0].startswith("That was attempt 3, ")
    pauses = [attempt.pause for attempt in attempts]
    assert pauses[-1] is None
    assert all(pause is not None and 0 <= pause <= 0.001 * 2**number for number, pause in enumerate(pauses[:-1]))


async def test_pauses_are_spread_by_chance_over_all_of_what_they_may_be(server: Server) -> None:
    url = server.add(PATH, status=500)
    downloads, attempts = await service(max_attempts=2, retry_pause=0.01)
    for _ in range(30):
        with pytest.raises(DownloadStatusException):
            await downloads.read(url, max_size=10)
    pauses = [attempt.pause for attempt in attempts if attempt.pause is not None]
    assert len(pauses) == 30
    assert min(pauses) < 0.004
    assert max(pauses) > 0.006


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_server_that_asks_for_time_is_given_it(server: Server, target: Path, form: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=31)
    server.add(PATH, status=429, headers={"Retry-After": "30" if form == "seconds" else format_datetime(moment)})

    def leave(_: DownloadAttempt) -> None:
        raise InterruptedError

    downloads, attempts = await service(leave)
    with pytest.raises(InterruptedError):
        await downloads.download(server.url(PATH), target)
    assert attempts[0].pause is not None
    assert 28 < attempts[0].pause < 32


async def test_a_server_that_asks_for_more_time_than_there_is_is_not_waited_for(server: Server, target: Path) -> None:
    url = server.add(PATH, status=503, headers={"Retry-After": "3600"})
    downloads, attempts = await service(retry_timeout=60)
    with pytest.raises(DownloadStatusException) as refused:
        await downloads.download(url, target)
    assert (refused.value.retry_after, refused.value.attempts, attempts[0].pause) == (3600, 1, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 1999 23:59:59", 0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("9" * 30, None),
        ("Fri, 31 Dec 99999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 1999 23:59:59 +99999999999999", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value) == seconds


async def test_nobody_listening_is_tried_again_too(unused_tcp_port: int, target: Path) -> None:
    downloads, attempts = await service(max_attempts=3)
    with pytest.raises(DownloadInterruptedException) as refused:
        await downloads.download(f"http://127.0.0.1:{unused_tcp_port}/a", target)
    assert (refused.value.attempts, len(attempts)) == (3, 3)
    assert isinstance(refused.value.__cause__, OSError)


async def test_a_small_body_is_read_again_too(server: Server) -> None:
    url = server.add(PATH, body=BODY, drop_after=5)
    downloads, _ = await service(lambda _: server.add(PATH, body=BODY))
    assert await downloads.read(url, max_size=len(BODY)) == BODY


async def test_a_pause_is_cut_short_by_a_cancellation(server: Server, target: Path) -> None:
    server.add(PATH, status=503, headers={"Retry-After": "60"})
    waiting = asyncio.Event()
    downloads, _ = await service(lambda _: waiting.set())
    async with downloads:
        task = asyncio.create_task(downloads.download(server.url(PATH), target))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert entries(target.parent) == []


@pytest.mark.parametrize("error", [ChecksumMismatchException, DownloadTooLargeException])
def test_wrong_bytes_are_never_retryable(error: type[DownloadException]) -> None:
    assert error.retryable is False


async def test_the_log_has_a_line_for_each_attempt_and_no_secret(
    server: Server, target: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(PATH, status=503)
    downloads, _ = await service(max_attempts=2)
    with caplog.at_level(logging.DEBUG, logger="kamiwaza_sdk.download"), pytest.raises(DownloadStatusException):
        await downloads.download(server.url(PATH).replace("//", "//user:hidden@") + "?sig=hidden", target)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" at ")[0] for line in lines] == ["Attempt 1", "Attempt 2"]
    assert "trying again in" in lines[0]
    assert "hidden" not in "".join(lines)
