"""Sources besides the hub: ``file://``, what packages add by an entry point, and manifests that are handed in."""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadTooLargeException,
    GitBlobMismatchException,
    HubService,
    InvalidInputException,
    InvalidPathException,
    InvalidSourceException,
    SizeMismatchException,
    StorageService,
)
from kamiwaza_sdk.services.hub import fetch as fetching
from kamiwaza_sdk.services.hub.sources import protocol
from kamiwaza_sdk.sources import (
    ManifestFileSchema,
    ManifestSchema,
    ModelSource,
    SourceContext,
    SourceEntryPointException,
    StreamingSource,
)
from tests.loops import Held
from tests.serving import Server

if TYPE_CHECKING:
    from kamiwaza_sdk.types import DownloadProgress

pytestmark = pytest.mark.usefixtures("blockbuster")

BODY = b"weights" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package as pip would: a module, and metadata with its entry points."""

    def install(name: str, code: str, *entry_points: str) -> None:
        site = tmp_path / f"site-{name}"
        metadata = site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{name}.py").write_text(code)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[kamiwaza_sdk.sources]\n" + "\n".join(entry_points) + "\n")
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


MIRROR = """
from kamiwaza_sdk.sources import ManifestFileSchema, ManifestSchema

class MirrorSource:
    async def resolve(self, reference, context):
        url = reference.replace("mirror://", "http://")
        listing = await context.get(url + "/index")
        files = [
            ManifestFileSchema(path=line, url=f"{url}/{line}") for line in listing.body.decode().splitlines()
        ]
        return ManifestSchema(source=reference, name="mirrored", files=files, revision="1")
"""

MEMORY = """
from kamiwaza_sdk.sources import ManifestFileSchema, ManifestSchema

class MemorySource:
    closed = 0
    async def resolve(self, reference, context):
        file = ManifestFileSchema(path="model.bin", url="memory://model.bin")
        return ManifestSchema(source=reference, name="memory", files=(file,))

    async def stream(self, file, context):
        for _ in range(1000):
            yield b"weights"
