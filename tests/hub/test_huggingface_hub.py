"""``huggingface_hub`` itself, unchanged, downloads from the hub that these tests ask: so the fake is right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kamiwaza_sdk import StorageService
from kamiwaza_sdk.testing import GeneratedBody, HuggingFaceServer
from tests.hub.conftest import Asking

pytest.importorskip("huggingface_hub")

FILES: dict[str, bytes | GeneratedBody] = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# tiny\n",
    "config.json": b"{}",
    "empty": b"",
    "model.safetensors": GeneratedBody(3 * 1024**2),
    "onnx/model.onnx": b"graph" * 1000,
    "onnx/Ünïcode #1.json": b"[]",
}


def run(server: HuggingFaceServer, home: Path, code: str, *, token: str | None = None) -> str:
    """Run code in a process of its own, where ``huggingface_hub`` asks the loopback hub."""
    environment = {
        "PATH": os.environ["PATH"],
        "HF_ENDPOINT": server.endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({} if token is None else {"HF_TOKEN": token}),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def tree(root: Path) -> dict[str, bytes]:
    """What a directory consists of, but for what ``huggingface_hub`` notes in it."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.relative_to(root).parts[0] != ".cache"
    }


@pytest.mark.parametrize("patterns", [{}, {"allow": ["onnx/", "*.md"]}, {"ignore": ["*.json", "onnx/"]}], ids=ascii)
async def test_both_get_identical_trees(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, tmp_path: Path, patterns: dict[str, list[str]]
) -> None:
    commit = hf.add_repository("org/tiny", FILES, private=True, gated=True)
    theirs = {f"{name}_patterns": value for name, value in patterns.items()}
    code = (
        "from huggingface_hub import snapshot_download\n"
        f"snapshot_download('org/tiny', local_dir={str(tmp_path / 'theirs')!r}, **{theirs!r})"
    )
    run(hf, tmp_path / "home", code, token=hf.token)
    fetched = await (await asking(hf.token)).fetch(f"hf://org/tiny@{commit}", **patterns)  # type: ignore[arg-type]  # of one type each
    storage.materialize(fetched, tmp_path / "ours")
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs") != {}
    assert [request for request in hf.storage.requests if hf.token in str(request.headers)] == []


@pytest.mark.parametrize("kind", ["dataset", "space"])
async def test_datasets_and_spaces_are_the_same_to_both(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, tmp_path: Path, kind: str
) -> None:
    hf.add_repository("org/tiny", {"a.parquet": b"rows", "b/c.txt": b"text"}, kind=kind)  # type: ignore[arg-type]  # one of them
    code = (
        "from huggingface_hub import snapshot_download\n"
        f"snapshot_download('org/tiny', repo_type={kind!r}, local_dir={str(tmp_path / 'theirs')!r})"
    )
    run(hf, tmp_path / "home", code)
    storage.materialize(await (await asking()).fetch(f"hf://{kind}s/org/tiny"), tmp_path / "ours")
    assert tree(tmp_path / "ours") == tree(tmp_path / "theirs") != {}


def test_its_errors_are_those_of_the_real_hub(hf: HuggingFaceServer, tmp_path: Path) -> None:
    hf.add_repository("org/gated", FILES, gated=True)
    hf.add_repository("org/secret", FILES, private=True)
    hf.add_repository("org/old", FILES)
    hf.rename_repository("org/old", "org/new")
    code = """
import json
from huggingface_hub import hf_hub_download
told = []
for name, revision in [("gated", "main"), ("secret", "main"), ("nowhere", "main"), ("new", "v9"), ("old", "main")]:
    try:
        told.append(open(hf_hub_download(f"org/{name}", "config.json", revision=revision)).read())
    except Exception as error:
        told.append(type(error).__name__)
print(json.dumps(told))
"""
    expected = ["GatedRepoError", "RepositoryNotFoundError", "RepositoryNotFoundError", "RevisionNotFoundError", "{}"]
    assert json.loads(run(hf, tmp_path / "home", code)) == expected


