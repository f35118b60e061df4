"""What other tools have on this machine is taken over, verified, without a request and without a copy."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kamiwaza_sdk
from kamiwaza_sdk import (
    DigestMismatchException,
    GitBlobMismatchException,
    HubConfig,
    HubService,
    InvalidInputException,
    InvalidSourceException,
    NotInCacheException,
    StoragePermissionException,
    StorageService,
)
from kamiwaza_sdk.services.hub.adopters import ollama
from kamiwaza_sdk.services.storage.schemas.blob import AdoptedBlobSchema
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking
from tests.hub.test_huggingface_hub import FILES, run
from tests.loops import watched
from tests.storage.helpers import no_clone, sparse

WEIGHTS = b"weights" * 1000
LAYERS = {
    "model": WEIGHTS,
    "projector": b"eyes",
    "template": b"{{ .Prompt }}",
    "params": b"{}",
    "license": b"MIT License",
}


@pytest.fixture(autouse=True)
def no_reflink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave the same whatever file system the tests run on; tests/storage has one that shares blocks."""
    monkeypatch.setattr(fcntl, "ioctl", no_clone)


@pytest.fixture
async def hub(storage: StorageService) -> HubService:
    """A hub that may not open a connection."""
    return HubService(storage=storage, config=await asyncio.to_thread(HubConfig, offline=True))


@pytest.fixture
def cache(hf: HuggingFaceServer, tmp_path: Path) -> Path:
    """The cache of ``huggingface_hub``, made by itself from the loopback hub, which is asked no more."""
    hf.add_repository("org/tiny", {**FILES, "README.md": b"---\nlicense: mit\npipeline_tag: fill-mask\n---\n"})
    run(hf, tmp_path / "home", "from huggingface_hub import snapshot_download\nsnapshot_download('org/tiny')")
    hf.requests.clear()
    hf.storage.requests.clear()
    return tmp_path / "home" / "hub"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def repository(cache: Path) -> Path:
    return cache / "models--org--tiny"


def snapshot(cache: Path) -> Path:
    return next((repository(cache) / "snapshots").iterdir())


def tree_of(cache: Path) -> Path:
    return repository(cache) / "trees" / f"{snapshot(cache).name}.json"


def damaged(path: Path) -> None:
    """Change a byte, and nothing else."""
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def image(place: Path, layers: dict[str, bytes] | None = None, *, name: str = "library/tiny", **more: object) -> Path:
    """Make an Ollama store with one image, and return its manifest."""
    (place / "blobs").mkdir(parents=True, exist_ok=True)
    described = [(f"application/vnd.ollama.image.{kind}", data) for kind, data in (layers or LAYERS).items()]
    described.append(("application/vnd.docker.container.image.v1+json", b'{"model_format": "gguf"}'))
    entries = [{"mediaType": media, "digest": f"sha256:{sha256(data)}", "size": len(data)} for media, data in described]
    for _, data in described:
        (place / "blobs" / f"sha256-{sha256(data)}").write_bytes(data)
    path = place / "manifests" / "registry.ollama.ai" / name / "latest"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schemaVersion": 2, "config": entries[-1], "layers": entries[:-1], **more}))
    return path


async def test_a_cache_of_huggingface_hub_is_adopted_without_a_request_or_a_copy(
    hf: HuggingFaceServer, asking: Asking, cache: Path, storage: StorageService
) -> None:
    """Every file is the cache's own, under a second name; the hub lists the same, and need bring none of it again."""
    hub = await asking()
    adopted = await hub.adopt("hf://org/tiny", cache=cache)
    assert (hf.requests, hf.storage.requests, adopted.bytes_fetched, adopted.bytes_copied) == ([], [], 0, 0)
    assert {file.by for file in adopted.files} == {"link"}
    for file in adopted.files:
        assert storage.path(file.sha256).samefile(snapshot(cache) / file.path)
        assert storage.verify(file.sha256).size == file.size
    fetched = await hub.fetch("hf://org/tiny")
    assert (fetched.bytes_fetched, hf.storage.requests) == (0, [])
    same = set(kamiwaza_sdk.Fetched.model_fields) - {"files", "bytes_fetched", "bytes_reused", "license", "task"}
    assert fetched.model_dump(include=same) == adopted.model_dump(include=same)
    assert fetched.digest == adopted.digest
    assert (adopted.license, adopted.task) == ("mit", "fill-mask")


