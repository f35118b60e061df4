"""Files become durable: on macOS, whose fsync leaves the data in the drive's cache, by flushing the drive."""

import errno
import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kamiwaza_sdk._files import sync, sync_data

#: The number of this command on macOS (sys/fcntl.h).
F_FULLFSYNC = 51


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the system, which says that it is macOS."""
    made: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _, name=name: made.append(name))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", F_FULLFSYNC, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _, command: made.append(f"fcntl {command}"))
    return made


@pytest.mark.parametrize("durable", [sync, sync_data])
def test_the_drive_is_flushed_on_macos(durable: Callable[[int], None], calls: list[str], tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        durable(file.fileno())
    assert calls == [f"fcntl {F_FULLFSYNC}"]


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EIO])
def test_only_what_cannot_flush_its_drive_is_synced_otherwise(
    code: int, calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    with (tmp_path / "file").open("wb") as file:
        if code == errno.EIO:
            with pytest.raises(OSError, match=os.strerror(code)):
                sync(file.fileno())
        else:
            sync(file.fileno())
    assert calls == ([] if code == errno.EIO else ["fsync"])
