"""Pages: every item once, in the documented order, forwards and back, whatever is written meanwhile."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, Final, Protocol, TypeVar

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from kamiwaza_sdk import (
    AsyncModelService,
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    Field,
    Filter,
    InvalidCursorException,
    ModelEventSchema,
    ModelSchema,
    ModelVersionSchema,
    Page,
    UpdateModel,
)
from kamiwaza_sdk.services.model.search import listings  # whose limits a small registry does not reach
from kamiwaza_sdk.types import ModelSort, VersionSort
from tests.backends import Backend, Order, add
from tests.effort import effort
from tests.model.helpers import statements

Item = TypeVar("Item", bound=BaseModel)

MODEL_SORTS: Final[tuple[ModelSort, ...]] = ("name", "created_at", "updated_at", "task", "author", "family")
VERSION_SORTS: Final[tuple[VersionSort, ...]] = ("created_at", "updated_at", "size")
#: In the order of code points, which is that of no language and not that of UTF-16.
TEXTS: Final = ("", "B", "a", "\xe9", "\ud7ff", "\ue000", "\U0001f600")
#: What a corpus is asked for: all, some, what has a family and what has none, and each of that by words.
QUERIES: Final[list[dict[str, Any]]] = [  # Any: arguments of several types
    {},
    {"where": Field.tag("odd").exists()},
    {"where": Field.family.is_none()},
    {"where": ~Field.family.is_none()},
    {"text": "words common"},
    {"where": ~Field.tag("odd").exists(), "text": "common"},
]


class Fetch(Protocol):
    """A listing, bound to everything but the cursor."""

    async def __call__(self, *, cursor: str | None) -> Page[Any]:  # Any: what is listed
        """Return a page."""


def models_to_create() -> Iterator[list[CreateModel]]:
    """Yield three lots of models: each lot is created in one moment, most have no family, few a task of their own."""
    for lot in range(3):
        yield [
            CreateModel(
                name=f"{TEXTS[1 + number % 6]}{number}",
                task=TEXTS[number % 7] if number % 3 else None,
                author=f"author {number}" if number % 2 else None,
                family=("llama", "Llama")[number % 2] if number % 4 == 0 else None,
                description="common words",
                tags={"odd": ""} if number % 2 else {},
            )
            for number in range(lot * 7, lot * 7 + 7)
        ]


async def create_corpus(models: AsyncModelService) -> list[ModelSchema]:
    """Create the models, change some, and return all as they are then."""
    for lot in models_to_create():
        created = (await models.create_models(lot, returning=True)).models
        for model in created[1::3]:
            await models.update_model(model.id, UpdateModel(license="mit"))
    return await models.list_models()


def in_order(items: Iterable[Item], sort: str, *, descending: bool) -> list[Item]:
    """Sort as documented: by value, then by id; what has no value comes last, either way."""
    with_value = [item for item in items if getattr(item, sort) is not None]
    without = [item for item in items if getattr(item, sort) is None]
    by_value: Callable[[Any], Any] = lambda item: (getattr(item, sort), item.id)  # noqa: E731  # Any: of any type
    by_id: Callable[[Any], Any] = lambda item: item.id  # noqa: E731  # Any: as above
    return sorted(with_value, key=by_value, reverse=descending) + sorted(without, key=by_id, reverse=descending)


async def walk(fetch: Fetch) -> list[Page[Any]]:  # Any: as above
    """Return all pages, read from the first to the last, having read the same ones back from the last to the first."""
    pages = [await fetch(cursor=None)]
    while (cursor := pages[-1].next_cursor) is not None and len(pages) < 100:
        pages.append(await fetch(cursor=cursor))
    back = [pages[-1]]
    while (cursor := back[-1].previous_cursor) is not None and len(back) < 100:
        back.append(await fetch(cursor=cursor))
    assert [page.items for page in reversed(back)] == [page.items for page in pages]
    assert [page.previous_cursor is None for page in pages] == [True] + [False] * (len(pages) - 1)
    assert [page.next_cursor is None for page in back] == [True] + [False] * (len(back) - 1)
    return pages


def items_of(pages: Sequence[Page[Any]]) -> list[Any]:  # Any: as above
    """Return what the pages hold."""
    return [item for page in pages for item in page.items]


def sizes(count: int, limit: int) -> list[int]:
    """Return how long the pages of so many items are: full but for the last."""
    return [min(limit, count - start) for start in range(0, max(count, 1), limit)]


@pytest.mark.parametrize("sort", MODEL_SORTS)
async def test_pages_of_models_hold_each_once_in_order_and_lead_back(backend: Backend, sort: ModelSort) -> None:
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        for query, descending, limit in product(QUERIES, (False, True), effort((5, 1000), (1, 5, 1000))):
            if query and limit == 1:
                continue
            every = {model.id async for model in models.iter_models(**query)}
            expected = in_order([model for model in corpus if model.id in every], sort, descending=descending)
            pages = await walk(
                partial(models.search_models, **query, sort=sort, descending=descending, limit=limit, with_total=True)
            )
            assert items_of(pages) == expected
            assert [len(page.items) for page in pages] == sizes(len(expected), limit)
            assert {page.total for page in pages} == {len(expected)}
            assert {page.truncated for page in pages} == {False}


@pytest.mark.parametrize("backend", ["sync-sqlite"], indirect=True)
@pytest.mark.parametrize(("few", "window"), [(1, 0), (1, 1), (100, 1)])
@pytest.mark.parametrize("sort", ["name", "author"])
async def test_pages_are_the_same_however_tags_are_looked_for(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, sort: ModelSort, few: int, window: int
) -> None:
    """As in a registry that is so much larger: row by row, or all that have a tag first."""
    monkeypatch.setattr(listings, "_FEW", few)
    monkeypatch.setattr(listings, "_WINDOW", window)
    await test_pages_of_models_hold_each_once_in_order_and_lead_back(backend, sort)


async def test_the_queries_above_find_some_and_not_all(backend: Backend) -> None:
    async with backend.begin() as models:
        await create_corpus(models)
        assert [await models.count_models(**query) for query in QUERIES] == [21, 10, 15, 6, 21, 11]
        assert (await models.search_models(limit=1)).total is None


async def test_models_with_only_a_deleted_state_in_common_are_paged_as_well(backend: Backend) -> None:
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        for model in corpus[::2]:
            await models.delete_model(model.id)
        pages = await walk(partial(models.search_models, sort="family", limit=4, deleted=True, with_total=True))
        assert {model.id for model in items_of(pages)} == {model.id for model in corpus[::2]}
        assert [page.total for page in pages] == [11, 11, 11]
        assert items_of(await walk(partial(models.search_models, limit=4))) == corpus[1::2]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("text", [None, "common"])
async def test_what_is_written_between_pages_neither_repeats_nor_loses_an_item(
    backend: Backend, text: str | None, *, descending: bool
) -> None:
    for namespace, sort in enumerate(effort(("name", "family"), MODEL_SORTS)):
        async with backend.begin(f"n{namespace}") as models:
            corpus = await create_corpus(models)
            expected = in_order(corpus, sort, descending=descending)
            search = partial(models.search_models, text=text, sort=sort, descending=descending, limit=3)
            page = await search()
            seen, gone = list(page.items), {expected[-2].id}
            await models.delete_model(expected[-2].id)
            while page.next_cursor is not None:
                turn = len(seen)
                gone.add(page.items[-1].id)
                await models.delete_model(page.items[-1].id)  # the one that the cursor stands at
                await models.purge_model(page.items[-1].id)
                written = (("!", None), ("\U0010ffff", "\U0010ffff"), ("m", "a"), ("mm", ""))
                for edge, value in written if turn < 15 else ():  # or there would be no end
                    new = CreateModel(
                        name=f"{edge}{turn}", task=value, author=value, family=value, description="common"
                    )
                    await models.create_model(new)
                page = await search(cursor=page.next_cursor)
                seen += page.items
            assert len({model.id for model in seen}) == len(seen)
            there = {model.id for model in corpus} - gone
            assert [model for model in seen if model.id in there] == [m for m in expected if m.id in there]


async def test_a_page_that_all_was_deleted_of_is_empty_and_the_last(backend: Backend) -> None:
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        first = await models.search_models(limit=10)
        for model in corpus[10:]:
            await models.delete_model(model.id)
        rest = await models.search_models(limit=10, cursor=first.next_cursor, with_total=True)
        assert (rest.items, rest.next_cursor, rest.total) == ((), None, 10)


async def create_versions(models: AsyncModelService) -> list[ModelVersionSchema]:
    """Create two models with versions that have everything, and return these as they are then."""
    base = await models.create_model(CreateModel(name="base"))
    tuned = await models.create_model(CreateModel(name="tuned"))
    created: list[ModelVersionSchema] = []
    for number in range(9):
        files = tuple(
            CreateFile(path=f"{place}.bin", size=number % 3, sha256=f"{number:02x}" * 32) for place in range(2)
        )
        parents = (CreateParent(version_id=created[0].id, relation="fine-tuned"),) if number % 2 else ()
        given = CreateVersion(files=files, tags={"number": str(number)}, derived_from=parents)
        created.append(await models.create_version(tuned.id if number % 2 else base.id, given))
    for version, alias in ((created[3], "production"), (created[3], "canary"), (created[4], "production")):
        await models.set_alias(version.id, alias)
    await models.create_version(base.id, CreateVersion(status="draft"))
    every = [*await models.list_versions(base.id), *await models.list_versions(tuned.id)]
    return sorted(every, key=lambda version: version.id)


@pytest.mark.parametrize("sort", VERSION_SORTS)
async def test_pages_of_versions_hold_each_whole_and_once_in_order_and_lead_back(
    backend: Backend, sort: VersionSort
) -> None:
    async with backend.begin() as models:
        corpus = await create_versions(models)
        assert sorted(len(version.files) for version in corpus) == [0] + [2] * 9
        assert sorted(version.aliases for version in corpus)[-2:] == [("canary", "production"), ("production",)]
        assert sum(len(version.derived_from) for version in corpus) == 4
        for descending, limit in product((False, True), (1, 4, 1000)):
            expected = in_order(corpus, sort, descending=descending)
            search = partial(models.search_versions, sort=sort, descending=descending, limit=limit, with_total=True)
            pages = await walk(search)
            assert items_of(pages) == expected
            assert [len(page.items) for page in pages] == sizes(10, limit)
            assert {page.total for page in pages} == {10}
            some = await walk(partial(search, Field.tag("number").in_(["1", "3", "8"])))
            assert items_of(some) == [v for v in expected if v.tags.get("number") in {"1", "3", "8"}]
            assert {page.total for page in some} == {3}


async def test_versions_of_deleted_models_are_on_no_page(backend: Backend) -> None:
    async with backend.begin() as models:
        corpus = await create_versions(models)
        await models.delete_model((await models.get_model_by_name("base")).id)
        pages = await walk(partial(models.search_versions, limit=3, with_total=True))
        assert items_of(pages) == [version for version in corpus if version.model_name == "tuned"]
        assert {page.total for page in pages} == {4}


async def test_pages_of_events_hold_each_once_in_order_and_lead_back(backend: Backend) -> None:
    async with backend.begin("elsewhere") as models:
        await create_corpus(models)
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        changed = corpus[0]
        for number in range(5):
            await models.set_model_tag(changed.id, "number", str(number))
        every = items_of([await models.list_events(limit=1000)])
        assert len(every) == 21 + 6 + 5
        assert len({event.at for event in every}) < len(every)  # models created in one moment
        for descending, limit in product((False, True), (1, 4, 1000)):
            listed = await walk(partial(models.list_events, descending=descending, limit=limit))
            by_moment = sorted(every, key=lambda event: (event.at, event.model_id, event.sequence), reverse=descending)
            assert items_of(listed) == by_moment
            of_model = await walk(partial(models.list_events, changed.id, descending=descending, limit=limit))
            own = [event for event in every if event.model_id == changed.id]
            assert items_of(of_model) == sorted(own, key=lambda event: event.sequence, reverse=descending)
            assert sorted(event.sequence for event in own) == list(range(1, len(own) + 1))


async def test_a_page_travels_as_json(backend: Backend) -> None:
    async with backend.begin() as models:
        await create_corpus(models)
        await create_versions(models)
        found = await models.search_models(text="common", limit=3, with_total=True)
        assert Page[ModelSchema].model_validate_json(found.model_dump_json()) == found
        versions = await models.search_versions(limit=3)
        assert Page[ModelVersionSchema].model_validate_json(versions.model_dump_json()) == versions
        events = await models.list_events(limit=3)
        assert Page[ModelEventSchema].model_validate_json(events.model_dump_json()) == events
        cursor = json.loads(found.model_dump_json())["next_cursor"]
        following = await models.search_models(text="common", limit=3, cursor=cursor)
        assert following == await models.search_models(text="common", limit=3, cursor=found.next_cursor)


async def test_a_listing_takes_one_statement_or_two_however_long_its_pages(backend: Backend) -> None:
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        await create_versions(models)
        base = await models.get_model_by_name("base")
        families = await models.search_models(sort="family", limit=5)  # of six that have one
        last = (await models.search_models(sort="family", descending=True, limit=1000)).items[-1]
        assert last.family is None
        with statements(backend) as sent:

            async def count(call: Any) -> int:  # Any: a coroutine
                before = len(sent)
                await call
                return len(sent) - before

            for limit in (1, 10, 1000):
                some = partial(models.search_models, limit=limit)
                assert await count(some()) == 1
                by_tag = 1 if backend.is_postgresql else 2  # SQLite is asked first how many have the tag
                assert await count(some(Field.tag("odd").exists() & (Field.size >= 0))) == by_tag
                assert await count(some(text="common")) == 1
                assert await count(some(~Field.family.is_none(), text="common", sort="family")) == 1
                assert await count(some(text="nowhere")) <= 2
                assert await count(some(text="common", with_total=True)) == 2
                assert await count(some(with_total=True)) == 2
                assert await count(some(sort="family")) == (1 if limit == 1 else 2)
                assert await count(some(sort="family", cursor=families.next_cursor)) == 2
                assert await count(models.list_models(limit=limit)) == 1
                assert await count(models.list_events(limit=limit)) == 1
                assert await count(models.list_events(corpus[0].id, limit=limit)) == 1
                assert await count(models.search_versions(limit=limit)) == 1
                assert await count(models.search_versions(Field.name == "tuned", sort="size", limit=limit)) == 1
                assert await count(models.search_versions(limit=limit, with_total=True)) == 2
                assert await count(models.list_versions(base.id, limit=limit)) == 1


def bits_flipped(cursor: str) -> Iterator[str]:
    """Yield the cursor with every single bit of it the other way round."""
    for place, bit in product(range(len(cursor)), range(8)):
        yield cursor[:place] + chr(ord(cursor[place]) ^ 1 << bit) + cursor[place + 1 :]


def spoilt(cursor: str) -> Iterator[str]:
    """Yield what a cursor may have become on its way, and what never was one."""
    yield from bits_flipped(cursor)
    yield from (cursor[:length] for length in range(len(cursor)))
    yield from (cursor + more for more in ("A", "=", "==", "====", " ", "\n", "\0", cursor))
    yield from (" " + cursor, cursor.swapcase(), "A" * 2**20, cursor * 10_000)
    yield from ("!", "\xe9", "\udc80", "\0", "null", "{}", "é" * 8192)
    for junk in (b"", b"junk" * 10, b"\0" * 40, b'[false,"a"]', bytes(8) + b'[false,"a","b"]', b"\xff" * 64):
        yield base64.urlsafe_b64encode(junk).decode().rstrip("=") or "A"


async def test_a_cursor_that_was_spoilt_is_refused_and_the_database_not_asked(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        await create_corpus(models)
        calls: list[Callable[..., Any]] = [  # Any: a coroutine
            partial(models.search_models, Field.tag("odd").exists(), text="common", sort="updated_at", limit=2),
            partial(models.list_events, limit=2),
        ]
        for call in calls:
            cursor = (await call()).next_cursor
            assert cursor is not None
            with statements(backend) as sent:
                for other in spoilt(cursor):
                    with pytest.raises(InvalidCursorException, match="begin without one") as refused:
                        await call(cursor=other)
                    assert len(str(refused.value)) < 300
                for wrong in (5, b"AAAA", True, ["A"]):
                    with pytest.raises(InvalidCursorException, match="is no cursor"):
                        await call(cursor=wrong)
            assert sent == []
            assert len((await call(cursor=cursor)).items) == 2
        add(db, Order(text="the host's"))
        await db.commit()


async def test_whatever_is_true_means_descending_on_the_way_back_too(backend: Backend) -> None:
    odd: Any = 2  # Any: not what is asked for, as from the query of an address
    async with backend.begin() as models:
        for name in "abc":
            model = await models.create_model(CreateModel(name=name))
            await models.create_version(model.id, CreateVersion(status="draft"))
        for listing in (models.search_models, models.search_versions, models.list_events):
            first = await listing(descending=odd, limit=1)
            second = await listing(descending=True, cursor=first.next_cursor, limit=1)
            assert second.items != first.items
            assert (await listing(descending=odd, cursor=second.previous_cursor, limit=1)).items == first.items


async def test_a_cursor_is_good_for_pages_of_another_length(backend: Backend) -> None:
    async with backend.begin() as models:
        corpus = await create_corpus(models)
        first = await models.search_models(limit=3)
        rest = await models.search_models(limit=1000, cursor=first.next_cursor, with_total=True)
        assert (list(rest.items), rest.total) == (corpus[3:], 21)


async def cursors_by_query(
    backend: Backend, db: AsyncSession
) -> list[tuple[Callable[..., Any], dict[str, Any]]]:  # Any: listings of several kinds, and their arguments
    """Return queries that have something between them that makes each another one."""
    models, others = backend.service(db), backend.service(db, namespace="elsewhere")
    for service in (models, others):
        await create_corpus(service)
        await create_versions(service)
        for model in (await service.list_models())[:4]:
            await service.update_model(model.id, UpdateModel(task="chat"))
            await service.delete_model(model.id)
    ids = [model.id for model in (await models.search_models(deleted=True)).items]
    where: list[Filter | None] = [None, Field.revision >= 1, Field.revision >= 0]
    queries: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (service.search_models, {"where": each, "text": text, "sort": sort, "descending": descending})
        for service, each, text, sort, descending in (
            *product([models, others], where[:1], [None, "common"], ["name", "family"], [False, True]),
            *product([models], where[1:], [None, "common words"], ["created_at", "updated_at"], [False, True]),
        )
    ]
    queries += [(models.search_models, {"deleted": True}), (others.search_models, {"deleted": True})]
    queries += [
        (models.search_versions, {"where": each, "sort": sort, "descending": descending})
        for each, sort, descending in product(where, VERSION_SORTS, [False, True])
    ]
    queries += [
        (service.list_events, {"model_id": model_id, "descending": descending})
        for service, model_id, descending in (
            *product([models], [None, *ids[:2]], [False, True]),
            *product([others], [None], [False, True]),
        )
    ]
    return queries


async def test_a_cursor_is_refused_by_every_query_but_its_own(backend: Backend) -> None:
    async with backend.session() as db:
        queries = await cursors_by_query(backend, db)
        cursors = [(await listing(**query, limit=2)).next_cursor for listing, query in queries]
        assert len({*cursors} - {None}) == len(queries)
        refusals = 0
        with statements(backend) as sent:
            for place, (listing, query) in enumerate(queries):
                for cursor in cursors[:place] + cursors[place + 1 :]:
                    with pytest.raises(InvalidCursorException, match="belongs to another query or order") as refused:
                        await listing(**query, limit=2, cursor=cursor)
                    assert refused.value.cursor == cursor
                    refusals += 1
        assert (sent, refusals) == ([], len(queries) * (len(queries) - 1))
        for cursor, (listing, query) in zip(cursors, queries, strict=True):
            assert (await listing(**query, limit=2, cursor=cursor)).previous_cursor is not None
