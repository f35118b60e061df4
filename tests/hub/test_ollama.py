"""An Ollama registry: its manifests and blobs over HTTP, and what it should not answer."""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadException,
    DownloadTooLargeException,
    HubConfig,
    HubService,
    InvalidPathException,
    OfflineException,
    RepositoryNotFoundException,
    SizeMismatchException,
    StorageConfig,
    StorageService,
    VersionUnavailableException,
)
from kamiwaza_sdk.sources import InvalidAnswerException
from kamiwaza_sdk.testing import FaultyServer, FlipBit, GeneratedBody, Redirect, Status
from tests.hub.registering import registered

pytestmark = pytest.mark.usefixtures("blockbuster")

WEIGHTS = b"weights" * 1000
KIND = "application/vnd.ollama.image."
CONFIG = b'{"model_format": "gguf"}'


@pytest.fixture
def registry() -> Iterator[FaultyServer]:
    """A registry on loopback, which has nothing yet."""
    with FaultyServer() as server:
        yield server


@pytest.fixture
async def hub(registry: FaultyServer, storage: StorageService) -> HubService:
    """A hub that takes it for Ollama's."""
    return HubService(storage=storage, config=await asyncio.to_thread(HubConfig, ollama_endpoint=registry.url("")))


def layer(media: str, data: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data), **more}


def manifest(*layers: dict[str, object], **more: object) -> bytes:
    config = layer("application/vnd.docker.container.image.v1+json", CONFIG)
    return json.dumps({"schemaVersion": 2, "config": config, "layers": layers, **more}).encode()


def serve(
    registry: FaultyServer, body: bytes, *contents: bytes, name: str = "library/tiny", tag: str = "latest"
) -> str:
    """Serve an image, its large layers from a storage host of their own as the real registry does."""
    for data in (CONFIG, *contents):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        stored = registry.add(f"/storage/{digest}", body=data)
        registry.add(f"/v2/{name}/blobs/{digest}", always=Redirect(to=stored, status=307))
    return registry.add(f"/v2/{name}/manifests/{tag}", body=body)


def tiny(registry: FaultyServer, **changes: object) -> str:
    """Serve an image with weights."""
    return serve(registry, manifest(layer(f"{KIND}model", WEIGHTS, **changes)), WEIGHTS)


async def test_an_image_is_fetched_and_pinned_by_the_digest_of_its_manifest(
    registry: FaultyServer, hub: HubService
) -> None:
    contents = {
        "model": WEIGHTS,
        "projector": b"eyes",
        "adapter": b"lora",
        "template": b"{{ .Prompt }}",
        "system": b"Be brief.",
        "params": b'{"stop": []}',
        "messages": b"[]",
        "license": b"MIT License",
        "something-new": b"?",
    }
    layers = [layer(f"{KIND}{kind}", data) for kind, data in contents.items()]
    layers.append(layer(f"{KIND}license", b"And another"))
    body = manifest(*layers)
    serve(registry, body, *contents.values(), b"And another")
    fetched = await hub.fetch("ollama://tiny")
    named = {
        "model.gguf": WEIGHTS,
        "mmproj.gguf": b"eyes",
        "adapter.gguf": b"lora",
        "template": b"{{ .Prompt }}",
        "system": b"Be brief.",
        "params.json": b'{"stop": []}',
        "messages.json": b"[]",
        "LICENSE": b"MIT License",
        "LICENSE-2": b"And another",
        "something-new": b"?",
        "ollama.json": CONFIG,
    }
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in named.items()}
    assert {file.path: file.sha256 for file in fetched.files} == digests
    assert fetched.source_revision == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert (fetched.source, fetched.name, fetched.hub) == ("ollama://library/tiny:latest", "tiny", "ollama")
    assert (fetched.source_repository, fetched.author) == ("library/tiny", None)
    registry.requests.clear()
    assert (await hub.fetch("ollama://tiny")).bytes_fetched == 0
    assert [request.path for request in registry.requests] == ["/v2/library/tiny/manifests/latest"]


