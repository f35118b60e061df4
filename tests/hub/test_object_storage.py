"""A bucket of a real S3 API server on loopback; and services that answer what they should not."""

import asyncio
import hashlib
import json
import logging
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

import boto3  # type: ignore[import-untyped]  # it comes with moto, and has no types
import botocore.auth  # type: ignore[import-untyped]  # as boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from moto.server import ThreadedMotoServer

from kamiwaza_sdk import (
    ChecksumMismatchException,
    HubConfig,
    HubService,
    InvalidPathException,
    InvalidSourceException,
    MissingDependencyException,
    ModelTooLargeException,
    ObjectStorageException,
    OfflineException,
    SizeMismatchException,
    StorageConfig,
    StorageService,
    VersionUnavailableException,
)
from kamiwaza_sdk.services.hub.sources import listings, object_storage
from kamiwaza_sdk.services.hub.sources.listings import ListedObject
from kamiwaza_sdk.sources import InvalidAnswerException
from kamiwaza_sdk.testing import FaultyServer, Status
from tests.hub.registering import registered

pytestmark = pytest.mark.usefixtures("blockbuster")

WEIGHTS = bytes(range(256)) * 100_000
#: Put an object into a bucket, which is made when it is first named.
Put = Callable[..., None]


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of moto's server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def put(s3: str, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put an object there; the environment names the server, and who asks."""
    environment = {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    for bucket in client.list_buckets()["Buckets"]:
        for found in client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ()):
            client.delete_object(Bucket=bucket["Name"], Key=found["Key"])
        client.delete_bucket(Bucket=bucket["Name"])

    def put_object(key: str, body: bytes = b"x", *, bucket: str = "bucket", acl: str = "private") -> None:
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=body, ACL=acl)

    return put_object


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """An S3 endpoint that answers what it is told to."""
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    with FaultyServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url(""))
        yield server


@pytest.fixture
async def hub(storage: StorageService) -> HubService:
    return HubService(storage=storage, config=await asyncio.to_thread(HubConfig))


def listing(*keys: str, endless: bool = False) -> bytes:
    """What S3 answers to a request for a listing."""
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>1</Size><ETag>&quot;1&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>" if endless else ""
    return f"<ListBucketResult>{more}{contents}</ListBucketResult>".encode()


async def test_a_prefix_is_fetched(put: Put, hub: HubService, storage: StorageService) -> None:
    """All below it and nothing beside it, whatever characters keys have, larger than is in memory at once."""
    contents = {"config.json": b"{}", "onnx/model.onnx": WEIGHTS, "Ün #1 100%.txt": b"a", "a+b %2e": b"b", "empty": b""}
    for path, data in contents.items():
        put(f"models/tiny/{path}", data)
    put("models/tiny2/a")
    put("models/tin")
    fetched = await hub.fetch("s3://bucket/models/tiny")
    files = {file.path: await asyncio.to_thread(storage.path(file.sha256).read_bytes) for file in fetched.files}
    assert files == contents
    assert (fetched.source, fetched.name) == ("s3://bucket/models/tiny", "tiny")
    assert fetched.bytes_fetched == sum(map(len, contents.values()))


async def test_sizes_and_etags_are_known_before_a_byte_travels(put: Put, hub: HubService) -> None:
    put("m/a", b"abc")
    (file,) = (await hub.resolve("s3://bucket/m/")).files
    assert (file.path, file.url, file.size) == ("a", "s3://bucket/m/a", 3)
    assert file.etag == '"900150983cd24fb0d6963f7d28e17f72"'
    with pytest.raises(ModelTooLargeException):
        await hub.fetch("s3://bucket/m", max_size=2)


async def test_one_object_and_a_whole_bucket_are_sources(put: Put, hub: HubService) -> None:
    put("m/tiny.gguf", b"abc")
    put("m/tiny.gguf.txt")
    one = await hub.fetch("s3://bucket/m/tiny.gguf")
    assert ([file.path for file in one.files], one.name) == (["tiny.gguf"], "tiny")
    everything = await hub.fetch("s3://bucket")
    assert ([file.path for file in everything.files], everything.name) == (["m/tiny.gguf", "m/tiny.gguf.txt"], "bucket")


async def test_what_is_unchanged_does_not_travel_again(put: Put, hub: HubService) -> None:
    put("m/a", b"abc")
    put("m/b", b"def")
    first = await hub.fetch("s3://bucket/m")
    put("m/b", b"new")
    again = await hub.fetch("s3://bucket/m")
    assert (first.bytes_fetched, again.bytes_fetched, again.bytes_reused) == (6, 3, 3)


