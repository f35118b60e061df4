"""What tools, editors and secrets leave beside a model does not become part of it, and is told."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from kamiwaza_sdk import (
    Fetched,
    HubConfig,
    HubService,
    InvalidSourceException,
    PlanSchema,
    StorageService,
)
from kamiwaza_sdk.formats.layouts.names import with_marks
from kamiwaza_sdk.services.hub.selection import _MARKS, HALF, rules_for
from kamiwaza_sdk.sources import LeftOutSchema, ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking
from tests.hub.test_huggingface_hub import FILES, run

TOKEN = "https://user:hf_XXXX@example.org/m"
JUNK = [
    ".DS_Store",
    "sub/._model.safetensors",
    "Thumbs.db",
    "THUMBS.DB.d/../Thumbs.DB",
    "__pycache__/model.cpython-311.pyc",
    "sub/.ipynb_checkpoints/train.ipynb",
    ".cache/huggingface/download/model.safetensors.metadata",
    "sub/.cache/huggingface/token",
    ".huggingface/x",
    ".locks/models--a/x.lock",
    "abc.incomplete",
    ".env",
    ".env.local",
    "sub/.netrc",
    ".dvc/config.local",
    ".aws/credentials",
    "id_ed25519",
    ".idea/workspace.xml",
    "config.json~",
    ".model.safetensors.Xa3fQz",
    "sub/model.safetensors.6eF3aB12",
    "model.gguf_.gstmp",
    ".azDownload-0f0f-model.bin",
    ".~tmp~/model.bin",
    ".rsync-partial/model.bin",
    "sha256-abcdef-partial-0",
    ".syncthing.model.gguf.tmp",
    ".stversions/model.gguf",
    ".tmp.drivedownload/1",
    ".lfsconfig",
    ".gitmodules",
    "~$card.docx",
    ".config.json.swp",
    "Icon\r",
]
NEVER = [".git/config", ".git/objects/ab/cdef", "sub/.git", "deep/er/.GIT/config", ".hg/hgrc", ".svn/entries"]
MODEL = {
    "model.safetensors": b"weights",
    ".gitattributes": b"*",
    ".gitignore": b"*",
    "model.v1.5": b"",
    "a.json.lzma": b"",
    "sub/env": b"",
    "data.cache": b"",
}


@pytest.fixture
async def hub(storage: StorageService) -> HubService:
    return HubService(storage=storage, config=await asyncio.to_thread(HubConfig, offline=True))


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def paths(brought: Fetched) -> set[str]:
    return {file.path for file in brought.files}


@pytest.mark.parametrize("name", [*JUNK, *NEVER])
def test_every_name_with_a_rule_is_found_among_many(name: str) -> None:
    for path in (name, name.upper(), f"a/{name}", f"{name}/b"):
        assert not rules_for(path) or path in with_marks(["model.bin", path], _MARKS)
    assert with_marks(["model.safetensors", "samples/0001.wav", "tokenizer.json"], _MARKS) == frozenset()


async def test_a_directory_is_its_model_and_nothing_else(hub: HubService, tmp_path: Path) -> None:
    """Junk, secrets and version control are left out, each with a reason, and so the digest is the model's own."""
    clean = await hub.fetch(write(tmp_path / "clean", MODEL))
    full = write(tmp_path / "full", MODEL | dict.fromkeys([*JUNK, *NEVER], TOKEN.encode()))
    (full / ".svn/leads out").symlink_to("/etc/passwd")
    fetched = await hub.fetch(full)
    assert (paths(fetched), fetched.digest) == (set(MODEL), clean.digest)
    told = {one.path: one.reason for one in fetched.left_out}
    assert all(
        any(name.startswith(path) for path in told) for name in [*JUNK, *NEVER] if ".." not in name and "\r" not in name
    )
    assert {".git", "sub/.git", "deep/er/.GIT", ".cache/huggingface", "__pycache__", ".env", "Icon\r"} <= told.keys()
    assert "token" in told[".git"]
    assert "secrets" in told[".env"]
    kept = b"".join(path.read_bytes() for path in hub.storage.root.rglob("blobs/*/*/*"))
    assert TOKEN.encode() not in kept


async def test_a_pattern_that_names_it_brings_it(hub: HubService, tmp_path: Path) -> None:
    """One that merely matches everything does not; and none brings version control."""
    root = write(tmp_path / "full", MODEL | dict.fromkeys([*JUNK[:-1], *NEVER], b"x"))
    assert paths(await hub.fetch(root, allow="*")) == set(MODEL)
    assert paths(await hub.fetch(root, allow=["*", ".*"])) == set(MODEL)
    for pattern, found in {
        ".DS_Store": {".DS_Store"},
        "*/._*": {"sub/._model.safetensors"},
        ".env*": {".env", ".env.local"},
        ".cache/huggingface/": {".cache/huggingface/download/model.safetensors.metadata"},
        "*/.ipynb_checkpoints/*": {"sub/.ipynb_checkpoints/train.ipynb"},
    }.items():
        assert paths(await hub.fetch(root, allow=[pattern, "*.safetensors"])) - {"model.safetensors"} == found - {
            "model.safetensors"
        }
    for pattern in (".git/*", ".git/config", "*.git*", "sub/.git"):
        assert paths(await hub.fetch(root, allow=[pattern, "*.safetensors"])) == {
            "model.safetensors",
            *({".gitattributes", ".gitignore"} if pattern == "*.git*" else set()),
        }


