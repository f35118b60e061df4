"""A registered version is brought to a machine that lacks its bytes, from where it came from, by its digests."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    BlobNotFoundException,
    ChecksumMismatchException,
    CreateFile,
    CreateModel,
    CreateVersion,
    DigestMismatchException,
    Fetched,
    HubConfig,
    HubService,
    ModelService,
    ModelVersionSchema,
    ServiceException,
    SizeMismatchException,
    StorageConfig,
    StorageService,
    VersionUnavailableException,
    create_engine,
    setup_database,
)
from kamiwaza_sdk.testing import FaultyServer, HuggingFaceServer, Redirect, Status

FILES = {"config.json": b"{}", "onnx/model.onnx": b"weights"}


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://")
    setup_database(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        yield running


@pytest.fixture
def elsewhere(tmp_path: Path, hf: HuggingFaceServer) -> HubService:
    """Another machine, whose store is empty."""
    storage = StorageService(StorageConfig(root=tmp_path / "elsewhere"))
    return HubService(storage=storage, config=HubConfig(hf_endpoint=hf.endpoint, hf_token=None))


@pytest.fixture
def here(storage: StorageService, hf: HuggingFaceServer) -> HubService:
    return HubService(storage=storage, config=HubConfig(hf_endpoint=hf.endpoint, hf_token=None))


def registered(engine: Engine, fetched: Fetched, hub: HubService) -> ModelVersionSchema:
    with Session(engine) as db, db.begin():
        return ModelService(db, hub=hub).register(fetched, name="m")


def laid_out(hub: HubService, version: ModelVersionSchema, directory: Path) -> dict[str, bytes]:
    place = hub.storage.materialize(version, directory)
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


async def test_from_a_hub_at_the_revision_that_was_registered(
    engine: Engine, here: HubService, elsewhere: HubService, hf: HuggingFaceServer, tmp_path: Path
) -> None:
    hf.add_repository("org/m", FILES)
    version = registered(engine, await here.fetch("hf://org/m"), here)
    hf.add_repository("org/m", {**FILES, "onnx/model.onnx": b"others!"})
    with pytest.raises(BlobNotFoundException, match=r"fetch\(version\) brings"):
        elsewhere.storage.materialize(version, tmp_path / "none")
    plan = await elsewhere.plan(version)
    assert (plan.bytes_to_fetch, plan.source) == (9, version.source)
    fetched = await elsewhere.fetch(version)
    assert (fetched.bytes_fetched, fetched.digest) == (9, version.digest)
    assert laid_out(elsewhere, version, tmp_path / "laid-out") == FILES
    assert registered(engine, fetched, elsewhere) == version
    seen = len(hf.requests)
    again = await elsewhere.fetch(version)
    assert (again.bytes_fetched, again.bytes_reused, len(hf.requests)) == (0, 9, seen)


async def test_only_what_is_missing_travels(
    engine: Engine, here: HubService, elsewhere: HubService, hf: HuggingFaceServer
) -> None:
    hf.add_repository("org/m", FILES)
    version = registered(engine, await here.fetch("hf://org/m"), here)
    await elsewhere.fetch(version, allow="config.json")
    fetched = await elsewhere.fetch(version)
    assert (fetched.bytes_fetched, fetched.bytes_reused) == (7, 2)


async def test_from_the_address_of_each_file(
    engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer, tmp_path: Path
) -> None:
    urls = [server.add(f"/m/{path}", body=body) for path, body in FILES.items()]
    version = registered(engine, await here.fetch(urls), here)
    assert (await elsewhere.fetch(version)).bytes_fetched == 9
    assert laid_out(elsewhere, version, tmp_path / "laid-out") == FILES


async def test_other_bytes_at_the_address_are_refused(
    engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer
) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    version = registered(engine, await here.fetch(url), here)
    server.add("/m/model.onnx", body=b"others!")
    with pytest.raises(ChecksumMismatchException):
        await elsewhere.fetch(version)
    assert elsewhere.storage.find(version.files[0].sha256) is None


async def test_an_address_that_was_signed_says_why_it_does_not_work_again(
    engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer
) -> None:
    url = server.add("/m/model.onnx", body=b"weights")
    version = registered(engine, await here.fetch(f"{url}?X-Amz-Signature=secret"), here)
    server.add("/m/model.onnx", always=Status(403))
    with pytest.raises(
        VersionUnavailableException, match="answers 403, .* a signed one is lost; .* sha256="
    ) as refused:
        await elsewhere.fetch(version)
    assert "secret" not in f"{refused.value}"
    assert (refused.value.version, refused.value.missing) == ("m:1", ())
    assert refused.value.__cause__ is not None


async def test_a_directory_serves_where_it_is(
    engine: Engine, here: HubService, elsewhere: HubService, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    version = registered(engine, await here.fetch(source), here)
    assert (await elsewhere.fetch(version)).digest == version.digest
    (source / "model.onnx").unlink()
    assert (await elsewhere.fetch(version)).bytes_fetched == 0  # it is kept by now
    third = HubService(storage=StorageService(StorageConfig(root=tmp_path / "third")))
    with pytest.raises(VersionUnavailableException, match=r"'model.onnx' of 'm:1' .* not on this machine") as refused:
        await third.fetch(version)
    assert refused.value.missing == ("model.onnx",)


async def test_a_directory_that_was_moved_or_holds_others_by_now_is_named(
    engine: Engine, here: HubService, elsewhere: HubService, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    version = registered(engine, await here.fetch(source), here)
    source.rename(tmp_path / "moved")
    with pytest.raises(VersionUnavailableException, match="not on this machine") as refused:
        await elsewhere.fetch(version)
    assert (refused.value.version, refused.value.missing) == ("m:1", ("model.onnx",))
    source.mkdir()
    for other in (b"others!", b"longer than it was"):
        (source / "model.onnx").write_bytes(other)
        with pytest.raises((DigestMismatchException, SizeMismatchException), match="model.onnx"):
            await elsewhere.fetch(version)
    assert elsewhere.storage.find(version.files[0].sha256) is None


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_address_that_leads_elsewhere_by_now_is_followed_and_checked(
    status: int, engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer
) -> None:
    """As GitHub's do once a repository is renamed, and where it is renamed again, to what is another's."""
    url = server.add("/old/releases/download/v1/model.onnx", body=b"weights")
    version = registered(engine, await here.fetch(url), here)
    server.add("/old/releases/download/v1/model.onnx", always=Redirect(to="/new/model.onnx", status=status))
    server.add("/new/model.onnx", body=b"others!")
    with pytest.raises(ChecksumMismatchException):
        await elsewhere.fetch(version)
    server.add("/new/model.onnx", body=b"weights")
    assert (await elsewhere.fetch(version)).digest == version.digest


@pytest.mark.parametrize("status", [404, 410, 401])
async def test_an_address_where_nothing_is_any_more_is_named(
    status: int, engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer
) -> None:
    url = server.add("/old/model.onnx", body=b"weights")
    version = registered(engine, await here.fetch(url), here)
    server.add("/old/model.onnx", always=Status(status))
    with pytest.raises(VersionUnavailableException, match=f"'m:1' .*answers {status}") as refused:
        await elsewhere.fetch(version)
    assert refused.value.version == "m:1"


async def test_a_page_at_the_address_is_not_taken_for_the_file(
    engine: Engine, here: HubService, elsewhere: HubService, server: FaultyServer
) -> None:
    url = server.add("/old/model.onnx", body=b"weights")
    version = registered(engine, await here.fetch(url), here)
    server.add("/old/model.onnx", body=b"<!DOCTYPE html><html>Sign in", headers={"Content-Type": "text/html"})
    with pytest.raises(ServiceException) as refused:
        await elsewhere.fetch(version)
    assert isinstance(refused.value, VersionUnavailableException | SizeMismatchException | ChecksumMismatchException)
    assert elsewhere.storage.find(version.files[0].sha256) is None


async def test_a_version_of_unknown_origin_comes_from_the_store_or_says_so(
    engine: Engine, here: HubService, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(b"weights").hexdigest()
    with Session(engine) as db, db.begin():
        models = ModelService(db)
        model = models.create_model(CreateModel(name="m"))
        files = (CreateFile(path="model.onnx", size=7, sha256=sha256),)
        version = models.create_version(model.id, CreateVersion(files=files))
    with pytest.raises(VersionUnavailableException, match="where they came from was not noted"):
        await here.fetch(version)
    (tmp_path / "any").write_bytes(b"weights")
    here.storage.add(tmp_path / "any")
    fetched = await here.fetch(version)
    assert (fetched.files[0].url, fetched.bytes_reused) == (None, 7)


async def test_what_a_repository_has_no_more_is_named(
    engine: Engine, here: HubService, elsewhere: HubService, hf: HuggingFaceServer
) -> None:
    hf.add_repository("org/m", FILES)
    fetched = await here.fetch("hf://org/m")
    forged = fetched.files[1].model_copy(update={"sha256": "ab" * 32, "url": None})
    version = registered(engine, fetched.model_copy(update={"files": (fetched.files[0], forged), "store": None}), here)
    with pytest.raises(VersionUnavailableException, match="has them no more, or others under their names"):
        await elsewhere.fetch(version)
