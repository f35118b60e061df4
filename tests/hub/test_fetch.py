"""Fetching: from addresses, files and directories to verified blobs, and as little of it as is needed."""

import asyncio
import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    ConfigurationException,
    DigestMismatchException,
    DownloadConfig,
    DownloadService,
    DownloadStatusException,
    DownloadTooLargeException,
    Fetched,
    HubService,
    InvalidInputException,
    InvalidPathException,
    InvalidSourceException,
    ModelTooLargeException,
    StorageConfig,
    StorageService,
    fetch,
)
from kamiwaza_sdk.services.download.partial.lock import PartialNames
from kamiwaza_sdk.services.hub import sources
from kamiwaza_sdk.services.hub.selection import Selection
from kamiwaza_sdk.services.hub.sources import Source, local
from kamiwaza_sdk.services.hub.sources.local import resolve_path
from kamiwaza_sdk.types import DownloadProgress
from tests.serving import Server
from tests.storage.helpers import sparse

pytestmark = pytest.mark.usefixtures("blockbuster")

BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


def leftovers(storage: StorageService) -> list[Path]:
    """What lies in the store's staging area."""
    return list((storage.root / "staging").glob("**/*"))


def blobs(storage: StorageService) -> list[str]:
    """The digests that are kept."""
    return sorted(path.name for path in storage.root.glob("blobs/sha256/*/*"))


async def test_one_url_becomes_a_verified_blob(hub: HubService, storage: StorageService, server: Server) -> None:
    url = server.add("/models/tiny.onnx", body=BODY)
    fetched = await hub.fetch(f"{url}?token=hunter2", sha256=SHA256)
    expected = {"path": "tiny.onnx", "size": len(BODY), "sha256": SHA256, "url": url, "format": None}
    assert [file.model_dump() for file in fetched.files] == [expected]
    assert (fetched.source, fetched.name) == (url, "tiny")
    assert (fetched.bytes_fetched, fetched.bytes_reused, fetched.size) == (len(BODY), 0, len(BODY))
    assert (await asyncio.to_thread(storage.get, SHA256)).path.read_bytes() == BODY
    assert leftovers(storage) == []
    assert Fetched.model_validate_json(fetched.model_dump_json()) == fetched