async def test_only_what_would_have_been_wanted_is_told(hub: HubService, tmp_path: Path) -> None:
    root = write(tmp_path / "full", MODEL | dict.fromkeys([".DS_Store", ".git/config", ".env"], b"x"))
    assert (await hub.fetch(root, allow="*.safetensors")).left_out == ()
    assert [one.path for one in (await hub.fetch(root, ignore=[".git/", ".env"])).left_out] == [".DS_Store"]


@pytest.mark.parametrize("name", [".git", ".hg"])
async def test_version_control_is_no_model(hub: HubService, tmp_path: Path, name: str) -> None:
    """Neither where it is given itself, as a directory or file, nor where it is all that there is."""
    write(tmp_path / "a", {f"{name}/config": b"x"})
    write(tmp_path / "b", {name: b"gitdir: elsewhere"})
    (tmp_path / "link").symlink_to(tmp_path / "a" / name)
    for place in (tmp_path / "a", tmp_path / "a" / name, tmp_path / "b", tmp_path / "b" / name, tmp_path / "link"):
        with pytest.raises(InvalidSourceException, match="left out|never taken"):
            await hub.fetch(place)


async def test_a_file_that_is_named_itself_is_taken(hub: HubService, tmp_path: Path) -> None:
    write(tmp_path, {".env": b"x", "Thumbs.db": b"y"})
    for name in (".env", "Thumbs.db"):
        assert paths(await hub.fetch(tmp_path / name)) == {name}
        assert paths(await hub.fetch((tmp_path / name).as_uri())) == {name}


async def test_a_manifest_brings_what_it_lists_but_no_version_control(hub: HubService, tmp_path: Path) -> None:
    """It was selected before; so does a plan, which tells in its table what was left out."""
    root = write(tmp_path / "m", {"a.safetensors": b"a", ".DS_Store": b"b", ".git/config": b"c"})
    plan = await hub.plan(root, allow=["*.safetensors", ".DS_Store"])
    assert paths(await hub.fetch(plan)) == {"a.safetensors", ".DS_Store"}
    whole = await hub.plan(root)
    assert [one.path for one in whole.left_out] == [".DS_Store", ".git"]
    assert PlanSchema.model_validate_json(whole.model_dump_json()).left_out == whole.left_out
    for table in (str(whole), whole._repr_html_()):
        assert "left out" in table
        assert ".DS_Store" in table
    forged = ManifestSchema(
        source="x",
        name="x",
        files=tuple(
            ManifestFileSchema(path=path, url=(root / path).as_uri())
            for path in (".DS_Store", "a.safetensors", ".git/config")
        ),
    )
    fetched = await hub.fetch(forged)
    assert paths(fetched) == {".DS_Store", "a.safetensors"}
    assert isinstance(fetched.left_out[0], LeftOutSchema)
    assert [one.path for one in fetched.left_out] == [".git"]


async def test_a_repository_of_a_hub_is_sifted_as_a_directory_is(hf: HuggingFaceServer, asking: Asking) -> None:
    """So one model has one digest, whichever way it comes; with a pattern, what was pushed by mistake is had, too."""
    hf.add_repository("org/tiny", {"config.json": b"{}", ".DS_Store": b"x", "sub/.env": b"x"})
    hub = await asking()
    fetched = await hub.fetch("hf://org/tiny")
    assert paths(fetched) == {"config.json"}
    assert [one.path for one in fetched.left_out] == [".DS_Store", "sub/.env"]
    assert paths(await hub.fetch("hf://org/tiny", allow=["*.json", "*/.env"])) == {"config.json", "sub/.env"}


@pytest.mark.parametrize("end", HALF)
async def test_a_file_with_a_half_download_beside_it_is_refused(hub: HubService, tmp_path: Path, end: str) -> None:
    """In a directory or alone; aria2 allots the whole size first, so that its header may be sound."""
    root = write(
        tmp_path / "m", {"config.json": b"{}", "sub/model.safetensors": b"x", f"sub/model.safetensors{end}": b""}
    )
    for place in (root, root / "sub/model.safetensors"):
        with pytest.raises(InvalidSourceException, match="has not arrived yet") as caught:
            await hub.fetch(place)
        assert caught.value.source == str(root / "sub/model.safetensors")
    with pytest.raises(InvalidSourceException, match="has not arrived yet"):
        await hub.fetch(root, ignore=f"*{end}")
    fetched = await hub.fetch(root, ignore="*.safetensors")
    assert paths(fetched) == {"config.json"}
    assert [one.path for one in fetched.left_out] == [f"sub/model.safetensors{end}"]
    assert paths(await hub.fetch(root, allow="*.json")) == {"config.json"}


