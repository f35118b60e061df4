"""Without faults the server answers as RFC 9110 demands."""

import hashlib
import http.client
import tracemalloc
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from kamiwaza_sdk import InvalidInputException
from kamiwaza_sdk.testing import FaultyServer, GeneratedBody
from tests.testing.raw import ask

BODY = b"0123456789"
MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
LATER = "Fri, 02 Jan 2026 00:00:00 GMT"
EARLIER = "Wed, 31 Dec 2025 00:00:00 GMT"


@pytest.fixture
def url(faulty_server: FaultyServer) -> str:
    return faulty_server.add("/model.bin", body=BODY, headers={"ETag": '"1"'})


@pytest.fixture
def client(faulty_server: FaultyServer) -> Iterator[http.client.HTTPConnection]:
    client = http.client.HTTPConnection(urlsplit(faulty_server.url("/")).netloc, timeout=20)
    yield client
    client.close()


def test_whole_body(url: str) -> None:
    got = ask(url)
    assert (got.status, got.body, got.end) == (200, BODY, "closed")
    described = {name: got.headers[name] for name in ("etag", "last-modified", "accept-ranges", "content-length")}
    assert described == {"etag": '"1"', "last-modified": MODIFIED, "accept-ranges": "bytes", "content-length": "10"}


def test_head_tells_the_same_and_sends_no_body(url: str) -> None:
    whole, head = ask(url), ask(url, method="HEAD", Range="bytes=1-2")
    assert (head.status, head.body) == (200, b"")
    assert head.headers | {"date": ""} == whole.headers | {"date": ""}


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", "0-0"),
        ("bytes=2-4", "2-4"),
        ("bytes=7-", "7-9"),
        ("bytes=7-99", "7-9"),
        ("bytes=-3", "7-9"),
        ("bytes=-99", "0-9"),
        ("bytes=0-", "0-9"),
    ],
)
def test_range(url: str, asked: str, part: str) -> None:
    got = ask(url, Range=asked)
    first, last = map(int, part.split("-"))
    assert (got.status, got.headers["content-range"], got.body) == (206, f"bytes {part}/10", BODY[first : last + 1])
    assert (got.headers["content-length"], got.headers["etag"]) == (str(len(got.body)), '"1"')


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_range_that_cannot_be_satisfied(url: str, asked: str) -> None:
    got = ask(url, Range=asked)
    assert (got.status, got.headers["content-range"], got.body) == (416, "bytes */10", b"")


@pytest.mark.parametrize(
    "asked", ["bytes=4-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", f"bytes={'9' * 5000}-", ""]
)
def test_range_that_is_none_is_ignored(url: str, asked: str) -> None:
    got = ask(url, Range=asked)
    assert (got.status, got.body) == (200, BODY)


@pytest.mark.parametrize(
    ("condition", "status"), [('"1"', 206), ('"2"', 200), ('W/"1"', 200), (MODIFIED, 206), (LATER, 200), ("?", 200)]
)
def test_range_only_if_nothing_has_changed(url: str, condition: str, status: int) -> None:
    assert ask(url, Range="bytes=1-2", If_Range=condition).status == status


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If_None_Match": '"1"'}, 304),
        ({"If_None_Match": 'W/"1"'}, 304),
        ({"If_None_Match": '"0", "1"'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"2"'}, 200),
        ({"If_Modified_Since": MODIFIED}, 304),
        ({"If_Modified_Since": LATER}, 304),
        ({"If_Modified_Since": EARLIER}, 200),
        ({"If_Modified_Since": "yesterday"}, 200),
        ({"If_None_Match": '"2"', "If_Modified_Since": LATER}, 200),
        ({"If_None_Match": '"1"', "If_Modified_Since": EARLIER}, 304),
    ],
)
def test_conditions(url: str, conditions: dict[str, str], status: int) -> None:
    got = ask(url, **conditions)
    assert (got.status, got.headers["etag"], got.body) == (status, '"1"', BODY if status == 200 else b"")
    assert ("content-length" in got.headers) == (status == 200)


def test_connection_stays_open(faulty_server: FaultyServer, url: str, client: http.client.HTTPConnection) -> None:
    bodies = []
    for method in ("GET", "HEAD", "GET"):
        client.request(method, urlsplit(url).path)
        bodies.append(client.getresponse().read())
    client.request("GET", "/nothing")
    assert client.getresponse().read() != b""
    assert bodies == [BODY, b"", BODY]
    assert len({request.client for request in faulty_server.requests}) == 1


def test_what_is_not_served(faulty_server: FaultyServer, url: str) -> None:
    assert ask(faulty_server.url("/nothing")).status == 404
    refused = ask(url, method="POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    assert [(request.method, request.status) for request in faulty_server.requests] == [("GET", 404), ("POST", 405)]


def test_headers_of_its_own(faulty_server: FaultyServer) -> None:
    headers = {"etag": None, "Last-Modified": LATER, "X-Linked-Size": "7"}
    got = ask(faulty_server.add("/m", body=BODY, headers=headers))
    assert ("etag" in got.headers, got.headers["last-modified"], got.headers["x-linked-size"]) == (False, LATER, "7")


def test_same_content_has_the_same_etag_and_other_content_another(faulty_server: FaultyServer) -> None:
    bodies: list[bytes | GeneratedBody] = [
        b"a",
        b"a",
        b"b",
        GeneratedBody(9),
        GeneratedBody(9),
        GeneratedBody(9, seed=1),
    ]
    tags = [ask(faulty_server.add("/m", body=body)).headers["etag"] for body in bodies]
    assert (tags[0] == tags[1], tags[3] == tags[4], len(set(tags))) == (True, True, 4)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
def test_generated_content_is_the_same_in_any_pieces(faulty_server: FaultyServer, size: int) -> None:
    body = GeneratedBody(size)
    content = body.read()
    assert len(content) == size
    assert b"".join(body.read(start, start + 1000) for start in range(0, size, 1000)) == content
    url = faulty_server.add("/m", body=body)
    assert ask(url).body == content
    assert body.sha256() == faulty_server.sha256("/m") == hashlib.sha256(content).hexdigest()
    if size:
        assert ask(url, Range="bytes=-5").body == content[-5:]


def test_no_two_places_of_generated_content_look_alike() -> None:
    body, places = GeneratedBody(2**50), range(0, 2**50, 2**42)
    assert len({body.read(place, place + 8) for place in places}) == len(places)
    assert GeneratedBody(2**20).read() != GeneratedBody(2**20, seed=1).read()


def test_generated_content_of_negative_size_is_refused() -> None:
    with pytest.raises(InvalidInputException, match="-1"):
        GeneratedBody(-1)


def test_a_gibibyte_costs_no_memory(faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/m", body=GeneratedBody(1024**3))
    client = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    client.request("GET", "/m")
    response, size = client.getresponse(), 0
    tracemalloc.start()
    while piece := response.read(1024**2):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    client.close()
    assert size == 1024**3
    assert peak < 16 * 1024**2