async def test_a_content_under_several_names_is_taken_over_once(
    hf: HuggingFaceServer, hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf.add_repository("org/tiny", {f"{index}/model.bin": WEIGHTS for index in range(5)})
    run(hf, tmp_path / "home", "from huggingface_hub import snapshot_download\nsnapshot_download('org/tiny')")
    taken, adopt = list[Path](), StorageService.adopt

    def noted(storage: StorageService, path: Path, *, sha256: str | None) -> AdoptedBlobSchema:
        taken.append(path)
        return adopt(storage, path, sha256=sha256)

    monkeypatch.setattr(StorageService, "adopt", noted)
    adopted = await hub.adopt("hf://org/tiny", cache=tmp_path / "home" / "hub")
    assert (len(adopted.files), adopted.size, adopted.bytes_reused) == (5, 5 * len(WEIGHTS), len(WEIGHTS))
    assert {file.by for file in adopted.files} == {"link"}
    assert len(taken) == 1


async def test_huggingface_hub_still_reads_what_was_adopted(
    hf: HuggingFaceServer, hub: HubService, cache: Path, tmp_path: Path
) -> None:
    """Its own look at its cache finds what it found before, and deletes it; the store's files stay."""
    adopted = await hub.adopt("hf://org/tiny", cache=cache)
    code = """
from huggingface_hub import scan_cache_dir, snapshot_download
print(snapshot_download("org/tiny", local_files_only=True))
found = scan_cache_dir()
print(found.size_on_disk, len(found.warnings))
(repo,) = found.repos
found.delete_revisions(*[revision.commit_hash for revision in repo.revisions]).execute()
"""
    told = run(hf, tmp_path / "home", code).splitlines()
    assert told[1] == f"{adopted.size} 0"
    assert not repository(cache).exists()
    assert [hub.storage.verify(file.sha256).size for file in adopted.files] == [file.size for file in adopted.files]


@pytest.mark.parametrize("variables", [("HF_HUB_CACHE", ""), ("HF_HOME", ".."), ("XDG_CACHE_HOME", "../..")])
async def test_the_cache_is_found_where_its_tool_keeps_it(
    hub: HubService, cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: tuple[str, str]
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / "elsewhere" / "huggingface" / "hub"
    shutil.copytree(cache, place, symlinks=True)
    name, above = variables
    monkeypatch.setenv(name, str((place / above).resolve()))
    assert (await hub.adopt("hf://org/tiny", allow="*.json")).bytes_copied == 0


async def test_an_adoption_that_is_cancelled_leaves_the_other_tools_files_as_they_were(
    hub: HubService, storage: StorageService, tmp_path: Path
) -> None:
    """When it has ended, so have its threads: mode and time are what they were before, and stay so."""
    small, large = (tmp_path / "theirs/org/tiny" / name for name in ("a.gguf", "b.gguf"))
    sparse(small, 1)
    sparse(large, 2 * 1024**3)
    large.chmod(0o640)
    before = large.stat()
    task = asyncio.create_task(hub.adopt("lmstudio://org/tiny", cache=tmp_path / "theirs"))
    while not task.done() and large.stat().st_mode == before.st_mode:  # noqa: ASYNC110 - the disk tells
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = large.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)
    assert {path.stat().st_size for path in storage.root.glob("blobs/*/*/*")} <= {1}
    assert list((storage.root / "staging").iterdir()) == []


async def test_a_revision_is_a_branch_a_pull_request_or_a_commit(hub: HubService, cache: Path) -> None:
    commit = snapshot(cache).name
    (repository(cache) / "refs/refs/pr").mkdir(parents=True)
    (repository(cache) / "refs/refs/pr/1").write_text(commit)
    for revision in (commit, "main", "refs/pr/1"):
        assert (await hub.adopt(f"hf://org/tiny@{revision}", cache=cache)).source_revision == commit


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("hf://org/other", "no directory of that repository"),
        ("hf://org/tiny@v9", "no revision 'v9', but main"),
        (f"hf://org/tiny@{'ab' * 20}", f"no snapshot {'ab' * 20}"),
    ],
)
async def test_what_is_not_in_the_cache_is_told(hub: HubService, cache: Path, address: str, reason: str) -> None:
    with pytest.raises(NotInCacheException, match=reason) as caught:
        await hub.adopt(address, cache=cache)
    assert (caught.value.source.partition("@")[0], caught.value.cache) == (address.partition("@")[0], str(cache))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
