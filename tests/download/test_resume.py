"""Going on where an earlier download broke off: only with the same content, and never mixing two."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadResult,
    DownloadService,
    DownloadTooLargeException,
    SizeMismatchException,
)
from kamiwaza_sdk.sources import Validators
from kamiwaza_sdk.testing import (
    Changed,
    Chunked,
    Fault,
    FaultyServer,
    GeneratedBody,
    Headers,
    IgnoreRange,
    Rate,
    Redirect,
    Reset,
    Status,
    Step,
    Truncate,
    WrongContentRange,
)
from tests.download.helpers import digest, entries, visible

if TYPE_CHECKING:
    from kamiwaza_sdk.types import DownloadProgress

MIB = 1024**2
BODY = GeneratedBody(9 * MIB, seed=1)
WHOLE = BODY.read(0, BODY.size)
SHA256 = digest(WHOLE)
BROKEN = Truncate(at=7 * MIB)
AGAIN = {"max_attempts": 2, "retry_pause": 0.0}
NO_ETAG = {"ETag": None, "Last-Modified": None}
WEAK = {"ETag": 'W/"1"', "Last-Modified": None}
DATED = {"ETag": None, "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


async def break_off(downloads: DownloadService, url: str, target: Path, *, sha256: str | None = None) -> None:
    with pytest.raises(DownloadInterruptedException):
        await downloads.download(url, target, sha256=sha256)
    assert visible(target.parent) == []


def check(result: DownloadResult, target: Path, body: bytes = WHOLE) -> None:
    assert (result.sha256, result.size, result.path) == (digest(body), len(body), target)
    assert target.read_bytes() == body
    assert entries(target.parent) == [target.name]


async def test_a_date_that_nobody_can_reckon_with_is_none(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """And whatever comes of it, the right to bring the file is given back."""
    odd = {"ETag": None, "Last-Modified": "Mon, 01 Jan 99999999999 00:00:00 GMT"}
    url = faulty_server.add("/m", body=BODY, headers=odd, faults=[BROKEN])
    await break_off(downloads, url, target)
    async with asyncio.timeout(10):
        check(await downloads.download(url, target), target)


@pytest.mark.parametrize("end", [Truncate(at=0), Reset(at=0)])
async def test_an_answer_that_breaks_off_while_the_old_is_thrown_away_is_tried_again(
    end: Fault, faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    """All of a changed file is sent, large enough to be received without a stream."""
    body, changed = GeneratedBody(40 * MIB), GeneratedBody(40 * MIB, seed=2)
    faults: list[Step] = [Truncate(at=8 * MIB), (Changed(changed.read()), end), Changed(changed.read())]
    url = faulty_server.add("/m", body=body, faults=faults)
    patient = config.model_copy(update={**AGAIN, "max_attempts": 3})
    check(await DownloadService(patient).download(url, target), target, changed.read())


@pytest.mark.parametrize("headers", [{}, {"Connection": "close"}])
async def test_a_large_body_that_has_come_before_it_is_looked_at_needs_nothing_more(
    headers: dict[str, str],
    faulty_server: FaultyServer,
    config: DownloadConfig,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a disk slower than the network, with room for little: its connection may serve another request already."""
    write, held_up = os.pwrite, threading.Event()

    def slow_write(descriptor: int, data: bytes, offset: int) -> int:
        held_up.wait(0.02)  # never set
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slow_write)
    body, changed = GeneratedBody(40 * MIB), GeneratedBody(40 * MIB, seed=2)
    faults: list[Step] = [Truncate(at=8 * MIB), (Changed(changed.read()), Headers({**headers}))]
    url = faulty_server.add("/m", body=body, faults=faults)
    tight = config.model_copy(update={**AGAIN, "stall_timeout": 5, "buffer_size": MIB})
    async with DownloadService(tight) as downloads:
        check(await downloads.download(url, target), target, changed.read())
        async with asyncio.timeout(4):
            assert await downloads.read(faulty_server.add("/small", body=b"small"), max_size=9) == b"small"
    assert len(faulty_server.requests) == 3


@pytest.mark.parametrize(
    ("headers", "sha256"), [({}, None), ({}, SHA256), (DATED, None), (NO_ETAG, SHA256), (WEAK, SHA256)]
)
async def test_the_rest_is_asked_for_where_it_must_be_of_the_same_content(
    headers: dict[str, str | None],
    sha256: str | None,
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
) -> None:
    url = faulty_server.add("/m", body=BODY, headers=headers, faults=[BROKEN])
    await break_off(downloads, url, target, sha256=sha256)
    result = await downloads.download(url, target, sha256=sha256)
    check(result, target)
    assert result.bytes_reused + result.bytes_fetched == BODY.size
    assert result.bytes_fetched < 5 * MIB


