"""``hf://``: pinned to a commit, verified, typed where a repository is not to be had."""

import asyncio
import hashlib
from collections.abc import Iterator

import pytest

from kamiwaza_sdk import (
    ChecksumMismatchException,
    DownloadInterruptedException,
    DownloadStatusException,
    GitBlobMismatchException,
    HubService,
    InvalidInputException,
    InvalidPathException,
    InvalidSourceException,
    ModelTooLargeException,
    RepositoryAccessException,
    RepositoryNotFoundException,
    RepositoryRenamedException,
    RevisionNotFoundException,
    SizeMismatchException,
    StorageService,
)
from kamiwaza_sdk.services.hub.sources.protocol import _at_origin_of
from kamiwaza_sdk.sources import InvalidAnswerException, ManifestSchema
from kamiwaza_sdk.testing import FlipBit, GeneratedBody, Headers, HuggingFaceServer, Redirect, Status, Truncate
from tests.hub.conftest import Asking

pytestmark = pytest.mark.usefixtures("blockbuster")

FILES: dict[str, bytes | GeneratedBody] = {
    "README.md": b"# tiny\n",
    "config.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "onnx/model.onnx": b"graph" * 1000,
    "onnx/Ünïcode #1.json": b"[]",
}


def contents(storage: StorageService, files: object) -> dict[str, bytes]:
    return {file.path: storage.path(file.sha256).read_bytes() for file in files}  # type: ignore[attr-defined]  # of either kind


