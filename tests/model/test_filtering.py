"""What filters choose in a database, held against what they say, evaluated in Python."""

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, Final
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Connection,
    Dialect,
    NullPool,
    String,
    Text,
    create_engine,
    insert,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql

from kamiwaza_sdk import DatabaseUnsupportedException, Field, Filter
from kamiwaza_sdk.orm import DBBase
from kamiwaza_sdk.services.model.ids import uuid7
from kamiwaza_sdk.services.model.registry.tables import ALIAS, MODEL, TAG, VERSION, VERSION_TAG
from kamiwaza_sdk.services.model.schemas.filters import MAX_FILTER_VALUES
from kamiwaza_sdk.services.model.schemas.filters.checks import BOOLEAN, FIELDS, INTEGER, MOMENT
from kamiwaza_sdk.services.model.search.filters import PLAIN_TEXTS, model_condition, version_condition
from tests.effort import effort

Values = Mapping[str, Any]  # Any: of each field's own type

NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
MOMENTS: Final = [NOON + timedelta(microseconds=step) for step in (0, 1, 999_999, 86_400_000_000)]
LONG: Final = "ü" * 64
#: In the order of code points, which is that of no language and not that of UTF-16.
TEXTS: Final = [
    *("", " ", "%", "A", "B", "Z", "_", "a", "a%", "aa", "ab", "a\ud7ff", "a\ue000", "a\U0010ffff", "a\U0010ffffb"),
    *("b", "embedding", "ready", "\xe9", LONG, LONG + "a", LONG + "b", "\ud7ff", "\ue000", "\U0001f600", "\U0010ffff"),
]
NAMES: Final = [text for text in TEXTS if text]
INTEGERS: Final = [-(2**63), -1, 0, 1, 2, 3, 2**31, 2**40, 2**63 - 1]
#: JSON that two databases, one of which keeps it as text, could take for one another.
JSON: Final = [
    *TEXTS[2:12],
    "1",
    "true",
    0,
    1,
    -1,
    1.5,
    0.1,
    1e300,
    2**53 + 1,
    2**63 - 1,
    True,
    False,
    {},
    {"é": 1},
    [1],
    [],
]
PATHS: Final = ["a", ["x.y"], "x.y", 'quote"\\', "é", "deep", "deep.é", "deep.é.é", "a.b", "none"]
MISSING: Final = object()
KEYS: Final = ["lang", "Lang", "\U0001f600"]
ALIASES: Final = ["production", "Production", "staging"]
STATUSES: Final = ["draft", "ready", "archived", "failed"]


@dataclass
class Row:
    """A model or a version: its fields, its tags, and the numbers of the versions that its aliases lead to."""

    values: dict[str, Any]  # Any: of each field's own type
    tags: dict[str, str]
    aliases: set[str] = field(default_factory=set)
    attributes: dict[str, Any] = field(default_factory=dict)  # Any: JSON


def _pick(options: list[Any], *turns: int) -> Any:  # Any: one of the options
    return options[sum(turn * weight for turn, weight in zip(turns, (1, 7, 3), strict=False)) % len(options)]


def _tags(*turns: int) -> dict[str, str]:
    return {
        key: _pick(TEXTS, *turns, step) for step, key in enumerate(KEYS) if _pick([True, False, True], *turns, step)
    }


def _attributes(*turns: int) -> dict[str, Any]:  # Any: JSON
    """Return attributes of every kind, one within another, under keys that paths are awkward with."""
    given = {key: _pick([None, *JSON], *turns, step) for step, key in enumerate(("a", "x.y", 'quote"\\', "é"))}
    given = {key: value for key, value in given.items() if value is not None or turns[0] % 5 == 0}
    return given | ({"deep": {"é": _pick(JSON, *turns, 2)}} if turns[0] % 2 else {"deep": _pick(JSON, *turns)})