"""


async def test_a_package_adds_a_source_by_its_scheme(
    hub: HubService, server: Server, installed: Callable[..., None]
) -> None:
    installed("mirror_plugin", MIRROR, "mirror = mirror_plugin:MirrorSource")
    server.add("/tiny/index", body=b"a.bin\nsub/b.bin\n")
    server.add("/tiny/a.bin", body=b"a")
    server.add("/tiny/sub/b.bin", body=b"bb")
    fetched = await hub.fetch(server.url("/tiny").replace("http://", "MIRROR://"))
    assert [(file.path, file.size) for file in fetched.files] == [("a.bin", 1), ("sub/b.bin", 2)]
    assert (fetched.name, fetched.source_revision) == ("mirrored", "1")


async def test_a_source_may_bring_the_bytes_itself(
    hub: HubService, storage: StorageService, installed: Callable[..., None]
) -> None:
    installed("memory_plugin", MEMORY, "memory = memory_plugin:MemorySource")
    told: list[DownloadProgress] = []
    fetched = await hub.fetch("memory://anything", progress=told.append)
    assert (told[0].received, told[0].finished, told[-1].received, told[-1].finished) == (7, False, len(BODY), True)
    assert (fetched.files[0].sha256, fetched.bytes_fetched) == (SHA256, len(BODY))
    assert (await asyncio.to_thread(storage.get, SHA256)).path.read_bytes() == BODY
    told.clear()
    again = await hub.fetch("memory://anything", sha256=SHA256, progress=told.append)
    assert [(one.received, one.reused, one.finished) for one in told] == [(len(BODY), len(BODY), True)]
    assert (again.bytes_fetched, again.bytes_reused) == (0, len(BODY))


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"size": 6999}, SizeMismatchException),
        ({"size": 7001}, SizeMismatchException),
        ({"sha256": "ab" * 32}, ChecksumMismatchException),
        ({"git_blob_id": "ab" * 20}, GitBlobMismatchException),
        ({}, DownloadTooLargeException),
    ],
)
async def test_what_a_source_brings_is_checked_like_a_download(
    hub: HubService,
    storage: StorageService,
    installed: Callable[..., None],
    known: dict[str, object],
    kind: type[Exception],
) -> None:
    installed("memory_plugin", MEMORY, "memory = memory_plugin:MemorySource")
    file = ManifestFileSchema(path="m", url="memory://m", **known)  # type: ignore[arg-type]  # of several types
    limit = None if known else 6999
    with pytest.raises(kind):
        await hub.fetch(ManifestSchema(source="memory://m", name="m", files=(file,)), max_size=limit)
    assert list(storage.root.glob("blobs/sha256/*/*")) == list(storage.root.glob("staging/*")) == []


async def test_a_scheme_that_nothing_brings_is_refused_with_those_that_are_known(
    hub: HubService, installed: Callable[..., None]
) -> None:
    installed("mirror_plugin", MIRROR, "mirror = mirror_plugin:MirrorSource")
    with pytest.raises(
        InvalidSourceException, match=r"install what brings ftp:// .az, file, gs, hf, .*mirror.* are known"
    ):
        await hub.fetch("ftp://user:hunter2@host/m")


@pytest.mark.parametrize(
    ("code", "entry_point", "complaint"),
    [
        ("raise RuntimeError('no GPU')", "broken = broken_plugin:Source", "cannot be loaded .RuntimeError: no GPU"),
        ("", "broken = broken_plugin:Source", "cannot be loaded .AttributeError"),
        ("", "broken = nowhere_at_all:Source", "cannot be loaded .ModuleNotFoundError"),
        ("class Source:\n    def __init__(self, x): ...", "broken = broken_plugin:Source", "cannot be loaded .TypeErr"),
        ("class Source: ...", "broken = broken_plugin:Source", "is no ModelSource"),
    ],
    ids=ascii,
)
async def test_a_package_that_is_broken_is_named(
    hub: HubService, installed: Callable[..., None], code: str, entry_point: str, complaint: str
) -> None:
    installed("broken_plugin", code, entry_point)
    with pytest.raises(SourceEntryPointException, match=complaint) as refused:
        await hub.fetch("broken://m")
    assert (refused.value.scheme, refused.value.entry_points) == ("broken", (entry_point,))
    assert (refused.value.__cause__ is None) == ("is no" in complaint)


async def test_two_packages_for_one_scheme_are_both_named(hub: HubService, installed: Callable[..., None]) -> None:
    installed("one_plugin", MEMORY, "twice = one_plugin:MemorySource")
    installed("two_plugin", MEMORY, "twice = two_plugin:MemorySource")
    with pytest.raises(SourceEntryPointException, match="one of several") as refused:
        await hub.fetch("twice://m")
    assert refused.value.entry_points == ("twice = one_plugin:MemorySource", "twice = two_plugin:MemorySource")


async def test_a_package_cannot_take_the_place_of_ours_and_is_not_even_loaded(
    hub: HubService, server: Server, installed: Callable[..., None]
) -> None:
    installed("greedy_plugin", "raise SystemError", "http = greedy_plugin:Source", "https = greedy_plugin:Source")
    assert (await hub.fetch(server.add("/a.bin", body=BODY))).files[0].sha256 == SHA256
    assert "greedy_plugin" not in sys.modules


async def test_what_a_source_returns_must_be_a_manifest(hub: HubService, installed: Callable[..., None]) -> None:
    code = "class Source:\n    async def resolve(self, reference, context): return {'files': []}"
    installed("careless_plugin", code, "careless = careless_plugin:Source")
    with pytest.raises(InvalidSourceException, match="was resolved to a dict; its source is at fault"):
        await hub.fetch("careless://m")


async def test_files_of_a_scheme_whose_source_brings_no_bytes_are_refused(hub: HubService) -> None:
    file = ManifestFileSchema(path="m", url="hf://org/m")
    with pytest.raises(InvalidSourceException, match="brings no bytes: it has no stream()"):
        await hub.fetch(ManifestSchema(source="hf://org/m", name="m", files=(file,)))


@pytest.mark.parametrize("step", ["open", "write", "close"])
async def test_a_source_that_brings_the_bytes_itself_is_cancelled_once_its_thread_is_done(
    hub: HubService,
    storage: StorageService,
    installed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    installed("memory_plugin", MEMORY, "memory = memory_plugin:MemorySource")
    held, ended = Held(), Event()
    act = getattr(fetching._Writer, step)

    def slowly(*args: object) -> None:
        held.wait()
        act(*args)
        ended.set()

    monkeypatch.setattr(fetching._Writer, step, slowly)
    task = asyncio.create_task(hub.fetch("memory://anything"))
    await held.cancel(task)
    assert ended.is_set()
    assert list((storage.root / "staging").glob("**/*")) == []


def test_ours_are_sources() -> None:
    sources = {scheme: protocol.source_for(scheme, address=f"{scheme}://x") for scheme in ("hf", "http", "ollama")}
    assert all(isinstance(source, ModelSource) for source in sources.values())
    assert not any(isinstance(source, StreamingSource) for source in sources.values())


class _Complete:
    async def resolve(self, reference: str, context: SourceContext) -> ManifestSchema:
        raise NotImplementedError

    def stream(self, file: ManifestFileSchema, context: SourceContext) -> AsyncIterator[bytes]:
        raise NotImplementedError


def test_a_class_with_the_methods_is_a_source_without_inheriting() -> None:
    source: ModelSource = _Complete()
    streaming: StreamingSource = _Complete()
    assert isinstance(source, ModelSource)
    assert isinstance(streaming, StreamingSource)


async def test_a_file_address_names_a_file_or_a_directory(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    root = tmp_path / "Mödel #1?"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.bin").write_bytes(BODY)
    uri = (root / "sub" / "a.bin").as_uri()
    assert (await hub.fetch(uri)).files[0].sha256 == SHA256
    assert (await hub.fetch(uri.replace("file://", "FILE://localhost"))).files[0].sha256 == SHA256
    fetched = await hub.fetch(root.as_uri())
    assert [file.path for file in fetched.files] == ["sub/a.bin"]
    assert fetched.source == str(root)


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("file://server/share/a", "names another machine"),
        ("file://[", "names another machine"),
        ("file://[share]/a", "names another machine"),
        ("file:///a?b", "has a query; write '[?]' as %3F"),
        ("file://", "names no absolute path"),
        ("file:///nowhere", "cannot be read"),
        ("file:///a%00b", "cannot be read"),
        ("file:/a", "has one slash after its scheme"),
    ],
)
async def test_what_is_no_file_address_is_refused(hub: HubService, address: str, complaint: str) -> None:
    with pytest.raises(InvalidSourceException, match=complaint):
        await hub.fetch(address)


async def test_a_local_manifest_travels_as_json_whatever_the_names(hub: HubService, tmp_path: Path) -> None:
    root = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9")
    Path(root).mkdir()
    Path(root, "a.bin").write_bytes(BODY)
    manifest = await hub.resolve(root, sha256={"a.bin": SHA256})
    assert manifest.files[0].local == Path(root, "a.bin")
    copy = ManifestSchema.model_validate_json(manifest.model_dump_json())
    assert copy == manifest
    assert (await hub.fetch(copy)).files[0].sha256 == SHA256


async def test_a_manifest_leads_out_of_its_directory_no_more_than_the_directory(
    hub: HubService, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.bin").write_bytes(BODY)
    (tmp_path / "secret").write_bytes(b"secret")
    text = (await hub.resolve(tmp_path / "m")).model_dump_json()
    (tmp_path / "m" / "a.bin").unlink()
    (tmp_path / "m" / "a.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidSourceException, match="is a link that leads out"):
        await hub.fetch(ManifestSchema.model_validate_json(text))


async def test_a_local_file_is_checked_against_git_s_name_for_it_and_remembered_by_it(
    hub: HubService, storage: StorageService, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes(b"{}")
    oid = hashlib.sha1(b"blob 2\0{}").hexdigest()

    def manifest(url: str, git_blob_id: str) -> ManifestSchema:
        file = ManifestFileSchema(path="config.json", url=url, git_blob_id=git_blob_id)
        return ManifestSchema(source="cache", name="m", files=(file,))

    local = (tmp_path / "config.json").as_uri()
    with pytest.raises(GitBlobMismatchException):
        await hub.fetch(manifest(local, "ab" * 20))
    kept = await hub.fetch(manifest(local, oid))
    again = await hub.fetch(manifest(server.url("/config.json"), oid))
    assert [file.sha256 for file in again.files] == [file.sha256 for file in kept.files]
    assert server.requests == []


async def test_a_manifest_that_was_handed_in_is_checked_like_any_other(hub: HubService) -> None:
    def manifest(*paths: str) -> ManifestSchema:
        files = tuple(ManifestFileSchema(path=path, url=f"https://e.org/{path}") for path in paths)
        return ManifestSchema(source="https://e.org/", name="m", files=files)

    with pytest.raises(InvalidPathException, match="can be one file"):
        await hub.fetch(manifest("a", "A"))
    with pytest.raises(InvalidSourceException, match="has no files"):
        await hub.fetch(manifest())
    with pytest.raises(InvalidSourceException, match="has 10001 files, over the limit of 10000"):
        await hub.fetch(manifest(*map(str, range(10_001))))
    with pytest.raises(InvalidInputException, match="names 'b', which the source has not"):
        await hub.fetch(manifest("a"), sha256={"b": SHA256})


async def test_a_digest_that_contradicts_the_source_is_refused_at_once(hub: HubService) -> None:
    file = ManifestFileSchema(path="a", url="https://e.org/a", sha256=SHA256)
    manifest = ManifestSchema(source="https://e.org/a", name="a", files=(file,))
    assert await hub.resolve(manifest, sha256=f"sha256:{SHA256.upper()}") == manifest
    with pytest.raises(InvalidInputException, match=f"expects {'0' * 64} of 'a', of which its source tells {SHA256}"):
        await hub.resolve(manifest, sha256="0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "../a"},
        {"url": "a.bin"},
        {"url": "javascript:x"},
        {"size": -1},
        {"sha256": "ab"},
        {"git_blob_id": "AB" * 20},
        {"inside": "/etc"},
        {"more": 1},
    ],
    ids=ascii,
)
def test_a_manifest_of_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    fields: dict[str, object] = {"path": "a", "url": "https://e.org/a", **changes}
    with pytest.raises(InvalidInputException):
        ManifestFileSchema(**fields)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(ValidationError):
        ManifestSchema.model_validate({"source": "s", "name": "m", "files": [fields]})


def test_a_signature_in_an_address_is_not_shown() -> None:
    file = ManifestFileSchema(path="a", url="https://e.org/a?signature=hunter2")
    manifest = ManifestSchema(source="https://e.org/a", name="a", files=(file,))
    assert "hunter2" not in f"{manifest!r} {manifest}"


def test_the_size_of_a_manifest_is_known_where_every_file_s_is() -> None:
    known = ManifestFileSchema(path="a", url="https://e.org/a", size=3)
    unknown = ManifestFileSchema(path="b", url="https://e.org/b")
    assert ManifestSchema(source="s", name="m", files=(known,)).size == 3
    assert ManifestSchema(source="s", name="m", files=(known, unknown)).size is None
