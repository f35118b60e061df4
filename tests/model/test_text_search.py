"""What words find, the same on both databases: held against a reading of the same words in Python."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    AsyncModelService,
    BulkException,
    CreateModel,
    Field,
    InvalidInputException,
    ModelService,
    UpdateModel,
    setup_database,
)
from kamiwaza_sdk.services.model.registry.documents import MAX_QUERY_WORDS, MAX_WORDS, document_words, query_words
from kamiwaza_sdk.types import ModelSort
from tests.backends import Backend, Order, add, clear_tables
from tests.effort import effort

MODEL_SORTS: Final[tuple[ModelSort, ...]] = ("name", "created_at", "updated_at", "task", "author", "family")

FULL_WIDTH: Final = "\uff2c\uff2c\uff21\uff2d\uff21\u3000\uff13"
#: A description, a query, and whether the one is found by the other.
FOUND: Final = [
    ("Modèle Élevé", "modele eleve", True),
    ("modele", "MODÈLE", True),
    ("café", "cafe\u0301", True),
    ("İstanbul", "istanbul", True),
    ("straße", "STRASSE", True),
    ("STRASSE", "straße", True),
    ("strase", "straße", False),
    ("ΣΊΣΥΦΟΣ", "σίσυφος", True),
    ("Ångström", "angstrom", True),
    (FULL_WIDTH, "llama 3", True),
    ("llama 3", FULL_WIDTH, True),
    ("ﬁne", "fine", True),
    ("x² + Ⅷ", "x2 viii", True),
    ("機械学習モデル", "機械", True),
    ("機械学習モデル", "学習", False),
    ("機械、学習", "学習", True),
    ("ﾓﾃﾞﾙ", "モデル", True),
    ("한국어 모델", "모델 한국", True),
    ("𝓛𝓵𝓪𝓶𝓪 🦙", "llama", True),
    ("نَمُوذَج اللغة", "نموذج", True),
    ("نموذج", "اللغة", False),
    ("हिन्दी मॉडल", "मॉडल", True),
    ("٣ نماذج", "٣", True),
    ("version 3.1", "3 1", True),
    ("version 3.1", "31", False),
    ("405B", "405b", True),
    ("405B", "40", True),
    ("405B", "405 b", False),
    ("snake_case_name", "case", True),
    ("snake_case_name", "name snake", True),
    ("snakecase", "snake_case", False),
    ("a-b.c/d:e@f", "f e d c b a", True),
    ("don't", "don't", True),
    ("don't", "dont", False),
    ("the quick brown fox", "fox quick", True),
    ("the quick brown fox", "brown qui", True),
    ("the quick brown fox", "qui brown", False),
    ("the quick brown fox", "quick cat", False),
    ("the quick brown fox", "uick", False),
    ("the quick brown fox", "fox fox fox", True),
    ("the quick brown fox", "foxes", False),
]

#: What means something to one database's index or the other's, and nothing here.
OPERATORS: Final = [
    '"llama" OR b*', "llama OR nowhere", "NEAR(llama", "NEAR(llama bert, 2)", "llama NOT bert", "NOT llama", "-llama",
    "llama:*", "llama:A", "'llama'", "'", "''llama", "llama & !bert", "llama | bert", "llama <-> bert", "(llama)",
    "llama)", "words:llama", "words : llama", "{words}: llama", "^llama", "llama*", "* llama", "llama\\", "%llama%",
    "l%", "llama AND bert", "llama + bert", "$1 llama", ":_query llama", "llama; DROP TABLE x --", "llama\tbert",
    "llama\u2028bert", "llama\u00a0bert",
]  # fmt: skip


async def found(models: AsyncModelService, text: str, *, deleted: bool = False) -> list[str]:
    """Return the names of the models that have the words."""
    names = [model.name async for model in models.iter_models(text=text, deleted=deleted)]
    assert await models.count_models(text=text, deleted=deleted) == len(names)
    return names


async def test_words_find_what_has_them_in_any_order_and_form(backend: Backend) -> None:
    async with backend.begin() as models:
        await models.create_model(CreateModel(name="meta-llama/Llama-3.1-8B-Instruct"))
        await models.create_model(CreateModel(name="meta-llama/Llama-3.1-70B"))
        assert await found(models, "llama 8b instruct") == ["meta-llama/Llama-3.1-8B-Instruct"]
        assert await found(models, "Meta/llama") == ["meta-llama/Llama-3.1-70B", "meta-llama/Llama-3.1-8B-Instruct"]


async def test_case_accents_and_widths_do_not_count_and_only_the_last_word_is_a_beginning(backend: Backend) -> None:
    async with backend.begin() as models:
        rows = [CreateModel(name=f"row-{place}", description=row[0]) for place, row in enumerate(FOUND)]
        await models.create_models(rows)
        for place, (description, text, expected) in enumerate(FOUND):
            assert (f"row-{place}" in await found(models, text)) is expected, (description, text)


@pytest.mark.parametrize("by_bulk", [False, True])
async def test_name_author_description_tags_and_card_are_searched_and_nothing_else(
    backend: Backend, *, by_bulk: bool
) -> None:
    model = CreateModel(
        name="inname",
        family="infamily",
        task="intask",
        author="inauthor",
        hub="inhub",
        source_repository="insource",
        description="indescription",
        license="inlicense",
        model_card="incard",
        tags={"inkey": "invalue", "second": ""},
    )
    async with backend.begin() as models:
        await (models.create_models([model]) if by_bulk else models.create_model(model))
        for text in (
            "inname",
            "inauthor",
            "indescription",
            "inkey",
            "invalue",
            "second",
            "incard",
            "second incard inauthor",
        ):
            assert await found(models, text) == ["inname"], text
        for text in ("infamily", "intask", "inhub", "insource", "inlicense"):
            assert await found(models, text) == [], text


async def test_what_changes_is_found_as_it_is_now(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="old", author="olga", description="before", tags={"k": "v"}))
        await models.update_model(model.id, UpdateModel(name="new", description=None))
        assert [await found(models, text) for text in ("old", "before", "new", "olga")] == [[], [], ["new"], ["new"]]
        await models.update_model(model.id, UpdateModel(author="anna", task="untouched"))
        assert [await found(models, text) for text in ("olga", "anna new k v")] == [[], ["new"]]
        await models.set_model_tag(model.id, "k", "w")
        await models.set_model_tag(model.id, "added", "")
        assert [await found(models, text) for text in ("v", "k w", "added")] == [[], ["new"], ["new"]]
        await models.replace_model_tags(model.id, {"other": "x"})
        assert [await found(models, text) for text in ("added", "w", "x")] == [[], [], ["new"]]
        await models.delete_model_tag(model.id, "other")
        assert [await found(models, text) for text in ("other", "x", "anna")] == [[], [], ["new"]]
        await models.create_models([CreateModel(name="new", author="bert", tags={"k": "u"})], on_conflict="update")
        assert [await found(models, text) for text in ("anna", "bert k u")] == [[], ["new"]]
        await models.create_models([CreateModel(name="new", author="carl")], on_conflict="skip")
        assert [await found(models, text) for text in ("carl", "bert")] == [[], ["new"]]


async def test_a_deleted_model_is_found_among_the_deleted_only_and_a_purged_one_nowhere(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="gone", description="word"))
        await models.delete_model(model.id)
        assert (await found(models, "word"), await found(models, "word", deleted=True)) == ([], ["gone"])
        await models.restore_model(model.id)
        assert (await found(models, "word"), await found(models, "word", deleted=True)) == (["gone"], [])
        await models.delete_model(model.id)
        await models.purge_model(model.id)
        assert (await found(models, "word"), await found(models, "word", deleted=True)) == ([], [])
        await models.create_model(CreateModel(name="gone", description="other"))
        assert (await found(models, "word"), await found(models, "other")) == ([], ["gone"])


async def test_what_was_rolled_back_or_refused_is_not_found(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="kept", description="before"))
        await models.create_model(CreateModel(name="purged", description="before"))
    async with backend.session() as db:
        models = backend.service(db)
        await models.create_model(CreateModel(name="vanishes", description="never"))
        await models.create_models([CreateModel(name="vanishes-too", description="never")])
        await models.update_model(model.id, UpdateModel(description="never"))
        await models.set_model_tag(model.id, "never", "")
        purged = await models.get_model_by_name("purged")
        await models.delete_model(purged.id)
        await models.purge_model(purged.id)
        assert await found(models, "never") == ["kept", "vanishes", "vanishes-too"]
        await db.rollback()
    async with backend.begin() as models:
        with pytest.raises(BulkException):
            await models.create_models([CreateModel(name="refused", description="never"), CreateModel(name="kept")])
        assert await found(models, "never") == []
        assert await found(models, "before") == ["kept", "purged"]
        await models.create_model(CreateModel(name="after", description="never"))
        assert await found(models, "never") == ["after"]


async def test_a_text_a_filter_and_an_order_go_together(backend: Backend) -> None:
    async with backend.begin() as models:
        every = [
            CreateModel(
                name=f"m{number:02}",
                description=("even", "odd")[number % 2] + " common",
                task=f"t{number % 3}",
                author=f"a{number % 5}" if number % 4 else None,
                family=f"f{number}" if number % 6 == 1 else None,
            )
            for number in range(24)
        ]
        created = (await models.create_models(every, returning=True)).models
        expected = {model.id for number, model in enumerate(created) if number % 2 and number % 3 != 1}
        for sort, descending in product(MODEL_SORTS, (False, True)):
            search = partial(
                models.search_models, Field.task != "t1", text="common odd", sort=sort, descending=descending, limit=3
            )
            page = await search(with_total=True)
            assert (page.total, page.truncated) == (len(expected), False)
            seen = list(page.items)
            while page.next_cursor is not None:
                page = await search(cursor=page.next_cursor)
                seen += page.items
            values = [getattr(model, sort) for model in seen]
            assert sorted(model.id for model in seen) == sorted(expected)
            known = [value for value in values if value is not None]
            assert values == sorted(known, reverse=descending) + [None] * (len(values) - len(known))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no letters or digits to find; leave it out to list all"),
        (" \t", "has no letters or digits"),
        ("--- 🦙 _", "has no letters or digits"),
        ("\u0301", "has no letters or digits"),
        (" ".join(["word"] * 33), f"has 33 words, over the limit of {MAX_QUERY_WORDS}; shorten it"),
        ("a-" * 33, "has 33 words"),
        ("a\0b", "contains NUL"),
        ("\udc80", "contains a lone surrogate"),
        (5, "must be text"),
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_a_text_that_can_find_nothing_is_refused_and_the_transaction_goes_on(
    backend: Backend, text: str, reason: str
) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        add(db, Order(text="the host's"))
        with pytest.raises(InvalidInputException, match=reason) as refused:
            await models.search_models(text=text)
        assert refused.value.field == "text"
        with pytest.raises(InvalidInputException, match=reason):
            await models.count_models(text=text)
        with pytest.raises(InvalidInputException, match=reason):
            await anext(models.iter_models(text=text))
        assert await models.list_models() == []
        await db.commit()


async def test_a_query_of_as_many_words_as_may_be_finds(backend: Backend) -> None:
    words = [f"w{number}" for number in range(MAX_QUERY_WORDS)]
    async with backend.begin() as models:
        await models.create_model(CreateModel(name="m", description=" ".join(words)))
        assert await found(models, " ".join(reversed(words))) == ["m"]
        assert await found(models, " ".join([*words[1:], "w99"])) == []


async def test_words_and_descriptions_of_any_length_can_be_written_and_begin_as_they_are_found(
    backend: Backend,
) -> None:
    distinct = " ".join(f"{number:04x}" + "\u3316" * 5 for number in range(10_000))
    descriptions = {
        "latin": "a" * 100_000,
        "squared": "\u3316" * 100_000,
        "honorific": "\ufdfa" * 5_000,
        "astral": "\U0001f130" * 100_000,
        "ideographs": "\U00020000" * 100_000,
        "marks": "e" + "\u0301" * 99_999,
        "distinct": distinct,
        "many": " ".join(f"{number:x}" for number in range(20_000)),
    }
    texts = {"latin": "a" * 99, "squared": "\u3316" * 3, "astral": "A" * 100, "ideographs": "\U00020000" * 150}
    async with backend.begin() as models:
        for name, description in descriptions.items():
            await models.create_model(CreateModel(name=f"one-{name}"))
            changed = await models.get_model_by_name(f"one-{name}")
            await models.update_model(changed.id, UpdateModel(description=description))
        bulk = [CreateModel(name=f"bulk-{name}", description=text) for name, text in descriptions.items()]
        await models.create_models(bulk)
    async with backend.begin() as models:
        for name, text in texts.items():
            assert {f"bulk-{name}", f"one-{name}"} <= set(await found(models, text)), name
        assert await found(models, "a" * 98 + "b") == []
        assert await found(models, "many ff") == ["bulk-many", "one-many"]
        assert await found(models, f"many {MAX_WORDS + 50:x}") == []  # what comes after as many words is not searched
        assert await found(models, "distinct 0000" + "\u3316" * 5) == ["bulk-distinct", "one-distinct"]


async def test_operators_of_either_index_are_plain_words(backend: Backend) -> None:
    texts = ["llama", "llama bert", "llama or nowhere b", "near llama bert 2", "not llama", "words llama drop table x"]
    corpus = {f"m{place}": description for place, description in enumerate(texts)}
    corpus |= {"m7": "and llama bert", "m8": "a llama", "m9": "1 llama", "m10": "query llama", "m11": "l lllama"}
    async with backend.begin() as models:
        await models.create_models([CreateModel(name=name, description=text) for name, text in corpus.items()])
        for text in OPERATORS:
            if text == "'":
                with pytest.raises(InvalidInputException, match="has no letters or digits"):
                    await found(models, text)
            else:
                assert await found(models, text) == sorted(evaluated(corpus, text)), text


def evaluated(corpus: Mapping[str, str], text: str) -> list[str]:
    """Return the names of the models that have all of the words, and the last one as a beginning."""
    *whole, last = query_words("default", text)
    documents = {
        name: set(document_words("default", name=name, author=None, description=description, tags={}).split())
        for name, description in corpus.items()
    }
    return [
        name
        for name, words in documents.items()
        if words.issuperset(whole) and any(word.startswith(last) for word in words)
    ]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Either database, set up and empty."""
    if request.param == "sqlite":
        made = kamiwaza_sdk.create_engine("sqlite://")
        setup_database(made)
    else:
        made = create_engine(request.getfixturevalue("postgresql_tables"))
        with made.begin() as connection:
            clear_tables(connection)
    yield made
    made.dispose()


