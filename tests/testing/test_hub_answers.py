"""What the loopback hub tells ``huggingface_hub``: searches, cards, references, commits, and who may see what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kamiwaza_sdk.testing import HuggingFaceServer

pytest.importorskip("huggingface_hub")
# A test's own server is on loopback; what it downloads goes to tmp_path: so no process of its own is needed.
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import close_session  # type: ignore[attr-defined]  # it is documented

BERT = b"""---
license: mit
library_name: transformers
pipeline_tag: fill-mask
language: [en, fr]
datasets: wikipedia
tags: [small]
widget: [{text: "Paris is [MASK]."}]
---
# BERT
"""


@pytest.fixture
def hub(hugging_face_server: HuggingFaceServer) -> Iterator[HuggingFaceServer]:
    """A hub with four models, a dataset and a space."""
    server = hugging_face_server
    server.add_repository(
        "org/bert", {"README.md": BERT, "config.json": b'{"model_type": "bert", "x": 1}'}, likes=3, downloads=10
    )
    server.add_repository("org/gpt", {"model.safetensors": b"weights"}, task="text-generation", likes=5, downloads=5)
    server.add_repository("team/bert-gated", {"a": b"a"}, gated=True, likes=1)
    server.add_repository("team/bert-secret", {"a": b"a"}, private=True)
    card = b"---\nlicense: cc0-1.0\nlanguage: en\ntask_categories: [translation]\n---\n"
    server.add_repository("org/words", {"README.md": card, "a.parquet": b"rows"}, kind="dataset")
    space = b"---\nsdk: gradio\nmodels: [org/bert]\n---\n"
    server.add_repository("org/shown", {"README.md": space, "app.py": b""}, kind="space")
    yield server
    close_session()


@pytest.fixture
def api(hub: HuggingFaceServer) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=False)


def names(found: Any) -> list[str]:
    return [one.id for one in found]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"sort": "likes"}, ["org/gpt", "org/bert", "team/bert-gated"]),
        ({"sort": "downloads", "limit": 1}, ["org/bert"]),
        ({"sort": "created_at"}, ["team/bert-gated", "org/gpt", "org/bert"]),
        ({"author": "team"}, ["team/bert-gated"]),
        ({"author": "TEAM"}, []),
        ({"search": "BERT gated"}, ["team/bert-gated"]),
        ({"pipeline_tag": "text-generation"}, ["org/gpt"]),
        ({"filter": "fill-mask"}, ["org/bert"]),
        ({"filter": ["fr", "small", "license:mit", "transformers"]}, ["org/bert"]),
        ({"filter": ["fr", "large"]}, []),
        ({"trained_dataset": "wikipedia"}, ["org/bert"]),
        ({"gated": True}, ["team/bert-gated"]),
        ({"gated": False}, ["org/gpt", "org/bert"]),
    ],
    ids=str,
)
def test_a_search_finds_what_all_its_filters_admit(api: HfApi, asked: dict[str, Any], expected: list[str]) -> None:
    assert names(api.list_models(**asked)) == expected


def test_only_the_token_that_sees_everything_finds_what_is_private(hub: HuggingFaceServer) -> None:
    for token, count in ((hub.token, 4), (hub.other_token, 3)):
        assert len(names(HfApi(endpoint=hub.endpoint, token=token).list_models())) == count


def test_datasets_and_spaces_are_searched_by_their_own_tags(api: HfApi) -> None:
    assert names(api.list_datasets(language="en", task_categories="translation")) == ["org/words"]
    assert names(api.list_datasets(filter=["language:en", "license:cc0-1.0"])) == ["org/words"]
    assert names(api.list_datasets(filter="en")) == []
    assert names(api.list_datasets(filter="license:mit")) == []
    assert [one.models for one in api.list_spaces(models="org/bert")] == [["org/bert"]]
    assert names(api.list_spaces(models="org/gpt")) == []


def test_a_search_tells_more_only_if_it_is_asked_to(api: HfApi) -> None:
    brief = next(iter(api.list_models(search="org/bert")))
    assert (brief.library_name, brief.pipeline_tag, brief.likes) == ("transformers", "fill-mask", 3)
    assert (brief.sha, brief.author, brief.siblings, brief.card_data, brief.config) == (None,) * 5
    full = next(iter(api.list_models(search="org/bert", full=True, cardData=True, fetch_config=True)))
    assert ([one.rfilename for one in full.siblings or []], full.author) == (["README.md", "config.json"], "org")
    assert (full.card_data is not None and full.card_data.license, full.config) == ("mit", {"model_type": "bert"})
    space, linked = (next(iter(api.list_spaces(linked=given))) for given in (False, True))
    assert (space.models, linked.models, space.sdk) == (None, ["org/bert"], "gradio")


def test_expand_tells_what_it_names_and_nothing_else(api: HfApi) -> None:
    for found in (
        api.model_info("org/bert", expand=["author", "downloadsAllTime"]),
        next(iter(api.list_models(search="org/bert", expand=["author", "downloadsAllTime"]))),
    ):
        assert (found.author, found.downloads_all_time, found.downloads, found.tags) == ("org", 10, None, None)
    assert api.dataset_info("org/words", expand=["usedStorage"]).used_storage == 73
    for kind in ("model", "dataset", "space"):
        name = {"model": "org/bert", "dataset": "org/words", "space": "org/shown"}[kind]
        with pytest.raises(HfHubHTTPError, match="expand names nothing") as refused:
            api.repo_info(name, repo_type=kind, expand=["nothing"])  # type: ignore[arg-type]  # on purpose
        assert refused.value.response.status_code == 400
        assert 'expected one of "author"|"' in str(refused.value)


@pytest.mark.parametrize(
    "asked",
    [{"apps": "ollama"}, {"num_parameters": "min:6B"}, {"inference_provider": "all"}, {"sort": "size"}],
    ids=str,
)
def test_a_filter_that_it_cannot_apply_is_refused(api: HfApi, asked: dict[str, Any]) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        list(api.list_models(**asked))
    assert refused.value.response.status_code == 400
    assert next(iter(asked)) in str(refused.value)


def test_the_card_and_the_configuration_are_those_of_the_revision(hub: HuggingFaceServer, api: HfApi) -> None:
    first = api.model_info("org/bert").sha
    hub.add_repository("org/bert", {"README.md": b"no head", "config.json": b"no JSON"}, license="apache-2.0")
    old, new = api.model_info("org/bert", revision=first), api.model_info("org/bert")
    assert (old.pipeline_tag, old.widget_data) == ("fill-mask", [{"text": "Paris is [MASK]."}]), old
    assert old.tags == ["transformers", "small", "en", "fr", "fill-mask", "license:apache-2.0", "dataset:wikipedia"]
    assert (new.pipeline_tag, new.tags, new.config) == (None, ["license:apache-2.0"], {})
    assert new.last_modified is not None
    assert old.last_modified is not None
    assert (new.last_modified - old.last_modified).total_seconds() == 3600


def test_a_card_that_is_no_yaml_tells_nothing(hub: HuggingFaceServer, api: HfApi) -> None:
    hub.add_repository("org/odd", {"README.md": b"---\n[: {\n---\n"})
    assert api.model_info("org/odd").card_data is None


def test_sizes_and_digests_of_files_are_told_with_the_repository(api: HfApi) -> None:
    (file,) = api.model_info("org/gpt", files_metadata=True).siblings or []
    assert (file.rfilename, file.size) == ("model.safetensors", 7)
    assert file.lfs is not None
    assert (file.lfs.size, file.lfs.pointer_size) == (7, 126)
    assert [one.size for one in api.model_info("org/gpt").siblings or []] == [None]


def test_nothing_is_scanned_and_nothing_is_said_to_be_safe(api: HfApi) -> None:
    told = api.model_info("org/gpt", securityStatus=True).security_repo_status
    assert told == {"scansDone": False, "filesWithIssues": []}
    (file,) = api.list_repo_tree("org/gpt", expand=True)
    assert file.security is not None  # type: ignore[union-attr]  # a file
    assert (file.security.safe, file.security.status) == (False, "unscanned")  # type: ignore[union-attr]


def test_the_last_commit_of_an_entry_is_the_one_that_changed_it(hub: HuggingFaceServer, api: HfApi) -> None:
    files = {"a/one": b"1", "a/two": b"2", "b/three": b"3", "four": b"4"}
    first = hub.add_repository("org/tree", files)
    second = hub.add_repository("org/tree", {**files, "a/two": b"changed"})
    third = hub.add_repository("org/tree", {**files, "a/two": b"changed", "five": b"5"}, branch="more")
    told = {one.path: one.last_commit for one in api.list_repo_tree("org/tree", recursive=True, expand=True)}
    assert {path: last and last.oid for path, last in told.items()} == {
        "a": second,
        "a/one": first,
        "a/two": second,
        "b": first,
        "b/three": first,
        "four": first,
    }
    assert [one.commit_id for one in api.list_repo_commits("org/tree", revision="more")] == [third, second, first]
    assert [one.last_commit for one in api.list_repo_tree("org/tree")] == [None] * 3


def test_commits_are_told_with_their_author_and_as_html_if_asked(hub: HuggingFaceServer, api: HfApi) -> None:
    hub.add_repository("org/gpt", {"a": b"a"}, title="Add <a>")
    (plain, first), (formatted, _) = (api.list_repo_commits("org/gpt", formatted=given) for given in (False, True))
    assert (plain.title, plain.authors, plain.formatted_title) == ("Add <a>", ["owner"], None)
    assert (formatted.formatted_title, formatted.formatted_message) == ("Add &lt;a&gt;", "")
    assert first.title == "Commit 1"
    with pytest.raises(RevisionNotFoundError):
        api.list_repo_commits("org/gpt", revision="missing")
    assert HfApi(endpoint=hub.endpoint, token=hub.token).whoami()["name"] == plain.authors[0]


def test_references_that_are_no_branches_are_listed_apart(hub: HuggingFaceServer, api: HfApi, tmp_path: Path) -> None:
    commits = {
        ref: hub.add_repository("org/words", {"a": ref.encode()}, kind="dataset", branch=ref)
        for ref in ("refs/convert/parquet", "refs/pr/1", "dev")
    }
    hub.add_tag("org/words", "v1", commits["dev"], kind="dataset")
    refs = api.list_repo_refs("org/words", repo_type="dataset", include_pull_requests=True)
    listed = {
        kind: [(one.name, one.ref, one.target_commit) for one in getattr(refs, kind)]
        for kind in ("branches", "converts", "pull_requests", "tags")
    }
    main = api.dataset_info("org/words").sha
    assert listed == {
        "branches": [("main", "refs/heads/main", main), ("dev", "refs/heads/dev", commits["dev"])],
        "converts": [("parquet", "refs/convert/parquet", commits["refs/convert/parquet"])],
        "pull_requests": [("1", "refs/pr/1", commits["refs/pr/1"])],
        "tags": [("v1", "refs/tags/v1", commits["dev"])],
    }
    assert api.list_repo_refs("org/words", repo_type="dataset").pull_requests is None
    path = api.hf_hub_download("org/words", "a", repo_type="dataset", revision="refs/pr/1", cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"refs/pr/1"


@pytest.mark.parametrize(
    ("account", "message"), [("nobody", "must have access"), ("guest", "not in the authorized list")]
)
def test_a_gated_repository_says_so_to_who_was_not_let_in(
    hub: HuggingFaceServer, tmp_path: Path, account: str, message: str
) -> None:
    api = HfApi(endpoint=hub.endpoint, token=False if account == "nobody" else hub.other_token)
    for ask in (
        lambda: api.auth_check("team/bert-gated"),
        lambda: api.hf_hub_download("team/bert-gated", "a", cache_dir=tmp_path),
    ):
        with pytest.raises(GatedRepoError, match=f"Access to model team/bert-gated is restricted.*{message}"):
            ask()
    assert api.model_info("team/bert-gated").gated == "auto"
    HfApi(endpoint=hub.endpoint, token=hub.token).auth_check("team/bert-gated")


def test_access_is_checked(hub: HuggingFaceServer, api: HfApi) -> None:
    api.auth_check("org/bert")
    api.auth_check("org/words", repo_type="dataset")
    for name in ("team/bert-secret", "org/nothing"):
        with pytest.raises(RepositoryNotFoundError):
            api.auth_check(name)
    HfApi(endpoint=hub.endpoint, token=hub.token).auth_check("team/bert-secret")


def test_an_account_is_told_who_it_is(hub: HuggingFaceServer, api: HfApi) -> None:
    told = {token: api.whoami(token)["name"] for token in (hub.token, hub.other_token)}
    assert told == {hub.token: "owner", hub.other_token: "guest"}
    with pytest.raises(HfHubHTTPError) as refused:
        api.whoami("hf_unknown")
    assert refused.value.response.status_code == 401


def test_the_pages_of_a_search_keep_what_was_asked() -> None:
    with HuggingFaceServer(page_size=2) as hub:
        for number in range(5):
            hub.add_repository(f"org/m{number}", {"a": b""}, tags=["x", "y"] if number else ["x"], likes=number)
        found = HfApi(endpoint=hub.endpoint, token=False).list_models(filter=["x", "y"], expand=["likes", "sha"])
        assert [(one.id, one.likes) for one in found] == [(f"org/m{number}", number) for number in (4, 3, 2, 1)]
        assert len(hub.requests) == 2
    close_session()