@pytest.mark.parametrize("headers", [NO_ETAG, WEAK])
async def test_nothing_is_kept_of_what_could_not_be_told_from_another_content(
    headers: dict[str, str | None], faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, headers=headers, faults=[BROKEN])
    await break_off(downloads, url, target)
    assert entries(target.parent) == []
    result = await downloads.download(url, target)
    assert (result.bytes_fetched, result.bytes_reused) == (BODY.size, 0)


async def test_a_modification_just_before_the_answer_is_no_strong_validator(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    headers = {"ETag": None, "Last-Modified": "Tue, 02 Jan 2024 10:00:00 GMT", "Date": "Tue, 02 Jan 2024 10:00:30 GMT"}
    url = faulty_server.add("/m", body=BODY, headers=headers, faults=[BROKEN])
    await break_off(downloads, url, target)
    assert entries(target.parent) == []


async def test_a_retry_goes_on_too(faulty_server: FaultyServer, config: DownloadConfig, target: Path) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN, Reset(at=1 * MIB), Status(503)])
    patient = config.model_copy(update={"max_attempts": 5, "retry_pause": 0.0})
    result = await DownloadService(patient).download(url, target)
    check(result, target)
    assert (result.bytes_reused, result.bytes_fetched) == (0, BODY.size)
    assert [request.headers.get("range") is not None for request in faulty_server.requests] == [False, True, True, True]


@pytest.mark.parametrize(
    "fault",
    [
        IgnoreRange(),
        WrongContentRange(shift=1),
        WrongContentRange(total=BODY.size + 1),
        Headers({"Content-Range": None}),
        Headers({"Content-Range": "bytes 0-9/*"}),
        Headers({"Content-Range": "nonsense"}),
        Headers({"ETag": '"another"'}),
        Status(416),
    ],
)
async def test_a_server_that_does_not_give_the_rest_is_asked_for_all(
    fault: Fault, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN, fault])
    await break_off(downloads, url, target)
    result = await downloads.download(url, target)
    check(result, target)
    assert (result.bytes_reused, result.bytes_fetched >= BODY.size) == (0, True)
    assert len(faulty_server.requests) <= 3


