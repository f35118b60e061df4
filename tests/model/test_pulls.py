"""Pulling: bytes first, SQL after; and whatever goes wrong leaves no row, no file, and a session that goes on."""

import asyncio
import errno
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadConfig,
    DownloadException,
    DownloadInterruptedException,
    DownloadService,
    DownloadStatusException,
    DownloadTimeoutException,
    DownloadTooLargeException,
    HubService,
    InvalidInputException,
    OpenTransactionException,
    ServiceConfig,
    ServiceException,
    StorageConfig,
    StorageFullException,
    StoragePermissionException,
    StorageService,
    VersionAlreadyExistsException,
)
from tests.backends import Backend
from tests.serving import Server

BODY = b"weights" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
LIMITED = ServiceConfig(max_model_size=len(BODY), max_in_memory_size=len(BODY))


async def test_a_pull_fetches_and_registers_and_the_next_transfers_nothing(
    backend: Backend, hub: HubService, storage: StorageService, server: Server, tmp_path: Path
) -> None:
    urls = [server.add("/tiny/model.onnx", body=BODY, etag='"1"'), server.add("/tiny/empty", etag='"2"')]
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        version = await models.pull_model(
            urls, name="org/tiny", version="v1", sha256=MappingProxyType({"model.onnx": SHA256})
        )
        await db.commit()
        assert await models.pull_model(urls, name="org/tiny") == version
        await db.commit()
        assert await models.resolve("org/tiny:v1") == version
    assert [(file.path, file.size) for file in version.files] == [("empty", 0), ("model.onnx", len(BODY))]
    assert sum(request.headers.get("if-none-match") is None for request in server.requests) == 2
    directory = storage.materialize(version, tmp_path / "laid-out")
    assert (directory / "model.onnx").read_bytes() == BODY
    assert (directory / "empty").read_bytes() == b""


async def test_a_pull_refuses_to_start_inside_an_open_transaction(
    backend: Backend, hub: HubService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY)
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        await models.list_models()
        with pytest.raises(OpenTransactionException, match="commit or roll back first") as refused:
            await models.pull_model(url)
        assert (refused.value.operation, server.requests) == ("pull_model()", [])
        assert await models.list_models() == []
        assert (await models.pull_model(url, allow_open_transaction=True)).size == len(BODY)


async def test_a_pull_starts_where_a_transaction_is_begun_and_nothing_was_executed_in_it(
    backend: Backend, hub: HubService, server: Server
) -> None:
    url = server.add("/a.bin", body=BODY)
    async with backend.session() as db:
        _ = await db.begin()  # as the usual dependency of a web framework does: it takes no connection yet
        version = await backend.service(db, hub=hub).pull_model(url)
        await db.commit()
        assert await backend.service(db).resolve(version.model_name) == version


@pytest.mark.parametrize("arguments", [{"name": "../x"}, {"version": "7"}, {"version": "a/b"}])
async def test_a_pull_under_a_name_that_cannot_be_kept_transfers_nothing(
    backend: Backend, hub: HubService, server: Server, arguments: dict[str, str]
) -> None:
    async with backend.session() as db:
        with pytest.raises(InvalidInputException):
            await backend.service(db, hub=hub).pull_model(server.add("/a.bin", body=BODY), **arguments)  # type: ignore[arg-type]  # names, as above
    assert server.requests == []


async def test_a_pull_whose_registration_is_refused_keeps_the_bytes_for_the_next(
    backend: Backend, hub: HubService, storage: StorageService, server: Server
) -> None:
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        await models.pull_model(server.add("/a.bin", body=b"other"), name="m", version="v1")
        await db.commit()
        with pytest.raises(VersionAlreadyExistsException):
            await models.pull_model(server.add("/b.bin", body=BODY), name="m", version="v1")
        assert len(await models.list_versions((await models.get_model_by_name("m")).id)) == 1
        assert await asyncio.to_thread(storage.find, SHA256) is not None