async def test_the_function_keeps_where_the_environment_says(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_SERVICE_ROOT", str(tmp_path / "elsewhere"))
    await fetch(server.add("/a.bin", body=BODY))
    assert (tmp_path / "elsewhere" / "blobs" / "sha256" / SHA256[:2] / SHA256).is_file()


async def test_a_file_whose_digest_is_known_and_kept_is_not_requested_again(hub: HubService, server: Server) -> None:
    url = server.add("/a.bin", body=BODY)
    await hub.fetch(url)
    again = await hub.fetch(url, sha256=f"sha256:{SHA256.upper()}")
    assert len(server.requests) == 1
    assert (again.bytes_fetched, again.bytes_reused, again.files[0].sha256) == (0, len(BODY), SHA256)


@pytest.mark.parametrize(
    "validator", [{"etag": '"1"'}, {"etag": 'W/"1"'}, {"last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}]
)
async def test_a_file_with_a_validator_costs_one_conditional_request(
    hub: HubService, server: Server, validator: dict[str, str]
) -> None:
    url = server.add("/a.bin", body=BODY, **validator)  # type: ignore[arg-type]  # one of two keywords, both of text
    first = await hub.fetch(url)
    again = await hub.fetch(url)
    assert (again.files, again.bytes_fetched, again.bytes_reused) == (first.files, 0, len(BODY))
    conditions = [
        (request.headers.get("if-none-match"), request.headers.get("if-modified-since")) for request in server.requests
    ]
    assert conditions == [(None, None), (validator.get("etag"), validator.get("last_modified"))]


async def test_a_file_that_changed_at_its_source_is_fetched_anew(hub: HubService, server: Server) -> None:
    url = server.add("/a.bin", body=b"before", etag='"1"')
    await hub.fetch(url)
    server.add("/a.bin", body=BODY, etag='"2"')
    assert (await hub.fetch(url)).files[0].sha256 == SHA256
    assert (await hub.fetch(url)).bytes_fetched == 0


async def test_a_file_with_neither_is_transferred_again_and_kept_once(
    hub: HubService, storage: StorageService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY)
    assert [(await hub.fetch(url)).bytes_fetched for _ in range(2)] == [len(BODY)] * 2
    assert blobs(storage) == [SHA256]


async def test_a_blob_that_was_damaged_is_fetched_anew(
    hub: HubService, storage: StorageService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY, etag='"1"')
    path = storage.path((await hub.fetch(url)).files[0].sha256)
    path.chmod(0o644)
    path.write_bytes(BODY[:-1] + b"!")
    assert (await hub.fetch(url)).bytes_fetched == len(BODY)
    assert path.read_bytes() == BODY


async def test_what_is_remembered_of_a_url_and_cannot_be_read_counts_as_not_known(
    hub: HubService, storage: StorageService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY, etag='"1"')
    await hub.fetch(url)
    (known,) = storage.root.glob("urls/*.log")
    known.write_text(known.read_text().strip()[:-1])
    assert (await hub.fetch(url)).bytes_fetched == len(BODY)
    assert (await hub.fetch(url)).bytes_fetched == 0


async def test_a_file_is_kept_although_nothing_can_be_remembered_of_its_url(
    hub: HubService, storage: StorageService, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(storage.root.mkdir)
    (storage.root / "urls").touch()
    url = server.add("/a.bin", body=BODY, etag='"1"')
    assert [(await hub.fetch(url)).bytes_fetched for _ in range(2)] == [len(BODY)] * 2
    assert "cannot be written, so that files will travel again" in caplog.text


async def test_a_store_that_cannot_be_made_says_which_setting_names_it(server: Server) -> None:
    hub = HubService(storage=StorageService(await asyncio.to_thread(StorageConfig, root=Path("/proc/store"))))
    with pytest.raises(ConfigurationException, match="^STORAGE_SERVICE_ROOT: /proc/store"):
        await hub.fetch(server.add("/a.bin", body=BODY))


async def test_no_secret_of_a_url_is_kept_or_told(hub: HubService, storage: StorageService, server: Server) -> None:
    url = server.add("/a.bin", body=BODY, etag='"1"')
    fetched = await hub.fetch(url.replace("://", "://user:hunter2@") + "?signature=hunter2")
    assert "hunter2" not in fetched.model_dump_json()
    kept = [path for path in storage.root.glob("**/*") if path.is_file()]
    assert [path for path in kept if b"hunter2" in path.read_bytes() or "hunter2" in path.name] == []


async def test_several_urls_are_named_from_the_directory_they_share(hub: HubService, server: Server) -> None:
    urls = [
        server.add(path, body=path.encode())
        for path in ("/org/m/onnx/model.onnx", "/org/m/config%20a.json", "/org/m/e")
    ]
    fetched = await hub.fetch(urls)
    assert [file.path for file in fetched.files] == ["config a.json", "e", "onnx/model.onnx"]
    assert (fetched.source, fetched.name) == (server.url("/org/m/"), "m")


async def test_urls_of_several_hosts_are_named_by_their_last_segments(hub: HubService, server: Server) -> None:
    with Server() as other:
        urls = [server.add("/a/one.bin", body=b"1"), other.add("/b/two.bin", body=b"2")]
        fetched = await hub.fetch(urls)
        assert [file.path for file in fetched.files] == ["one.bin", "two.bin"]
        with pytest.raises(InvalidSourceException, match=r"'one\.bin' is the name of 2 of the files"):
            await hub.fetch([*urls, other.add("/one.bin", body=b"3")])


async def test_digests_are_given_by_path(hub: HubService, storage: StorageService, server: Server) -> None:
    urls = [server.add("/m/a", body=BODY), server.add("/m/b", body=b"b")]
    await hub.fetch(urls, sha256={"a": SHA256})
    with pytest.raises(ChecksumMismatchException) as refused:
        await hub.fetch(urls, sha256={"b": SHA256[::-1]})
    assert (refused.value.expected, refused.value.actual) == (SHA256[::-1], hashlib.sha256(b"b").hexdigest())
    assert leftovers(storage) == []


@pytest.mark.parametrize(
    ("sha256", "complaint"),
    [
        (SHA256, "is one digest for 2 files"),
        ({"c": SHA256}, "names 'c', which the source has not"),
        ({"a": "abc"}, "no SHA-256 digest"),
        ("abc", "no SHA-256 digest"),
    ],
)
async def test_digests_that_do_not_fit_are_refused_before_anything_is_requested(
    hub: HubService, server: Server, sha256: str | dict[str, str], complaint: str
) -> None:
    with pytest.raises(InvalidInputException, match=complaint):
        await hub.fetch([server.add("/m/a", body=BODY), server.add("/m/b", body=b"b")], sha256=sha256)
    assert server.requests == []


async def test_the_first_failure_among_several_is_raised_bare_and_nothing_of_it_is_left(
    hub: HubService, storage: StorageService, server: Server
) -> None:
    urls = [server.add("/m/good", body=BODY), server.url("/m/missing")]
    with pytest.raises(DownloadStatusException) as refused:
        await hub.fetch(urls)
    assert refused.value.status == 404
    assert leftovers(storage) == []
    assert set(blobs(storage)) <= {SHA256}


async def test_the_limit_holds_for_all_files_together(hub: HubService, storage: StorageService, server: Server) -> None:
    urls = [server.add(f"/m/{name}", body=name.encode() * 100) for name in "abc"]
    assert (await hub.fetch(urls, max_size=300)).size == 300
    with pytest.raises((ModelTooLargeException, DownloadTooLargeException)):
        await hub.fetch(urls, max_size=299)
    with pytest.raises(DownloadTooLargeException) as refused:
        await hub.fetch(urls[0], max_size=99)
    assert refused.value.limit == 99
    assert leftovers(storage) == []


async def test_a_fetch_that_is_cancelled_leaves_nothing_and_can_be_repeated(
    hub: HubService, storage: StorageService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY, stall_after=1000)
    task = asyncio.create_task(hub.fetch(url))
    assert await asyncio.to_thread(server.stalled.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (leftovers(storage), blobs(storage)) == ([], [])
    server.add("/a.bin", body=BODY)
    assert (await hub.fetch(url)).bytes_fetched == len(BODY)


async def test_a_fetch_of_local_files_that_is_cancelled_stops_between_pieces(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    """When it has ended, so have its threads: nothing is copied any more, and nothing of it is left."""
    for name in "abc":
        sparse(tmp_path / "m" / name, 2 * 1024**3)
    task = asyncio.create_task(hub.fetch(tmp_path / "m"))
    while not task.done() and not any(path.is_file() for path in leftovers(storage)):  # noqa: ASYNC110 - the disk tells
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (leftovers(storage), blobs(storage)) == ([], [])


async def test_progress_is_told_of_every_file(hub: HubService, server: Server) -> None:
    told: list[DownloadProgress] = []
    await hub.fetch([server.add(f"/m/{name}", body=BODY) for name in "ab"], progress=told.append)
    finished = sorted((progress.url, progress.received) for progress in told if progress.finished)
    assert finished == [(server.url(f"/m/{name}"), len(BODY)) for name in "ab"]


async def test_progress_is_told_of_files_that_are_here(hub: HubService, server: Server, tmp_path: Path) -> None:
    """Of each at the end, and of those that are copied at the beginning, too."""
    for name in "ab":
        (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_bytes(BODY)
    told: list[DownloadProgress] = []
    for source in (tmp_path / "m", tmp_path / "m" / "a"):
        told.clear()
        await hub.fetch(source, progress=told.append)
        names = sorted(path.name for path in tmp_path.glob("m/*")) if source.is_dir() else ["a"]
        assert sorted((str(one.path), one.received, one.reused, one.total, one.finished) for one in told) == [
            glance
            for name in names
            for glance in ((name, 0, 0, len(BODY), False), (name, len(BODY), len(BODY), len(BODY), True))
        ]
        assert {one.url for one in told} == {(tmp_path / "m" / name).as_uri() for name in names}
    told.clear()
    await hub.fetch(server.url("/a.bin"), sha256=SHA256, progress=told.append)
    assert server.requests == []
    assert [(one.received, one.reused, one.finished) for one in told] == [(len(BODY), len(BODY), True)]


@pytest.mark.parametrize("progress", ["bar", 1, ()])
async def test_what_cannot_be_told_how_far_it_is_is_refused_before_anything_is_fetched(
    progress: Any, hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(BODY)
    with pytest.raises(InvalidInputException, match="give True for a bar, or a function") as caught:
        await hub.fetch(tmp_path / "a", progress=progress)
    assert caught.value.field == "progress"
    assert blobs(storage) == []


async def test_what_progress_raises_ends_a_fetch_of_local_files(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    def complain(_: DownloadProgress) -> None:
        raise LookupError("enough")

    (tmp_path / "a").write_bytes(BODY)
    with pytest.raises(LookupError, match="enough"):
        await hub.fetch(tmp_path / "a", progress=complain)
    assert (leftovers(storage), blobs(storage)) == ([], [])


async def test_files_that_are_here_count_in_the_bar_of_all(
    hub: HubService, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamiwaza_sdk.services.download.progress._is_watched", lambda: True)
    for name in "ab":
        (tmp_path / "m" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "m" / name).write_bytes(BODY)
    await hub.fetch(tmp_path / "m", progress=True)
    shown = capsys.readouterr().err
    assert "m: 100%" in shown
    assert "500k/500k" in shown


async def test_a_hub_uses_the_downloads_it_is_given(storage: StorageService, server: Server) -> None:
    downloads = DownloadService(await asyncio.to_thread(DownloadConfig, max_size=10))
    with pytest.raises(DownloadTooLargeException):
        await HubService(storage=storage, downloads=downloads).fetch(server.add("/a.bin", body=BODY))


async def test_a_local_file_is_copied_and_nothing_travels(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.onnx"
    file.write_bytes(BODY)
    for source in (file, str(file)):
        fetched = await hub.fetch(source, sha256=SHA256)
        assert (fetched.source, fetched.name, fetched.files[0].path) == (str(file), "tiny", "tiny.onnx")
        assert (fetched.bytes_fetched, fetched.bytes_reused) == (0, len(BODY))
    file.write_bytes(b"changed")
    assert (await asyncio.to_thread(storage.get, SHA256)).path.read_bytes() == BODY
    with pytest.raises(DigestMismatchException):
        await hub.fetch(file, sha256=SHA256)


async def test_a_directory_is_taken_as_it_stands(hub: HubService, storage: StorageService, tmp_path: Path) -> None:
    root = tmp_path / "minilm"
    (root / "onnx").mkdir(parents=True)
    (root / "onnx" / "model.onnx").write_bytes(BODY)
    (root / "empty").touch()
    (root / "モデル.txt").write_text("x")
    (root / "link").symlink_to("onnx/model.onnx")
    fetched = await hub.fetch(root)
    assert [(file.path, file.size) for file in fetched.files] == [
        ("empty", 0),
        ("link", len(BODY)),
        ("onnx/model.onnx", len(BODY)),
        ("モデル.txt", 1),
    ]
    assert fetched.name == "minilm"
    assert len(blobs(storage)) == 3
    with pytest.raises(ModelTooLargeException) as refused:
        await hub.fetch(root, max_size=2 * len(BODY))
    assert refused.value.limit == 2 * len(BODY)


async def test_what_leads_out_of_a_directory_or_is_no_file_is_refused(hub: HubService, tmp_path: Path) -> None:
    root = tmp_path / "m"
    root.mkdir()
    with pytest.raises(InvalidSourceException, match="is an empty directory"):
        await hub.fetch(root)
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidSourceException, match="is a link that leads out"):
        await hub.fetch(root)
    (root / "link").unlink()
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidSourceException, match="is no regular file"):
        await hub.fetch(root)
    with pytest.raises(InvalidSourceException, match="neither a file nor a directory"):
        await hub.fetch(root / "pipe")
    (root / "pipe").unlink()
    (root / "a\nb").touch()
    with pytest.raises(InvalidPathException, match="control character"):
        await hub.fetch(root)


async def test_an_unfinished_download_is_no_file_of_its_directory(
    hub: HubService, server: Server, tmp_path: Path
) -> None:
    """Its bytes are refused until it is finished; what it has without bytes is left out."""
    (tmp_path / "config.json").write_text("{}")
    large = os.urandom(4 * 1024**2)
    url = server.add("/model.gguf", body=large, etag='"1"', stall_after=3 * 1024**2)
    async with DownloadService() as downloads:
        download = downloads.start(url, tmp_path / "model.gguf")
        async for progress in download:
            if progress.received > 2 * 1024**2:
                await download.cancel()
        (partial,) = tmp_path.glob(".kamiwaza-*.partial")
        for call in (hub.fetch, hub.plan):
            with pytest.raises(InvalidSourceException, match="finish the download, or remove the file") as refused:
                await call(tmp_path)
            assert refused.value.source == str(partial)
        server.add("/model.gguf", body=large, etag='"1"')
        await downloads.download(url, tmp_path / "model.gguf")
    assert [file.path for file in (await hub.fetch(tmp_path)).files] == ["config.json", "model.gguf"]


@pytest.mark.parametrize("suffix", [".partial", f"-{'ab' * 8}.partial", f"-{'ab' * 8}.whole"])
@pytest.mark.parametrize("below", ["", "onnx"])
async def test_of_what_downloads_leave_only_bytes_are_refused(
    hub: HubService, tmp_path: Path, suffix: str, below: str
) -> None:
    place = PartialNames(tmp_path / below / "model.gguf")
    Path(place.directory).mkdir(exist_ok=True)
    left = Path(place.beside(suffix))
    left.touch()
    for silent in (".journal", "-sealed.journal", f"-{'ab' * 8}.journal", ".lease"):
        Path(place.beside(silent)).write_text("{}")
    (tmp_path / below / f".kamiwaza-{'ab' * 8}.tmp").write_text("of materialize")
    others = {tmp_path / below / name for name in (".kamiwaza-1", f"{place.stem}.partial.txt", ".hidden")}
    for other in others:
        other.write_text("x")
    files = (await hub.fetch(tmp_path)).files
    assert {tmp_path / file.path for file in files} == others
    left.write_text("x")
    with pytest.raises(InvalidSourceException, match="holds the bytes of an unfinished download") as refused:
        await hub.fetch(tmp_path)
    assert refused.value.source == str(left)


async def test_a_source_whose_name_is_no_text_can_still_be_told(hub: HubService, tmp_path: Path) -> None:
    root = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9")
    Path(root).mkdir()
    Path(root, "a.bin").write_bytes(BODY)
    fetched = await hub.fetch(root)
    assert fetched.source == f"{tmp_path}/caf\\udce9"
    assert fetched.name == "model"
    assert Fetched.model_validate_json(fetched.model_dump_json()) == fetched


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("file:///nowhere/at/all", "cannot be read: No such file"),
        ("file://elsewhere/a", "names another machine"),
        ("file:///a?b", "has a query"),
        ("ftp://host/file", "no http or https"),
        ("rsync://host/key", "no http or https"),
        ("http://", "no host"),
        ("http://host/a b", "white space"),
        ("http://host/", "ends with a slash"),
        ("http://host", "ends with a slash"),
        ("http://host/a/..%2Fb", "'..' segment|names no file"),
        ("http://host/a%00b", "control character"),
        ("nowhere/at/all", "cannot be read: No such file.*or a URL with its https://"),
        ("nul\0", "cannot be read: "),
        ("", "names nothing"),
        ([], "names no file"),
        (["http://host/a", "relative"], "is no URL, as everything in a list must be"),
        (" https://host/a", "begins or ends with white space; strip it"),
        ("https://host/a\n", "begins or ends with white space; strip it"),
        (["http://host/a", "\thttps://host/b"], "begins or ends with white space; strip it"),
        ("https:/host/a", "has one slash after its scheme; write https://"),
        (["http://host/m//a", "http://host/m/b"], "has an empty, '.' or '..' segment"),
        (["http://host/m/./a", "http://host/m/b"], "has an empty, '.' or '..' segment"),
    ],
    ids=ascii,
)
async def test_what_is_no_source_is_refused(
    hub: HubService, storage: StorageService, source: str | list[str], complaint: str
) -> None:
    with pytest.raises((InvalidSourceException, InvalidInputException, InvalidPathException), match=complaint):
        await hub.fetch(source)
    assert not storage.root.exists()


async def test_ten_thousand_files_are_the_most(hub: HubService) -> None:
    with pytest.raises(InvalidSourceException, match="over the limit of 10000"):
        await hub.fetch([f"http://host/{number}" for number in range(10_001)])


@pytest.mark.parametrize(
    "source",
    [
        " https://u:hunter2@e.org/x?token=hunter2",
        "https://u:hunter2@e.org/x?token=hunter2\n",
        "https:/u:hunter2@e.org/x?token=hunter2",
        "//u:hunter2@e.org/x?token=hunter2",
        "u:hunter2@e.org/x?token=hunter2",
        "e.org/x?token=hunter2",
        " //e.org/x?token=hunter2",
        Path("https://u:hunter2@e.org/x?token=hunter2"),
        ["//u:hunter2@e.org/x?token=hunter2"],
        ["https:/u:hunter2@e.org/x?token=hunter2"],
        [" https://u:hunter2@e.org/x#hunter2"],
        b"https://u:hunter2@e.org/x",
    ],
    ids=ascii,
)
async def test_what_may_be_a_url_is_told_without_its_secrets(hub: HubService, source: Source) -> None:
    with pytest.raises(InvalidInputException) as refused:
        await hub.fetch(source)
    told = f"{refused.value!r} {refused.value.__dict__} {refused.value.__cause__!r}"
    assert "hunter2" not in told


async def test_what_is_plainly_a_path_is_told_whole(hub: HubService) -> None:
    with pytest.raises(InvalidSourceException, match="'/nowhere/me@home/what\\?.onnx' cannot be read") as refused:
        await hub.fetch("/nowhere/me@home/what?.onnx")
    assert isinstance(refused.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("directory", ["/models//", "/./a/", "/a/..b/"])
async def test_directories_of_a_url_may_have_any_name(hub: HubService, server: Server, directory: str) -> None:
    urls = [server.add(f"{directory}{name}", body=name.encode()) for name in ("m.onnx", "n/o.onnx")]
    assert [file.path for file in (await hub.fetch(urls[0])).files] == ["m.onnx"]
    fetched = await hub.fetch(urls)
    assert ([file.path for file in fetched.files], fetched.source) == (
        ["m.onnx", "n/o.onnx"],
        server.url(directory),
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"source": None}, "source is a NoneType; give a URL, a list of URLs, or a path"),
        ({"source": b"/tmp"}, "source is a bytes"),
        ({"source": 3}, "source is a int"),
        ({"source": {"a": "b"}}, "source is a dict"),
        ({"source": [Path("a")]}, "source has a PosixPath in its list, where only URLs can be"),
        ({"sha256": b"ab"}, "sha256 is a bytes; give 64 hexadecimal digits, or a mapping"),
        ({"sha256": {"m": None}}, "sha256 maps a str to a NoneType; give texts, and leave out what has no digest"),
        ({"sha256": {3: SHA256}}, "sha256 maps a int to a str; give texts"),
        ({"max_size": "x"}, "max_size is a str; give a whole number of bytes, 0 or more"),
        ({"max_size": True}, "max_size is a bool"),
        ({"max_size": 1.5}, "max_size is a float"),
        ({"max_size": -1}, "max_size is -1"),
    ],
    ids=ascii,
)
async def test_an_argument_of_a_wrong_kind_is_refused_at_the_door(
    hub: HubService, arguments: dict[str, Any], complaint: str
) -> None:
    arguments = {"source": "http://127.0.0.1:1/m", **arguments}
    with pytest.raises(InvalidInputException, match=f"^{complaint}"):
        await hub.fetch(**arguments)


async def test_a_limit_of_nothing_admits_empty_files_only(hub: HubService, server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("x")
    for empty in (tmp_path / "empty", server.add("/empty", body=b"")):
        assert (await hub.fetch(empty, max_size=0)).size == 0
    for full in (tmp_path / "full", server.add("/full", body=b"x")):
        with pytest.raises((ModelTooLargeException, DownloadTooLargeException)):
            await hub.fetch(full, max_size=0)


async def test_a_link_to_itself_is_refused_with_its_cause(hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    loop = tmp_path / "m" / "loop"
    loop.symlink_to("loop")
    for source in (loop, tmp_path / "m"):
        with pytest.raises(InvalidSourceException, match="loop' cannot be read: Too many levels") as refused:
            await hub.fetch(source)
        assert isinstance(refused.value.__cause__, OSError)


async def test_a_directory_as_deep_as_the_stack_is_refused_for_its_paths(hub: HubService, tmp_path: Path) -> None:
    levels = [tmp_path / "m"]
    while len(levels) < 1_200:
        levels.append(levels[-1] / "d")
    for level in levels:
        level.mkdir()
    (levels[-1] / "a.bin").touch()
    try:
        with pytest.raises(InvalidPathException, match="the limit of 1024"):
            await hub.fetch(tmp_path / "m")
    finally:  # pytest's own way to remove them needs the stack
        (levels[-1] / "a.bin").unlink()
        for level in reversed(levels):
            level.rmdir()


async def test_a_directory_that_cannot_be_listed_is_named_with_the_cause(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m" / "locked").mkdir(parents=True)
    scan = os.scandir

    def refuse(path: str) -> object:  # a mode does not bind root
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InvalidSourceException, match="/m/locked' cannot be read: Permission denied") as refused:
        await hub.fetch(tmp_path / "m")
    assert isinstance(refused.value.__cause__, PermissionError)


@pytest.mark.parametrize("what", ["files", "directories"])
async def test_a_directory_is_counted_while_it_is_listed(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(local, "MAX_FILES", 3)
    (tmp_path / "m").mkdir()
    for number in range(4):
        place = tmp_path / "m" / str(number)
        place.touch() if what == "files" else place.mkdir()
    with pytest.raises(InvalidSourceException, match=f"has over 3 {what}; fetch a part of it"):
        await hub.fetch(tmp_path / "m")


async def test_a_file_that_grew_since_it_was_listed_counts_with_what_was_copied(
    storage: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.bin").write_bytes(b"small")
    add = storage.add

    def add_grown(source: Path, *, sha256: str | None = None) -> object:
        source.write_bytes(BODY)
        return add(source, sha256=sha256)

    monkeypatch.setattr(storage, "add", add_grown)
    with pytest.raises(ModelTooLargeException) as refused:
        await HubService(storage=storage).fetch(tmp_path / "a.bin", max_size=5)
    assert (refused.value.size, refused.value.limit) == (len(BODY), 5)


async def test_a_local_source_over_the_limit_is_refused_before_a_byte_is_copied(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    for name in "ab":
        (tmp_path / "m" / name).write_bytes(BODY)
    with pytest.raises(ModelTooLargeException):
        await hub.fetch(tmp_path / "m", max_size=len(BODY))
    assert not storage.root.exists()


@pytest.mark.parametrize("swapped", ["a.bin", "sub"])
async def test_what_leads_out_of_the_directory_since_it_was_listed_is_refused(
    hub: HubService, storage: StorageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    for place in (tmp_path / "m" / "sub", tmp_path / "outside"):
        place.mkdir(parents=True)
        (place / "a.bin").write_bytes(BODY)
    (tmp_path / "m" / "a.bin").write_bytes(BODY)

    def list_then_swap(source: Path, selection: Selection) -> object:
        manifest = resolve_path(source, selection)
        (tmp_path / "m" / swapped).rename(tmp_path / "moved")
        (tmp_path / "m" / swapped).symlink_to(tmp_path / "outside" / ("" if swapped == "sub" else swapped))
        return manifest

    monkeypatch.setattr(sources, "resolve_path", list_then_swap)
    with pytest.raises(InvalidSourceException, match="is a link that leads out"):
        await hub.fetch(tmp_path / "m", sha256=None)


async def test_a_stage_that_is_made_while_its_fetch_is_cancelled_is_cleared(
    hub: HubService, storage: StorageService, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, made = Event(), Event(), Event()
    stage = storage.stage

    @contextmanager
    def slow_stage(key: str | None = None) -> Generator[Path]:
        begun.set()
        go_on.wait(20)
        with stage(key) as path:
            made.set()
            yield path

    monkeypatch.setattr(storage, "stage", slow_stage)
    task = asyncio.create_task(hub.fetch(server.add("/a.bin", body=BODY)))
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    await asyncio.wait({task}, timeout=0)  # so that the cancellation arrives
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(made.wait, 20)
    assert leftovers(storage) == []
