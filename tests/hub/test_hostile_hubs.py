"""A hub that answers what it should not: each a typed error, and nothing of it is kept or followed."""

import json
import re

import pytest
from pydantic import TypeAdapter, ValidationError

from kamiwaza_sdk import (
    DownloadTooLargeException,
    HubException,
    InvalidPathException,
    InvalidSourceException,
    StorageService,
)
from kamiwaza_sdk.services.hub import search
from kamiwaza_sdk.services.hub.sources import hugging_face
from kamiwaza_sdk.services.hub.sources.ollama import Image
from kamiwaza_sdk.sources import InvalidAnswerException
from kamiwaza_sdk.testing import GeneratedBody, Headers, HuggingFaceServer, Redirect, Status
from tests.hub.conftest import Asking

pytestmark = pytest.mark.usefixtures("blockbuster")

REVISION = "/api/models/org/tiny/revision/main"
OID = "ab" * 20
SHA256 = "cd" * 32


@pytest.fixture
def commit(hf: HuggingFaceServer) -> str:
    """A repository that is as it should be, until a test puts something in the place of an answer."""
    return hf.add_repository("org/tiny", {"config.json": b"{}"})


def info(**changes: object) -> bytes:
    return json.dumps({"id": "org/tiny", "sha": OID, **changes}).encode()


def file(path: object, **more: object) -> dict[str, object]:
    return {"type": "file", "path": path, "size": 2, "oid": OID, **more}


async def refused(asking: Asking, storage: StorageService) -> InvalidAnswerException:
    """Return what resolving and fetching are refused with, having left nothing behind."""
    hub = await asking()
    with pytest.raises(InvalidAnswerException) as resolving:
        await hub.resolve("hf://org/tiny")
    with pytest.raises(InvalidAnswerException):
        await hub.fetch("hf://org/tiny")
    assert not storage.root.exists()
    return resolving.value


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Please log in to this network</body></html>",
        info()[:-5],
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        info(sha="main"),
        info(sha=None),
        info(sha=OID.upper() + "/../.."),
        json.dumps({"sha": OID}).encode(),
        info(private={"a": 1}),
    ],
    ids=lambda body: ascii(body[:30]),
)
async def test_a_description_that_is_none_is_told_with_what_it_is(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, body: bytes
) -> None:
    hf.add(REVISION, body=body, headers={"Content-Type": "text/html"})
    error = await refused(asking, storage)
    assert error.url == hf.url(REVISION)
    assert "is no description of a repository but 'text/html'" in error.reason
    assert len(str(error)) < 1000


async def test_the_description_of_another_repository_is_refused(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add(REVISION, body=info(id="evil/tiny"))
    assert "describes 'evil/tiny' and not 'org/tiny'" in (await refused(asking, storage)).reason


async def test_the_description_of_another_commit_is_refused(hf: HuggingFaceServer, asking: Asking, commit: str) -> None:
    hf.add(f"/api/models/org/tiny/revision/{commit}", body=info())
    with pytest.raises(InvalidAnswerException, match=f"is of the commit {OID} and not of {commit}"):
        await (await asking()).resolve(f"hf://org/tiny@{commit}")


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([file("../../etc/passwd")], "'..' segment"),
        ([file("/etc/passwd")], "has an empty"),
        ([file("a/./b")], "'.'"),
        ([file("a\\..\\b")], "backslash"),
        ([file("a\0b")], "control character"),
        ([file("a\nb")], "control character"),
        ([file("")], "has an empty"),
        ([file("x" * 300)], "over the 255 bytes"),
        ([file("a"), file("a")], "lists 'a' twice"),
        ([file(3)], "path"),
        ([file("a", size=-1)], "size"),
        ([file("a", size=2**80)], "size"),
        ([file("a", oid="main")], "oid"),
        ([file("a", lfs={"oid": "short", "size": 1})], "lfs.oid"),
        ([file("a", lfs={"oid": SHA256, "size": 2**64})], "size"),
        ({"error": "none"}, "valid array"),
        ([["a"]], "0 "),
    ],
    ids=ascii,
)
async def test_a_listing_of_what_cannot_be_is_refused(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, entries: object, complaint: str
) -> None:
    commit = hf.add_repository("org/tiny", {"config.json": b"{}"})
    hf.add(f"/api/models/org/tiny/tree/{commit}", body=json.dumps(entries).encode())
    assert complaint in (await refused(asking, storage)).reason


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        (hugging_face._TREE, b"["),
        (search._FOUND, b"["),
        (TypeAdapter(Image), b'{"config":{"mediaType":"a","digest":"sha256:%s","size":1},"layers":[' % (b"ab" * 32)),
    ],
    ids=["tree", "search", "image"],
)
def test_of_a_list_that_is_wrong_throughout_only_the_first_error_is_made(
    kind: TypeAdapter[object], before: bytes
) -> None:
    """Errors take a hundred times as much memory as the answer that has them."""
    after = b"]}" if before.startswith(b"{") else b"]"
    with pytest.raises(ValidationError) as caught:
        kind.validate_json(before + b",".join([b"{}"] * 1000) + after)
    assert caught.value.error_count() < 10