async def test_a_link_to_nothing_is_half_a_model(hub: HubService, cache: Path, name: str) -> None:
    (snapshot(cache) / name).resolve().unlink()
    with pytest.raises(NotInCacheException, match="in part only"):
        await hub.adopt("hf://org/tiny", cache=cache)
    assert not hub.storage.root.exists()


async def test_a_download_that_broke_off_hinders_only_what_it_may_be_a_part_of(hub: HubService, cache: Path) -> None:
    """With the commit's listing it is clear that nothing is missing; without one, not unless the files are named."""
    blobs = repository(cache) / "blobs"
    (blobs / f"{'ab' * 32}.incomplete").touch()
    assert (await hub.adopt("hf://org/tiny", cache=cache)).size
    tree_of(cache).unlink()
    with pytest.raises(NotInCacheException, match="broke off"):
        await hub.adopt("hf://org/tiny", cache=cache)
    with pytest.raises(NotInCacheException, match="broke off"):
        await hub.adopt("hf://org/tiny", cache=cache, allow=["*.json"])
    assert len((await hub.adopt("hf://org/tiny", cache=cache, allow=["config.json", "model.safetensors"])).files) == 2
    (blobs / f"{'ab' * 32}").touch()
    assert (await hub.adopt("hf://org/tiny", cache=cache)).size


async def test_a_part_of_a_repository_is_adopted_only_as_what_it_is(
    hf: HuggingFaceServer, hub: HubService, tmp_path: Path
) -> None:
    """What ``huggingface_hub`` itself refuses offline, too, is refused, unless patterns leave what is there."""
    hf.add_repository("org/tiny", FILES)
    code = "from huggingface_hub import snapshot_download as download\ndownload('org/tiny', allow_patterns=['*.json'])"
    run(hf, tmp_path / "home", code)
    with pytest.raises(NotInCacheException, match=r"'README.md', 'empty'.* of [0-9a-f]{40} are not there") as caught:
        await hub.adopt("hf://org/tiny", cache=tmp_path / "home/hub")
    assert "allow= or ignore=" in caught.value.reason
    assert not hub.storage.root.exists()
    narrow: list[dict[str, Any]] = [  # Any: arguments
        {"allow": ["*.json"]},
        {"ignore": ["*.md", "empty", "*.safetensors", "*.onnx", ".gitattributes"]},
    ]
    for patterns in narrow:
        adopted = await hub.adopt("hf://org/tiny", cache=tmp_path / "home/hub", **patterns)
        assert [file.path for file in adopted.files] == ["config.json", "onnx/Ünïcode #1.json"]
        assert adopted.digests_known


@pytest.mark.parametrize("home", ["hub", ""])
async def test_the_home_of_huggingface_hub_is_as_good_as_its_cache(hub: HubService, cache: Path, home: str) -> None:
    assert len((await hub.adopt("hf://org/tiny", cache=cache.parent / home)).files) == len(FILES)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("linked", [True, False])
async def test_a_file_that_was_cut_or_changed_is_noticed(
    hub: HubService, cache: Path, name: str, *, linked: bool
) -> None:
    """Also where a snapshot has the files themselves, as on systems without links: by the listing of the commit."""
    path = snapshot(cache) / name
    data = path.read_bytes()
    if not linked:
        path.unlink()
        path.write_bytes(data)
    assert (await hub.adopt("hf://org/tiny", cache=cache, allow=name)).digests_known
    target = path.resolve()
    target.chmod(0o644)
    target.unlink()  # the store may have it by another name
    target.write_bytes(data[:-1])
    with pytest.raises(NotInCacheException, match=f"has {len(data) - 1} bytes and not {len(data)}"):
        await hub.adopt("hf://org/tiny", cache=cache, allow=name)
    target.write_bytes(data[:-1] + b"?")
    hub.storage.path(sha256(data)).unlink()
    with pytest.raises((DigestMismatchException, GitBlobMismatchException)):
        await hub.adopt("hf://org/tiny", cache=cache, allow=name)