async def test_a_registered_image_is_brought_to_a_machine_that_lacks_it(
    registry: FaultyServer, hub: HubService, tmp_path: Path
) -> None:
    """By the digests of its layers, though its tag leads elsewhere by now, or is gone."""
    tag = urlsplit(tiny(registry)).path
    version = await asyncio.to_thread(registered, await hub.fetch("ollama://tiny"))
    another = b"GGUF, and another"
    serve(registry, manifest(layer(f"{KIND}model", another)), another)
    config = await asyncio.to_thread(HubConfig, ollama_endpoint=registry.url(""))

    def machine(name: str) -> HubService:
        return HubService(storage=StorageService(StorageConfig(root=tmp_path / name)), config=config)

    brought = await (await asyncio.to_thread(machine, "moved")).fetch(version)
    assert (brought.digest, brought.source, brought.bytes_fetched) == (version.digest, version.source, version.size)
    registry.add(tag, always=Status(404))
    assert (await (await asyncio.to_thread(machine, "gone")).fetch(version)).digest == version.digest
    (weights,) = [file for file in version.files if file.size == len(WEIGHTS)]
    registry.add(f"/v2/library/tiny/blobs/sha256:{weights.sha256}", always=Status(404))
    with pytest.raises(VersionUnavailableException, match="'m:1' .*answers 404") as refused:
        await (await asyncio.to_thread(machine, "nowhere")).fetch(version)
    assert refused.value.version == "m:1"


@pytest.mark.parametrize(
    ("address", "path", "told"),
    [
        ("ollama://tiny:8b", "library/tiny/manifests/8b", ("ollama://library/tiny:8b", "tiny")),
        ("ollama://library/tiny:8b", "library/tiny/manifests/8b", ("ollama://library/tiny:8b", "tiny")),
        ("ollama://me/tiny", "me/tiny/manifests/latest", ("ollama://me/tiny:latest", "me/tiny")),
        (
            "ollama://registry.ollama.ai/me/tiny:Q4_K_M",
            "me/tiny/manifests/Q4_K_M",
            ("ollama://me/tiny:Q4_K_M", "me/tiny"),
        ),
    ],
)
async def test_names_are_completed_as_ollama_does(
    registry: FaultyServer, hub: HubService, address: str, path: str, told: tuple[str, str]
) -> None:
    registry.add(f"/v2/{path}", body=manifest(layer(f"{KIND}model", WEIGHTS)))
    found = await hub.resolve(address)
    assert (found.source, found.name) == told
    assert [(file.path, file.size) for file in found.files] == [("model.gguf", 7000), ("ollama.json", len(CONFIG))]


async def test_another_registry_is_asked_where_its_name_says(registry: FaultyServer, hub: HubService) -> None:
    """On this machine without TLS, as there is nobody between."""
    serve(registry, manifest(layer(f"{KIND}model", WEIGHTS)), WEIGHTS, name="me/tiny", tag="1")
    host = registry.url("").removeprefix("http://")
    fetched = await hub.fetch(f"ollama://{host}/me/tiny:1", allow="*.gguf")
    assert (fetched.hub, fetched.size, fetched.source) == (host, 7000, f"ollama://{host}/me/tiny:1")


async def test_layers_with_names_keep_them(registry: FaultyServer, hub: HubService) -> None:
    """What is made of safetensors has a layer a tensor, each with a name."""
    serve(registry, manifest(layer(f"{KIND}json", b"{}", name="config.json"), layer(f"{KIND}tensor", b"t", name="a/b")))
    assert {file.path for file in (await hub.resolve("ollama://tiny")).files} == {"config.json", "a/b", "ollama.json"}


async def test_offline_finds_what_was_fetched(registry: FaultyServer, hub: HubService, storage: StorageService) -> None:
    tiny(registry)
    fetched = await hub.fetch("ollama://tiny")
    registry.requests.clear()
    config = await asyncio.to_thread(HubConfig, ollama_endpoint=registry.url(""), offline=True)
    offline = HubService(storage=storage, config=config)
    assert (await offline.fetch("ollama://tiny")).files == fetched.files
    with pytest.raises(OfflineException):
        await offline.fetch("ollama://other")
    assert registry.requests == []