async def test_the_empty_objects_of_consoles_are_no_files(put: Put, hub: HubService) -> None:
    for key in ("m/", "m/onnx/", "m/onnx/a", "m/empty"):
        put(key, b"" if key != "m/onnx/a" else b"a")
    assert [file.path for file in (await hub.fetch("s3://bucket/m")).files] == ["empty", "onnx/a"]


async def test_an_empty_folder_is_no_file_and_an_empty_file_is_one(put: Put, hub: HubService) -> None:
    for key, body in {"m/model.gguf": b"x", "m/empty/": b"", "m/sub/none/": b"", "m/merges.txt": b""}.items():
        put(key, body)
    fetched = await hub.fetch("s3://bucket/m")
    assert [(file.path, file.size) for file in fetched.files] == [("merges.txt", 0), ("model.gguf", 1)]


FILLED = "has a key that ends with a slash, as no file's path does"


@pytest.mark.parametrize("most", [1000, 0], ids=["asked one by one", "listed anew"])
async def test_a_key_that_ends_with_a_slash_and_has_content_is_left_out_by_name(
    most: int, put: Put, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``obstore`` takes the slash away, and what it then names is not there, or another."""
    monkeypatch.setattr(object_storage, "_MOST_LOOKED_AT", most)
    contents = {"m/model.gguf": b"x", "m/e/": b"content", "m/name": b"right", "m/name/": b"other", "m/none/": b""}
    for key, body in contents.items():
        put(key, body)
    fetched = await hub.fetch("s3://bucket/m")
    assert [(file.path, file.size) for file in fetched.files] == [("model.gguf", 1), ("name", 5)]
    assert sorted((one.path, one.reason) for one in fetched.left_out) == [("e/", FILLED), ("name/", FILLED)]


async def test_who_may_list_but_not_read_is_told_by_the_transfer(service: FaultyServer, hub: HubService) -> None:
    service.add("/bucket", body=listing("m/a"))
    service.add("/bucket/m/a", always=Status(403))
    assert [file.path for file in (await hub.resolve("s3://bucket/m")).files] == ["a"]
    with pytest.raises(ObjectStorageException) as refused:
        await hub.fetch("s3://bucket/m")
    assert refused.value.kind == "PermissionDeniedError"


async def test_a_folder_beside_a_file_of_its_name_does_not_stand_in_its_way(put: Put, hub: HubService) -> None:
    for key, body in {"m/model.gguf": b"x", "m/name/": b"", "m/name": b"y"}.items():
        put(key, body)
    fetched = await hub.fetch("s3://bucket/m")
    assert [(file.path, file.size) for file in fetched.files] == [("model.gguf", 1), ("name", 1)]


ODD_KEYS = {
    "m//odd.gguf": "'/odd.gguf' has an empty, '.' or '..' segment",
    "m/sub//odd.gguf": "has an empty, '.' or '..' segment",
    "m/../odd.gguf": "has an empty, '.' or '..' segment",
    "m/%2e%2e/../odd": "has an empty, '.' or '..' segment",
    "m/./odd": "has an empty, '.' or '..' segment",
    "m//Ün +&=%.gguf": "has an empty, '.' or '..' segment",
    "m/a\\..\\odd": "contains a backslash",
    "m/a\x01b": "control",
}


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_key_that_no_file_can_have_is_left_out_by_name_and_spoils_nothing(
    key: str, put: Put, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands before it and behind it comes, in whatever pages it is listed."""
    monkeypatch.setattr(listings, "_MOST_OF_A_PAGE", 2)
    good = ["!first.bin", ".gitattributes", "Ün #1 100%.txt", "model.gguf", "part/model.gguf", "z+b"]
    for name in good:
        put(f"m/{name}")
    put("m/empty/", b"")
    put(key, b"odd")
    fetched = await hub.fetch("s3://bucket/m")
    assert [file.path for file in fetched.files] == sorted(good)
    ((path, reason),) = [(one.path, one.reason) for one in fetched.left_out]
    assert f"m/{path}" == key
    assert ODD_KEYS[key] in reason


async def test_many_odd_keys_are_left_out_and_where_there_are_no_others_they_are_named(
    put: Put, hub: HubService
) -> None:
    for key in ("m//a", "m//b", "m/c/../d", "m/e/", "good"):
        put(key)
    with pytest.raises(InvalidSourceException, match="no files' paths: '/a', '/b', 'c/../d', 'e/'; name a prefix"):
        await hub.fetch("s3://bucket/m")
    plan = await hub.plan("s3://bucket")
    assert ([file.path for file in plan.manifest.files], len(plan.left_out)) == (["good"], 4)


async def test_a_key_with_a_slash_ahead_is_not_taken_for_one_without(put: Put, hub: HubService) -> None:
    """``obstore`` takes the slash away, and the object that it then names is not there, or another."""
    for key, body in {"/model.gguf": b"odd", "model.gguf": b"right", "/other.gguf": b"odd"}.items():
        put(key, body)
    fetched = await hub.fetch("s3://bucket")
    assert [(file.path, file.size) for file in fetched.files] == [("model.gguf", 5)]
    assert sorted(one.path for one in fetched.left_out) == ["/model.gguf", "/other.gguf"]


async def test_a_bucket_that_is_open_to_all_is_listed_without_a_signature(
    service: FaultyServer, hub: HubService
) -> None:
    service.add("/bucket", body=listing("m/a", "m//odd"), headers={"Content-Type": "application/xml"})
    fetched = await hub.resolve("s3://bucket/m")
    assert ([file.path for file in fetched.files], [one.path for one in fetched.left_out]) == (["a"], ["/odd"])
    assert not any("X-Amz" in request.path for request in service.requests)


@pytest.mark.parametrize("scheme", ["s3", "az"])
def test_what_is_no_listing_is_refused(scheme: str) -> None:
    for body in (b"<a/>", b"<!DOCTYPE x []>" + listing("m//odd"), listing("m//odd").replace(b"<Size>1</Size>", b"")):
        with pytest.raises(InvalidAnswerException, match="is no listing of objects"):
            listings._read_page(body, "http://127.0.0.1/bucket", listings._DIALECTS[scheme])


@pytest.mark.parametrize("style", ["path", "virtual hosted"])
def test_a_listing_of_ours_is_signed_as_amazons_own_client_signs_it(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secr/et+")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tok/en+=")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", str(style == "virtual hosted").lower())
    url = listings._signed_for_s3("bucket", "list-type=2&prefix=a%20%C3%BC%2B%26%3D%25%2F")
    hosts = {"path": "https://s3.eu-west-1.amazonaws.com/bucket?", "virtual hosted": "https://bucket.s3.eu-west-1."}
    assert url.startswith(hosts[style])
    query = dict(parse_qsl(urlsplit(url).query))
    assert query["prefix"] == "a ü+&=%/"
    signing = S3SigV4QueryAuth(Credentials("id", "secr/et+", "tok/en+="), "s3", "eu-west-1", expires=600)
    request = AWSRequest("GET", url.partition("&X-Amz-Algorithm")[0])
    at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%S%z").replace(tzinfo=None)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)
    signing.add_auth(request)
    assert dict(parse_qsl(urlsplit(request.url).query)) == query


@pytest.mark.parametrize("address", ["s3://bucket/m", "s3://bucket/m/model.gguf", "s3://bucket"])
async def test_a_registered_version_is_brought_to_a_machine_that_lacks_it(
    address: str, put: Put, hub: HubService, tmp_path: Path
) -> None:
    """As it was registered, by its digests: what is another by now, or gone, is not taken for it."""
    for key in ("m/model.gguf", "m/Ün #1 100%3F.txt", "m//odd", "m/none"):
        put(key, f"of {key}".encode() if key != "m/none" else b"")
    version = await asyncio.to_thread(registered, await hub.fetch(address))
    config = await asyncio.to_thread(HubConfig)

    def machine(name: str) -> HubService:
        return HubService(storage=StorageService(StorageConfig(root=tmp_path / name)), config=config)

    put("m/more", b"added since")
    brought = await (await asyncio.to_thread(machine, "second")).fetch(version)
    assert (brought.digest, brought.source, brought.bytes_fetched) == (version.digest, address, version.size)
    third = await asyncio.to_thread(machine, "third")
    put("m/model.gguf", b"OF m/model.gguf")
    with pytest.raises(ChecksumMismatchException):
        await third.fetch(version)
    put("m/model.gguf", b"longer than it was before")
    with pytest.raises(VersionUnavailableException, match="has them no more, or others") as refused:
        await third.fetch(version)
    assert [path.rpartition("/")[2] for path in refused.value.missing] == ["model.gguf"]
    digest = next(file.sha256 for file in version.files if file.path.endswith("model.gguf"))
    assert await asyncio.to_thread(third.storage.find, digest) is None


def test_long_keys_are_not_multiplied_in_memory() -> None:
    """What stands above a key of hundreds of segments is hundreds of keys, and a listing has a hundred thousand."""
    objects = [ListedObject(f"{index}/{'a/' * 500}b", index % 2, None) for index in range(100)]
    tracemalloc.start()
    try:
        assert object_storage._without_folders(objects) == objects
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()


async def test_patterns_choose_objects(put: Put, hub: HubService) -> None:
    for name in ("a.bin", "a.safetensors", "old/a.safetensors"):
        put(f"m/{name}")
    fetched = await hub.fetch("s3://bucket/m", allow="*.safetensors", ignore="old/")
    assert [file.path for file in fetched.files] == ["a.safetensors"]


async def test_an_object_that_changes_after_it_was_listed_is_refused(put: Put, hub: HubService) -> None:
    """Even where its size stays: no part of it is of one state and another of the next."""
    put("m/a", b"abc")
    manifest = await hub.resolve("s3://bucket/m")
    put("m/a", b"xyz")
    with pytest.raises(ObjectStorageException) as caught:
        await hub.fetch(manifest)
    assert caught.value.kind == "PreconditionError"


async def test_an_object_that_is_gone_is_told(put: Put, hub: HubService, s3: str) -> None:
    put("m/a", b"abc")
    manifest = await hub.resolve("s3://bucket/m")
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    await asyncio.to_thread(client.delete_object, Bucket="bucket", Key="m/a")
    with pytest.raises(ObjectStorageException) as caught:
        await hub.fetch(manifest)
    assert (caught.value.kind, caught.value.source) == ("FileNotFoundError", "s3://bucket/m/a")


@pytest.mark.parametrize("address", ["s3://nothing", "s3://nothing/m", "s3://bucket/nothing", "s3://bucket/m/nothing"])
async def test_what_is_not_there_is_told(put: Put, hub: HubService, address: str) -> None:
    put("m/a")
    with pytest.raises(ObjectStorageException, match="404") as caught:
        await hub.fetch(address)
    assert caught.value.source == address
    assert caught.value.__cause__ is not None


async def test_offline_finds_what_is_kept(put: Put, hub: HubService, storage: StorageService) -> None:
    """And opens no connection: the endpoint of the environment is none by then."""
    put("m/a", b"abc")
    put("n/a", b"def")
    fetched = await hub.fetch("s3://bucket/m")
    manifest = await hub.resolve("s3://bucket/n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        offline = HubService(storage=storage, config=await asyncio.to_thread(HubConfig, offline=True))
        assert (await offline.fetch("s3://bucket/m")).files == fetched.files
        for missing in ("s3://bucket/other", "s3://bucket/n", manifest):
            with pytest.raises(OfflineException):
                await offline.fetch(missing)


@pytest.mark.parametrize("keys", [("m/a", "m/A"), ("m/a", "m/a/b"), ("m/ü", "m/u\u0308")])
async def test_keys_that_cannot_stand_beside_each_other_are_refused(
    put: Put, hub: HubService, keys: tuple[str, str]
) -> None:
    for key in keys:
        put(key)
    with pytest.raises(InvalidPathException):
        await hub.fetch("s3://bucket/m")


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        (("m/a", "m/a"), InvalidPathException),
        (("/m/a", "m/a"), InvalidSourceException),
        (("m/a", "/etc/passwd"), InvalidAnswerException),
        (("m/a", "n/b"), InvalidAnswerException),
        (("m/a", "mm/b"), InvalidAnswerException),
    ],
    ids=ascii,
)
async def test_absolute_and_duplicate_keys_and_those_of_others_are_refused(
    service: FaultyServer, hub: HubService, keys: tuple[str, str], error: type[Exception]
) -> None:
    service.add("/bucket", body=listing(*keys))
    with pytest.raises(error):
        await hub.fetch("s3://bucket/m")
    assert not (hub.storage.root / "blobs").exists()


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"", b"{}", b"<ListBucketResult><Contents><Key>m/a</Key>"])
async def test_an_answer_that_is_no_listing_is_told(service: FaultyServer, hub: HubService, body: bytes) -> None:
    service.add("/bucket", body=body)
    with pytest.raises(ObjectStorageException):
        await hub.fetch("s3://bucket/m")