@pytest.mark.parametrize("end", [".part", ".crdownload", ".download", ".partial", ".!qB"])
async def test_a_half_download_alone_is_no_model(hub: HubService, tmp_path: Path, end: str) -> None:
    """It is refused by name, unless a pattern leaves it out, or is about just such files."""
    root = write(tmp_path / "m", {"config.json": b"{}", f"model.gguf{end}": b"half"})
    with pytest.raises(InvalidSourceException, match="bytes of an unfinished download") as caught:
        await hub.fetch(root)
    assert caught.value.source == str(root / f"model.gguf{end}")
    assert paths(await hub.fetch(root, ignore=f"*{end}")) == {"config.json"}
    assert paths(await hub.fetch(root, allow=f"*{end.lower()}" if end != ".!qB" else "*.!qB")) == {f"model.gguf{end}"}
    assert paths(await hub.fetch(root / f"model.gguf{end}")) == {f"model.gguf{end}"}


async def test_notes_about_downloads_that_are_gone_are_left_out(hub: HubService, tmp_path: Path) -> None:
    root = write(tmp_path / "m", {"config.json": b"{}", "gone.gguf.aria2": b"", "gone.incomplete": b"x", "a.tmp": b""})
    fetched = await hub.fetch(root)
    assert paths(fetched) == {"config.json"}
    assert [one.path for one in fetched.left_out] == ["a.tmp", "gone.gguf.aria2", "gone.incomplete"]


async def test_safaris_half_download_is_a_directory(hub: HubService, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "m.gguf.download/m.gguf": b"x", "m.gguf.download/Info.plist": b"<plist/>"}
    with pytest.raises(InvalidSourceException, match="unfinished download"):
        await hub.fetch(write(tmp_path / "m", files))


COMMIT_AND_PATHS = "from huggingface_hub import snapshot_download\nsnapshot_download('org/tiny', local_dir={!r})"


async def test_a_directory_that_huggingface_hub_filled_tells_its_commit(
    hf: HuggingFaceServer, hub: HubService, tmp_path: Path
) -> None:
    """Twice downloaded, at two moments, it is one version, whose bytes are checked against what was noted."""
    commit = hf.add_repository("org/tiny", FILES)
    digests = set()
    for place in ("one", "two"):
        run(hf, tmp_path / "home", COMMIT_AND_PATHS.format(str(tmp_path / place)))
        fetched = await hub.fetch(tmp_path / place)
        assert (fetched.source_revision, fetched.source_repository, fetched.hub) == (commit, None, None)
        assert (paths(fetched), fetched.changed) == (set(FILES), ())
        digests.add(fetched.digest)
    assert len(digests) == 1
    assert (await hub.plan(tmp_path / "one")).revision is None  # nothing was read yet


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
async def test_what_was_edited_since_is_told_and_is_of_no_commit(
    hf: HuggingFaceServer, hub: HubService, tmp_path: Path, name: str
) -> None:
    """It is taken as it is: whoever trains a model further does just that. The rest is still the commit's."""
    commit = hf.add_repository("org/tiny", FILES)
    run(hf, tmp_path / "home", COMMIT_AND_PATHS.format(str(tmp_path / "m")))
    (tmp_path / "m" / name).write_bytes(b"mine")
    fetched = await hub.fetch(tmp_path / "m")
    assert (fetched.source_revision, fetched.changed) == (None, (name,))
    assert {file.path: file.sha256 for file in fetched.files}[name] == hashlib.sha256(b"mine").hexdigest()
    part = await hub.fetch(tmp_path / "m", ignore=name)
    assert (part.source_revision, part.changed) == (commit, ())
    (tmp_path / "m" / "more.txt").write_text("of no commit")
    assert (await hub.fetch(tmp_path / "m", ignore=name)).source_revision is None


@pytest.mark.parametrize("note", ["", "x", "a" * 40, "a" * 2000, f"{'a' * 40}\n\n1\n", f"{'A' * 40}\n{'b' * 40}\n1\n"])
async def test_a_note_that_is_none_tells_nothing(hub: HubService, tmp_path: Path, note: str) -> None:
    root = write(tmp_path / "m", {"config.json": b"{}"})
    write(root / ".cache/huggingface/download", {"config.json.metadata": note.encode()})
    fetched = await hub.fetch(root)
    assert (fetched.source_revision, fetched.changed) == (None, ())


async def test_notes_are_not_read_elsewhere(hub: HubService, tmp_path: Path) -> None:
    """A link that leads out of the directory is no note."""
    root = write(tmp_path / "m", {"config.json": b"{}"})
    etag = hashlib.sha256(b"{}").hexdigest()
    write(tmp_path / "elsewhere/huggingface/download", {"config.json.metadata": f"{'a' * 40}\n{etag}\n1\n".encode()})
    (root / ".cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidSourceException, match="leads out"):
        await hub.fetch(root)
    (root / ".cache").unlink()
    (root / ".cache").mkdir()
    (root / ".cache/huggingface").symlink_to(tmp_path / "elsewhere/huggingface")
    assert (await hub.fetch(root)).source_revision is None