async def test_what_is_in_a_snapshot_and_in_no_listing_of_its_commit_is_left_out(hub: HubService, cache: Path) -> None:
    (snapshot(cache) / "notes.txt").write_text("mine")
    (snapshot(cache) / ".DS_Store").write_bytes(b"x")
    adopted = await hub.adopt("hf://org/tiny", cache=cache)
    assert {file.path for file in adopted.files} == set(FILES)
    assert [one.path for one in adopted.left_out] == ["notes.txt", ".DS_Store"]
    assert "listing of that commit" in adopted.left_out[0].reason


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2, "files": {}}', '{"format_version": 1}'])
async def test_a_listing_that_cannot_be_read_tells_nothing(hub: HubService, cache: Path, text: str) -> None:
    tree_of(cache).write_text(text)
    (snapshot(cache) / "empty").unlink()
    assert len((await hub.adopt("hf://org/tiny", cache=cache)).files) == len(FILES) - 1


async def test_what_xet_shares_among_repositories_is_adopted(
    hf: HuggingFaceServer, hub: HubService, cache: Path, tmp_path: Path
) -> None:
    """Its digest is the name of the repository's link, not that of the shared file, which is a Xet hash."""
    blob = snapshot(cache) / snapshot(cache).joinpath("model.safetensors").readlink()
    data, xet = blob.read_bytes(), "c0ffee" + "0" * 58
    code = f"""
from huggingface_hub.utils._shared_blobs import publish_blob_to_shared_store as publish
blob, xet, cache = {os.path.normpath(blob)!r}, {xet!r}, {str(cache)!r}
print(publish(blob_path=blob, xet_hash=xet, cache_dir=cache, expected_size={len(data)}, replace_existing=False))
from huggingface_hub import snapshot_download
print(snapshot_download("org/tiny", local_files_only=True))
"""
    assert run(hf, tmp_path / "home", code).splitlines() == ["True", str(snapshot(cache))]
    assert (snapshot(cache) / "model.safetensors").resolve() == cache.resolve() / "blobs/c0" / xet
    for listing in (True, False):
        if not listing:
            tree_of(cache).unlink()
        adopted = await hub.adopt("hf://org/tiny", cache=cache)
        digests = {file.path: file.sha256 for file in adopted.files}
        assert (digests["model.safetensors"], adopted.digests_known) == (sha256(data), True)
    target = cache / "blobs/c0" / xet
    hub.storage.path(sha256(data)).unlink()
    damaged(target)
    with pytest.raises(DigestMismatchException):
        await hub.adopt("hf://org/tiny", cache=cache)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../secret", "../../../models--org--other/blobs/a"])