def _model(turn: int) -> Row:
    optional = ("family", "task", "author", "hub", "source_repository", "description", "license")
    texts = {name: _pick([None, *TEXTS], turn, step) for step, name in enumerate(optional)}
    moments = {"created_at": _pick(MOMENTS, turn), "updated_at": _pick(MOMENTS, turn, 1)}
    whole = {"name": NAMES[turn], "private": turn % 2 == 0, "revision": 1 + turn % 3}
    return Row(whole | texts | moments, _tags(turn), attributes=_attributes(turn))


def _version(turn: int, number: int) -> Row:
    texts = {name: _pick([None, *TEXTS], turn, number, 5) for name in ("source_revision",)}
    origins = ("source", "version_hub", "version_source_repository", "version_description")
    texts |= {name: _pick([None, *TEXTS], turn, number, step) for step, name in enumerate(origins)}
    kinds = {
        "format": _pick([None, *NAMES[:12]], turn, number),
        "parameters": _pick([None, *INTEGERS[2:]], turn, number),
        "architecture": _pick([None, *NAMES], turn, number),
        "quantization": _pick([None, "Q4_K", "gptq"], turn, number),
        "context_length": _pick([None, *INTEGERS[3:]], turn, number),
        "version_revision": 1 + (turn + number) % 3,
    }
    sizes = {"size": _pick(INTEGERS[2:], turn, number), "digest": _pick(["0a", "f", "F" * 64], turn, number)}
    moments = {"version_created_at": _pick(MOMENTS, turn, number), "version_updated_at": _pick(MOMENTS, number, turn)}
    label = {"number": number, "version": _pick(NAMES, turn) + str(number), "status": _pick(STATUSES, turn, number)}
    return Row(label | texts | kinds | sizes | moments, _tags(turn, number), attributes=_attributes(turn, number))


@dataclass
class World:
    """Every row by its id."""

    models: dict[Any, Row] = field(default_factory=dict)  # Any: UUIDs, here and below
    versions: dict[Any, tuple[Any, Row]] = field(default_factory=dict)

    @classmethod
    def made(cls) -> "World":
        """Return models with 0 to 3 versions."""
        world = cls()
        for turn in range(20):
            model_id, model = uuid7(), _model(turn)
            world.models[model_id] = model
            made = {uuid7(): _version(turn, number) for number in range(1, 1 + turn % 4)}
            world.versions |= {version_id: (model_id, version) for version_id, version in made.items()}
            for step, version in enumerate(made.values()):
                version.aliases = {alias for place, alias in enumerate(ALIASES) if (turn + place) % len(made) == step}
                version.aliases -= {ALIASES[turn % 3]}
                model.aliases |= version.aliases
        return world

    def of_model(self, model_id: Any) -> Row:
        """Return what a filter of models sees of one."""
        ready = [row.values for owner, row in self.versions.values() if owner == model_id]
        ready = [values for values in ready if values["status"] == "ready"]
        latest = max(ready, key=lambda values: values["number"], default={})
        model = self.models[model_id]
        return Row(model.values | latest, model.tags, model.aliases, model.attributes)

    def of_version(self, version_id: Any) -> Row:
        """Return what a filter of versions sees of one."""
        model_id, row = self.versions[version_id]
        return Row(self.models[model_id].values | row.values, row.tags, row.aliases, row.attributes)

    def write(self, connection: Connection) -> None:
        """Create the tables with these rows."""
        DBBase.metadata.create_all(connection)
        for model_id, model in self.models.items():
            own = {"id": model_id, "namespace": "default", "last_number": 0, "attributes": model.attributes}
            connection.execute(insert(MODEL), own | model.values)
            self._write_tags(connection, TAG, "model_id", model_id, model.tags)
        for version_id, (model_id, row) in self.versions.items():
            values = {key.removeprefix("version_"): value for key, value in row.values.items()}
            own = {"id": version_id, "namespace": "default", "model_id": model_id, "details": {}}
            own["attributes"] = row.attributes
            connection.execute(insert(VERSION), own | values)
            self._write_tags(connection, VERSION_TAG, "version_id", version_id, row.tags)
            for alias in row.aliases:
                led = {"namespace": "default", "alias": alias, "model_id": model_id, "version_id": version_id}
                connection.execute(insert(ALIAS), led | {"number": 1, "updated_at": NOON})

    def _write_tags(self, connection: Connection, table: Any, owner: str, own: Any, tags: dict[str, str]) -> None:
        for key, value in tags.items():
            values = {owner: own, "namespace": "default", "key": key, "value": value, "value_start": value[:64]}
            connection.execute(insert(table), values)


