"""Whatever a crash leaves of the two files of an unfinished download, the next one ends in the right bytes."""

import asyncio
import errno
import fcntl
import os
import random
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import DownloadConfig, DownloadInterruptedException, DownloadResult, DownloadService
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody, Truncate
from tests.download.helpers import descriptors, digest, entries
from tests.effort import effort

MIB: Final = 1024**2
BODY: Final = GeneratedBody(20 * MIB)
CONTENT: Final = BODY.read()
SHA256: Final = digest(CONTENT)
#: Where the first attempt broke off: a little behind a line of the journal.
BROKEN: Final = 18 * MIB + 12345

#: What is done to the partial file and to the journal, with some chance.
Damage = Callable[[Path, random.Random], None]


def torn(path: Path, chance: random.Random) -> None:
    """Cut something off the end of the last line."""
    os.truncate(path, path.stat().st_size - chance.randint(1, 60))


def truncated(path: Path, chance: random.Random) -> None:
    """Cut it anywhere."""
    os.truncate(path, chance.randint(0, path.stat().st_size))


def lost(path: Path, _: random.Random) -> None:
    path.unlink()


def garbled(path: Path, chance: random.Random) -> None:
    """Put noise in place of it."""
    path.write_bytes(chance.randbytes(chance.randint(0, 10_000)))


def zeroed(path: Path, chance: random.Random) -> None:
    """Put zeros in place of a page, as where a block was never written."""
    with path.open("r+b") as file:
        file.seek(chance.randrange(path.stat().st_size))
        file.write(bytes(4096))


def flipped(path: Path, chance: random.Random) -> None:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def swapped(path: Path, chance: random.Random) -> None:
    """Change the order of the lines."""
    lines = path.read_bytes().splitlines(keepends=True)
    chance.shuffle(lines)
    path.write_bytes(b"".join(lines))


def longer(path: Path, chance: random.Random) -> None:
    """Add noise: bytes that were written and never noted."""
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.randint(1, 6 * MIB)))


def untouched(_path: Path, _chance: random.Random) -> None:
    pass


JOURNAL: Final[list[Damage]] = [torn, truncated, lost, garbled, zeroed, flipped, swapped, longer, untouched]
PARTIAL: Final[list[Damage]] = [truncated, lost, garbled, zeroed, flipped, longer, untouched]


@pytest.fixture(scope="module")
def server() -> Generator[FaultyServer]:
    with FaultyServer() as server:
        server.add("/m", body=BODY)
        yield server


@pytest.fixture(scope="module")
def unfinished(server: FaultyServer) -> Generator[Path]:
    """A directory with what a download leaves that broke off."""
    with TemporaryDirectory() as directory:
        server.add("/m", body=BODY, faults=[Truncate(at=BROKEN)])
        with pytest.raises(DownloadInterruptedException):
            _download(server, Path(directory), sha256=SHA256)
        assert {Path(name).suffix for name in entries(Path(directory))} == {".journal", ".partial"}
        assert _left(Path(directory)) > 15 * MIB
        yield Path(directory)


def _left(directory: Path) -> int:
    """Return how much is there."""
    return next(directory.glob("*.partial")).stat().st_size


def _download(server: FaultyServer, into: Path, *, sha256: str | None) -> DownloadResult:
    downloads = DownloadService(DownloadConfig(max_attempts=1))
    return asyncio.run(downloads.download(server.url("/m"), into / "model.bin", sha256=sha256))


def _finished(server: FaultyServer, into: Path, *, sha256: str | None) -> DownloadResult:
    """Go on with what is there, and see that it comes to the right end."""
    result = _download(server, into, sha256=sha256)
    assert (into / "model.bin").read_bytes() == CONTENT
    assert (result.sha256, entries(into)) == (SHA256, ["model.bin"])
    assert result.bytes_fetched + result.bytes_reused == BODY.size
    return result


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["digest", "etag"])
@settings(max_examples=effort(12, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journal=st.sampled_from(JOURNAL), partial=st.sampled_from(PARTIAL), chance=st.randoms(use_true_random=False))
def test_any_damage(
    server: FaultyServer,
    unfinished: Path,
    *,
    sha256: str | None,
    journal: Damage,
    partial: Damage,
    chance: random.Random,
) -> None:
    """Torn, cut, lost, zeroed, garbled: the bytes are right in the end, and nothing is left beside them."""
    with TemporaryDirectory() as directory:
        shutil.copytree(unfinished, directory, dirs_exist_ok=True)
        for path in sorted(Path(directory).iterdir()):
            {".journal": journal, ".partial": partial}[path.suffix](path, chance)
        _finished(server, Path(directory), sha256=sha256)


@pytest.mark.parametrize(
    ("journal", "partial", "reused"),
    [
        (untouched, untouched, lambda left: left),
        (untouched, longer, lambda left: left),
        (torn, untouched, lambda left: (left - 1) // MIB * MIB),
        (untouched, lost, lambda _: 0),
        (lost, untouched, lambda _: 0),
        (garbled, untouched, lambda _: 0),
    ],
)
def test_no_more_travels_than_has_to(
    server: FaultyServer,
    unfinished: Path,
    tmp_path: Path,
    *,
    journal: Damage,
    partial: Damage,
    reused: Callable[[int], int],
) -> None:
    """What the journal still vouches for is not fetched again."""
    into = tmp_path / "into"
    shutil.copytree(unfinished, into)
    for path in sorted(into.iterdir()):
        {".journal": journal, ".partial": partial}[path.suffix](path, random.Random(0))
    assert _finished(server, into, sha256=SHA256).bytes_reused == reused(_left(unfinished))


@pytest.mark.parametrize("take", [shutil.move, shutil.copytree])
def test_another_machine_takes_the_directory_over(
    server: FaultyServer, unfinished: Path, tmp_path: Path, take: Callable[[Path, Path], object]
) -> None:
    """Moved or copied, the directory has all that it takes to go on."""
    shutil.copytree(unfinished, tmp_path / "here")
    take(tmp_path / "here", tmp_path / "there")
    assert _finished(server, tmp_path / "there", sha256=None).bytes_reused == _left(unfinished)


def test_a_file_system_without_locks_takes_the_directory_over(
    server: FaultyServer, unfinished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun where there are locks is gone on with where there are none, and nothing of either is left."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    shutil.copytree(unfinished, tmp_path / "there")
    monkeypatch.setattr(fcntl, "flock", refuse)
    before = descriptors()
    assert _finished(server, tmp_path / "there", sha256=None).bytes_reused == _left(unfinished)
    assert descriptors() == before