words = st.sampled_from(["llama", "lla", "Llama2", "8B", "é", "e", "straße", "モデル", "モ", "a_b", "a", "ﬁ", "İ", "ǅ"])
anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
texts = st.lists(words | anything, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([" ", "-", "_", "", "/", "\u3000"]).map(lambda separator: separator.join(parts))
)


@settings(max_examples=effort(50, 1_000), deadline=None)
@given(descriptions=st.lists(texts, min_size=1, max_size=5), queries=st.lists(texts, min_size=1, max_size=4))
def test_both_databases_find_what_python_finds(
    engine: Engine, descriptions: Sequence[str], queries: Sequence[str]
) -> None:
    corpus = {f"m{place}": description for place, description in enumerate(descriptions)}
    with Session(engine) as db:
        models = ModelService(db)
        models.create_models(CreateModel(name=name, description=text) for name, text in corpus.items())
        for text in (*queries, *(description[: len(description) // 2 + 1] for description in descriptions)):
            try:
                expected = evaluated(corpus, text)
            except InvalidInputException:
                with pytest.raises(InvalidInputException):
                    models.search_models(text=text)
            else:
                assert [model.name for model in models.iter_models(text=text)] == expected, text


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-sqlite"], indirect=True)
async def test_a_page_says_that_more_were_found_than_are_looked_at(backend: Backend) -> None:
    def lot(start: int, count: int) -> Iterator[CreateModel]:
        return (CreateModel(name=f"m{number:05}", description="common") for number in range(start, start + count))

    async with backend.begin() as models:
        await models.create_models(lot(0, 9_999))
        await models.create_model(CreateModel(name="rare"))
        assert (await models.search_models(text="common", limit=1)).truncated is False
        await models.create_models(lot(9_999, 51))
        some = await models.search_models(text="common", limit=1, with_total=True)
        assert (some.truncated, some.total, len(some.items)) == (True, 10_000, 1)
        assert await models.count_models(text="common") == 10_000
        none = await models.search_models(Field.task == "chat", text="common", with_total=True)
        assert (none.truncated, none.total, none.items) == (True, 0, ())
        assert (await models.search_models(text="rare")).truncated is False
        assert (await models.search_models(text="nowhere")).truncated is False
        assert (await models.search_models(limit=1, with_total=True)).total == 10_051
