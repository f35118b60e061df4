"""Searching: typed results, pages only as far as they are needed."""

from datetime import UTC, datetime

import pytest

from kamiwaza_sdk import (
    DownloadStatusException,
    HubService,
    InvalidInputException,
    search,
)
from kamiwaza_sdk.sources import InvalidAnswerException, RepositorySchema
from kamiwaza_sdk.testing import HuggingFaceServer, Status
from tests.hub.conftest import Asking


async def names(asked: HubService, *args: object, **kwargs: object) -> list[str]:
    return [found.name async for found in asked.search(*args, **kwargs)]  # type: ignore[arg-type]  # of several types


@pytest.fixture
def stocked(hf: HuggingFaceServer) -> HuggingFaceServer:
    """A hub with five models, one of which is private."""
    for number, name in enumerate(["org/bert", "org/minilm", "team/minilm-large", "team/other", "team/minilm-secret"]):
        task = "fill-mask" if name == "org/bert" else "feature-extraction"
        private = name.endswith("secret")
        hf.add_repository(name, {"a": b"{}"}, task=task, downloads=number * 10, likes=-number, private=private)
    return hf


async def test_what_is_found_is_typed(hf: HuggingFaceServer, asking: Asking) -> None:
    commit = hf.add_repository(
        "org/tiny", {"a": b""}, license="mit", task="fill-mask", tags=["en"], downloads=7, likes=3
    )
    (found,) = [found async for found in (await asking()).search("tiny")]
    assert found == RepositorySchema(
        name="org/tiny",
        source="hf://org/tiny",
        revision=commit,
        author="org",
        task="fill-mask",
        license="mit",
        tags=("en", "license:mit"),
        downloads=7,
        likes=3,
        created_at=datetime(2026, 1, 1, 1, tzinfo=UTC),
        modified_at=datetime(2026, 1, 1, 1, tzinfo=UTC),
    )


async def test_words_task_author_and_order_narrow_it(stocked: HuggingFaceServer, asking: Asking) -> None:
    hub = await asking()
    assert await names(hub, "MiniLM", sort="downloads") == ["team/minilm-large", "org/minilm"]
    assert await names(hub, task="fill-mask") == ["org/bert"]
    assert await names(hub, author="team", sort="likes") == ["team/minilm-large", "team/other"]
    assert await names(hub, "nothing") == []
    assert await names(await asking(stocked.token), "secret") == ["team/minilm-secret"]


async def test_a_page_is_asked_for_when_it_is_needed(stocked: HuggingFaceServer, asking: Asking) -> None:
    hub = await asking()
    assert len(await names(hub)) == 4
    assert len(stocked.requests) == 2
    assert len(await names(hub, limit=2)) == 2
    assert len(stocked.requests) == 3
    assert len(await names(hub, limit=3)) == 3
    assert len(stocked.requests) == 5
    async for _ in hub.search():
        break
    assert len(stocked.requests) == 6


async def test_another_hub_can_be_asked_and_gets_no_token(stocked: HuggingFaceServer, asking: Asking) -> None:
    with HuggingFaceServer() as other:
        other.add_repository("there/minilm", {"a": b""})
        assert await names(await asking(stocked.token), "minilm", hub=other.endpoint) == ["there/minilm"]
        assert "authorization" not in other.requests[0].headers
    assert stocked.requests == []


async def test_the_function_asks_the_hub_of_the_environment(
    stocked: HuggingFaceServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_SERVICE_HF_ENDPOINT", stocked.endpoint)
    assert [found.name async for found in search("bert")] == ["org/bert"]


async def test_a_hub_that_tells_less_is_understood(hf: HuggingFaceServer, asking: Asking) -> None:
    hf.add("/api/models", body=b'[{"id": "gpt2", "tags": null, "gated": "auto"}]')
    (found,) = [found async for found in (await asking()).search()]
    assert (found.name, found.author, found.tags, found.gated) == ("gpt2", None, (), True)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'[{"name": "a"}]', b'[{"id": "a", "createdAt": "soon"}]'])
async def test_an_answer_that_is_no_list_of_repositories_is_refused(
    hf: HuggingFaceServer, asking: Asking, body: bytes
) -> None:
    hf.add("/api/models", body=body)
    with pytest.raises(InvalidAnswerException, match="is no list of repositories"):
        await names(await asking())


@pytest.mark.parametrize(("status", "kind"), [(404, InvalidAnswerException), (503, DownloadStatusException)])
async def test_a_refusal_is_raised(hf: HuggingFaceServer, asking: Asking, status: int, kind: type[Exception]) -> None:
    hf.add("/api/models", always=Status(status))
    with pytest.raises(kind):
        await names(await asking())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"sort": "size"}, "sort is 'size'; known are created_at, downloads"),
        ({"limit": 0}, "limit is 0; give 1 or more"),
        ({"limit": True}, "limit is True"),
        ({"query": 3}, "query is a int; give text"),
        ({"author": "\ud800"}, "author contains a lone surrogate"),
        ({"hub": "huggingface.co"}, "hub is no http or https URL"),
        ({"hub": "https://user:secret@huggingface.co"}, "hub has credentials"),
    ],
)
async def test_an_argument_of_a_wrong_kind_is_refused(
    hf: HuggingFaceServer, asking: Asking, arguments: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InvalidInputException, match=f"^{complaint}"):
        await names(await asking(), **arguments)
    assert hf.requests == []