async def test_an_image_that_is_missing_is_told(registry: FaultyServer, hub: HubService) -> None:
    with pytest.raises(RepositoryNotFoundException) as caught:
        await hub.fetch("ollama://tiny:9b")
    assert caught.value.repository == "library/tiny:9b"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_is_told_with_what_may_help(registry: FaultyServer, hub: HubService, status: int) -> None:
    registry.add("/v2/library/tiny/manifests/latest", always=Status(status))
    with pytest.raises(InvalidAnswerException, match=f"status {status}.*DOWNLOAD_SERVICE_TOKENS"):
        await hub.fetch("ollama://tiny")


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html>Please log in</html>",
        b"",
        b"null",
        b"[" * 100_000,
        manifest(layer(f"{KIND}model", WEIGHTS))[:-20],
        manifest(),
        json.dumps({"schemaVersion": 2, "manifests": []}).encode(),
        manifest(layer(f"{KIND}model", WEIGHTS, digest="sha256:../../../etc/passwd")),
        manifest(layer(f"{KIND}model", WEIGHTS, digest="md5:" + "a" * 32)),
        manifest(layer(f"{KIND}model", WEIGHTS, size=-1)),
        manifest(layer(f"{KIND}model", WEIGHTS, size=10**30)),
        manifest(layer(f"{KIND}json", b"{}", name="../../evil")),
        manifest(layer(f"{KIND}json", b"{}", name="/etc/passwd")),
        manifest(layer("application/vnd.docker.image.rootfs.diff.tar.gzip", b"layer")),
        manifest(layer(f"{KIND}../../evil", b"layer")),
    ],
    ids=lambda body: ascii(body[:20]),
)
async def test_a_manifest_that_is_none_is_refused(registry: FaultyServer, hub: HubService, body: bytes) -> None:
    url = serve(registry, body)
    with pytest.raises(InvalidAnswerException) as caught:
        await hub.fetch("ollama://tiny")
    assert caught.value.url == url
    assert len(str(caught.value)) < 1500
    assert not hub.storage.root.exists()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("a", "a/b")])
async def test_names_that_cannot_stand_beside_each_other_are_refused(
    registry: FaultyServer, hub: HubService, names: tuple[str, ...]
) -> None:
    serve(registry, manifest(*(layer(f"{KIND}tensor", name.encode(), name=name) for name in names)))
    with pytest.raises(InvalidPathException):
        await hub.resolve("ollama://tiny")


async def test_a_giant_manifest_is_not_read(registry: FaultyServer, hub: HubService) -> None:
    registry.add("/v2/library/tiny/manifests/latest", body=GeneratedBody(1024**3))
    with pytest.raises(DownloadTooLargeException):
        await hub.resolve("ollama://tiny")
    assert sum(request.sent for request in registry.requests) < 64 * 1024**2


@pytest.mark.parametrize("header", ["Docker-Content-Digest", "Ollama-Content-Digest"])
async def test_a_manifest_with_another_digest_than_is_said_is_refused(
    registry: FaultyServer, hub: HubService, header: str
) -> None:
    body = manifest(layer(f"{KIND}model", WEIGHTS))
    path = "/v2/library/tiny/manifests/latest"
    registry.add(path, body=body, headers={header: f"sha256:{hashlib.sha256(body).hexdigest()}"})
    assert (await hub.resolve("ollama://tiny")).size
    registry.add(path, body=body, headers={header: f"sha256:{'ab' * 32}"})
    with pytest.raises(InvalidAnswerException, match=f"its {header.lower()} says"):
        await hub.resolve("ollama://tiny")


async def test_a_layer_with_a_flipped_bit_is_refused(registry: FaultyServer, hub: HubService) -> None:
    tiny(registry)
    digest = f"sha256:{hashlib.sha256(WEIGHTS).hexdigest()}"
    registry.add(f"/storage/{digest}", body=WEIGHTS, always=FlipBit(offset=5))
    with pytest.raises(ChecksumMismatchException):
        await hub.fetch("ollama://tiny")
    assert await asyncio.to_thread(hub.storage.find, hashlib.sha256(WEIGHTS).hexdigest()) is None


async def test_a_layer_of_another_size_is_refused(registry: FaultyServer, hub: HubService) -> None:
    tiny(registry, size=6999)
    with pytest.raises(SizeMismatchException):
        await hub.fetch("ollama://tiny")


async def test_a_layer_that_is_missing_is_told_by_its_address(registry: FaultyServer, hub: HubService) -> None:
    serve(registry, manifest(layer(f"{KIND}model", WEIGHTS)))
    with pytest.raises(DownloadException, match=re.escape("/v2/library/tiny/blobs/sha256:")):
        await hub.fetch("ollama://tiny")