async def test_both_find_the_same(hf: HuggingFaceServer, asking: Asking, tmp_path: Path) -> None:
    for number in range(5):
        hf.add_repository(f"org/minilm-{number}", {"a": b""}, downloads=number % 3, likes=number, task="fill-mask")
    hf.add_repository("org/other", {"a": b""})
    code = """
from huggingface_hub import HfApi
print([found.id for found in HfApi().list_models(search="minilm", pipeline_tag="fill-mask", sort="likes", limit=4)])
"""
    found = [one.name async for one in (await asking()).search("minilm", task="fill-mask", sort="likes", limit=4)]
    assert run(hf, tmp_path / "home", code) == repr(found)
    assert len(found) == 4


def test_it_reads_what_the_api_describes(hf: HuggingFaceServer, tmp_path: Path) -> None:
    hf.add_repository("org/tiny", FILES, license="mit", task="fill-mask", xet=True)
    code = """
from huggingface_hub import HfApi
api = HfApi()
info = api.model_info("org/tiny", files_metadata=False)
tree = api.list_repo_tree("org/tiny", recursive=True)
sizes = {file.path: (file.size, file.lfs is not None) for file in tree if hasattr(file, "size")}
print(info.card_data.license, info.pipeline_tag, len(info.siblings), sizes["onnx/model.onnx"], sizes["empty"])
print(sorted(entry.path for entry in api.list_repo_tree("org/tiny", "onnx")), api.file_exists("org/tiny", "nothing"))
"""
    expected = "mit fill-mask 7 (5000, True) (0, False)\n['onnx/model.onnx', 'onnx/Ünïcode #1.json'] False"
    assert run(hf, tmp_path / "home", code) == expected


def test_its_questions_about_paths_branches_and_commits_are_answered(hf: HuggingFaceServer, tmp_path: Path) -> None:
    first = hf.add_repository("org/tiny", {"config.json": b"{}"})
    second = hf.add_repository("org/tiny", FILES)
    third = hf.add_repository("org/tiny", FILES, branch="next")
    hf.add_tag("org/tiny", "v1", first)
    code = """
import json
from huggingface_hub import HfApi
api = HfApi()
found = api.get_paths_info("org/tiny", ["config.json", "onnx", "missing.json"], expand=True)
refs = api.list_repo_refs("org/tiny", include_pull_requests=True)
print(json.dumps({
    "paths": [[type(one).__name__, one.path] for one in found],
    "size": found[0].size, "lfs": api.get_paths_info("org/tiny", "model.safetensors")[0].lfs.size,
    "last": [one.last_commit.oid for one in found],
    "old": [one.path for one in api.get_paths_info("org/tiny", ["onnx", "config.json"], revision="v1")],
    "branches": {one.name: [one.ref, one.target_commit] for one in refs.branches},
    "tags": {one.name: [one.ref, one.target_commit] for one in refs.tags},
    "requests": refs.pull_requests,
    "commits": [one.commit_id for one in api.list_repo_commits("org/tiny")],
    "titles": [one.title for one in api.list_repo_commits("org/tiny", revision="v1")],
    "exists": [api.file_exists("org/tiny", name) for name in ("config.json", "missing.json")],
    "revisions": [api.revision_exists("org/tiny", name) for name in ("v1", "v2")],
}))
"""
    told = json.loads(run(hf, tmp_path / "home", code))
    assert told == {
        "paths": [["RepoFile", "config.json"], ["RepoFolder", "onnx"]],
        "size": 2,
        "lfs": 3 * 1024**2,
        "last": [first, second],
        "old": ["config.json"],
        "branches": {"main": ["refs/heads/main", second], "next": ["refs/heads/next", third]},
        "tags": {"v1": ["refs/tags/v1", first]},
        "requests": [],
        "commits": [second, first],
        "titles": ["Commit 1"],
        "exists": [True, False],
        "revisions": [True, False],
    }


def test_a_file_that_is_not_there_is_remembered_by_the_commit(hf: HuggingFaceServer, tmp_path: Path) -> None:
    commit = hf.add_repository("org/tiny", {"config.json": b"{}"})
    code = """
import json
from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
try:
    hf_hub_download("org/tiny", "missing.json")
except EntryNotFoundError as error:
    told = error.response.headers["X-Repo-Commit"]
print(json.dumps([told, try_to_load_from_cache("org/tiny", "missing.json") is _CACHED_NO_EXIST]))
"""
    assert json.loads(run(hf, tmp_path / "home", code)) == [commit, True]
