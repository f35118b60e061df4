"""Whatever a server does, in whatever order: the right bytes or a typed error, and nothing else under the name."""

import asyncio
import hashlib
import itertools
import time
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadService,
)
from kamiwaza_sdk.testing import (
    Changed,
    Chunked,
    Compressed,
    Delay,
    Fault,
    FaultyServer,
    FlipBit,
    GeneratedBody,
    HangUp,
    Headers,
    IgnoreRange,
    NoLength,
    Rate,
    Redirect,
    Reset,
    SlowHead,
    Stall,
    Status,
    Step,
    Trickle,
    Truncate,
    WrongContentRange,
    WrongLength,
)
from tests.download.helpers import entries, visible
from tests.effort import effort

MIB: Final = 1024**2
#: Goes through the ring into the file; the larger one takes the connection over as well.
SMALL, LARGE = GeneratedBody(3 * MIB), GeneratedBody(36 * MIB)
CONFIG: Final = DownloadConfig(
    max_connections=1, max_attempts=4, retry_pause=0.001, retry_timeout=20, stall_timeout=0.3
)
#: Each attempt may ask for the rest and then, where that cannot be had, for all, and each may stall.
BUDGET: Final = CONFIG.max_attempts * 2
SECONDS: Final = 20.0
SAME_ETAG: Final = Headers({"ETag": '"same"', "Last-Modified": None})
WEAK_ETAG: Final = Headers({"ETag": 'W/"weak"', "Last-Modified": None})
NO_VALIDATORS: Final = Headers({"ETag": None, "Last-Modified": None})
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server() -> Generator[FaultyServer]:
    with FaultyServer() as server:
        server.add("/small", body=SMALL)
        server.add("/large", body=LARGE)
        yield server