async def test_content_that_changed_meanwhile_is_taken_whole(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    other = GeneratedBody(8 * MIB, seed=2)
    faulty_server.add("/m", body=other)
    check(await downloads.download(url, target), target, other.read(0, other.size))


async def test_an_answer_that_brought_nothing_names_no_content_that_came_later(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    other = GeneratedBody(8 * MIB, seed=2)
    url = faulty_server.add("/m", body=BODY, faults=[Truncate(at=0), Changed(other.read(0, other.size))])
    result = await DownloadService(config.model_copy(update=AGAIN)).download(url, target)
    check(result, target, other.read(0, other.size))
    unchanged = await DownloadService(config).download(url, target, validators=result.validators)
    assert unchanged.not_modified


async def test_the_digest_is_of_the_whole_where_only_the_rest_is_small(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    body = WHOLE[: MIB // 2]
    url = faulty_server.add("/m", body=body, faults=[(Chunked(), Truncate(at=MIB // 4))])
    result = await DownloadService(config.model_copy(update=AGAIN)).download(url, target)
    check(result, target, body)
    assert len(faulty_server.requests) == 2


async def test_a_part_of_nobody_knows_how_much_is_not_taken_for_all_of_the_rest(
    faulty_server: FaultyServer, config: DownloadConfig, target: Path
) -> None:
    start, end = 7 * MIB, 8 * MIB
    said = Headers({"Content-Range": f"bytes {start}-{end - 1}/*", "Content-Length": f"{end - start}"})
    short = (said, Truncate(at=end - start))
    url = faulty_server.add("/m", body=BODY, faults=[(Chunked(), BROKEN), short])
    check(await DownloadService(config.model_copy(update=AGAIN)).download(url, target), target)


@pytest.mark.parametrize("faults", [[BROKEN], [BROKEN, Changed()]])
async def test_content_that_changed_behind_one_name_is_found_out_by_its_digest(
    faults: list[Fault], faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    """The first part is of another content under the same ETag: all is asked for once more."""
    url = faulty_server.add("/m", body=GeneratedBody(9 * MIB, seed=3), headers={"ETag": '"1"'}, faults=faults)
    await break_off(downloads, url, target, sha256=SHA256)
    faulty_server.add("/m", body=BODY, headers={"ETag": '"1"'})
    check(await downloads.download(url, target, sha256=SHA256), target)


async def test_content_that_is_wrong_as_a_whole_is_refused_and_nothing_is_kept(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target, sha256="0" * 64)
    with pytest.raises(ChecksumMismatchException):
        await downloads.download(url, target, sha256="0" * 64)
    assert entries(target.parent) == []


async def test_another_digest_is_another_content(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target, sha256="0" * 64)
    result = await downloads.download(url, target, sha256=SHA256)
    check(result, target)
    assert result.bytes_reused == 0


async def test_a_mirror_gives_the_rest_of_what_a_digest_names(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    await break_off(downloads, faulty_server.add("/m", body=BODY, faults=[BROKEN]), target, sha256=SHA256)
    mirror = faulty_server.another_origin().add("/copy", body=BODY, headers={"ETag": '"of the mirror"'})
    result = await downloads.download(mirror, target, sha256=SHA256)
    check(result, target)
    assert result.bytes_fetched < 5 * MIB
    assert (result.final_url, result.validators.etag) == (mirror, '"of the mirror"')


async def test_who_waited_for_another_address_is_not_told_its_validators(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    first = faulty_server.add("/m", body=BODY, headers={"ETag": '"first"'}, always=Rate(9 * MIB))
    mirror = faulty_server.another_origin().add("/copy", body=BODY)
    leader = downloads.start(first, target, sha256=SHA256)
    async for progress in leader:
        if progress.received:
            break
    result = await downloads.download(mirror, target, sha256=SHA256)
    await leader
    assert (result.final_url, result.validators.etag, result.bytes_fetched) == (mirror, None, 0)


@pytest.mark.parametrize(("size", "max_size"), [(None, MIB), (MIB, None)])
async def test_a_demand_refused_before_a_byte_travels_costs_nothing_of_what_is_here(
    size: int | None,
    max_size: int | None,
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    with pytest.raises((DownloadTooLargeException, SizeMismatchException)):
        await downloads.download(url, target, size=size, max_size=max_size)
    result = await downloads.download(url, target)
    check(result, target)
    assert result.bytes_reused >= 4 * MIB


async def test_another_address_is_another_content_without_a_digest(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    await break_off(downloads, faulty_server.add("/m", body=BODY, faults=[BROKEN]), target)
    result = await downloads.download(faulty_server.add("/copy", body=BODY), target)
    check(result, target)
    assert result.bytes_reused == 0


@pytest.mark.parametrize("answer", [Status(404), Status(200), Redirect("ftp://127.0.0.1/m")])
async def test_another_address_that_brings_nothing_costs_nothing_of_what_is_here(
    answer: Fault, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    left = entries(target.parent)
    with pytest.raises(DownloadException):
        await downloads.download(faulty_server.add("/copy", always=answer), target, size=BODY.size)
    assert entries(target.parent) == left
    result = await downloads.download(url, target)
    check(result, target)
    assert result.bytes_reused >= 4 * MIB


async def die_before_it_has_its_name(
    downloads: DownloadService, url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bring all of the file but for its name, which a digest says."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "as if it had died here")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", refuse)
        with pytest.raises(DownloadException):
            await downloads.download(url, target, sha256=SHA256)


async def test_a_file_whose_last_byte_is_here_needs_no_request_but_a_name(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = faulty_server.add("/m", body=BODY)
    await die_before_it_has_its_name(downloads, url, target, monkeypatch)
    seen: list[DownloadProgress] = []
    result = await downloads.download(url, target, sha256=SHA256, progress=seen.append)
    assert [(progress.received, progress.reused) for progress in seen] == [(BODY.size, BODY.size)]
    check(result, target)
    assert (result.bytes_fetched, result.bytes_reused, len(faulty_server.requests)) == (0, BODY.size, 1)
    assert result.validators.etag is not None


@pytest.mark.parametrize(
    ("size", "max_size", "error"), [(None, MIB, DownloadTooLargeException), (MIB, None, SizeMismatchException)]
)
async def test_a_file_whose_last_byte_is_here_gets_no_name_against_a_demand(
    *,
    size: int | None,
    max_size: int | None,
    error: type[DownloadException],
    faulty_server: FaultyServer,
    downloads: DownloadService,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = faulty_server.add("/m", body=BODY)
    await die_before_it_has_its_name(downloads, url, target, monkeypatch)
    with pytest.raises(error):
        await downloads.download(url, target, sha256=SHA256, size=size, max_size=max_size)
    assert visible(target.parent) == []
    result = await downloads.download(url, target, sha256=SHA256)
    check(result, target)
    assert (result.bytes_reused, len(faulty_server.requests)) == (BODY.size, 1)


async def test_a_file_with_the_digest_at_the_path_is_the_result(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    target.write_bytes(WHOLE)
    result = await downloads.download(faulty_server.add("/m", body=BODY), target, sha256=SHA256)
    check(result, target)
    assert (result.bytes_fetched, result.bytes_reused, faulty_server.requests) == (0, BODY.size, [])


async def test_a_file_that_may_not_be_read_is_replaced(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just as it is where no digest is given: only the directory says who may."""
    target.write_bytes(b"somebody else's")

    opened, refused = Path.open, list[Path]()

    def refuse(self: Path, *arguments: Any, **keywords: Any) -> Any:
        if self == target and not refused:
            refused.append(self)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(self, *arguments, **keywords)

    url = faulty_server.add("/m", body=BODY)
    monkeypatch.setattr(Path, "open", refuse)  # as root would not be
    result = await downloads.download(url, target, sha256=SHA256)
    check(result, target)
    assert refused == [target]


async def test_a_file_with_another_digest_at_the_path_is_replaced(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    target.write_bytes(WHOLE[:-1] + b"?")
    check(await downloads.download(faulty_server.add("/m", body=BODY), target, sha256=SHA256), target)


async def test_validators_are_asked_about_before_the_rest(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, headers={"ETag": '"1"'}, faults=[BROKEN])
    await break_off(downloads, url, target)
    result = await downloads.download(url, target, validators=Validators(etag='"1"'))
    assert result.not_modified
    assert visible(target.parent) == []


async def test_a_signed_address_is_not_kept_in_clear(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, f"{url}?signature=secret", target)
    (journal,) = target.parent.glob("*.journal")
    assert b"secret" not in journal.read_bytes()
    assert json.loads(journal.read_text().splitlines()[0])["size"] == BODY.size


@pytest.mark.parametrize("damage", ["torn", "empty", "binary", "later version", "gone", "wrong digest", "longer"])
async def test_a_damaged_journal_costs_bytes_but_never_the_content(
    damage: str, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    (journal,) = target.parent.glob("*.journal")
    text = journal.read_bytes()
    match damage:
        case "torn":
            journal.write_bytes(text[:-9])
        case "empty":
            journal.write_bytes(b"")
        case "binary":
            journal.write_bytes(bytes(range(256)))
        case "later version":
            journal.write_bytes(text.replace(b'"version":1', b'"version":2'))
        case "gone":
            journal.unlink()
        case "wrong digest":
            journal.write_bytes(text[:-8] + b"0000000\n")
        case _:
            journal.write_bytes(text + b"99999999 " + b"0" * 64 + b"\n")
    check(await downloads.download(url, target), target)


@pytest.mark.parametrize("at", [0, 1, 4 * MIB - 1, 4 * MIB])
async def test_a_damaged_byte_costs_what_follows_the_last_line_before_it(
    at: int, faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    (partial,) = target.parent.glob("*.partial")
    with partial.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    result = await downloads.download(url, target)
    check(result, target)
    assert result.bytes_reused <= at


async def test_the_directory_can_be_moved_to_another_place(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    moved = target.parent.rename(target.parent.with_name("elsewhere")) / target.name
    result = await downloads.download(url, moved)
    check(result, moved)
    assert result.bytes_fetched < 5 * MIB


async def test_progress_begins_with_what_is_here(
    faulty_server: FaultyServer, downloads: DownloadService, target: Path
) -> None:
    url = faulty_server.add("/m", body=BODY, faults=[BROKEN])
    await break_off(downloads, url, target)
    download = downloads.start(url, target)
    seen = [progress async for progress in download]
    reused = (await download).bytes_reused
    assert {progress.reused for progress in seen[1:]} == {reused}
    assert (seen[-1].received, seen[-1].finished) == (BODY.size, True)
