"""Small files come through memory, many at a time: verified, durable, and whole whatever happens meanwhile."""

import asyncio
import hashlib
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadInterruptedException,
    DownloadService,
    HubService,
    SizeMismatchException,
    StorageConfig,
    StorageFullException,
    StorageService,
)
from kamiwaza_sdk.services.hub.exceptions import GitBlobMismatchException
from kamiwaza_sdk.services.hub.schemas.manifest import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.services.storage import staging
from kamiwaza_sdk.testing import (
    Chunked,
    Compressed,
    Delay,
    Fault,
    FaultyServer,
    FlipBit,
    GeneratedBody,
    HuggingFaceServer,
    NoLength,
    Stall,
    Truncate,
    WrongLength,
)
from tests.effort import effort
from tests.hub.conftest import Asking
from tests.storage.helpers import misnamed

REPOSITORY = Path(__file__).parents[2]
COUNT = 60
CONTENTS = {f"{number:02}.txt": b"file %d\n" % number * 100 for number in range(COUNT)}
MIB = 1024**2


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def serve(server: FaultyServer, always: Fault | tuple[Fault, ...] = ()) -> list[str]:
    return [server.add(f"/m/{name}", body=content, always=always) for name, content in CONTENTS.items()]


def manifest_of(urls: list[str], **more: object) -> ManifestSchema:
    files = [
        ManifestFileSchema(path=name, url=url, size=len(content), sha256=digest(content))
        for (name, content), url in zip(CONTENTS.items(), urls, strict=True)
    ]
    files[7] = files[7].model_copy(update=more)
    return ManifestSchema(source="https://example.org/m/", name="m", files=tuple(files))


def check_kept(storage: StorageService) -> None:
    assert misnamed(storage.root) == []
    for content in CONTENTS.values():
        assert storage.verify(digest(content)).size == len(content)


def staged(storage: StorageService) -> list[Path]:
    return list((storage.root / "staging").glob("**/*"))


async def test_one_look_one_stage_one_sweep_and_one_request_a_file(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer
) -> None:
    urls = serve(faulty_server)
    left = storage.root / "staging"
    left.mkdir(parents=True)
    for number in range(20):
        (left / f"{number:032x}").mkdir()
    with patch.object(staging, "sweep", wraps=staging.sweep) as sweep, patch.object(storage, "stage") as stage:
        stage.side_effect = StorageService(StorageConfig(root=storage.root)).stage
        fetched = await hub.fetch(urls)
    assert (sweep.call_count, stage.call_count) == (1, 1)
    assert (fetched.bytes_fetched, fetched.bytes_reused) == (sum(map(len, CONTENTS.values())), 0)
    assert len(faulty_server.requests) == COUNT
    assert len(staged(storage)) == 20
    await asyncio.to_thread(check_kept, storage)


