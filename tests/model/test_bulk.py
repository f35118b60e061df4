"""Many models at once: read as they are needed, written a batch at a time, each batch whole or not at all."""

import json
import pickle
import random
import re
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, Final

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    BulkException,
    BulkResult,
    CreateModel,
    Field,
    InvalidInputException,
    ModelAlreadyExistsException,
    ModelService,
    UpdateModel,
)
from kamiwaza_sdk.types import OnConflict
from tests.backends import Backend, Order, add
from tests.effort import effort
from tests.model.helpers import dump, dump_namespace, statements
from tests.processes import FRESH

EVERYTHING: Final = CreateModel(
    name="meta-llama/Llama-3.1-8B-Instruct",
    family="llama",
    task="text-generation",
    author="Meta",
    hub="huggingface",
    source_repository="https://example.org/meta-llama/Llama-3.1-8B-Instruct",
    description="Ein Modell für alle: モデル 🦙 \\ \" ' \x01 \x7f",
    license="llama3.1",
    model_card='# Card\n\n| "a" | b |\n\u2028',
    private=True,
    tags={"lang": "en", "ü": "🦙" * 100, "empty": "", '"': "\\"},
)


def named(*names: str, **fields: Any) -> list[CreateModel]:  # Any: values of several fields
    """Return models of these names, all else alike."""
    return [CreateModel(name=name, **fields) for name in names]


def numbered(count: int, *, start: int = 0) -> Iterator[CreateModel]:
    """Yield models whose names sort by number."""
    return (CreateModel(name=f"m{number:05}") for number in range(start, start + count))


async def test_models_are_read_no_further_than_the_batch_at_hand_needs(backend: Backend) -> None:
    read = 0
    read_when_written: list[int] = []

    def models_to_create() -> Iterator[CreateModel]:
        nonlocal read
        for model in numbered(2_500):
            read += 1
            yield model

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if re.match(r"(WITH .*)?INSERT INTO kamiwaza_model\b ", statement, re.DOTALL):
            read_when_written.append(read)

    engine = backend.engine.sync_engine if isinstance(backend.engine, AsyncEngine) else backend.engine
    event.listen(engine, "before_cursor_execute", note)
    async with backend.begin() as models:
        assert await models.create_models(models_to_create()) == BulkResult(created=2_500)
    assert read_when_written == [1001, 2001, 2500]


async def test_what_the_iterable_raises_passes_unchanged_and_the_batches_before_are_written(backend: Backend) -> None:
    error = LookupError("the host's own")

    def endless() -> Iterator[CreateModel]:
        yield from numbered(2_500)
        raise error

    async with backend.begin() as models:
        with pytest.raises(LookupError) as raised:
            await models.create_models(endless())
        assert raised.value is error
        assert raised.value.__cause__ is None
        await models.create_model(CreateModel(name="goes on"))
    async with backend.begin() as models:
        assert await models.count_models(Field.name.startswith("m")) == 2_000
        assert await models.count_models(Field.name >= "m02000") == 0


INVALID: Final[list[Any]] = [  # Any: the mistakes under test
    None,
    "name",
    {"name": "a dictionary"},
    UpdateModel(name="of another kind"),
    CreateModel.model_construct(name="a\0b"),
    CreateModel.model_construct(name="x" * 256),
    CreateModel.model_construct(),
    CreateModel.model_construct(name=5),
    CreateModel.model_construct(name="fine", description="a\0b"),
    CreateModel.model_construct(name="fine", task="x" * 256),
    CreateModel.model_construct(name="fine", tags={"key": "\udc80"}),
    CreateModel.model_construct(name="fine", tags={str(number): "" for number in range(1001)}),
]