WORLD: Final = World.made()
_POSTGRESQL: Final[Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]  # a class, which SQLAlchemy does not type


def holds(form: Mapping[str, Any], row: Row) -> bool:  # noqa: PLR0911 - one for each form
    """Evaluate the JSON form of a filter as it reads."""
    match form:
        case {"and": parts}:
            return all(holds(part, row) for part in parts)
        case {"or": parts}:
            return any(holds(part, row) for part in parts)
        case {"not": part}:
            return not holds(part, row)
        case {"alias": alias}:
            return alias in row.aliases
        case {"tag": key, "op": op}:
            return _compares(row.tags.get(key), op, form.get("value"))
        case {"attribute": path, "op": op}:
            return _fits(_reached(row.attributes, path.split(".") if isinstance(path, str) else path), form)
        case {"field": name, "op": op}:
            return _compares(row.values.get(name), op, form.get("value"))
    raise AssertionError(form)


def _reached(value: Any, keys: list[str]) -> Any:  # Any: JSON, or what stands for nothing
    for key in keys:
        value = value[key] if isinstance(value, dict) and key in value else MISSING
    return value


def _kind(value: Any) -> str:  # Any: JSON
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else type(value).__name__


def _fits(actual: Any, form: Mapping[str, Any]) -> bool:  # Any: as above
    op, value = form["op"], form.get("value")
    if op == "ne":
        return not _fits(actual, {"op": "eq", "value": value})
    if op == "exists":
        return actual is not MISSING
    if op == "in":
        return any(_fits(actual, {"op": "eq", "value": each}) for each in form["value"])
    return _kind(actual) == _kind(value) and _compares(actual, op, value)


def _compares(actual: Any, op: str, value: Any) -> bool:
    if op in {"ne", "is_none"}:
        return not _compares(actual, {"ne": "eq", "is_none": "exists"}[op], value)
    if actual is None or op == "exists":
        return actual is not None
    comparisons: dict[str, Callable[[Any, Any], bool]] = {
        "eq": operator.eq,
        "in": lambda actual, value: actual in value,
        "lt": operator.lt,
        "le": operator.le,
        "gt": operator.gt,
        "ge": operator.ge,
        "startswith": str.startswith,
        "contains": operator.contains,
    }
    return comparisons[op](actual, value)


def _values(name: str) -> st.SearchStrategy[Any]:
    pools: dict[object, list[Any]] = {BOOLEAN: [True, False], INTEGER: INTEGERS, MOMENT: MOMENTS}
    known = [row.values[name] for row in WORLD.models.values() if row.values.get(name) is not None]
    known += [row.values[name] for _, row in WORLD.versions.values() if row.values.get(name) is not None]
    return st.sampled_from([*pools.get(FIELDS[name].kind, TEXTS), *known])


#: What an attribute can be compared with.
SCALARS: Final = ["str", "number", "bool"]


def _comparisons(subject: Mapping[str, object], operators: tuple[str, ...], values: st.SearchStrategy[Any]) -> Any:
    def compared(op: str) -> st.SearchStrategy[dict[str, Any]]:
        if op in {"is_none", "exists"}:
            return st.just({**subject} | {"op": op})
        value = st.lists(values, min_size=1, max_size=3) if op == "in" else values
        return value.map(lambda value: {**subject} | {"op": op, "value": value})

    return st.sampled_from(operators).flatmap(compared)