async def test_a_link_that_leads_out_of_the_cache_is_refused(
    hub: HubService, cache: Path, tmp_path: Path, target: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (cache / "models--org--other/blobs").mkdir(parents=True)
    (cache / "models--org--other/blobs/a").write_text("another's")
    (snapshot(cache) / "config.json").unlink()
    (snapshot(cache) / "config.json").symlink_to(target)
    with pytest.raises(InvalidSourceException, match="leads out of the cache"):
        await hub.adopt("hf://org/tiny", cache=cache)
    assert not hub.storage.root.exists()


async def test_a_link_to_a_directory_and_a_fifo_are_refused(hub: HubService, cache: Path) -> None:
    (snapshot(cache) / "more").symlink_to("onnx")
    with pytest.raises(InvalidSourceException, match="link to a directory"):
        await hub.adopt("hf://org/tiny", cache=cache)
    (snapshot(cache) / "more").unlink()
    (snapshot(cache) / "config.json").unlink()
    os.mkfifo(snapshot(cache) / "config.json")
    with pytest.raises(InvalidSourceException, match="no regular file"):
        await hub.adopt("hf://org/tiny", cache=cache)


@pytest.mark.parametrize("ref", ["/etc/hostname", "../../../secret"])
async def test_a_reference_leads_nowhere_else(hub: HubService, cache: Path, tmp_path: Path, ref: str) -> None:
    """Neither a revision nor a link among the references reads another file."""
    (tmp_path / "secret").write_text("ab" * 20)
    (repository(cache) / "refs/evil").symlink_to(tmp_path / "secret")
    for revision in (ref, "evil"):
        with pytest.raises((InvalidSourceException, NotInCacheException)) as caught:
            await hub.adopt(f"hf://org/tiny@{revision}", cache=cache)
        assert "ab" * 20 not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [("model.safetensors", DigestMismatchException), ("config.json", GitBlobMismatchException)],
)
async def test_what_is_not_what_its_name_says_is_refused_and_left_alone(
    hub: HubService, cache: Path, name: str, error: type[Exception]
) -> None:
    blob = (snapshot(cache) / name).resolve()
    damaged(blob)
    before = blob.stat()
    with pytest.raises(error):
        await hub.adopt("hf://org/tiny", cache=cache, allow=name)
    after = blob.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)


async def test_a_cache_without_links_or_listing_is_adopted_too(hub: HubService, cache: Path) -> None:
    """Where there are no symbolic links, a snapshot has the files themselves: then nothing names their content."""
    path = snapshot(cache) / "config.json"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    tree_of(cache).unlink()
    adopted = await hub.adopt("hf://org/tiny", cache=cache, allow="config.json")
    (file,) = adopted.files
    assert (file.sha256, file.by, adopted.digests_known) == (sha256(data), "link", False)


async def test_ollamas_store_is_adopted(hub: HubService, tmp_path: Path) -> None:
    """Layers become files, each the store's own under a second name; the revision is what ``ollama list`` shows."""
    path = image(tmp_path / "ollama")
    adopted = await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")
    assert {file.path: file.sha256 for file in adopted.files} == {
        "LICENSE": sha256(b"MIT License"),
        "mmproj.gguf": sha256(b"eyes"),
        "model.gguf": sha256(WEIGHTS),
        "ollama.json": sha256(b'{"model_format": "gguf"}'),
        "params.json": sha256(b"{}"),
        "template": sha256(b"{{ .Prompt }}"),
    }
    assert {file.by for file in adopted.files} == {"link"}
    assert (adopted.source, adopted.name) == ("ollama://library/tiny:latest", "tiny")
    assert (adopted.hub, adopted.source_repository) == ("ollama", "library/tiny")
    assert adopted.source_revision == f"sha256:{sha256(path.read_bytes())}"


