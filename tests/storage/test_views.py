"""Layouts of other programs: they find a version there, and no byte is there twice."""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, scan_cache_dir, snapshot_download

from kamiwaza_sdk import (
    FileConflictException,
    HubConfig,
    HubService,
    InvalidInputException,
    PathTraversalException,
    StorageService,
)
from kamiwaza_sdk.testing import HuggingFaceServer
from kamiwaza_sdk.types import LayoutNotPossibleException

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class _File:
    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class _Version:
    files: tuple[_File, ...]
    model_name: str = "org/tiny"
    version: str = "v1"
    source_repository: str | None = "org/tiny"
    source_revision: str | None = COMMIT


def kept(storage: StorageService, tmp_path: Path, **contents: bytes) -> tuple[_File, ...]:
    """Keep files under paths in which two underscores stand for a dot, and one for a slash."""
    found = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        blob = storage.add(tmp_path / name)
        found.append(_File(name.replace("__", ".").replace("_", "/"), blob.size, blob.sha256))
    return tuple(found)


def hub_files(storage: StorageService, tmp_path: Path) -> tuple[_File, ...]:
    return kept(storage, tmp_path, config__json=b"{}", onnx_model__onnx=b"weights", copy__json=b"{}")


def test_huggingface_hub_finds_it_offline_and_scans_it_without_a_warning(
    storage: StorageService, tmp_path: Path
) -> None:
    version, cache = _Version(hub_files(storage, tmp_path)), tmp_path / "hub"
    for _ in range(2):
        assert storage.materialize(version, cache, layout="huggingface") == cache
    scan = scan_cache_dir(cache)
    (repository,) = scan.repos
    assert not scan.warnings
    assert (repository.repo_id, set(repository.refs)) == ("org/tiny", {"main"})
    (revision,) = repository.revisions
    assert (revision.commit_hash, {file.file_name for file in revision.files}) == (
        COMMIT,
        {"config.json", "model.onnx", "copy.json"},
    )
    assert repository.size_on_disk == len(b"{}weights")
    for revision_name in ("main", COMMIT):
        found = hf_hub_download(
            "org/tiny", "onnx/model.onnx", revision=revision_name, cache_dir=cache, local_files_only=True
        )
        assert Path(found).read_bytes() == b"weights"
    snapshot = Path(snapshot_download("org/tiny", cache_dir=cache, local_files_only=True))
    assert (snapshot / "config.json").read_bytes() == b"{}"


async def test_huggingface_hub_verifies_it_against_a_hub(storage: StorageService, tmp_path: Path) -> None:
    """What ``hf cache verify`` does: small files by their git blob ids, large ones by their SHA-256."""
    files = {"config.json": b"{}", "README.md": b"# Tiny", "onnx/model.safetensors": b"weights" * 1000}
    with HuggingFaceServer() as server:
        commit = server.add_repository("org/tiny", files)
        hub = HubService(
            storage=storage, config=await asyncio.to_thread(lambda: HubConfig(hf_endpoint=server.endpoint))
        )
        fetched = await hub.fetch("hf://org/tiny")
        version = _Version(
            tuple(_File(one.path, one.size, one.sha256) for one in fetched.files), source_revision=commit
        )
        await asyncio.to_thread(storage.materialize, version, tmp_path / "hub", layout="huggingface")
        api = HfApi(endpoint=server.endpoint, token=False)
        found = await asyncio.to_thread(api.verify_repo_checksums, "org/tiny", cache_dir=tmp_path / "hub")
    assert (found.checked_count, found.mismatches, found.missing_paths, found.extra_paths) == (3, [], [], [])


def test_a_layout_has_no_bytes_of_its_own(storage: StorageService, tmp_path: Path) -> None:
    files = kept(storage, tmp_path, model__gguf=b"GGUFweights")
    for layout, path in (
        ("huggingface", f"models--org--tiny/blobs/{files[0].sha256}"),
        ("ollama", f"blobs/sha256-{files[0].sha256}"),
        ("lm-studio", "org/tiny/model.gguf"),
    ):
        place = tmp_path / layout
        storage.materialize(_Version(files), place, layout=layout)  # type: ignore[arg-type]  # one of the three
        laid, blob = (place / path).stat(), storage.path(files[0].sha256).stat()
        assert laid.st_ino == blob.st_ino or laid.st_nlink == 1  # the latter where blocks are shared


def test_what_the_hub_says_is_main_stays_main(storage: StorageService, tmp_path: Path) -> None:
    main = tmp_path / "hub/models--org--tiny/refs/main"
    main.parent.mkdir(parents=True)
    main.write_text("f" * 40)
    storage.materialize(_Version(hub_files(storage, tmp_path)), tmp_path / "hub", layout="huggingface")
    assert main.read_text() == "f" * 40