conditions = st.one_of(
    st.sampled_from(list(FIELDS)).flatmap(
        lambda name: _comparisons({"field": name}, FIELDS[name].operators, _values(name))
    ),
    st.sampled_from(KEYS).flatmap(
        lambda key: _comparisons(
            {"tag": key}, ("eq", "ne", "in", "startswith", "contains", "exists"), st.sampled_from(TEXTS)
        )
    ),
    st.sampled_from(PATHS).flatmap(
        lambda path: (
            _comparisons(
                {"attribute": path},
                ("eq", "ne", "in", "exists"),
                st.sampled_from([x for x in JSON if _kind(x) in SCALARS]),
            )
            | _comparisons(
                {"attribute": path},
                ("lt", "le", "gt", "ge"),
                st.sampled_from([x for x in JSON if _kind(x) in SCALARS[:2]]),
            )
            | _comparisons({"attribute": path}, ("startswith", "contains"), st.sampled_from(TEXTS))
        )
    ),
    st.sampled_from(ALIASES).map(lambda alias: {"alias": alias}),
)
filters = st.recursive(
    conditions,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map(lambda parts: {"and": parts})
        | st.lists(inner, min_size=1, max_size=4).map(lambda parts: {"or": parts})
        | inner.map(lambda part: {"not": part})
    ),
    max_leaves=8,
).map(Filter.parse)