async def test_a_listing_without_an_end_is_not_read(
    service: FaultyServer, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where each page names more, nor where none names anything."""
    monkeypatch.setattr(object_storage, "MAX_OBJECTS", 5)
    monkeypatch.setattr(object_storage, "LISTING_PATIENCE", 1)
    service.add("/bucket", body=listing("m/a", "m/b", endless=True))
    with pytest.raises(InvalidSourceException, match="has over 5 objects"):
        await hub.fetch("s3://bucket/m")
    service.add("/bucket", body=listing(endless=True))
    with pytest.raises(ObjectStorageException, match="takes too long") as caught:
        await hub.fetch("s3://bucket/m")
    assert caught.value.kind == "TimeoutError"


@pytest.mark.parametrize(
    ("body", "etag", "error"),
    [
        (b"", '"1"', ObjectStorageException),
        (b"abc", '"1"', SizeMismatchException),
        (b"a", '"2"', ObjectStorageException),
    ],
)
async def test_an_object_of_another_size_or_etag_than_listed_is_refused(
    service: FaultyServer, hub: HubService, body: bytes, etag: str, error: type[Exception]
) -> None:
    """Also from a service that does not heed ``If-Match``."""
    service.add("/bucket", body=listing("m/a"))
    service.add("/bucket/m/a", body=body, headers={"ETag": etag})
    with pytest.raises(error):
        await hub.fetch("s3://bucket/m")


async def test_a_service_that_is_down_and_missing_credentials_are_told_soon(
    hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ObjectStorageException) as caught:
        await hub.fetch("s3://bucket/m")
    assert "AWS_" in str(caught.value)


async def test_google_cloud_storage_is_asked_likewise(
    put: Put, hub: HubService, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its XML API is that of S3, so moto answers for it too."""
    account = {"gcs_base_url": s3, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
    put("m/a", b"abc", acl="public-read")
    fetched = await hub.fetch("gs://bucket/m")
    assert ([file.path for file in fetched.files], fetched.size, fetched.source) == (["a"], 3, "gs://bucket/m")


def _account(base_url: str) -> tuple[str, RSAPublicKey]:
    """A service account's key as Google makes them, and what its signatures are checked by."""
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    account = {"gcs_base_url": base_url, "private_key": pem, "private_key_id": "1", "client_email": "we@example.org"}
    return json.dumps(account), private.public_key()


@pytest.mark.parametrize("who", ["nobody", "an account"])
async def test_odd_keys_of_google_cloud_storage_are_left_out_by_name(
    who: str, put: Put, hub: HubService, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "_MOST_OF_A_PAGE", 2)
    account = {"gcs_base_url": s3, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
    if who == "nobody":
        monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
        monkeypatch.setenv("GOOGLE_BASE_URL", s3)
    else:  # its key signs the listings alone: moto has no tokens for the rest
        key, _ = await asyncio.to_thread(_account, s3)
        real = listings._DIALECTS["gs"]

        def signed(bucket: str, listed: str) -> str:
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", key)
                return real.signed(bucket, listed)

        monkeypatch.setitem(listings._DIALECTS, "gs", replace(real, signed=signed))
    for name in ("m/a", "m//odd", "m/../up", "m/e/", "m/Ün #1 100%+.txt", "m/z"):
        put(name, b"abc", acl="public-read")
    fetched = await hub.fetch("gs://bucket/m")
    assert [file.path for file in fetched.files] == ["a", "z", "Ün #1 100%+.txt"]
    assert sorted(one.path for one in fetched.left_out) == ["../up", "/odd", "e/"]


def test_a_listing_of_google_is_signed_as_google_checks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By https://cloud.google.com/storage/docs/authentication/canonical-requests."""
    key, public = _account("https://storage.googleapis.com")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", key)
    url = urlsplit(listings._signed_for_google("bucket", "list-type=2&prefix=a%20%C3%BC%2B%26%3D%25%2F"))
    query = dict(parse_qsl(url.query))
    assert (url.path, query["list-type"], query["prefix"]) == ("/bucket", "2", "a ü+&=%/")
    signature = bytes.fromhex(query.pop("X-Goog-Signature"))
    pairs = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
    request = f"GET\n/bucket\n{pairs}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
    scope = query["X-Goog-Credential"].partition("/")[2]
    digest = hashlib.sha256(request.encode()).hexdigest()
    signed = f"GOOG4-RSA-SHA256\n{query['X-Goog-Date']}\n{scope}\n{digest}"
    public.verify(signature, signed.encode(), PKCS1v15(), SHA256())


@pytest.mark.parametrize(
    "address",
    ["s3://", "s3:///m", "s3://-bucket/m", "s3://bu cket/m", "s3://bucket/../m", "s3://bucket//m", "s3://user:x@b/m"],
)
async def test_what_names_no_place_in_a_bucket_is_refused(hub: HubService, address: str) -> None:
    with pytest.raises(InvalidSourceException, match="write s3://bucket/prefix"):
        await hub.fetch(address)


async def test_without_obstore_the_extra_is_named(hub: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setattr("kamiwaza_sdk._dependencies.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyException) as caught:
        await hub.fetch("s3://bucket/m")
    assert (caught.value.package, caught.value.extra) == ("obstore", "object-storage")