def faults(size: int, *, digest: bool) -> st.SearchStrategy[Fault]:
    """Return what can go wrong; without a digest only what can be found out: the server's word counts then."""
    offsets = st.integers(0, size)
    found_out: list[st.SearchStrategy[Fault]] = [
        st.sampled_from([503, 429, 500, 416, 404]).map(Status),
        st.builds(Status, st.just(503), retry_after=st.just(0)),
        st.builds(Truncate, offsets),
        st.builds(Reset, offsets),
        st.builds(Stall, offsets),
        st.builds(WrongContentRange, shift=st.sampled_from([-1, 1, 4096, -MIB])),
        st.builds(WrongContentRange, total=st.sampled_from([0, size - 1, size + 1])),
        st.sampled_from(
            [
                HangUp(),
                IgnoreRange(),
                WrongLength(by=1),
                WrongLength(by=MIB),
                Chunked(),
                Compressed(),
                Changed(),
                Redirect("/small" if size == SMALL.size else "/large"),
                Redirect("/nowhere"),
                Delay(0.05),
                SlowHead(0.05),
                Trickle(size // 8, every=0.01),
                Rate(400 * MIB),
                WEAK_ETAG,
                NO_VALIDATORS,
                Headers({"Content-Length": "nonsense"}),
                Headers({"Content-Range": None}),
            ]
        ),
    ]
    trusted: list[st.SearchStrategy[Fault]] = [
        st.builds(FlipBit, st.integers(0, size - 1)),
        st.sampled_from([WrongLength(by=-1), WrongLength(by=-MIB), NoLength(), SAME_ETAG]),
    ]
    return st.one_of(found_out + trusted if digest else found_out)


def scripts(size: int, *, digest: bool) -> st.SearchStrategy[list[Step]]:
    """Return up to six requests' faults, one or two each."""
    one = faults(size, digest=digest)
    return st.lists(st.one_of(one, st.tuples(one, one), st.none()), max_size=6)


def _run(server: FaultyServer, body: GeneratedBody, script: list[Step], *, digest: bool) -> None:
    """Download until the script is at its end, and once more, and look at what is there each time."""
    path = f"/m{next(_numbers)}"
    server.add(path, body=body, faults=script)
    versions = {version.sha256() for version in (body, *map(body.changed, range(1, 2 * len(script) + 1)))}
    demanded = body.sha256() if digest else None
    with TemporaryDirectory() as directory:
        target = Path(directory, "model.bin")
        target.write_bytes(b"as it was")
        for _ in script:
            if _comes(server, path, target, versions=versions, demanded=demanded):
                return
        # Each call took some of the script, so nothing is left of it.
        comes = _comes(server, path, target, versions=versions, demanded=demanded)
        assert comes == (demanded in {None, server.sha256(path)})


def _comes(server: FaultyServer, path: str, target: Path, *, versions: set[str], demanded: str | None) -> bool:
    """Return whether it does; if not, all is as it was."""
    before, started = len(server.requests_to(path)), time.monotonic()
    try:
        result = asyncio.run(DownloadService(CONFIG).download(server.url(path), target, sha256=demanded))
    except DownloadException as error:
        assert (target.read_bytes(), visible(target.parent)) == (b"as it was", ["model.bin"])
        assert error.attempts <= CONFIG.max_attempts  # noqa: PT017 - there may be none, too
        return False
    else:
        assert _sha256(target) == result.sha256
        assert result.sha256 in (versions if demanded is None else {demanded})
        assert entries(target.parent) == ["model.bin"]
        return True
    finally:
        assert len(server.requests_to(path)) - before <= BUDGET
        assert time.monotonic() - started <= SECONDS


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@settings(max_examples=effort(15, 50), deadline=None, suppress_health_check=list(HealthCheck))
@given(script=scripts(SMALL.size, digest=True))
@example(script=[Truncate(at=2 * MIB), (SAME_ETAG, Changed())])
def test_any_sequence_where_the_digest_is_demanded(server: FaultyServer, script: list[Step]) -> None:
    """It ends in these bytes, or says why not."""
    _run(server, SMALL, script, digest=True)


@settings(max_examples=effort(15, 50), deadline=None, suppress_health_check=list(HealthCheck))
@given(script=scripts(SMALL.size, digest=False))
@example(script=[Truncate(at=2 * MIB), Changed()])
@example(script=[(Truncate(at=2 * MIB), WEAK_ETAG), (Changed(), WEAK_ETAG)])
@example(script=[(Truncate(at=2 * MIB), Chunked()), (Changed(), Truncate(at=MIB)), Changed()])
def test_any_sequence_where_it_is_not(server: FaultyServer, script: list[Step]) -> None:
    """It ends in all bytes of one content, never in some of each, or says why not."""
    _run(server, SMALL, script, digest=False)


@pytest.mark.parametrize("digest", [True, False])
def test_any_sequence_of_a_large_body(server: FaultyServer, *, digest: bool) -> None:
    """The same where the connection is taken over."""

    @settings(max_examples=effort(4, 8), deadline=None, suppress_health_check=list(HealthCheck))
    @given(script=scripts(LARGE.size, digest=digest))
    @example(script=[Truncate(at=34 * MIB), Reset(at=0), Stall(at=MIB)])
    @example(script=[Reset(at=20 * MIB), Changed()])
    @example(script=[Stall(at=33 * MIB), Status(416), WrongContentRange(shift=1)])
    def run(script: list[Step]) -> None:
        _run(server, LARGE, script, digest=digest)

    run()


@pytest.mark.parametrize("always", [(), SAME_ETAG, WEAK_ETAG, NO_VALIDATORS], ids=["etag", "same", "weak", "none"])
@pytest.mark.parametrize(
    ("rest", "requests"),
    [
        (None, 2),
        (IgnoreRange(), 2),
        (Status(416), 3),
        (WrongContentRange(shift=1), 3),
        (WrongContentRange(total=17), 3),
        (Headers({"Content-Range": None}), 3),
        ((Headers({"Content-Range": f"bytes 0-{3 * MIB - 1}/{3 * MIB}"}), Chunked()), 3),
        ((Headers({"Content-Range": "bytes 0-0/1"}), FlipBit(3 * MIB - 1)), 3),
        (FlipBit(3 * MIB - 1), 3),
        (Chunked(), 2),
        (Status(503), 3),
    ],
)
def test_the_rest_cannot_be_had_as_asked(
    faulty_server: FaultyServer, tmp_path: Path, *, always: Fault | tuple[Fault, ...], rest: Step, requests: int
) -> None:
    """After a broken connection whatever the server says of the rest, the demanded bytes come, in so many requests."""
    url = faulty_server.add("/m", body=SMALL, faults=[Truncate(at=2 * MIB + 1), rest], always=always)
    target = tmp_path / "model.bin"
    result = asyncio.run(DownloadService(CONFIG).download(url, target, sha256=SMALL.sha256()))
    assert target.read_bytes() == SMALL.read()
    assert len(faulty_server.requests) == requests
    assert (result.size or 0) == SMALL.size


def test_other_content_under_the_same_etag_is_found_out(faulty_server: FaultyServer, tmp_path: Path) -> None:
    """A rest that fits by its headers and not by its bytes is given up with what was there, and said to be wrong."""
    script: list[Step] = [Truncate(at=2 * MIB + 1), Changed()]
    url = faulty_server.add("/m", body=SMALL, faults=script, always=SAME_ETAG)
    target = tmp_path / "model.bin"
    with pytest.raises(ChecksumMismatchException) as refused:
        asyncio.run(DownloadService(CONFIG).download(url, target, sha256=SMALL.sha256()))
    assert refused.value.actual == faulty_server.sha256("/m")
    assert [name for name in entries(tmp_path) if name != "work"] == []
    assert [request.status for request in faulty_server.requests] == [200, 206, 200]
