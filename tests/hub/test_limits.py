"""Limits and the room on the disk are told before a byte travels, wherever sizes are known."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    DownloadConfig,
    DownloadService,
    DownloadTooLargeException,
    HubConfig,
    HubService,
    InvalidInputException,
    ModelService,
    ModelTooLargeException,
    Policy,
    ServiceConfig,
    StorageConfig,
    StorageFullException,
    StorageQuotaException,
    StorageService,
    create_engine,
    setup_database,
)
from kamiwaza_sdk.testing import HuggingFaceServer
from tests.hub.conftest import Asking

FILES = {"config.json": b"{}", "model-1.bin": bytes(60_000), "model-2.bin": bytes([1]) * 60_000}


@pytest.fixture
def repository(hf: HuggingFaceServer) -> str:
    """A repository of two large files and a small one, all of which its hub tells the sizes of."""
    hf.add_repository("org/m", FILES)
    return "hf://org/m"


def asked_for_content(hf: HuggingFaceServer) -> list[str]:
    return [request.path for request in hf.requests if "/resolve/" in request.path]


async def test_a_plan_over_its_limit_is_refused_before_a_header_is_read(
    hf: HuggingFaceServer, asking: Asking, repository: str
) -> None:
    hub = await asking()
    with pytest.raises(ModelTooLargeException, match="has 120002 bytes or more, over the limit of 120001") as refused:
        await hub.plan(repository, max_size=120_001)
    assert (refused.value.size, refused.value.limit) == (120_002, 120_001)
    assert asked_for_content(hf) == []
    assert (await hub.plan(repository, max_size=120_002)).size == 120_002
    with pytest.raises(InvalidInputException, match="max_size is -1"):
        await hub.plan(repository, max_size=-1)


async def test_a_fetch_over_its_limit_is_refused_before_a_byte_travels(
    hf: HuggingFaceServer, asking: Asking, repository: str
) -> None:
    hub = await asking()
    with pytest.raises(ModelTooLargeException, match="MODEL_SERVICE_MAX_MODEL_SIZE"):
        await hub.fetch(repository, max_size=120_001)
    assert asked_for_content(hf) == []


@pytest.mark.parametrize("policy", [None, Policy(formats=("safetensors",))])
async def test_pulling_hands_in_the_registrys_limit_first(
    hf: HuggingFaceServer, asking: Asking, repository: str, policy: Policy | None
) -> None:
    engine = create_engine("sqlite://")
    setup_database(engine)
    with Session(engine) as db:
        models = ModelService(db, hub=await asking(), config=ServiceConfig(max_model_size=120_001))
        with pytest.raises(ModelTooLargeException, match="MODEL_SERVICE_MAX_MODEL_SIZE, to 120002 or more"):
            await models.pull_model(repository, policy=policy)
        assert asked_for_content(hf) == []
        larger = ModelService(db, hub=await asking(), config=ServiceConfig(max_model_size=120_002))
        assert (await larger.pull_model(repository)).size == 120_002  # one setting is enough
    engine.dispose()


async def test_a_file_over_what_downloads_were_set_to_accept_is_refused_before_the_others_travel(
    hf: HuggingFaceServer, storage: StorageService, repository: str
) -> None:
    config = HubConfig(hf_endpoint=hf.endpoint, hf_token=None)
    hub = HubService(storage=storage, config=config, downloads=DownloadService(DownloadConfig(max_size=50_000)))
    with pytest.raises(DownloadTooLargeException, match="DOWNLOAD_SERVICE_MAX_SIZE") as refused:
        await hub.fetch(repository)
    assert (refused.value.announced, refused.value.received) == (60_000, 0)
    assert asked_for_content(hf) == []


async def test_a_size_that_a_listing_tells_needs_no_other_limit(
    hf: HuggingFaceServer, storage: StorageService, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What downloads accept by default is a guard against bodies without end."""
    monkeypatch.setattr(DownloadConfig.model_fields["max_size"], "default", 50_000)
    DownloadConfig.model_rebuild(force=True)
    try:
        assert DownloadConfig().max_size == 50_000
        hub = HubService(storage=storage, config=HubConfig(hf_endpoint=hf.endpoint, hf_token=None))
        assert (await hub.fetch(repository)).size == 120_002
    finally:
        monkeypatch.undo()
        DownloadConfig.model_rebuild(force=True)


@pytest.fixture
def small(tmpfs: Callable[..., Path]) -> StorageService:
    """A store on a file system of 100 KiB or so."""
    return StorageService(StorageConfig(root=tmpfs("small", size="100k") / "store"))


async def test_what_has_no_room_is_refused_before_a_byte_travels(
    hf: HuggingFaceServer, small: StorageService, repository: str
) -> None:
    hub = HubService(storage=small, config=HubConfig(hf_endpoint=hf.endpoint, hf_token=None))
    with pytest.raises(StorageFullException, match=r"no room for .*store \(120002 bytes needed, \d+ free\)") as refused:
        await hub.fetch(repository)
    assert refused.value.needed == 120_002
    assert asked_for_content(hf) == []
    assert (await hub.fetch(repository, ignore="model-2.bin")).size == 60_002
    # What is kept takes no room again.
    assert (await hub.fetch(repository, ignore="model-2.bin")).bytes_fetched == 0


async def test_what_has_no_room_is_refused_before_a_byte_is_copied(tmp_path: Path, small: StorageService) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.bin", "b.bin"):
        (source / name).write_bytes(name.encode() * 14_000)
    with pytest.raises(StorageFullException, match="140000 bytes needed"):
        await HubService(storage=small).fetch(source)
    assert not small.root.exists()


async def test_what_exceeds_the_quota_is_refused_before_a_byte_travels(
    hf: HuggingFaceServer, tmp_path: Path, repository: str
) -> None:
    storage = StorageService(StorageConfig(root=tmp_path / "store", max_size=100_000))
    hub = HubService(storage=storage, config=HubConfig(hf_endpoint=hf.endpoint, hf_token=None))
    assert (await hub.fetch(repository, ignore="model-2.bin")).size == 60_002
    before = len(asked_for_content(hf))
    with pytest.raises(StorageQuotaException, match="60000 bytes more would exceed the 100000") as refused:
        await hub.fetch(repository)
    assert (refused.value.needed, refused.value.blobs) == (60_000, 60_002)
    assert len(asked_for_content(hf)) == before


async def test_one_content_under_several_names_needs_its_room_once(
    hf: HuggingFaceServer, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf.add_repository("org/same", {f"{number}.bin": bytes(30_000) for number in range(5)}, lfs=["*.bin"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=40_000))
    assert (await (await asking()).fetch("hf://org/same")).size == 150_000
