"""Offline: no connection is opened, what is kept is found, and what is missing is named."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk import (
    HubService,
    OfflineException,
    StorageService,
    fetch,
)
from kamiwaza_sdk.services.hub.cache import KnownManifests
from kamiwaza_sdk.sources import ManifestFileSchema, ManifestSchema
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking
from tests.loops import Held

pytestmark = pytest.mark.usefixtures("blockbuster")

FILES = {"README.md": b"# tiny\n", "config.json": b"{}", "model.safetensors": b"weights" * 1000}


async def test_what_was_fetched_is_found_by_branch_and_by_commit(hf: HuggingFaceServer, asking: Asking) -> None:
    commit = hf.add_repository("org/tiny", FILES)
    online = await (await asking()).fetch("hf://org/tiny")
    asked = len(hf.requests), len(hf.storage.requests)
    for reference in ("hf://org/tiny", "hf://org/tiny@main", f"hf://org/tiny@{commit}", "hf://models/org/tiny"):
        offline = await (await asking(offline=True)).fetch(reference)
        assert (offline.files, offline.source_revision) == (online.files, commit)
        assert (offline.bytes_fetched, offline.bytes_reused) == (0, online.size)
    assert (len(hf.requests), len(hf.storage.requests)) == asked


async def test_a_resolution_is_cancelled_once_what_it_led_to_is_remembered(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it has ended, so has its thread: nothing is written beside the store any more."""
    hf.add_repository("org/tiny", FILES)
    held = Held()
    put = KnownManifests.put

    def slowly(*args: Any) -> None:  # Any: as the method takes them
        held.wait()
        put(*args)

    monkeypatch.setattr(KnownManifests, "put", slowly)
    task = asyncio.create_task((await asking()).resolve("hf://org/tiny"))
    await held.cancel(task)
    assert len(list(storage.root.glob("references/*/*"))) == 2  # by branch and by commit


