"""Stores, files to keep in them, and file systems that are full, read-only, separate or able to share blocks."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageConfig, StorageService
from tests.storage.helpers import no_clone


@pytest.fixture
def store(tmp_path: Path) -> StorageService:
    """A store that nothing was written to yet."""
    return StorageService(StorageConfig(root=tmp_path / "store"))


@pytest.fixture
def no_reflink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave the same whatever file system the tests run on."""
    monkeypatch.setattr(fcntl, "ioctl", no_clone)


@pytest.fixture
def cloning(tmp_path: Path) -> Generator[Path]:
    """A file system whose files can share blocks, for root on Linux with ``mkfs.btrfs``."""
    if shutil.which("mkfs.btrfs") is None or os.geteuid() != 0:
        pytest.skip("needs root and mkfs.btrfs")
    image, place = tmp_path / "btrfs.img", tmp_path / "btrfs"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(256 * 1024**2)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    with ExitStack() as mounted:
        _mount(mounted, place, "-o", "loop", str(image))
        yield place


def _mount(mounted: ExitStack, place: Path, *arguments: str) -> None:
    done = subprocess.run(["mount", *arguments, place], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    mounted.callback(_unmount, place)


def _unmount(place: Path) -> None:
    subprocess.run(["umount", place], check=True)
