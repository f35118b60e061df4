"""The loopback hub: what it answers, as far as ``tests/hub/test_huggingface_hub.py`` does not prove it."""

import hashlib
import json
from http.client import HTTPResponse, RemoteDisconnected
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest

from kamiwaza_sdk import InvalidInputException
from kamiwaza_sdk.testing import Changed, GeneratedBody, HuggingFaceServer, Status

FILES: dict[str, bytes | GeneratedBody] = {"config.json": b"{}", "a/b/model.bin": GeneratedBody(5000), "a/c": b"c"}


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def ask(url: str, *, method: str = "GET", token: str | None = None) -> HTTPResponse | HTTPError:
    """Return an answer of any status, redirects included, closed."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        answer: HTTPResponse | HTTPError = build_opener(_Stay).open(Request(url, headers=headers, method=method))
    except HTTPError as error:
        answer = error
    with answer:
        answer.content = answer.read()  # type: ignore[union-attr]  # of our own
    return answer


def content(answer: HTTPResponse | HTTPError) -> bytes:
    body: bytes = answer.content  # type: ignore[union-attr]  # set above
    return body


def status(answer: HTTPResponse | HTTPError) -> tuple[int | None, str | None]:
    return answer.status, answer.headers["X-Error-Code"]


def test_a_small_file_comes_from_the_hub_and_a_large_one_from_its_storage(
    hugging_face_server: HuggingFaceServer,
) -> None:
    hub = hugging_face_server
    commit = hub.add_repository("org/tiny", FILES)
    small = ask(f"{hub.endpoint}/org/tiny/resolve/main/config.json")
    assert (content(small), small.headers["X-Repo-Commit"]) == (b"{}", commit)
    assert small.headers["ETag"] == f'"{hashlib.sha1(b"blob 2" + bytes(1) + b"{}").hexdigest()}"'
    url = f"{hub.endpoint}/org/tiny/resolve/{commit}/a/b/model.bin"
    large = ask(url)
    for answer in (large, ask(url, method="HEAD")):
        assert (answer.status, answer.headers["X-Linked-Size"]) == (302, "5000")
        assert answer.headers["X-Linked-Etag"] == f'"{GeneratedBody(5000).sha256()}"'
    moved = ask(large.headers["Location"])
    assert content(moved) == GeneratedBody(5000).read()
    assert [request.path.partition("?")[0] for request in hub.storage.requests] == [f"/{GeneratedBody(5000).sha256()}"]


def test_a_listing_has_directories_and_can_be_of_one(hugging_face_server: HuggingFaceServer) -> None:
    hub = hugging_face_server
    hub.add_repository("org/tiny", FILES, xet=True)

    def listed(path: str) -> list[tuple[str, str]]:
        answer = ask(f"{hub.endpoint}/api/models/org/tiny/tree/main{path}")
        return [(entry["type"], entry["path"]) for entry in json.loads(content(answer))]

    assert listed("") == [("directory", "a"), ("file", "config.json")]
    assert listed("/a") == [("directory", "a/b"), ("file", "a/c")]
    assert [path for _, path in listed("?recursive=true")] == ["a", "a/b", "a/b/model.bin", "a/c", "config.json"]
    assert status(ask(f"{hub.endpoint}/api/models/org/tiny/tree/main/nothing")) == (404, "EntryNotFound")


def test_the_pages_of_a_listing_are_linked() -> None:
    with HuggingFaceServer(page_size=2) as hub:
        hub.add_repository("org/tiny", FILES)
        url, pages = f"{hub.endpoint}/api/models/org/tiny/tree/main?recursive=true", 0
        while url:
            answer = ask(url)
            pages += 1
            assert 0 < len(json.loads(content(answer))) <= 2
            url = (answer.headers["Link"] or "").partition(">")[0].removeprefix("<")
        assert pages == 3


@pytest.mark.parametrize(
    ("path", "nobody", "other"),
    [
        ("/api/models/org/secret/revision/main", (401, "RepoNotFound"), (404, "RepoNotFound")),
        ("/org/secret/resolve/main/a", (401, "RepoNotFound"), (404, "RepoNotFound")),
        ("/org/gated/resolve/main/a", (401, "GatedRepo"), (403, "GatedRepo")),
        ("/api/models/org/gated/revision/main", (200, None), (200, None)),
        ("/api/models/org/gated/revision/v9", (404, "RevisionNotFound"), (404, "RevisionNotFound")),
        ("/org/gated/resolve/v9/a", (404, "RevisionNotFound"), (404, "RevisionNotFound")),
        ("/api/models/org/old", (307, None), (307, None)),
        ("/api/models/org/old/tree/main", (307, None), (307, None)),
        ("/api/nothing", (404, None), (404, None)),
        ("/", (404, None), (404, None)),
    ],
)
def test_who_may_see_what(
    hugging_face_server: HuggingFaceServer,
    path: str,
    nobody: tuple[int, str | None],
    other: tuple[int, str | None],
) -> None:
    hub = hugging_face_server
    hub.add_repository("org/secret", {"a": b""}, private=True)
    hub.add_repository("org/gated", {"a": b""}, gated=True)
    hub.add_repository("org/old", {"a": b""})
    hub.rename_repository("org/old", "org/new")
    assert status(ask(hub.url(path))) == nobody
    assert status(ask(hub.url(path), token=hub.other_token)) == other
    assert status(ask(hub.url(path), token="hf_unknown")) == (401, None)
    if "secret" in path or "gated/resolve/main" in path:
        assert status(ask(hub.url(path), token=hub.token)) == (200, None)


def test_the_redirect_of_a_renamed_repository_leads_to_it(hugging_face_server: HuggingFaceServer) -> None:
    hub = hugging_face_server
    hub.add_repository("org/old", {"a": b"a"})
    hub.rename_repository("org/old", "team/new")
    assert ask(f"{hub.endpoint}/org/old/resolve/main/a").headers["Location"] == "/team/new/resolve/main/a"
    assert content(ask(f"{hub.endpoint}/team/new/resolve/main/a")) == b"a"


def test_a_branch_moves_and_a_commit_stays(hugging_face_server: HuggingFaceServer) -> None:
    hub = hugging_face_server
    first = hub.add_repository("org/tiny", {"a": b"1"})
    second = hub.add_repository("org/tiny", {"a": b"2"})
    hub.add_repository("org/tiny", {"a": b"3"}, branch="dev")
    hub.add_tag("org/tiny", "v1", first)
    found = {name: content(ask(f"{hub.endpoint}/org/tiny/resolve/{name}/a")) for name in ("main", "dev", "v1", first)}
    assert found == {"main": b"2", "dev": b"3", "v1": b"1", first: b"1"}
    assert first != second


def test_faults_befall_what_it_answers(hugging_face_server: HuggingFaceServer) -> None:
    hub = hugging_face_server
    hub.add_repository("org/tiny", {"a": b"1"})
    hub.add_faults("/org/tiny/resolve/main/a", [Status(503), None])
    assert [ask(f"{hub.endpoint}/org/tiny/resolve/main/a").status for _ in range(3)] == [503, 200, 200]
    hub.add("/api/models/org/tiny/revision/main", body=b"<html>")
    assert content(ask(f"{hub.endpoint}/api/models/org/tiny/revision/main")) == b"<html>"
    with pytest.raises(InvalidInputException, match="begin it with '/'"):
        hub.add_faults("org/tiny")


def test_faults_befall_a_path_as_people_write_it(hugging_face_server: HuggingFaceServer) -> None:
    hub = hugging_face_server
    hub.add_repository("org/tiny", {"my file.txt": b"1"})
    hub.add_faults("/org/tiny/resolve/main/my file.txt", [Status(503)])
    url = f"{hub.endpoint}/org/tiny/resolve/main/my%20file.txt"
    assert [ask(url).status for _ in range(2)] == [503, 200]


def test_a_fault_that_could_do_nothing_is_told_when_the_server_closes() -> None:
    with HuggingFaceServer() as hub:
        hub.add_repository("org/tiny", {"a": b"1"})
        hub.add_faults("/org/tiny/resolve/main/a", [Changed()])
        with pytest.raises(RemoteDisconnected):
            ask(f"{hub.endpoint}/org/tiny/resolve/main/a")
        with pytest.raises(InvalidInputException, match="Changed"):
            hub.close()


def test_it_writes_nothing(hugging_face_server: HuggingFaceServer) -> None:
    assert ask(f"{hugging_face_server.endpoint}/api/repos/create", method="POST").status == 405