async def test_ollamas_store_is_found_where_ollama_keeps_it(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image(tmp_path / "ollama", name="me/tiny")
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    adopted = await hub.adopt("ollama://me/tiny:latest", ignore="LICENSE")
    assert (adopted.author, adopted.name, len(adopted.files)) == ("me", "me/tiny", 5)


async def test_ollamas_directory_of_its_service_is_looked_at_too(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And both places are named where neither has the model."""
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    assert ollama._PLACES[1:] == ("/usr/share/ollama/.ollama/models",)
    image(tmp_path / "service")
    monkeypatch.setattr(ollama, "_PLACES", (str(tmp_path / "user"), str(tmp_path / "service")))
    assert (await hub.adopt("ollama://tiny")).name == "tiny"
    with pytest.raises(NotInCacheException) as caught:
        await hub.adopt("ollama://other")
    assert caught.value.cache == f"{tmp_path / 'user'} and {tmp_path / 'service'}"


def _without_a_layer(place: Path) -> None:
    (place / "blobs" / f"sha256-{sha256(WEIGHTS)}").unlink()


def _with_a_short_layer(place: Path) -> None:
    (place / "blobs" / f"sha256-{sha256(WEIGHTS)}").write_bytes(WEIGHTS[:-1])


def _nothing(place: Path) -> None:
    shutil.rmtree(place)


@pytest.mark.parametrize("break_", [_without_a_layer, _with_a_short_layer, _nothing])
async def test_half_an_image_is_not_there(hub: HubService, tmp_path: Path, break_: Callable[[Path], None]) -> None:
    image(tmp_path / "ollama")
    break_(tmp_path / "ollama")
    with pytest.raises(NotInCacheException):
        await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")
    assert not hub.storage.root.exists()


async def test_a_damaged_layer_is_refused(hub: HubService, tmp_path: Path) -> None:
    image(tmp_path / "ollama")
    damaged(tmp_path / "ollama/blobs" / f"sha256-{sha256(WEIGHTS)}")
    with pytest.raises(DigestMismatchException):
        await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")


async def test_a_layer_that_leads_out_of_the_store_is_refused(hub: HubService, tmp_path: Path) -> None:
    image(tmp_path / "ollama")
    blob = tmp_path / "ollama/blobs" / f"sha256-{sha256(WEIGHTS)}"
    shutil.move(blob, tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidSourceException, match="leads out of the cache"):
        await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"[" * 100_000,
        b'{"layers": []}',
        b" " * (4 * 1024**2 + 1),
        b'{"config": {"mediaType": "a", "digest": "sha256:../../etc/passwd", "size": 1}, "layers": []}',
    ],
    ids=lambda text: ascii(text[:20]),
)
async def test_a_manifest_that_is_none_is_refused(hub: HubService, tmp_path: Path, text: bytes) -> None:
    image(tmp_path / "ollama").write_bytes(text)
    with pytest.raises(InvalidSourceException) as caught:
        await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")
    assert len(str(caught.value)) < 1000


async def test_lm_studios_directory_is_adopted(hub: HubService, tmp_path: Path) -> None:
    directory = tmp_path / "models/org/tiny-GGUF"
    directory.mkdir(parents=True)
    (directory / "tiny-Q8_0.gguf").write_bytes(WEIGHTS)
    adopted = await hub.adopt("lmstudio://org/tiny-GGUF", cache=tmp_path / "models")
    (file,) = adopted.files
    assert (file.path, file.sha256, file.by) == ("tiny-Q8_0.gguf", sha256(WEIGHTS), "link")
    assert (adopted.name, adopted.source_repository, adopted.author) == ("tiny-GGUF", "org/tiny-GGUF", "org")
    (directory / "downloading_tiny-Q4.gguf.part").touch()
    with pytest.raises(NotInCacheException, match="has not arrived"):
        await hub.adopt("lmstudio://org/tiny-GGUF", cache=tmp_path / "models")


@pytest.mark.parametrize("home", [".lmstudio/models", ".cache/lm-studio/models"])
async def test_lm_studios_directory_is_found_where_it_keeps_it(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / home / "org/tiny").mkdir(parents=True)
    (tmp_path / home / "org/tiny/a.gguf").write_bytes(WEIGHTS)
    assert (await hub.adopt("lmstudio://org/tiny")).size == len(WEIGHTS)
    with pytest.raises(NotInCacheException, match="no directory of that name"):
        await hub.adopt("lmstudio://org/other")


@pytest.mark.parametrize("is_chosen", [True, False])
async def test_lm_studios_pointer_and_settings_are_followed(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_chosen: bool
) -> None:
    """The pointer file names its home, and the settings there the directory of models, if another was chosen."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    (tmp_path / "user/.lmstudio-home-pointer").write_text(f"{tmp_path / 'home'}\n")
    models = tmp_path / ("chosen" if is_chosen else "home/models")
    (models / "org/tiny").mkdir(parents=True)
    (models / "org/tiny/a.gguf").write_bytes(WEIGHTS)
    if is_chosen:
        (tmp_path / "home").mkdir()
        (tmp_path / "home/settings.json").write_text(json.dumps({"downloadsFolder": str(models), "language": "en"}))
    assert (await hub.adopt("lmstudio://org/tiny")).size == len(WEIGHTS)
    with pytest.raises(NotInCacheException, match="no directory of that name") as caught:
        await hub.adopt("lmstudio://org/other")
    assert str(models) in caught.value.cache


@pytest.mark.parametrize("text", ["", "relative", "\0", "\udcff"])
async def test_a_pointer_that_names_no_home_is_not_followed(
    hub: HubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".lmstudio-home-pointer").write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / ".lmstudio/models/org/tiny").mkdir(parents=True)
    (tmp_path / ".lmstudio/models/org/tiny/a.gguf").write_bytes(WEIGHTS)
    (tmp_path / ".lmstudio/settings.json").write_text("[]")
    assert (await hub.adopt("lmstudio://org/tiny")).size == len(WEIGHTS)


async def test_lm_studios_links_that_lead_out_are_refused(hub: HubService, tmp_path: Path) -> None:
    (tmp_path / "models/org/tiny").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "models/org/tiny/a.gguf").symlink_to(tmp_path / "secret")
    (tmp_path / "models/org/other").symlink_to(tmp_path)
    for name in ("tiny", "other"):
        with pytest.raises(InvalidSourceException, match="leads out"):
            await hub.adopt(f"lmstudio://org/{name}", cache=tmp_path / "models")