@pytest.fixture(scope="module")
def sqlite() -> Iterator[Connection]:
    """The rows on SQLite."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        WORLD.write(connection)
        yield connection
    engine.dispose()


@pytest.fixture(scope="module")
def postgresql_(postgresql_url: str) -> Iterator[Connection]:
    """The rows on PostgreSQL, whose own order is that of English, not that of code points."""
    admin, name = create_engine(postgresql_url, isolation_level="AUTOCOMMIT"), f"kamiwaza_test_{uuid4().hex}"
    options = "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'"
    with ExitStack() as stack:
        stack.callback(admin.dispose)
        server = stack.enter_context(admin.connect())
        server.execute(text(f"CREATE DATABASE {name} {options}"))
        stack.callback(server.execute, text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine = create_engine(make_url(postgresql_url).set(database=name), poolclass=NullPool)
        connection = stack.enter_context(closing(engine.connect()))
        WORLD.write(connection)
        yield connection


@pytest.fixture(scope="module", params=["sqlite", "postgresql_"])
def database(request: pytest.FixtureRequest) -> Connection:
    """Both, one after the other."""
    connection: Connection = request.getfixturevalue(request.param)
    return connection


def _chosen(connection: Connection, chosen: Filter, *, tags_first: bool = False) -> tuple[set[Any], set[Any]]:
    """Return the models and the versions that a filter chooses, by their ids."""
    by_tags, own = {"tags_first": tags_first}, {"_namespace": "default"}
    of_models, of_versions = (
        condition(chosen, connection.dialect.name, **by_tags) for condition in (model_condition, version_condition)
    )
    models = select(MODEL.c.id).where(of_models)
    versions = select(VERSION.c.id).join_from(VERSION, MODEL).where(of_versions)
    return set(connection.scalars(models, own)), set(connection.scalars(versions, own))


def _expected(chosen: Filter) -> tuple[set[Any], set[Any]]:
    form = chosen.model_dump()
    return (
        {model_id for model_id in WORLD.models if holds(form, WORLD.of_model(model_id))},
        {version_id for version_id in WORLD.versions if holds(form, WORLD.of_version(version_id))},
    )


@settings(max_examples=effort(100, 2_000), deadline=None)
@given(chosen=filters)
def test_both_databases_choose_what_the_filter_says_and_its_negation_the_others(
    database: Connection, chosen: Filter
) -> None:
    models, versions = _expected(chosen)
    for tags_first in (False, True):
        assert _chosen(database, chosen, tags_first=tags_first) == (models, versions)
        others = (set(WORLD.models) - models, set(WORLD.versions) - versions)
        assert _chosen(database, ~chosen, tags_first=tags_first) == others


def test_a_filter_at_its_limits_runs(database: Connection) -> None:
    values = [str(number) * 30 for number in range(MAX_FILTER_VALUES - 50)]
    listed = [Field.tag("lang").in_(values[start : start + 125]) for start in range(0, len(values), 125)]
    chosen = reduce(operator.or_, listed)
    deep = Field.tag("lang").exists()
    for turn in range(1, 14):
        deep = (operator.and_ if turn % 2 else operator.or_)(Field.size >= 0, deep)
    assert _chosen(database, chosen | ~deep)[0] <= set(WORLD.models)


def test_all_that_is_asked_of_a_version_is_asked_of_one_and_looked_up_once() -> None:
    chosen = (
        (Field.size > 1) & ~(Field.format == "gguf") & (Field.task == "a") & (Field.number == 1) & ~(Field.size > 3)
    )
    assert str(model_condition(chosen, "sqlite")).count("EXISTS") == 2  # what holds, and what does not


def test_nothing_of_another_namespace_is_seen() -> None:
    """Rows that no foreign key would let in, on a SQLite that a host left without them."""
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        WORLD.write(connection)
        for table in (TAG, VERSION_TAG, ALIAS):
            connection.execute(update(table).values(namespace="other"))
        seen = reduce(operator.or_, [*(Field.tag(key).exists() for key in KEYS), *map(Field.alias, ALIASES)])
        assert _chosen(connection, seen) == _chosen(connection, seen, tags_first=True) == (set(), set())
        connection.execute(update(VERSION).values(namespace="other"))
        assert _chosen(connection, Field.number >= 0)[0] == set()
    engine.dispose()


def test_the_texts_without_an_order_by_code_points_are_known() -> None:
    columns = [
        column for table in (MODEL, VERSION, TAG) for column in table.c if isinstance(column.type, String | Text)
    ]
    ordered = {column.name for column in columns if "COLLATE" in column.type.compile(_POSTGRESQL)}
    assert {column.name for column in columns} - ordered - {"model_card"} == PLAIN_TEXTS


@pytest.mark.parametrize(
    ("prefix", "successor"),
    [
        ("a", "b"),
        ("a\U0010ffff\U0010ffff", "b"),
        ("a\ud7ff", "a\ue000"),
        ("\uffff", "\U00010000"),
        ("", None),
        ("\U0010ffff", None),
    ],
)
def test_a_prefix_is_a_range_that_ends_where_nothing_begins_with_it(prefix: str, successor: str | None) -> None:
    condition = model_condition(Field.name.startswith(prefix), "sqlite").compile()
    assert list(condition.params.values()) == [prefix] + ([] if successor is None else [successor])


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        (Field.name.startswith("a"), "namespace=? AND name>? AND name<?"),
        (Field.task == "a", "namespace=? AND task=?"),
        (Field.tag("lang") == "en", "model_id=? AND key=?"),
        (Field.alias("production"), "model_id=? AND alias=?"),
        (Field.size < 2, "namespace=? AND model_id=?"),
    ],
)
def test_what_is_not_negated_uses_an_index(chosen: Filter, index: str) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        DBBase.metadata.create_all(connection)
        living = (MODEL.c.namespace == "default", MODEL.c.deleted_at.is_(None))  # what is listed
        statement = select(MODEL.c.id).where(*living, model_condition(chosen, "sqlite"))
        literal = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {literal}").all()
    engine.dispose()
    assert any(index in row[3] for row in plan), plan


def test_a_database_that_is_not_supported_is_refused() -> None:
    for condition in (model_condition, version_condition):
        with pytest.raises(DatabaseUnsupportedException):
            condition(Field.size > 1, "mysql")
