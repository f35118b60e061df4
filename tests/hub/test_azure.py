"""A container of Azure Blob Storage: on loopback as its REST interface is documented, and by the emulator Azurite."""

import asyncio
import base64
import hmac
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

import pytest

from kamiwaza_sdk import HubConfig, HubService, ObjectStorageException, StorageService
from kamiwaza_sdk.services.hub.sources import listings
from kamiwaza_sdk.testing import FaultyServer

pytestmark = pytest.mark.usefixtures("blockbuster")

#: Azurite has these, and so has ours.
ACCOUNT: Final = "devstoreaccount1"
KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
WHEN: Final = "Thu, 01 Jan 2026 00:00:00 GMT"
#: Put blobs into the container ``bucket``.
Put = Callable[[dict[str, bytes]], None]


def _signature(*fields: str) -> str:
    return base64.b64encode(hmac.digest(base64.b64decode(KEY), "\n".join(fields).encode(), "sha256")).decode()


def _account_signature() -> str:
    """An account SAS (https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas) for a minute."""
    until = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = [ACCOUNT, "rwlc", "b", "sco", "", until, "", "", "2023-11-03", "", ""]
    fields = {"sv": signed[8], "ss": signed[2], "srt": signed[3], "sp": signed[1], "se": until}
    return urlencode({**fields, "sig": _signature(*signed)})