def test_no_socket_is_opened_and_no_name_looked_up(hf: HuggingFaceServer, tmp_path: Path) -> None:
    hf.add_repository("org/tiny", FILES)
    code = """
import asyncio, sys
from kamiwaza_sdk import OfflineException, fetch
seen = set()
watched = {"socket.connect", "socket.getaddrinfo", "socket.sendto"}
sys.addaudithook(lambda event, args: event in watched and seen.add(event))
for source in sys.argv[1:]:
    try:
        print(asyncio.run(fetch(source)).bytes_reused)
    except OfflineException as error:
        print(type(error).__name__)
print(sorted(seen))
"""
    environment = {
        "HF_ENDPOINT": hf.endpoint,
        "STORAGE_SERVICE_ROOT": str(tmp_path / "store"),
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    def run(*sources: str, **more: str) -> list[str]:
        command = [sys.executable, "-c", code, *sources]
        return subprocess.run(
            command, env=environment | more, capture_output=True, text=True, check=True
        ).stdout.split()

    assert run("hf://org/tiny") == ["0", "['socket.connect']"]
    asked = len(hf.requests)
    offline = run("hf://org/tiny", "hf://org/unknown", "https://example.org/unknown", HUB_SERVICE_OFFLINE="1")
    assert offline == ["7009", "OfflineException", "OfflineException", "[]"]
    assert len(hf.requests) == asked


async def test_a_branch_means_what_it_meant_when_it_was_last_asked_for(hf: HuggingFaceServer, asking: Asking) -> None:
    first = hf.add_repository("org/tiny", FILES)
    await (await asking()).fetch("hf://org/tiny")
    second = hf.add_repository("org/tiny", {"config.json": b"{ }"})
    await (await asking()).fetch("hf://org/tiny")
    offline = await asking(offline=True)
    assert (await offline.fetch("hf://org/tiny")).source_revision == second
    assert (await offline.fetch(f"hf://org/tiny@{first}")).source_revision == first


async def test_what_was_never_resolved_is_named(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES)
    with pytest.raises(OfflineException, match="unset HUB_SERVICE_OFFLINE") as refused:
        await (await asking(offline=True)).fetch("hf://org/tiny@v1")
    assert refused.value.source == f"hf://org/tiny@v1 of {hf.endpoint}"
    assert (refused.value.missing, hf.requests) == ((), [])


async def test_files_that_are_not_kept_are_named_all_of_them(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    commit = hf.add_repository("org/tiny", FILES)
    await (await asking()).fetch("hf://org/tiny", allow="*.md")
    offline = await asking(offline=True)
    with pytest.raises(OfflineException) as refused:
        await offline.fetch("hf://org/tiny")
    assert sorted(refused.value.missing) == ["config.json", "model.safetensors"]
    assert refused.value.source == f"hf://org/tiny@{commit}"
    assert (await offline.fetch("hf://org/tiny", allow="*.md")).size == 7


async def test_a_file_of_the_web_is_found_by_its_address(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    url = hf.add("/a.bin", body=b"weights")
    await (await asking()).fetch(url)
    offline = await asking(offline=True)
    assert (await offline.fetch(url)).bytes_reused == 7
    with pytest.raises(OfflineException) as refused:
        await offline.fetch([url, hf.url("/b.bin?token=hunter2")])
    assert (refused.value.missing, "hunter2" in str(refused.value)) == (("b.bin",), False)
    assert len(hf.requests) == 1


async def test_what_is_on_this_machine_is_taken_as_ever(asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"weights")
    assert (await (await asking(offline=True)).fetch(tmp_path / "a.bin")).size == 7


async def test_a_search_is_refused(hf: HuggingFaceServer, asking: Asking) -> None:
    hub = await asking(offline=True)
    with pytest.raises(OfflineException):
        [found async for found in hub.search("tiny")]
    assert hf.requests == []


@pytest.mark.parametrize("variable", ["HUB_SERVICE_OFFLINE", "HF_HUB_OFFLINE"])
async def test_the_environment_decides(hf: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hf.endpoint)
    hf.add_repository("org/tiny", FILES)
    await fetch("hf://org/tiny", allow="*.md")
    asked = len(hf.requests)
    monkeypatch.setenv(variable, "1")
    assert (await fetch("hf://org/tiny", allow="*.md")).bytes_fetched == 0
    with pytest.raises(OfflineException):
        await fetch("hf://org/tiny")
    assert len(hf.requests) == asked


async def test_what_is_remembered_and_torn_counts_as_unknown(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add_repository("org/tiny", FILES)
    await (await asking()).fetch("hf://org/tiny")
    (manifest,) = storage.root.glob("manifests/*/*")
    for reference in storage.root.glob("references/*/*"):
        reference.write_text("../../../etc/passwd")
    with pytest.raises(OfflineException):
        await (await asking(offline=True)).fetch("hf://org/tiny")
    await (await asking()).resolve("hf://org/tiny")
    manifest.write_text("{torn")
    with pytest.raises(OfflineException):
        await (await asking(offline=True)).fetch("hf://org/tiny")


async def test_a_store_that_cannot_be_written_costs_offline_mode_only(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, caplog: pytest.LogCaptureFixture
) -> None:
    hf.add_repository("org/tiny", FILES)
    await asyncio.to_thread(storage.root.mkdir)
    (storage.root / "manifests").touch()
    assert len((await (await asking()).resolve("hf://org/tiny")).files) == 3
    assert "cannot be remembered, so that offline it is not known" in caplog.text


async def test_a_token_is_never_written_down(hf: HuggingFaceServer, asking: Asking, storage: StorageService) -> None:
    hf.add_repository("org/tiny", FILES, private=True)
    await (await asking(hf.token)).fetch("hf://org/tiny")
    kept = [path.read_bytes() for path in storage.root.glob("**/*") if path.is_file()]
    assert [content for content in kept if hf.token.encode() in content] == []


async def test_a_hub_that_is_handed_in_settings_that_are_offline_needs_no_environment(
    storage: StorageService, asking: Asking
) -> None:
    hub: HubService = await asking(offline=True)
    assert hub.storage is storage
    with pytest.raises(OfflineException, match="not kept here, and offline: the files 'a' of"):
        await hub.fetch("https://example.org/a")


def test_a_manifest_of_many_files_is_remembered_as_it_is(storage: StorageService) -> None:
    files = tuple(
        ManifestFileSchema(path=f"{index}.txt", url=f"https://example.org/{index}.txt", size=index)
        for index in range(5000)
    )
    manifest = ManifestSchema(source="https://example.org/", name="many", files=files, tags=("a", "b"))
    KnownManifests(storage).put(["many"], manifest)
    assert KnownManifests(storage).get("many") == manifest