async def test_adopting_never_blocks_the_event_loop(hub: HubService, cache: Path, tmp_path: Path) -> None:
    image(tmp_path / "ollama")
    (tmp_path / "lm/org/tiny").mkdir(parents=True)
    (tmp_path / "lm/org/tiny/a.gguf").write_bytes(WEIGHTS)
    with watched():
        await hub.adopt("hf://org/tiny", cache=cache)
        await hub.adopt("ollama://tiny", cache=tmp_path / "ollama")
        await hub.adopt("lmstudio://org/tiny", cache=tmp_path / "lm")


SNAPSHOT = f"models--org--tiny/snapshots/{'ab' * 20}"


@pytest.mark.parametrize("folder", ["", "models--org--tiny", "models--org--tiny/snapshots", f"{SNAPSHOT}/onnx"])
async def test_a_cache_that_this_user_may_not_read_is_told(hub: HubService, unprivileged: Path, folder: str) -> None:
    (unprivileged / SNAPSHOT / "onnx").mkdir(parents=True)
    (unprivileged / SNAPSHOT / "config.json").write_text("{}")
    (unprivileged / folder).chmod(0o000)
    try:
        with pytest.raises(InvalidSourceException, match="cannot be read: Permission denied"):
            await hub.adopt(f"hf://org/tiny@{'ab' * 20}", cache=unprivileged)
    finally:
        (unprivileged / folder).chmod(0o755)


@pytest.mark.parametrize("name", ["ab" * 20, "cd" * 32], ids=["git", "lfs"])
async def test_a_cached_file_that_this_user_may_not_read_is_told(
    hub: HubService, unprivileged: Path, name: str
) -> None:
    (unprivileged / SNAPSHOT).mkdir(parents=True)
    blob = unprivileged / "models--org--tiny/blobs" / name
    blob.parent.mkdir()
    blob.touch(mode=0o000)
    (unprivileged / SNAPSHOT / "config.json").symlink_to(blob)
    with pytest.raises(StoragePermissionException, match=name):
        await hub.adopt(f"hf://org/tiny@{'ab' * 20}", cache=unprivileged)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a",
        "/some/path",
        "s3://bucket/a",
        "hf://../..",
        "ollama://",
        "ollama://a/b/c/d",
        "ollama://../../etc/passwd",
        "ollama://tiny:",
        "lmstudio://org",
        "lmstudio://org/../..",
        "lmstudio:///etc/passwd",
        "lmstudio://a/b/c",
    ],
)
async def test_what_is_no_address_of_a_cache_is_refused(hub: HubService, tmp_path: Path, address: str) -> None:
    with pytest.raises(InvalidSourceException, match="write"):
        await hub.adopt(address, cache=tmp_path)


async def test_arguments_of_a_wrong_kind_are_told(hub: HubService, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputException, match="source"):
        await hub.adopt(7)  # type: ignore[arg-type]  # what is tested
    for cache in (7, b"/tmp", "a\0b", "a\ud800"):
        with pytest.raises(InvalidInputException, match="cache"):
            await hub.adopt("hf://org/tiny", cache=cache)  # type: ignore[arg-type]  # what is tested