async def test_files_known_by_git_blob_ids_are_found_again_without_a_request(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add_repository("org/x", CONTENTS)
    hub = await asking()
    assert (await hub.fetch("hf://org/x")).bytes_fetched == sum(map(len, CONTENTS.values()))
    again = await (await asking()).fetch("hf://org/x")
    assert (again.bytes_fetched, again.bytes_reused) == (0, sum(map(len, CONTENTS.values())))
    assert len(list(storage.root.glob("urls/*"))) <= COUNT


async def test_a_wrong_digest_of_one_of_many_is_asked_for_once_more(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer
) -> None:
    urls = serve(faulty_server)
    faulty_server.add("/m/07.txt", body=CONTENTS["07.txt"], faults=[FlipBit(offset=3)])
    fetched = await hub.fetch(manifest_of(urls))
    assert fetched.bytes_fetched == sum(map(len, CONTENTS.values())) + len(CONTENTS["07.txt"])
    await asyncio.to_thread(check_kept, storage)


async def test_a_wrong_digest_of_one_of_many_is_refused_and_nothing_wrong_is_kept(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer
) -> None:
    urls = serve(faulty_server)
    wrong = digest(b"other")
    with pytest.raises(ChecksumMismatchException) as caught:
        await hub.fetch(manifest_of(urls, sha256=wrong))
    assert (caught.value.expected, caught.value.actual) == (wrong, digest(CONTENTS["07.txt"]))
    assert [request.path for request in faulty_server.requests].count("/m/07.txt") == 2
    assert (misnamed(storage.root), staged(storage)) == ([], [])
    assert storage.find(wrong) is None
    with pytest.raises(GitBlobMismatchException):
        await hub.fetch(manifest_of(urls, sha256=None, git_blob_id="0" * 40))
    assert (misnamed(storage.root), staged(storage)) == ([], [])


@pytest.mark.parametrize("known", [True, False], ids=["size-known", "size-unknown"])
@pytest.mark.parametrize("by", [-5, 5])
async def test_a_server_that_lies_about_the_length_is_found_out(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer, by: int, *, known: bool
) -> None:
    url = faulty_server.add("/m/a.txt", body=b"weights", always=WrongLength(by=by))
    file = ManifestFileSchema(path="a.txt", url=url, size=7 if known else None)
    with pytest.raises((DownloadInterruptedException, SizeMismatchException)):
        await hub.fetch(ManifestSchema(source="https://example.org/m/", name="m", files=(file,)))
    assert list(storage.root.glob("blobs/sha256/*/*")) == []
    assert staged(storage) == []


@pytest.mark.parametrize("fault", [NoLength(), Chunked(), Compressed()])
@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
async def test_a_body_of_no_announced_length_comes_all_the_same(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer, fault: Fault, *, known: bool
) -> None:
    content = b"weights" * 1000
    url = faulty_server.add("/m/a.txt", body=content, always=fault)
    file = ManifestFileSchema(path="a.txt", url=url, size=len(content) if known else None, sha256=digest(content))
    fetched = await hub.fetch(ManifestSchema(source="https://example.org/m/", name="m", files=(file,)))
    assert (fetched.files[0].sha256, len(faulty_server.requests)) == (digest(content), 1)
    assert staged(storage) == []


async def test_a_larger_body_goes_on_with_the_answer_that_is_here(
    hub: HubService, storage: StorageService, faulty_server: FaultyServer
) -> None:
    body = GeneratedBody(3 * MIB, seed=3)
    url = faulty_server.add("/m/model.bin", body=body)
    fetched = await hub.fetch(url)
    assert (fetched.bytes_fetched, fetched.files[0].sha256) == (3 * MIB, body.sha256())
    assert [request.status for request in faulty_server.requests] == [200]
    assert staged(storage) == []


async def test_attempts_count_once_whichever_way_a_file_takes(
    storage: StorageService, faulty_server: FaultyServer
) -> None:
    told: list[int] = []
    config = await asyncio.to_thread(DownloadConfig, max_attempts=3, retry_pause=0)
    downloads = DownloadService(config, on_attempt=lambda attempt: told.append(attempt.number))
    hub = HubService(storage=storage, downloads=downloads)
    large = GeneratedBody(3 * MIB, seed=3)
    nameless: dict[str, str | None] = {"ETag": None, "Last-Modified": None}  # so that each attempt begins anew
    url = faulty_server.add("/m/model.bin", body=large, headers=nameless, always=Truncate(at=2 * MIB))
    with pytest.raises(DownloadInterruptedException) as caught:
        await hub.fetch(url)
    assert (caught.value.attempts, told) == (3, [1, 2, 3])
    told.clear()
    url = faulty_server.add("/m/a.txt", body=b"weights", faults=[Truncate(at=3)])
    assert (await hub.fetch(url)).size == 7
    assert told == [1, 2]


async def test_a_disk_that_fills_up_ends_a_fetch_and_keeps_what_is_whole(
    tmpfs: Callable[..., Path], faulty_server: FaultyServer
) -> None:
    bodies = [GeneratedBody(300_000, seed=number) for number in range(8)]
    urls = [faulty_server.add(f"/m/{number}", body=body) for number, body in enumerate(bodies)]
    root = await asyncio.to_thread(tmpfs, "disk", size="1m")
    storage = StorageService(StorageConfig(root=root))
    with pytest.raises(StorageFullException):
        await HubService(storage=storage).fetch(urls)
    assert (misnamed(root), staged(storage)) == ([], [])


async def test_who_leaves_the_service_meanwhile_is_told(storage: StorageService, faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m/a.txt", body=b"weights", always=Stall(at=3))
    async with DownloadService() as downloads:
        fetching = asyncio.create_task(HubService(storage=storage, downloads=downloads).fetch(url))
        while not faulty_server.requests:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    with pytest.raises(DownloadInterruptedException, match="the service was closed"):
        await fetching
    assert staged(storage) == []


def fetching(storage: StorageService, urls: list[str]) -> "subprocess.Popen[str]":
    program = [sys.executable, "-m", "tests.hub.fetching", str(storage.root), *urls]
    return subprocess.Popen(program, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def test_processes_that_fetch_the_same_at_once(storage: StorageService, faulty_server: FaultyServer) -> None:
    """Each may transfer it; each has all of it in the end, and there is one of each."""
    urls = serve(faulty_server, Delay(0.005))
    processes = [fetching(storage, urls) for _ in range(3)]
    travelled = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    whole = sum(map(len, CONTENTS.values()))
    assert whole <= sum(travelled) <= 3 * whole
    check_kept(storage)
    assert (len(list(storage.root.glob("blobs/sha256/*/*"))), staged(storage)) == (COUNT, [])


def telling(asked_for: threading.Event) -> Iterator[None]:
    """Say when a request takes the first of these faults, which is none."""
    asked_for.set()
    yield None


@pytest.mark.parametrize("seed", range(effort(4, 60)))
def test_killed_at_any_moment(storage: StorageService, faulty_server: FaultyServer, seed: int) -> None:
    """What has a name is whole, and the next fetch brings the rest, whatever the first one has left."""
    urls = serve(faulty_server, Delay(0.005))
    reached = threading.Event()
    name = random.Random(seed).choice(sorted(CONTENTS))
    faulty_server.add(f"/m/{name}", body=CONTENTS[name], faults=telling(reached))
    process = fetching(storage, urls)
    assert reached.wait(60)
    process.kill()
    process.communicate()
    assert misnamed(storage.root) == []
    hub = HubService(storage=storage)
    fetched = asyncio.run(hub.fetch(urls))
    assert {file.path: file.sha256 for file in fetched.files} == {
        name: digest(content) for name, content in CONTENTS.items()
    }
    check_kept(storage)


def test_what_was_kept_before_a_kill_need_not_travel_again(
    storage: StorageService, faulty_server: FaultyServer
) -> None:
    """Of files whose digests are known, what has its name counts, though the fetch never came to its end."""
    urls = serve(faulty_server)
    faulty_server.add("/m/59.txt", body=CONTENTS["59.txt"], always=Stall(at=3))
    process = fetching(storage, urls)
    kept = COUNT - 1
    while len(list(storage.root.glob("blobs/sha256/*/*"))) < kept and process.poll() is None:
        threading.Event().wait(0.01)  # the disk tells nobody
    process.kill()
    process.communicate()
    faulty_server.add("/m/59.txt", body=CONTENTS["59.txt"])
    fetched = asyncio.run(HubService(storage=storage).fetch(manifest_of(urls)))
    assert fetched.bytes_fetched == len(CONTENTS["59.txt"])