FAULTS: dict[str, tuple[dict[str, object], type[ServiceException]]] = {
    "403": ({"status": 403}, DownloadStatusException),
    "404": ({"status": 404}, DownloadStatusException),
    "500": ({"status": 500}, DownloadStatusException),
    "shorter": ({"body": BODY, "drop_after": len(BODY) - 1}, DownloadInterruptedException),
    "cut": ({"body": BODY, "announce": "chunked", "drop_after": 100}, DownloadInterruptedException),
    "longer": ({"body": BODY + b"!", "announce": len(BODY)}, DownloadInterruptedException),
    "stalled": ({"body": BODY, "stall_after": 100}, DownloadTimeoutException),
    "mute": ({"body": BODY, "stall_after": 0}, DownloadTimeoutException),
    "too large": ({"body": BODY + b"!"}, DownloadTooLargeException),
    "too large, unannounced": ({"body": BODY + b"!", "announce": "chunked"}, DownloadTooLargeException),
    "too large, to the end": ({"body": BODY + b"!", "announce": None}, DownloadTooLargeException),
    "away": ({"redirect": "file:///etc/passwd"}, DownloadStatusException),
    "wrong": ({"body": BODY[::-1]}, ChecksumMismatchException),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_transfer_that_goes_wrong_leaves_no_row_no_file_and_a_session_that_goes_on(
    backend: Backend, storage: StorageService, server: Server, fault: str
) -> None:
    reply, expected = FAULTS[fault]
    url = server.add("/a.bin", **reply)  # type: ignore[arg-type]  # the keywords above
    patience = 0.2 if expected is DownloadTimeoutException else 60.0
    downloads = DownloadService(await asyncio.to_thread(DownloadConfig, stall_timeout=patience))
    async with backend.session() as db:
        impatient = backend.service(db, hub=HubService(storage=storage, downloads=downloads), config=LIMITED)
        with pytest.raises(expected) as refused:
            await impatient.pull_model(url, sha256=SHA256 if fault == "wrong" else None)
        models = backend.service(db, hub=HubService(storage=storage), config=LIMITED)
        assert isinstance(refused.value, DownloadException)
        assert await models.list_models() == []
        assert [path for path in storage.root.glob("[bs]*/**/*") if path.is_file()] == []
        server.add("/a.bin", body=BODY)
        await db.rollback()
        assert (await models.pull_model(url, sha256=SHA256)).size == len(BODY)


async def test_a_model_of_just_the_limit_is_pulled(backend: Backend, hub: HubService, server: Server) -> None:
    async with backend.session() as db:
        models = backend.service(db, hub=hub, config=LIMITED)
        for announce in ("truly", "chunked", None):
            server.add("/a.bin", body=BODY, announce=announce)
            assert (await models.pull_model(server.url("/a.bin"))).size == len(BODY)
            await db.commit()


async def test_a_full_disk_leaves_nothing_and_the_session_goes_on(
    backend: Backend, server: Server, tmpfs: Callable[..., Path], tmp_path: Path
) -> None:
    hub = HubService(storage=StorageService(await asyncio.to_thread(StorageConfig, root=tmpfs("full", size="1m"))))
    large = tmp_path / "large.bin"
    large.write_bytes(b"x" * 2**21)
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        with pytest.raises(StorageFullException) as remote:
            await models.pull_model(server.add("/a.bin", body=b"x" * 2**21))
        with pytest.raises(StorageFullException) as local:
            await models.pull_model(large)
        assert await models.list_models() == []
        await db.rollback()
        assert (await models.pull_model(server.add("/b.bin", body=BODY))).size == len(BODY)
    assert (remote.value.errno, local.value.errno) == (errno.ENOSPC, errno.ENOSPC)
    assert [path.stat().st_size for path in hub.storage.root.glob("[bs]*/**/*") if path.is_file()] == [len(BODY)]


async def test_a_store_without_write_permission_is_named(
    backend: Backend, server: Server, tmpfs: Callable[..., Path]
) -> None:
    root = tmpfs("read-only", mode="ro")
    hub = HubService(storage=StorageService(await asyncio.to_thread(StorageConfig, root=root)))
    async with backend.session() as db:
        models = backend.service(db, hub=hub)
        with pytest.raises(StoragePermissionException, match=str(root)) as refused:
            await models.pull_model(server.add("/a.bin", body=BODY))
        assert await models.list_models() == []
    assert isinstance(refused.value, PermissionError)


async def test_a_body_is_returned_as_bytes_and_no_larger_than_memory_is_meant_to_hold(
    backend: Backend, server: Server
) -> None:
    async with backend.session() as db:
        models = backend.service(db, config=LIMITED)
        assert await models.download_model(server.add("/a.bin", body=BODY)) == BODY
        for announce in ("truly", "chunked", None):
            server.add("/b.bin", body=BODY + b"!", announce=announce)
            with pytest.raises(DownloadTooLargeException, match=r"pull_model\(\) needs no memory for it") as refused:
                await models.download_model(server.url("/b.bin"))
            assert refused.value.limit == len(BODY)
        with pytest.raises(DownloadStatusException) as missing:
            await models.download_model(server.url("/nowhere"))
        assert missing.value.status == 404
        for url in ("", "nonsense", "file:///etc/passwd", "ftp://host/file"):
            with pytest.raises(InvalidInputException, match="^url"):
                await models.download_model(url)
        assert not await _in_transaction(models.db)


async def _in_transaction(db: object) -> bool:
    result = db.in_transaction()  # type: ignore[attr-defined]  # a session of either colour
    return bool(await result) if asyncio.iscoroutine(result) else bool(result)