async def test_a_repository_is_fetched_whole_and_pinned_to_its_commit(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    commit = hf.add_repository("org/tiny", FILES, license="mit", task="fill-mask")
    fetched = await (await asking()).fetch("hf://org/tiny")
    assert contents(storage, fetched.files) == FILES
    assert (fetched.source, fetched.name) == (f"hf://org/tiny@{commit}", "org/tiny")
    assert (fetched.source_revision, fetched.source_repository) == (commit, "org/tiny")
    assert (fetched.author, fetched.license, fetched.task) == ("org", "mit", "fill-mask")
    assert fetched.hub == hf.endpoint.removeprefix("http://")


@pytest.mark.parametrize("kind", ["dataset", "space"])
async def test_datasets_and_spaces_have_a_prefix(hf: HuggingFaceServer, asking: Asking, kind: str) -> None:
    hf.add_repository("org/tiny", {"wrong": b""})
    hf.add_repository("org/tiny", {"data.parquet": b"rows", "app.py": b"pass"}, kind=kind)  # type: ignore[arg-type]  # one of them
    fetched = await (await asking()).fetch(f"hf://{kind}s/org/tiny")
    assert [file.path for file in fetched.files] == ["app.py", "data.parquet"]
    assert fetched.source_repository == f"{kind}s/org/tiny"


async def test_what_is_known_of_each_file_before_it_travels(hf: HuggingFaceServer, asking: Asking) -> None:
    commit = hf.add_repository("org/tiny", FILES, gated=True, license="mit", tags=["en"])
    manifest = await (await asking()).resolve("hf://org/tiny@main", allow=["*.safetensors", "config.json"])
    config, model = sorted(manifest.files, key=lambda file: file.path)
    assert model.sha256 == hashlib.sha256(b"weights" * 1000).hexdigest()
    assert (model.size, model.git_blob_id) == (7000, None)
    assert (config.size, config.sha256) == (2, None)
    assert config.git_blob_id == hashlib.sha1(b"blob 2\0{}").hexdigest()
    assert config.url == f"{hf.endpoint}/org/tiny/resolve/{commit}/config.json"
    assert (manifest.gated, manifest.private, manifest.tags) == (True, False, ("en", "license:mit"))
    assert manifest.page == f"{hf.endpoint}/org/tiny"
    assert hf.storage.requests == []


async def test_a_manifest_travels_as_json_and_just_that_is_fetched(hf: HuggingFaceServer, asking: Asking) -> None:
    commit = hf.add_repository("org/tiny", FILES)
    hub = await asking()
    text = (await hub.resolve("hf://org/tiny", ignore=["onnx/"])).model_dump_json()
    hf.add_repository("org/tiny", {"config.json": b"another"})
    asked = len(hf.requests)
    fetched = await hub.fetch(ManifestSchema.model_validate_json(text))
    assert [file.path for file in fetched.files] == ["README.md", "config.json", "model.safetensors"]
    assert fetched.source_revision == commit
    assert all("/api/" not in request.path for request in hf.requests[asked:])


async def test_a_revision_that_moves_between_resolving_and_fetching_makes_no_difference(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add_repository("org/tiny", FILES)
    hub = await asking()
    manifest = await hub.resolve("hf://org/tiny")
    hf.add_repository("org/tiny", dict.fromkeys(FILES, b"moved"))
    assert contents(storage, (await hub.fetch(manifest)).files) == FILES


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", "feature/x"])
async def test_a_revision_may_be_any_branch_tag_or_commit(hf: HuggingFaceServer, asking: Asking, revision: str) -> None:
    first = hf.add_repository("org/tiny", {"a": b"first"})
    hf.add_tag("org/tiny", revision, first)
    hf.add_repository("org/tiny", {"a": b"second"})
    hub = await asking()
    for name in (revision, first):
        assert (await hub.resolve(f"hf://org/tiny@{name}")).revision == first
    assert (await hub.resolve("hf://org/tiny")).revision != first


async def test_patterns_choose_files_as_huggingface_hub_does(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES)
    hub = await asking()

    async def chosen(**patterns: object) -> list[str]:
        manifest = await hub.resolve("hf://org/tiny", **patterns)  # type: ignore[arg-type]  # of several types
        return sorted(file.path for file in manifest.files)

    assert await chosen(allow="*.json") == ["config.json", "onnx/Ünïcode #1.json"]
    assert await chosen(allow=["onnx/"], ignore="*.json") == ["onnx/model.onnx"]
    assert await chosen(ignore=["onnx/", "*.md"]) == ["config.json", "model.safetensors"]
    assert await chosen(allow=["*.JSON", "README*"]) == ["README.md"]
    with pytest.raises(InvalidSourceException, match="has no file that allow=.'nothing',. and ignore=None leave"):
        await chosen(allow="nothing")
    with pytest.raises(InvalidInputException, match="allow is no pattern"):
        await chosen(allow=[3])


async def test_what_is_kept_under_another_commit_does_not_travel_again(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES)
    hub = await asking()
    await hub.fetch("hf://org/tiny")
    hf.add_repository("org/tiny", {**FILES, "new.txt": b"new"})
    asked = len(hf.requests)
    fetched = await hub.fetch("hf://org/tiny")
    assert (fetched.bytes_fetched, fetched.bytes_reused) == (3, fetched.size - 3)
    assert [request.path.rpartition("/")[2] for request in hf.requests[asked:] if "/api/" not in request.path] == [
        "new.txt"
    ]


async def test_a_file_chunked_by_xet_comes_whole_by_its_plain_route(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES, xet=True)
    hub = await asking()
    manifest = await hub.resolve("hf://org/tiny", allow="*.safetensors")
    assert manifest.files[0].sha256 == hashlib.sha256(b"weights" * 1000).hexdigest()
    assert (await hub.fetch(manifest)).files[0].sha256 == manifest.files[0].sha256


async def test_a_transfer_that_broke_off_goes_on(hf: HuggingFaceServer, asking: Asking) -> None:
    body = GeneratedBody(9 * 1024**2)
    hf.add_repository("org/tiny", {"model.safetensors": body}, private=True)
    hf.storage.add(f"/{body.sha256()}", body=body, faults=[Truncate(at=7 * 1024**2)])
    hub = await asking(hf.token)
    with pytest.raises(DownloadInterruptedException):
        await hub.fetch("hf://org/tiny")
    fetched = await hub.fetch("hf://org/tiny")
    assert (fetched.size, fetched.files[0].sha256) == (body.size, body.sha256())
    assert 0 < fetched.bytes_fetched < 4 * 1024**2
    assert [request for request in hf.storage.requests if hf.token in str(request.headers)] == []


async def test_several_fetches_of_one_repository_at_once_bring_it_once(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add_repository("org/tiny", FILES)
    fetched = await asyncio.gather(*[(await asking()).fetch("hf://org/tiny") for _ in range(4)])
    assert [contents(storage, one.files) for one in fetched] == [FILES] * 4


async def test_a_large_file_that_was_changed_on_its_way_is_not_kept(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    hf.add_repository("org/tiny", {"model.safetensors": b"weights"})
    sha256 = hashlib.sha256(b"weights").hexdigest()
    hf.storage.add(f"/{sha256}", body=b"weights", always=FlipBit(3))
    with pytest.raises(ChecksumMismatchException) as refused:
        await (await asking()).fetch("hf://org/tiny")
    assert refused.value.expected == sha256
    assert list(storage.root.glob("blobs/sha256/*/*")) == []


async def test_a_small_file_that_was_changed_on_its_way_is_not_kept(
    hf: HuggingFaceServer, asking: Asking, storage: StorageService
) -> None:
    commit = hf.add_repository("org/tiny", {"config.json": b"{}"})
    hf.add_faults(f"/org/tiny/resolve/{commit}/config.json", always=FlipBit(0))
    with pytest.raises(GitBlobMismatchException) as refused:
        await (await asking()).fetch("hf://org/tiny")
    assert refused.value.expected == hashlib.sha1(b"blob 2\0{}").hexdigest()
    assert list(storage.root.glob("blobs/sha256/*/*")) == []


async def test_a_file_of_another_size_is_not_kept(hf: HuggingFaceServer, asking: Asking) -> None:
    commit = hf.add_repository("org/tiny", {"config.json": b"{}"})
    hf.add(f"/org/tiny/resolve/{commit}/config.json", body=b"{ }")
    with pytest.raises(SizeMismatchException):
        await (await asking()).fetch("hf://org/tiny")


async def test_a_repository_over_the_limit_is_refused_before_a_byte_travels(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/tiny", FILES)
    with pytest.raises(ModelTooLargeException):
        await (await asking()).fetch("hf://org/tiny", max_size=10_000)
    assert hf.storage.requests == []


async def test_the_token_is_sent_to_the_hub_and_to_nobody_else(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES, private=True, gated=True)
    await (await asking(hf.token)).fetch("hf://org/tiny")
    assert {request.headers.get("authorization") for request in hf.requests} == {f"Bearer {hf.token}"}
    assert len(hf.storage.requests) == 2
    assert [request for request in hf.storage.requests if hf.token in str(request.headers)] == []


async def test_the_token_is_sent_nowhere_by_a_listing_that_leads_to_another_origin(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    commit = hf.add_repository("org/tiny", FILES)
    elsewhere = hf.storage.add(f"/{'0' * 64}", body=b"[]")
    hf.add(f"/api/models/org/tiny/tree/{commit}", body=b"[]", headers={"Link": f'<{elsewhere}>; rel="next"'})
    with pytest.raises(Exception, match="leads to another origin for its next page"):
        await (await asking(hf.token)).resolve("hf://org/tiny")
    assert hf.storage.requests == []


async def test_a_gated_repository_says_where_its_conditions_are(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES, gated=True)
    for token in (None, hf.other_token):
        with pytest.raises(RepositoryAccessException, match="is gated") as refused:
            await (await asking(token)).fetch("hf://org/tiny")
        assert (refused.value.repository, refused.value.authenticated) == ("org/tiny", token is not None)
        assert refused.value.url == f"{hf.endpoint}/org/tiny"
        assert isinstance(refused.value.__cause__, DownloadStatusException)
    assert (await (await asking(hf.token)).fetch("hf://org/tiny")).size > 0


async def test_a_hub_that_gates_its_listing_too_is_understood(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES)
    gated = (Status(403), Headers({"X-Error-Code": "GatedRepo"}))
    hf.add_faults("/api/models/org/tiny/revision/main", always=gated)
    with pytest.raises(RepositoryAccessException, match="is gated"):
        await (await asking()).resolve("hf://org/tiny")


@pytest.mark.parametrize("name", ["org/secret", "org/nowhere"])
async def test_what_is_private_is_told_to_a_stranger_as_if_it_were_not_there(
    hf: HuggingFaceServer, asking: Asking, name: str
) -> None:
    hf.add_repository("org/secret", FILES, private=True)
    with pytest.raises(RepositoryAccessException, match="set HUB_SERVICE_HF_TOKEN to a token") as refused:
        await (await asking()).resolve(f"hf://{name}")
    assert (refused.value.repository, refused.value.authenticated) == (name, False)
    with pytest.raises(RepositoryNotFoundException) as missing:
        await (await asking(hf.other_token)).resolve(f"hf://{name}")
    assert missing.value.repository == name


async def test_a_token_that_is_not_good_is_said_to_be_the_trouble(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add_repository("org/tiny", FILES)
    with pytest.raises(RepositoryAccessException, match="check that the token in HUB_SERVICE_HF_TOKEN") as refused:
        await (await asking("hf_expired")).resolve("hf://org/tiny")
    assert refused.value.authenticated
    assert "hf_expired" not in f"{refused.value!r} {refused.value.__dict__}"


@pytest.mark.parametrize(("old", "new"), [("org/old", "team/new"), ("gpt2", "openai-community/gpt2")])
async def test_a_renamed_repository_is_followed_and_has_its_new_name(
    old: str, new: str, hf: HuggingFaceServer, asking: Asking
) -> None:
    commit = hf.add_repository(old, FILES)
    hf.rename_repository(old, new)
    fetched = await (await asking()).fetch(f"hf://{old}")
    assert [file.path for file in fetched.files] == sorted(FILES)
    assert (fetched.source, fetched.source_repository) == (f"hf://{new}@{commit}", new)
    for known in (old, f"{old}@{commit}", f"{new}@{commit}"):
        offline = await (await asking(offline=True)).fetch(f"hf://{known}")
        assert (offline.files, offline.source_repository) == (fetched.files, new)


async def test_a_repository_that_became_one_of_another_kind_is_not_followed(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/tiny", FILES, kind="dataset")
    hf.add("/api/models/org/tiny/revision/main", always=Redirect("/api/datasets/org/other/revision/main", 307))
    hf.add_repository("org/other", FILES, kind="dataset")
    with pytest.raises(RepositoryRenamedException, match="ask for 'hf://datasets/org/other'") as refused:
        await (await asking()).fetch("hf://org/tiny")
    assert (refused.value.repository, refused.value.renamed_to) == ("org/tiny", "datasets/org/other")


async def test_a_listing_that_leads_to_the_hub_behind_a_mirror_is_asked_at_the_mirror(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    commit = hf.add_repository("org/tiny", FILES)
    tree = f"/api/models/org/tiny/tree/{commit}"
    places = [(tree, 2), (f"{tree}/", 4)]  # the mirror olah adds a slash
    links = [f'<https://huggingface.co{path}?recursive=true&cursor={at}>; rel="next"' for path, at in places]
    hf.add_faults(tree, faults=[Headers({"Link": link}) for link in links])
    manifest = await (await asking(hf.token)).resolve("hf://org/tiny")
    assert sorted(file.path for file in manifest.files) == sorted(FILES)
    asked = [request.path for request in hf.requests if "cursor=" in request.path]
    assert asked == [f"{tree}?recursive=true&cursor={at}" for at in (2, 4)]


def test_a_page_is_asked_for_below_the_path_of_the_endpoint() -> None:
    first = "https://mirror.example/hf/api/models/org/m/tree/main?recursive=true"
    link = "https://huggingface.co/api/models/org/m/tree/main?recursive=true&cursor=x"
    expected = "https://mirror.example/hf/api/models/org/m/tree/main?recursive=true&cursor=x"
    assert _at_origin_of(first, link) == expected
    assert _at_origin_of(first, expected) == expected
    with pytest.raises(InvalidAnswerException, match="another listing"):
        _at_origin_of(first, "https://huggingface.co/api/models/org/other/tree/main?cursor=x")


async def test_a_revision_that_is_not_there_is_told_apart_from_a_repository(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/tiny", FILES)
    with pytest.raises(RevisionNotFoundException) as refused:
        await (await asking()).resolve("hf://org/tiny@v9")
    assert (refused.value.repository, refused.value.revision) == ("org/tiny", "v9")


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("hf://", "names no repository"),
        ("hf://org/", "names no repository"),
        ("hf://org/..", "names no repository"),
        ("hf://org/m?x=hunter2", "has a query or a fragment"),
        ("hf://org/m#main", "a revision stands behind"),
        ("hf://org/m/file.bin", "has more than an organisation and a name; choose files with allow="),
        ("hf://org/m@", "'hf://org/m@' names no revision after its '@'"),
        ("hf://datasets/org/m@a..b", "'hf://datasets/org/m@' names no revision"),
        ("hf://hunter2@host:80/m", "'hf://host:80/m' names no revision"),
        ("hf://org/m@a b", "names no revision"),
    ],
)
async def test_what_is_no_reference_is_refused_without_a_request(
    hf: HuggingFaceServer, asking: Asking, reference: str, complaint: str
) -> None:
    with pytest.raises(InvalidSourceException, match=complaint) as refused:
        await (await asking()).resolve(reference)
    assert "hunter2" not in str(refused.value)
    assert hf.requests == []


async def test_names_that_can_be_one_file_are_refused_unless_one_is_left_out(
    hf: HuggingFaceServer, asking: Asking
) -> None:
    hf.add_repository("org/tiny", {"README.md": b"1", "readme.md": b"2"})
    hub = await asking()
    with pytest.raises(InvalidPathException, match="which can be one file.*or leave one out with ignore='readme.md'"):
        await hub.resolve("hf://org/tiny")
    assert (await hub.fetch("hf://org/tiny", ignore="readme.md")).size == 1


@pytest.mark.parametrize("retry_after", [0, "Thu, 01 Jan 2026 00:00:00 GMT"])
async def test_too_many_requests_are_tried_again_as_the_hub_asks(
    hf: HuggingFaceServer, asking: Asking, monkeypatch: pytest.MonkeyPatch, retry_after: int | str
) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_MAX_ATTEMPTS", "3")
    monkeypatch.setenv("DOWNLOAD_SERVICE_RETRY_PAUSE", "0")
    commit = hf.add_repository("org/tiny", FILES)
    for path in ("/api/models/org/tiny/revision/main", f"/api/models/org/tiny/tree/{commit}"):
        hf.add_faults(path, [Status(429, retry_after=retry_after), Truncate(at=3)])
    assert len((await (await asking()).resolve("hf://org/tiny")).files) == len(FILES)
    assert [request.status for request in hf.requests_to("/api/models/org/tiny/revision/main")] == [429, 200, 200]


async def test_a_hub_that_refuses_for_longer_than_is_waited_is_told_with_its_wish(
    hf: HuggingFaceServer, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOWNLOAD_SERVICE_MAX_ATTEMPTS", "3")
    hf.add_repository("org/tiny", FILES)
    hf.add_faults("/api/models/org/tiny/revision/main", always=Status(429, retry_after=3600))
    with pytest.raises(DownloadStatusException) as refused:
        await (await asking()).resolve("hf://org/tiny")
    assert (refused.value.status, refused.value.retry_after, refused.value.attempts) == (429, 3600, 1)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[HuggingFaceServer]:
    """A hub that has a thousand files, on pages as long as Hugging Face's."""
    with HuggingFaceServer() as server:
        monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", server.endpoint)
        server.add_repository("org/large", {f"part-{number:04}.json": b"{}" for number in range(1000)})
        yield server


async def test_a_thousand_files_cost_one_request_and_their_pages(hub: HubService, large: HuggingFaceServer) -> None:
    assert len((await hub.resolve("hf://org/large")).files) == 1000
    assert [request.path.split("/")[5] for request in large.requests] == ["revision", "tree"]