async def test_names_that_some_file_systems_cannot_tell_apart_are_refused(
    hf: HuggingFaceServer, asking: Asking, commit: str
) -> None:
    for names in (("Model.bin", "model.BIN"), ("a", "A/b"), ("café", "cafe\u0301")):
        body = json.dumps([file(name) for name in names]).encode()
        hf.add(f"/api/models/org/tiny/tree/{commit}", body=body)
        with pytest.raises(InvalidPathException, match="can be one file|as a file and as a directory"):
            await (await asking()).fetch("hf://org/tiny")


async def test_a_hub_that_pages_for_ever_is_left(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, commit: str
) -> None:
    first = f"/api/models/org/tiny/tree/{commit}"
    for number in range(-1, 250):
        link = {"Link": f'<{hf.url(f"/page/{number + 1}")}>; rel="next"'}
        hf.add(f"/page/{number}" if number >= 0 else first, body=b"[]", headers=link)
    assert (await refused(asking, storage)).reason == "has over 200 pages"
    assert hf.requests_to("/page/200") == []


async def test_a_hub_whose_pages_lead_in_a_circle_is_left(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, commit: str
) -> None:
    first = f"/api/models/org/tiny/tree/{commit}"
    hf.add(first, body=b"[]", headers={"Link": '</page/1>; rel="next"'})
    hf.add("/page/1", body=b"[]", headers={"Link": '</page/2>; rel="prev", </page/2>; foo=bar; rel="last next"'})
    hf.add("/page/2", body=b"[]", headers={"Link": "</page/1>; rel=next"})
    assert (await refused(asking, storage)).reason == "leads from page to page in a circle"
    assert len(hf.requests_to("/page/1")) == 2  # once for each of the two calls


async def test_a_next_page_that_is_no_url_is_refused(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, commit: str
) -> None:
    for link in ("http://[", "//[x]/page"):
        hf.add(f"/api/models/org/tiny/tree/{commit}", body=b"[]", headers={"Link": f'<{link}>; rel="next"'})
        assert (await refused(asking, storage)).reason == "leads to what is no URL for its next page"


async def test_a_listing_longer_than_can_be_held_is_left(hf: HuggingFaceServer, asking: Asking, commit: str) -> None:
    entries = [file(str(number)) for number in range(hugging_face.MAX_ENTRIES + 1)]
    hf.add(f"/api/models/org/tiny/tree/{commit}", body=json.dumps(entries, separators=(",", ":")).encode())
    with pytest.raises(InvalidSourceException, match="has over 100000 files and directories; fetch some by"):
        await (await asking()).resolve("hf://org/tiny")


async def test_a_description_that_would_keep_other_threads_waiting_is_left(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, commit: str
) -> None:
    hf.add(REVISION, body=info(siblings=[])[:-2] + b"[]," * 700_000 + b"[]]}")
    reason = (await refused(asking, storage)).reason
    assert reason == "is no description of a repository: it has over 1000000 values"


async def test_an_answer_larger_than_can_be_held_is_left(hf: HuggingFaceServer, asking: Asking, commit: str) -> None:
    hf.add(f"/api/models/org/tiny/tree/{commit}", body=GeneratedBody(10 * 1024**4))
    with pytest.raises(DownloadTooLargeException) as error:
        await (await asking()).resolve("hf://org/tiny")
    assert error.value.received == 0


async def test_a_page_that_fails_is_no_end_of_the_listing(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService, commit: str
) -> None:
    first = f"/api/models/org/tiny/tree/{commit}"
    hf.add(first, body=json.dumps([file("a")]).encode(), headers={"Link": '</page/1>; rel="next"'})
    hf.add("/page/1", always=Status(418))
    assert (await refused(asking, storage)).reason == "has the status 418"


async def test_what_a_redirect_leads_to_is_never_called_what_was_asked_for(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    commit = hf.add_repository("evil/tiny", {"config.json": b"{}"})
    hf.add(REVISION, always=Redirect("/api/models/evil/tiny/revision/main", 307))
    fetched = await (await asking()).fetch("hf://org/tiny")
    assert (fetched.source, fetched.source_repository) == (f"hf://evil/tiny@{commit}", "evil/tiny")
    assert (fetched.name, fetched.author) == ("evil/tiny", "evil")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refusal_without_a_code_is_a_typed_error_too(
    hf: HuggingFaceServer, asking: Asking, status: int
) -> None:
    hf.add(REVISION, always=(Status(status, body=b"<html>"), Headers({"X-Error-Code": None})))
    with pytest.raises(HubException, match=re.escape("/api/models/org/tiny/revision/main")):
        await (await asking()).resolve("hf://org/tiny")