async def test_one_that_cannot_be_kept_stops_an_endless_iterable_and_is_named(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        for place, invalid in enumerate(INVALID):
            index = 3 if place else 1_003
            left: list[int] = []

            def endless(invalid: Any = invalid, left: list[int] = left, index: int = index) -> Iterator[CreateModel]:
                yield from numbered(index)
                yield invalid
                left.append(1)
                yield from iter(lambda: CreateModel(name="on and on"), None)

            written = index - 3
            reason = f"^The model at index {index} was refused, and the first {written} are written: "
            with pytest.raises(BulkException, match=reason) as bulk:
                await models.create_models(endless())
            assert (bulk.value.index, bulk.value.result, left) == (index, BulkResult(created=written), [])
            assert isinstance(bulk.value.__cause__, InvalidInputException)
            assert (bulk.value.retryable, bulk.value.transaction_usable) == (False, True)
        assert await models.count_models() == 1_000
        add(db, Order(text="the host's"))
        await db.commit()


async def test_a_name_that_is_taken_is_refused_with_its_batch_and_the_error_travels(backend: Backend) -> None:
    async with backend.begin() as models:
        living, deleted = (
            await models.create_models(named("m01500", "m01700", tags={"a": "b"}), returning=True)
        ).models
        await models.delete_model(deleted.id)
    async with backend.session() as db:
        models = backend.service(db)
        for start, holder, index in ((0, living, 1500), (10_000, None, 500), (1_600, deleted, 100)):
            first = list(numbered(1_000, start=20_000 + start)) if index == 1500 else []
            given = first + list(numbered(1_000, start=start + len(first)))
            if holder is None:
                given = [*given, *given[500:501]]  # a name given twice
            before = await dump(db)
            with pytest.raises(BulkException, match=f"^The model at index {index if holder else 1000} was") as bulk:
                await models.create_models(given)
            assert bulk.value.index == (index if holder else 1_000)
            assert bulk.value.result.created == (0 if index == 100 else 1_000)
            cause = bulk.value.__cause__
            assert isinstance(cause, ModelAlreadyExistsException)
            assert cause.name == given[bulk.value.index].name
            assert cause.deleted is (holder is not None and holder.id == deleted.id)
            travelled = pickle.loads(pickle.dumps(bulk.value))
            assert (type(travelled), str(travelled)) == (BulkException, str(bulk.value))
            assert (travelled.index, travelled.result) == (bulk.value.index, bulk.value.result)
            assert vars(travelled.__cause__) == vars(cause)
            if index == 100:
                assert await dump(db) == before  # nothing of the batch that failed
        add(db, Order(text="the host's"))
        await db.commit()
    async with backend.begin() as models:
        assert await models.count_models() == 2_001


async def test_a_batch_that_is_refused_leaves_every_table_as_it_was(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        taken = (await models.create_models([EVERYTHING], returning=True)).models[0]
        many = {str(number): "" for number in range(996)}  # beside the four it has
        await models.create_models([CreateModel(name=taken.name, tags=many)], on_conflict="update")
        gone = await models.create_model(CreateModel(name="gone"))
        await models.delete_model(gone.id)
        before = await dump(db)
        batches: list[tuple[OnConflict, list[CreateModel], int]] = [
            ("raise", [*named("a", "b", tags={"k": "v"}), CreateModel(name=taken.name)], 2),
            ("update", [CreateModel(name=taken.name, task="new", tags={"lang": "ja"}), *named("c", "gone")], 2),
            ("update", [*named("d"), CreateModel(name=taken.name, task="new", tags={"one": "more"}), *named("e")], 1),
        ]
        for on_conflict, given, index in batches:
            with pytest.raises(BulkException) as bulk:
                await models.create_models(given, on_conflict=on_conflict, returning=True)
            assert (bulk.value.index, bulk.value.result) == (index, BulkResult())
            assert bulk.value.transaction_usable
            assert await dump(db) == before
        await db.commit()


async def test_skip_leaves_what_is_there_and_counts_it(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        living, gone = (await models.create_models(named("living", "gone", task="old"), returning=True)).models
        await models.delete_model(gone.id)
        gone = (await models.search_models(deleted=True)).items[0]
        before = await dump(db)
        given = named("living", "gone", task="new", tags={"a": "b"})
        result = await models.create_models(given, on_conflict="skip", returning=True)
        assert result == BulkResult(skipped=2, models=(living, gone))
        assert await dump(db) == before
        given = [*named("new", task="first"), *named("living"), *named("new", task="second", tags={"a": "b"})]
        result = await models.create_models(given, on_conflict="skip", returning=True)
        new = await models.get_model_by_name("new")
        assert result == BulkResult(created=1, skipped=2, models=(new, living, new))
        assert (new.task, new.tags, new.revision) == ("first", {}, 1)


async def test_update_sets_what_is_given_adds_the_tags_and_leaves_the_rest(backend: Backend) -> None:
    async with backend.begin() as models:
        await models.create_models([EVERYTHING, CreateModel(name="plain")])
        before = await models.get_model_by_name(EVERYTHING.name)
        given = [
            CreateModel(name=EVERYTHING.name, task="chat", family=None, tags={"lang": "ja", "new": "x"}),
            CreateModel(name="created", task="chat"),
            CreateModel(name="plain"),
        ]
        result = await models.create_models(given, on_conflict="update", returning=True)
        assert (result.created, result.updated, result.skipped) == (1, 1, 1)
        after = await models.get_model_by_name(EVERYTHING.name)
        changed = {"task": "chat", "family": None, "revision": 2, "updated_at": after.updated_at}
        assert after == before.model_copy(update=changed | {"tags": {**EVERYTHING.tags, "lang": "ja", "new": "x"}})
        assert result.models == (after, *[await models.get_model_by_name(name) for name in ("created", "plain")])
        history = [(e.kind, e.before, e.after) for e in (await models.list_events(before.id)).items[1:]]
        assert history == [
            ("model.updated", {"task": "text-generation", "family": "llama"}, {"task": "chat", "family": None}),
            ("tag.set", {"lang": "en"}, {"lang": "ja", "new": "x"}),
        ]


async def test_an_update_of_nothing_different_is_skipped_and_writes_nothing(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        await models.create_models([EVERYTHING, *named("plain")])
        before = await dump(db)
        same = [
            EVERYTHING,
            CreateModel(name=EVERYTHING.name, tags={"lang": "en"}),
            CreateModel(name=EVERYTHING.name, tags={}),
            CreateModel(name="plain", task=None, private=False),
        ]
        assert await models.create_models(same, on_conflict="update") == BulkResult(skipped=4)
        assert await dump(db) == before
        only_tags = [CreateModel(name="plain", tags={"a": "b"}), CreateModel(name="plain", private=True)]
        result = await models.create_models(only_tags, on_conflict="update", returning=True)
        assert (result.updated, result.skipped) == (2, 0)
        plain = await models.get_model_by_name("plain")
        assert (plain.tags, plain.private, plain.revision) == ({"a": "b"}, True, 2)


async def test_a_name_given_twice_is_created_then_updated(backend: Backend) -> None:
    given = [
        *named("a", "b", task="first"),
        CreateModel(name="a", author="second", tags={"k": "1"}),
        *named("c"),
        CreateModel(name="a", task="third", tags={"k": "2"}),
    ]
    async with backend.begin() as models:
        result = await models.create_models(given, on_conflict="update", returning=True)
        assert (result.created, result.updated, result.skipped) == (3, 2, 0)
        assert [model.name for model in result.models] == ["a", "b", "a", "c", "a"]
        model = await models.get_model_by_name("a")
        assert (model.task, model.author, model.tags, model.revision) == ("third", "second", {"k": "2"}, 3)
        assert [event.sequence for event in (await models.list_events(model.id)).items] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("on_conflict", ["raise", "skip", "update"])
async def test_what_is_returned_is_what_is_there_in_the_order_given(backend: Backend, on_conflict: OnConflict) -> None:
    names = [f"m{number}" for number in range(effort(1_050, 2_050))]
    random.Random(7).shuffle(names)
    async with backend.begin() as models:
        if on_conflict != "raise":
            await models.create_models(named(*names[::3], task="old"))
        result = await models.create_models(named(*names, task="new"), on_conflict=on_conflict, returning=True)
        assert [model.name for model in result.models] == names
        tasks = {model.task for model in result.models}
        assert tasks == ({"old", "new"} if on_conflict == "skip" else {"new"})
        assert sorted(result.models, key=lambda m: m.name) == [model async for model in models.iter_models()]
        existing = 0 if on_conflict == "raise" else len(names[::3])
        assert (result.created, result.updated + result.skipped) == (len(names) - existing, existing)
        assert await models.create_models([]) == BulkResult()


async def test_how_to_treat_a_taken_name_is_one_of_three(backend: Backend) -> None:
    async with backend.begin() as models:
        with pytest.raises(InvalidInputException, match="on_conflict cannot be 'replace'; it can be raise, skip, upd"):
            await models.create_models(numbered(1), on_conflict="replace")  # type: ignore[arg-type]  # the mistake under test
        assert await models.list_models() == []


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-sqlite-stock", "sync-postgresql"], indirect=True)
def test_what_is_created_in_bulk_is_what_is_created_one_by_one(backend: Backend) -> None:
    assert isinstance(backend.engine, Engine)
    given = [EVERYTHING, CreateModel(name="plain"), CreateModel(name="e\u0301\u3000-", tags={"only": "tags"})]
    with Session(backend.engine) as db:
        singly, many = (ModelService(db, namespace=name, actor="job 7") for name in ("singly", "many"))
        one_by_one = [singly.create_model(model) for model in given]
        in_bulk = many.create_models(given, returning=True).models
        own = {"id", "namespace", "created_at", "updated_at"}
        assert [model.model_dump(exclude=own) for model in in_bulk] == [m.model_dump(exclude=own) for m in one_by_one]
        for words in ("llama instruct", "modell fur", "モテル", "lang", "only tags", "e", "plain"):
            names = [[model.name for model in service.iter_models(text=words)] for service in (singly, many)]
            assert names[0] == names[1] != []
        events = [service.list_events(limit=10).items for service in (singly, many)]
        shapes = [
            sorted(((e.sequence, e.kind, e.actor, e.before, e.after, e.version_id, e.alias) for e in items), key=repr)
            for items in events
        ]
        assert shapes[0] == shapes[1]
        assert len(shapes[0]) == 3
        assert _as_kept(db, "singly") == _as_kept(db, "many")


def _as_kept(db: Session, namespace: str) -> list[list[object]]:
    """Return every value as the database has it; of ids, moments and words only the form."""
    kept: list[list[object]] = []
    for table in dump_namespace(db, namespace):
        rows = db.execute(text(f"SELECT * FROM {table} WHERE namespace = :own"), {"own": namespace}).mappings().all()
        kept += [[(table, key, _form(key, value)) for key, value in row.items()] for row in rows]
    return sorted(kept, key=repr)


def _form(key: str, value: object) -> object:
    if key in {"id", "model_id", "namespace", "words"} or key.endswith("at"):
        # of a moment, how it is written; of words, how many there are: each begins with its namespace
        written = re.sub(r"[\da-f]", "0", str(value)) if key != "words" else str(value).count(" ")
        return type(value).__name__, "" if key in {"namespace", "id"} else written
    return json.loads(value) if key == "after" and isinstance(value, str) else value


@pytest.mark.parametrize("backend", ["sync-sqlite", "sync-postgresql"], indirect=True)
def test_memory_does_not_grow_with_the_number_of_models(backend: Backend) -> None:
    assert isinstance(backend.engine, Engine)
    with Session(backend.engine) as db:
        ModelService(db).create_models(numbered(1_001, start=90_000))  # what is made once
        small = _peak(partial(ModelService(db).create_models, numbered(2_500)))
        large = _peak(partial(ModelService(db).create_models, numbered(10_000, start=2_500)))
        assert ModelService(db).count_models() == 13_501
    assert large < 1.5 * small


def _peak(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_iterating_reads_a_page_when_it_is_come_to_and_keeps_one(backend: Backend) -> None:
    async with backend.begin() as models:
        await models.create_models(numbered(3_000))
        peaks = []
        for count in (1_000, 3_000):
            with statements(backend) as sent:
                tracemalloc.start()
                place = 0
                async for model in models.iter_models(Field.name < f"m{count:05}"):
                    assert (model.name, len(sent)) == (f"m{place:05}", 1 + place // 1_000)
                    place += 1
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            assert (place, len(sent)) == (count, count // 1_000)
        assert peaks[1] < 2.5 * peaks[0]  # of the page before, and of the one that is being read
        assert [model async for model in models.iter_models(Field.name == "none")] == []


def _create_overlapping(url: str, on_conflict: OnConflict, worker: int) -> list[BulkResult]:
    """Create models of which the others create most, in an order of this worker's own, in several transactions."""
    engine = create_engine(url, poolclass=NullPool, **({"connect_args": {"timeout": 60}} if "sqlite" in url else {}))
    results = []
    for turn in range(TURNS):
        names = names_of(turn, worker)
        random.Random(worker + turn * 10).shuffle(names)
        with Session(engine) as db, db.begin():
            given = named(*names, author=f"worker {worker}", tags={f"worker-{worker}": str(turn)})
            results.append(ModelService(db).create_models(given, on_conflict=on_conflict))
    return results


TURNS: Final = 4


def names_of(turn: int, worker: int) -> list[str]:
    """Return what a worker creates."""
    return [f"m{number}" for number in range(turn * 60 + worker * 10, turn * 60 + 150)]


@pytest.mark.parametrize("on_conflict", ["skip", "update"])
def test_four_processes_create_overlapping_models_each_once_and_none_in_vain(
    shared_url: str, on_conflict: OnConflict
) -> None:
    with ProcessPoolExecutor(4, mp_context=FRESH) as pool:
        by_worker = list(pool.map(partial(_create_overlapping, shared_url, on_conflict), range(4)))
    results = [result for of_worker in by_worker for result in of_worker]
    given = [name for turn in range(TURNS) for worker in range(4) for name in names_of(turn, worker)]
    engine = create_engine(shared_url)
    with Session(engine) as db:
        every = list(ModelService(db).iter_models())
        assert [model.name for model in every] == sorted(set(given))
        assert sum(result.created for result in results) == len(every)
        assert sum(result.created + result.updated + result.skipped for result in results) == len(given)
        if on_conflict == "skip":
            assert {(model.revision, len(model.tags)) for model in every} == {(1, 1)}
            assert sum(result.updated for result in results) == 0
        else:
            assert {len(model.tags) for model in every} == {1, 2, 3, 4}
        sequences: dict[object, list[int]] = {}
        query = "SELECT model_id, sequence FROM kamiwaza_model_event ORDER BY sequence"
        for model_id, sequence in db.execute(text(query)):
            sequences.setdefault(model_id, []).append(sequence)
        assert len(sequences) == len(every)
        assert all(found == list(range(1, len(found) + 1)) for found in sequences.values())
    engine.dispose()