class _Blobs(BaseHTTPRequestHandler):
    """Lists blobs three at a time, and brings them; whoever comes with a signature for a container has a right one."""

    blobs: dict[str, bytes]

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(place.query).items()}
        if query.get("comp") != "list":
            self._bring(unquote(place.path).removeprefix(f"/{ACCOUNT}/bucket/"))
        elif query.get("sr") == "c" and query["sig"] != self._expected(query):
            self._answer(403, b"", {})
        else:
            self._answer(200, self._page(query), {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _expected(self, query: dict[str, str]) -> str:
        """Return the signature of a service SAS.

        https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas#version-2020-12-06-and-later
        """
        place = f"/blob/{ACCOUNT}/bucket"
        known = [query["sp"], query.get("st", ""), query["se"], place, "", "", "", query["sv"], query["sr"]]
        return _signature(*known, *[""] * 7)

    def _page(self, query: dict[str, str]) -> bytes:
        found = sorted(key for key in self.blobs if key.startswith(query.get("prefix", "")))
        start = int(query.get("marker", 0))
        following = str(start + 3) if start + 3 < len(found) else ""
        listed = "".join(map(self._listed, found[start : start + 3]))
        text = f"<EnumerationResults><Blobs>{listed}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
        return b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + text.encode()

    def _listed(self, key: str) -> str:
        name = f"<Name>{escape(key)}</Name>" if key.isprintable() else f'<Name Encoded="true">{quote(key)}</Name>'
        length = f"<Content-Length>{len(self.blobs[key])}</Content-Length><Content-Type>x</Content-Type>"
        kind = f"<ResourceType>{'directory' if key == 'm/folder' else 'file'}</ResourceType>"
        properties = f"<Last-Modified>{WHEN}</Last-Modified><Etag>0x1</Etag>{length}{kind}"
        return f"<Blob>{name}<Properties>{properties}</Properties></Blob>"

    def _bring(self, key: str) -> None:
        if key not in self.blobs:
            return self._answer(404, b"", {})
        headers = {"ETag": '"0x1"', "Last-Modified": WHEN}
        body = self.blobs[key]
        asked = self.headers.get("x-ms-range") or self.headers.get("Range")
        if asked is None:
            return self._answer(200, body, headers)
        first, last = map(int, asked.removeprefix("bytes=").split("-"))
        return self._answer(206, body[first : last + 1], headers | {"Content-Range": f"bytes {asked[6:]}/{len(body)}"})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body)), "x-ms-version": "2023-11-03"}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _documented() -> Iterator[tuple[str, Put]]:
    blobs = dict[str, bytes]()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (_Blobs,), {"blobs": blobs}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{ACCOUNT}", blobs.update
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _put(endpoint: str, blobs: dict[str, bytes]) -> None:
    def ask(path: str, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with urlopen(Request(f"{endpoint}/{path}&{_account_signature()}", body, named, method="PUT")):
            pass

    ask("bucket?restype=container", b"")
    for key, body in blobs.items():
        ask(f"bucket/{quote(key)}?", body, x_ms_blob_type="BlockBlob", Content_Type="x")


@contextmanager
def _emulated(place: Path) -> Iterator[tuple[str, Put]]:
    program = shutil.which("azurite-blob", path=os.environ.get("AZURITE", os.environ["PATH"]))
    if program is None:
        reason = "needs Azurite (npm install azurite), in the folder that AZURITE names: nox -s mirrors"
        (pytest.fail if os.environ.get("MIRRORS") else pytest.skip)(reason)
    options = ["--blobPort", "0", "--location", str(place), "--skipApiVersionCheck", "--disableTelemetry"]
    with subprocess.Popen([str(program), *options], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            lines = (line for line in running.stdout if "successfully listens on " in line)
            endpoint = f"{next(lines).split()[-1]}/{ACCOUNT}"
            yield endpoint, lambda blobs: _put(endpoint, blobs)
        finally:
            running.terminate()


@pytest.fixture(params=["documented", "Azurite"])
def put(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Put blobs there; the environment names the server, and who asks."""
    with _documented() if request.param == "documented" else _emulated(tmp_path / "azurite") as (endpoint, put_blobs):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
        monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
        yield put_blobs


@pytest.fixture
async def hub(storage: StorageService) -> HubService:
    return HubService(storage=storage, config=await asyncio.to_thread(HubConfig))


BLOBS: Final = {
    "m/a": b"abc",
    "m//odd": b"x",
    "m/../up": b"x",
    "m/e/": b"content",
    "m/folder/x": b"x",
    "m/name": b"right",
    "m/name/": b"other",
    "m/none/": b"",
    "m/zero": b"",
    "m/Ün #1 100%+.txt": b"u",
}


@pytest.mark.parametrize("who", ["key", "signature"])
async def test_a_key_that_no_file_can_have_is_left_out_by_name_and_spoils_nothing(
    who: str, put: Put, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the environment has an account's key, or a signature that somebody made with it."""
    monkeypatch.setattr(listings, "_MOST_OF_A_PAGE", 3)
    await asyncio.to_thread(put, BLOBS)
    if who == "key":
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    else:
        monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", f"?{_account_signature()}")
    fetched = await hub.fetch("az://bucket/m")
    right = {"a": 3, "folder/x": 1, "name": 5, "zero": 0, "Ün #1 100%+.txt": 1}
    assert {file.path: file.size for file in fetched.files} == right
    assert sorted(one.path for one in fetched.left_out) == ["../up", "/odd", "e/", "name/"]


async def test_a_key_with_a_slash_behind_it_is_left_out_where_obstore_reads_all_others(
    put: Put, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    await asyncio.to_thread(put, {"m/a": b"abc", "m/e/": b"content", "m/none/": b""})
    fetched = await hub.fetch("az://bucket/m")
    assert ([file.path for file in fetched.files], [one.path for one in fetched.left_out]) == (["a"], ["e/"])


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """An endpoint that answers what it is told to."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    with FaultyServer() as server:
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", server.url("/account"))
        yield server


def _listing(*blobs: str) -> bytes:
    found = "".join(
        f"<Blob>{name}<Properties><Last-Modified>{WHEN}</Last-Modified><Etag>1</Etag><Content-Length>3</Content-Length>"
        f"<Content-Type>x</Content-Type>{kind}</Properties></Blob>"
        for name, _, kind in (blob.partition("|") for blob in blobs)
    )
    return f"<EnumerationResults><Blobs>{found}</Blobs><NextMarker/></EnumerationResults>".encode()


async def test_a_container_that_is_open_to_all_is_listed_without_a_signature(
    service: FaultyServer, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what accounts with directories list, and names that XML cannot hold, are read as they are meant."""
    monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
    encoded = '<Name Encoded="true">m/a%01b</Name>'
    folder = "<Name>m/folder</Name>|<ResourceType>directory</ResourceType>"
    service.add("/account/bucket", body=_listing("<Name>m//odd</Name>", "<Name>m/a</Name>", encoded, folder))
    found = await hub.resolve("az://bucket/m")
    assert ([file.path for file in found.files], [one.path for one in found.left_out]) == (["a"], ["/odd", "a\x01b"])
    assert not any("sig=" in request.path for request in service.requests)


async def test_a_key_that_cannot_be_left_out_is_named(
    service: FaultyServer, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An identity, such as a machine has, signs no listing: here it is the token of one."""
    monkeypatch.setenv("AZURE_STORAGE_TOKEN", "token")
    service.add("/account/bucket", body=_listing("<Name>m//odd</Name>"))
    with pytest.raises(ObjectStorageException, match="longer prefix, or the wanted objects one by one") as refused:
        await hub.fetch("az://bucket/m")
    assert (refused.value.key, refused.value.kind) == ("m//odd", "InvalidPathError")


async def test_a_signature_of_the_environment_stands_in_no_error(
    service: FaultyServer, hub: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", "sv=2026&sig=s3cr3t")
    service.add("/account/container", body=_listing("<Name>m/a</Name>"))
    service.add("/account/container/m/a", body=b"abc", headers={"ETag": '"1"'})
    fetched = await hub.fetch("az://container/m")
    assert ([file.path for file in fetched.files], fetched.size) == (["a"], 3)
    with pytest.raises(ObjectStorageException) as caught:
        await hub.fetch("az://nothing/m")
    assert "s3cr3t" not in f"{caught.value} {caught.value.__cause__} {caught.value.reason}"
    service.add("/account/odd", body=_listing("<Name>m//odd</Name>"))
    with pytest.raises(ObjectStorageException, match="m//odd") as caught:
        await hub.fetch("az://odd/n")
    assert "s3cr3t" not in f"{caught.value} {caught.value.__cause__}"
