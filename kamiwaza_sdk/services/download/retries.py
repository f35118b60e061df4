"""Retries: which statuses are retried, after which pause, and within which budget of attempts and seconds."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, TypeVar

from kamiwaza_sdk.services.download.exceptions import (
    ChecksumMismatchException,
    DownloadException,
    DownloadStatusException,
)

if TYPE_CHECKING:
    from kamiwaza_sdk.services.download.config import DownloadConfig
    from kamiwaza_sdk.services.download.schemas import AttemptCallback


#: The statuses below 500 that can be another one later; from 500 on, all can.
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_LOG: Final = logging.getLogger("kamiwaza_sdk.download")
_LONGEST_PAUSE: Final = 30.0
#: More digits than that are no wait that anybody means.
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_T = TypeVar("_T")


def is_transient(status: int) -> bool:
    """Return whether a request whose answer has this status is tried again."""
    return status in _TRANSIENT_STATUSES or status >= _SERVER_ERROR


class Attempts:
    """The attempts at one file.

    The pause before the next is random, between nothing and a limit that doubles each time ("full jitter": Marc
    Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). What the server asks for comes on top.

    Args:
        config: The budget.
        url: What is asked for, redacted.
        on_attempt: Told of each attempt when it is over. What it raises ends the download.
    """

    def __init__(self, config: "DownloadConfig", *, url: str, on_attempt: "AttemptCallback | None") -> None:
        self._config = config
        self._url = url
        self._on_attempt = on_attempt
        self._began = time.monotonic()
        self._number = 0
        self._was_wrong = False

    async def run(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Return what an attempt returns, or raise what the last one raised.

        Raises:
            DownloadException: It cannot succeed later, or the budget is used up. `attempts` says how many there were.
        """
        while True:
            self._number += 1
            started = time.monotonic()
            try:
                result = await attempt()
            except DownloadException as error:
                pause = self._pause(error)
                self._tell(started, error, pause)
                if pause is None:
                    raise self._last(error) from error.__cause__
            else:
                self._tell(started, None, None)
                return result
            await asyncio.sleep(pause)

    def take_back(self) -> None:
        """Let the last attempt, with which another part of the transfer goes on, count once."""
        self._number -= 1

    def _pause(self, error: DownloadException) -> float | None:
        """Return how long to wait before the next attempt, `None` where there is to be none.

        A body with another digest than expected may have been damaged on its way, or by one of several servers: it is
        asked for once more, whatever the budget.
        """
        if isinstance(error, ChecksumMismatchException) and not self._was_wrong:
            self._was_wrong = True
            return 0.0
        if not error.retryable or self._number >= self._config.max_attempts:
            return None
        limit = min(self._config.retry_pause * 2 ** (self._number - 1), _LONGEST_PAUSE)
        pause = random.uniform(0, limit)  # noqa: S311 - spreads load, and keeps no secret
        if isinstance(error, DownloadStatusException) and error.retry_after is not None:
            pause += error.retry_after
        spent = time.monotonic() - self._began
        return pause if spent + pause <= self._config.retry_timeout else None

    def _tell(self, started: float, error: DownloadException | None, pause: float | None) -> None:
        if self._on_attempt is None and not _LOG.isEnabledFor(logging.DEBUG):
            return
        from kamiwaza_sdk.services.download.schemas import DownloadAttempt  # Pydantic: not for who wants a date only

        attempt = DownloadAttempt(
            url=self._url, number=self._number, seconds=time.monotonic() - started, error=error, pause=pause
        )
        outcome = "succeeded" if error is None else f"failed ({error})"
        then = "" if pause is None else f"; trying again in {pause:.2f} s"
        _LOG.debug("Attempt %d at %s %s after %.3f s%s", attempt.number, self._url, outcome, attempt.seconds, then)
        if self._on_attempt is not None:
            self._on_attempt(attempt)

    def _last(self, error: DownloadException) -> DownloadException:
        error.attempts = self._number
        if self._number > 1:
            error.add_note(f"That was attempt {self._number}, {time.monotonic() - self._began:.1f} s after the first.")
        return error


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait, whichever form it has (RFC 9110, section 10.2.3)."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = parse_date(text)
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def parse_date(text: str) -> datetime | None:
    """Return the moment that a header names (RFC 9110, section 5.6.7), naive without a zone; `None` if it is none."""
    try:
        return parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter of a year or a zone too large
        return None