def test_ollama_gets_blobs_and_a_manifest_that_names_them(storage: StorageService, tmp_path: Path) -> None:
    files = kept(storage, tmp_path, model__gguf=b"GGUFweights", mmproj__gguf=b"GGUFeyes", README__md=b"# Tiny")
    for _ in range(2):
        storage.materialize(_Version(files), tmp_path / "models", layout="ollama")
    text = (tmp_path / "models/manifests/registry.ollama.ai/org/tiny/v1").read_text()
    manifest = json.loads(text)
    assert [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]] == ["model", "projector"]
    for layer in (manifest["config"], *manifest["layers"]):
        blob = tmp_path / "models/blobs" / layer["digest"].replace(":", "-")
        content = blob.read_bytes()
        assert (len(content), "sha256:" + hashlib.sha256(content).hexdigest()) == (layer["size"], layer["digest"])
    config = tmp_path / "models/blobs" / manifest["config"]["digest"].replace(":", "-")
    assert json.loads(config.read_text())["model_format"] == "gguf"


def test_another_model_of_ollamas_is_left_alone(storage: StorageService, tmp_path: Path) -> None:
    one, other = (kept(storage, tmp_path, model__gguf=content) for content in (b"GGUFone", b"GGUFother"))
    storage.materialize(_Version(one), tmp_path / "models", layout="ollama")
    with pytest.raises(FileConflictException):
        storage.materialize(_Version(other), tmp_path / "models", layout="ollama")


def test_lm_studio_gets_publisher_model_and_file(storage: StorageService, tmp_path: Path) -> None:
    files = kept(storage, tmp_path, Q4_model__gguf=b"GGUFweights", README__md=b"# Tiny")
    storage.materialize(_Version(files), tmp_path / "models", layout="lm-studio")
    assert [path.relative_to(tmp_path / "models") for path in (tmp_path / "models").rglob("*.*")] == [
        Path("org/tiny/model.gguf")
    ]


@pytest.mark.parametrize(
    ("layout", "lacking"),
    [
        ("huggingface", {"source_repository": None}),
        ("huggingface", {"source_repository": "../org"}),
        ("huggingface", {"source_revision": "main"}),
        ("ollama", {"model_name": "a/b/c"}),
        ("ollama", {"model_name": "../x"}),
        ("ollama", {"files": ()}),
        ("lm-studio", {"source_repository": None, "model_name": "tiny"}),
        ("lm-studio", {"files": ()}),
    ],
)
def test_what_a_layout_needs_and_the_version_lacks_is_said(
    storage: StorageService, tmp_path: Path, layout: str, lacking: dict[str, object]
) -> None:
    files = kept(storage, tmp_path, model__gguf=b"GGUFweights")
    version = _Version(**{"files": files, **lacking})  # type: ignore[arg-type]  # of several types
    with pytest.raises(LayoutNotPossibleException) as raised:
        storage.materialize(version, tmp_path / "there", layout=layout)  # type: ignore[arg-type]  # as above
    assert raised.value.layout == layout
    assert not (tmp_path / "there").exists()


def test_what_cannot_be_a_view_is_refused(storage: StorageService, tmp_path: Path) -> None:
    version = _Version(hub_files(storage, tmp_path))
    with pytest.raises(InvalidInputException, match="it can be plain"):
        storage.materialize(version, tmp_path / "x", layout="mlx")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(InvalidInputException, match="directory"):
        storage.materialize(version, layout="huggingface")
    with pytest.raises(InvalidInputException, match="writable"):
        storage.materialize(version, tmp_path / "x", layout="huggingface", writable=True)


def test_a_link_out_of_the_directory_is_not_followed(storage: StorageService, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    repository = tmp_path / "hub/models--org--tiny"
    repository.mkdir(parents=True)
    (repository / "snapshots").symlink_to(tmp_path / "outside")
    with pytest.raises(PathTraversalException):
        storage.materialize(_Version(hub_files(storage, tmp_path)), tmp_path / "hub", layout="huggingface")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_of_the_users_in_a_snapshot_is_left_alone(storage: StorageService, tmp_path: Path) -> None:
    mine = tmp_path / f"hub/models--org--tiny/snapshots/{COMMIT}/config.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(FileConflictException):
        storage.materialize(_Version(hub_files(storage, tmp_path)), tmp_path / "hub", layout="huggingface")
    assert mine.read_text() == "mine"
