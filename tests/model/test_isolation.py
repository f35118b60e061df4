"""Namespaces: whatever is asked in one, with whatever belongs to another, the other is neither changed nor shown.

Every public method is asked, in random order, with ids, names, aliases and cursors of both; a method that is new fails
the first test until it has an entry here.
"""

import asyncio
import base64
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, Literal, TypeVar, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

import kamiwaza_sdk
from kamiwaza_sdk import (
    CreateFile,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    DownloadService,
    Fetched,
    FetchedFile,
    Field,
    Filter,
    HubService,
    ModelService,
    Page,
    ServiceException,
    UpdateModel,
    UpdateModelConfig,
    UpdateVersion,
    setup_database,
)
from kamiwaza_sdk.types import RetentionPlanSchema, RetentionRulesSchema, RetentionVersionSchema
from tests.backends import clear_tables
from tests.effort import effort
from tests.model.helpers import dump_namespace

T = TypeVar("T")

#: By which all may go that nothing leads to.
RULES: Final = RetentionRulesSchema(keep_last=0, younger_than=timedelta(0), unfinished_younger_than=timedelta(0))

#: What both namespaces have: the same names, labels, files, tags and words.
NAMES: Final = ("same", "other", "gone")
LABELS: Final = (None, "v1", "v2")
ALIASES: Final = ("production", "staging")
KEYS: Final = ("lang", "tier")
WORDS: Final = ("common", "sam", "secret", "en")
FILTERS: Final[tuple[Filter | None, ...]] = (
    None,
    Field.name == "same",
    Field.tag("lang") == "en",
    Field.alias("production"),
    ~Field.alias("production"),
    Field.size >= 0,
    ~(Field.status == "ready"),
    Field.description.contains("secret"),
)


class _Hub:
    """A hub that has fetched already what both namespaces have."""

    async def fetch(self, *_: object, **__: object) -> Fetched:
        return fetched("same", 0)


class _Downloads:
    """Downloads that have arrived."""

    async def read(self, *_: object, **__: object) -> bytes:
        return b"body"


def fetched(name: str, number: int) -> Fetched:
    """Return what a fetch of one file returns."""
    file = FetchedFile(path="a.bin", size=1, sha256=f"{number:02x}" * 32)
    return Fetched(source="test", name=name, files=(file,), bytes_fetched=1, bytes_reused=0)


@dataclass
class World:
    """What there is in a namespace, by what it is called in all of them."""

    models: dict[str, UUID] = field(default_factory=dict)
    versions: dict[str, UUID] = field(default_factory=dict)
    configs: dict[str, UUID] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)

    def ids(self) -> set[UUID]:
        """Return every id."""
        return {*self.models.values(), *self.versions.values(), *self.configs.values()}


def create(models: ModelService, world: World, name: str, secret: str) -> None:
    """Create a model with all that a model may have. `secret` is a word that only its namespace has."""
    model = models.create_model(
        CreateModel(name=name, task="chat", description=f"common {secret}", tags={"lang": "en"})
    )
    world.models[name] = model.id
    for number in range(3):
        files = (CreateFile(path="a.bin", size=1, sha256=f"{number:02x}" * 32),)
        base = world.versions.get(f"{NAMES[0]}:{number}")
        parents = () if base is None else (CreateParent(version_id=base, relation="copied"),)
        version = CreateVersion(files=files, version=LABELS[number], tags={"lang": "en"}, derived_from=parents)
        world.versions[f"{name}:{number}"] = models.create_version(model.id, version).id
    for number in (0, 1, 0):
        models.set_alias(world.versions[f"{name}:{number}"], "production")
    config = CreateModelConfig(name="usual", config={secret: True}, is_default=True)
    world.configs[name] = models.create_config(config, model_id=model.id).id
    world.configs[f"{name}:1"] = models.create_config(config, version_id=world.versions[f"{name}:1"]).id


def finish(models: ModelService, world: World) -> None:
    """Delete a model, begin a draft, and look up cursors."""
    world.versions["draft"] = models.create_version(world.models["same"], CreateVersion(status="draft")).id
    models.delete_model(world.models["gone"])
    pages: list[Page[Any]] = [  # Any: of several kinds
        models.search_models(limit=1),
        models.search_models(text="common", sort="created_at", limit=1),
        models.search_versions(limit=1),
        models.list_events(limit=1),
        models.list_events(world.models["same"], limit=1),
    ]
    world.cursors = {str(place): str(page.next_cursor) for place, page in enumerate(pages)}


def populate(db: Session) -> tuple[World, World]:
    """Fill both namespaces with the same, now the one first and now the other: no order hides a mistake."""
    services = ModelService(db, namespace="a"), ModelService(db, namespace="b")
    worlds = World(), World()
    for turn, name in enumerate(NAMES):
        for place in (0, 1) if turn % 2 else (1, 0):
            create(services[place], worlds[place], name, ("secret", "plain")[place])
    for models, world in zip(services, worlds, strict=True):
        finish(models, world)
    return worlds


class Pick:
    """Chooses arguments, half of them from another namespace, and remembers which ids were given."""

    def __init__(self, data: st.DataObject, own: World, other: World) -> None:
        self._data = data
        self._worlds = (other, own)
        self.given: set[UUID] = set()

    def one(self, *options: T) -> T:
        """Choose one of several."""
        return self._data.draw(st.sampled_from(options))

    def _id(self, ids: Callable[[World], dict[str, UUID]]) -> UUID:
        world = self.one(*self._worlds)
        chosen = ids(world)[self.one(*sorted(ids(world)))]
        self.given.add(chosen)
        return chosen

    def model(self) -> UUID:
        """Choose a model."""
        return self._id(lambda world: world.models)

    def version(self) -> UUID:
        """Choose a version."""
        return self._id(lambda world: world.versions)

    def config(self) -> UUID:
        """Choose a configuration."""
        return self._id(lambda world: world.configs)

    def anything(self) -> UUID:
        """Choose an id of any kind, or one of nothing."""
        return self.one(self.model, self.version, self.config, uuid4)()

    def name(self) -> str:
        """Choose a name."""
        return self.one(*NAMES, "new")

    def cursor(self) -> str | None:
        """Choose a cursor, or none."""
        world = self.one(*self._worlds)
        return self.one(None, *(world.cursors[key] for key in sorted(world.cursors)))

    def owner(self) -> dict[str, UUID]:
        """Choose whose a configuration is."""
        return {"model_id": self.model()} if self.one(True, False) else {"version_id": self.version()}

    def reference(self) -> str:
        """Choose a reference string."""
        return self.name() + self.one("", ":1", ":v1", ":v2", "@production", "@staging", "@latest")

    def create_version(self) -> CreateVersion:
        """Choose a version to create."""
        files = (CreateFile(path="a.bin", size=1, sha256=f"{self.one(0, 1, 7):02x}" * 32),)
        parents = (CreateParent(version_id=self.version(), relation="merged"),) if self.one(True, False) else ()
        return CreateVersion(files=files, version=self.one(*LABELS, "v9"), derived_from=parents)


def _search(b: ModelService, pick: Pick) -> object:
    return b.search_models(
        pick.one(*FILTERS),
        text=pick.one(None, *WORDS),
        sort=pick.one("name", "created_at", "task", "family"),
        descending=pick.one(False, True),
        cursor=pick.cursor(),
        limit=pick.one(1, 2, 100),
        with_total=pick.one(False, True),
        deleted=pick.one(False, True),
    )


def _default_search(b: ModelService, pick: Pick) -> object:
    return b.search_models(cursor=pick.cursor(), limit=pick.one(1, 100))


def _bulk(b: ModelService, pick: Pick) -> object:
    given = [
        CreateModel(name=name, author="b", tags={"lang": "ja"}) for name in ("new1", *pick.one(NAMES, ("same", "new")))
    ]
    return b.create_models(given, on_conflict=pick.one("raise", "skip", "update"), returning=True)


def _pull(b: ModelService, pick: Pick) -> object:
    return asyncio.run(b.pull_model("source", name=pick.one(None, *NAMES, "new"), allow_open_transaction=True))


def _resolve(b: ModelService, pick: Pick) -> object:
    moment = pick.one(None, None, datetime.now(UTC), datetime.now(UTC) - timedelta(days=1))
    return b.resolve(pick.reference(), at=moment)


def _update_version(b: ModelService, pick: Pick) -> object:
    status: Literal["ready", "archived", "failed"] = pick.one("ready", "archived", "failed")
    files = (CreateFile(path="b.bin", size=2, sha256="ee" * 32),)
    changes = pick.one(
        UpdateVersion(status=status),
        UpdateVersion(version="v8"),
        UpdateVersion(files=files),
        UpdateVersion(attributes={"a": 1}),
    )
    return b.update_version(pick.version(), changes)


def _export(b: ModelService, pick: Pick) -> str:
    b.export_models(pick.one(*FILTERS), to=(file := BytesIO()), with_deleted=pick.one(False, True))
    return file.getvalue().decode()


def _import(b: ModelService, pick: Pick) -> object:
    file = BytesIO(_export(b, pick).encode())
    return b.import_models(file, on_conflict=pick.one("raise", "skip", "update"))


#: How each method is asked.
CALLS: Final[Mapping[str, Callable[[ModelService, Pick], object]]] = {
    "apply_retention": lambda b, pick: (
        b.apply_retention(
            RetentionPlanSchema(
                namespace=pick.one("a", "b"),
                rules=RULES,
                versions=(
                    RetentionVersionSchema(
                        version_id=pick.version(),
                        model="same",
                        number=1,
                        status="ready",
                        revision=1,
                        size=1,
                        created_at=datetime.now(UTC),
                    ),
                ),
                kept={},
            )
        ).deleted
    ),  # what is left is what was given
    "copy_version": lambda b, pick: b.copy_version(pick.version(), pick.model(), version=pick.one(None, "v1", "v9")),
    "count_models": lambda b, pick: b.count_models(
        pick.one(*FILTERS), text=pick.one(None, *WORDS), deleted=pick.one(False, True)
    ),
    "count_versions": lambda b, pick: b.count_versions(pick.one(*FILTERS)),
    "create_alias": lambda b, pick: b.create_alias(pick.version(), pick.one(*ALIASES)),
    "create_config": lambda b, pick: b.create_config(
        CreateModelConfig(name=pick.one("usual", "new"), is_default=pick.one(False, True)), **pick.owner()
    ),
    "create_model": lambda b, pick: b.create_model(CreateModel(name=pick.name(), description="common", tags={"a": ""})),
    "create_models": _bulk,
    "create_version": lambda b, pick: b.create_version(pick.model(), pick.create_version()),
    "delete_alias": lambda b, pick: b.delete_alias(pick.model(), pick.one(*ALIASES)),
    "delete_config": lambda b, pick: b.delete_config(pick.config()),
    "delete_model": lambda b, pick: b.delete_model(pick.model()),
    "delete_model_tag": lambda b, pick: b.delete_model_tag(pick.model(), pick.one(*KEYS)),
    "delete_parent": lambda b, pick: b.delete_parent(pick.version(), pick.version()),
    "delete_version": lambda b, pick: b.delete_version(pick.version()),
    "delete_version_tag": lambda b, pick: b.delete_version_tag(pick.version(), pick.one(*KEYS)),
    "download_model": lambda b, pick: asyncio.run(b.download_model(pick.one("https://example.org/a", "nothing"))),
    "export_models": _export,
    "get_config": lambda b, pick: b.get_config(pick.config()),
    "get_default_config": lambda b, pick: b.get_default_config(**pick.owner()),
    "get_model": lambda b, pick: b.get_model(pick.one(pick.model, pick.anything)()),
    "get_model_by_name": lambda b, pick: b.get_model_by_name(pick.name()),
    "get_version": lambda b, pick: b.get_version(pick.one(pick.version, pick.anything)()),
    "import_models": _import,
    "iter_models": lambda b, pick: list(
        b.iter_models(pick.one(*FILTERS), text=pick.one(None, *WORDS), deleted=pick.one(False, True))
    ),
    "list_ancestors": lambda b, pick: b.list_ancestors(pick.version()),
    "list_configs": lambda b, pick: b.list_configs(**pick.owner()),
    "list_descendants": lambda b, pick: b.list_descendants(pick.version()),
    "list_events": lambda b, pick: b.list_events(
        pick.model() if pick.one(True, False) else None,
        descending=pick.one(False, True),
        cursor=pick.cursor(),
        limit=pick.one(1, 1000),
    ),
    "list_models": lambda b, pick: b.list_models(after=pick.one("", *NAMES)),
    "list_pins": lambda b, pick: b.list_pins(pick.version()),
    "list_versions": lambda b, pick: b.list_versions(pick.model(), after=pick.one(0, 1)),
    "pin_version": lambda b, pick: b.pin_version(pick.version(), pick.one("default", "paper")),
    "plan_retention": lambda b, pick: b.plan_retention(keep_last=pick.one(0, 1), younger_than=timedelta(0)),
    "pull_model": _pull,
    "purge_model": lambda b, pick: b.purge_model(pick.model()),
    "register": lambda b, pick: b.register(fetched(pick.name(), pick.one(0, 1, 9)), version=pick.one(None, "v1", "v9")),
    "replace_model_tags": lambda b, pick: b.replace_model_tags(pick.model(), pick.one({}, {"lang": "ja"})),
    "replace_version_tags": lambda b, pick: b.replace_version_tags(pick.version(), pick.one({}, {"lang": "ja"})),
    "resolve": _resolve,
    "restore_model": lambda b, pick: b.restore_model(pick.model()),
    "rollback_alias": lambda b, pick: b.rollback_alias(pick.model(), pick.one(*ALIASES)),
    "search_models": lambda b, pick: pick.one(_search, _default_search)(b, pick),
    "search_versions": lambda b, pick: b.search_versions(
        pick.one(*FILTERS), cursor=pick.cursor(), limit=pick.one(1, 100), with_total=pick.one(False, True)
    ),
    "set_alias": lambda b, pick: b.set_alias(pick.version(), pick.one(*ALIASES)),
    "set_model_tag": lambda b, pick: b.set_model_tag(pick.model(), pick.one(*KEYS), "ja"),
    "set_parent": lambda b, pick: b.set_parent(
        pick.version(), CreateParent(version_id=pick.version(), relation="fine-tuned")
    ),
    "set_version_tag": lambda b, pick: b.set_version_tag(pick.version(), pick.one(*KEYS), "ja"),
    "unpin_version": lambda b, pick: b.unpin_version(pick.version(), pick.one("default", "paper")),
    "update_config": lambda b, pick: b.update_config(
        pick.config(), pick.one(UpdateModelConfig(name="new"), UpdateModelConfig(is_default=pick.one(False, True)))
    ),
    "update_model": lambda b, pick: b.update_model(
        pick.model(),
        pick.one(UpdateModel(name=pick.name()), UpdateModel(description="changed"), UpdateModel()),
        expected_revision=pick.one(None, 1, 2),
    ),
    "update_version": _update_version,
}


@dataclass(frozen=True)
class Registry:
    """A database with two namespaces, ``a`` and ``b``."""

    engine: Engine
    a: World
    b: World


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """Both namespaces hold the same, on either database."""
    if request.param == "sqlite":
        engine = kamiwaza_sdk.create_engine("sqlite://")
        setup_database(engine)
    else:
        engine = create_engine(request.getfixturevalue("postgresql_tables"))
        with engine.begin() as connection:
            clear_tables(connection)
    with Session(engine) as db, db.begin():
        worlds = populate(db)
    yield Registry(engine, *worlds)
    engine.dispose()


def look(db: Session) -> object:
    """Return all that there is in ``a``: its rows, and what its service tells of them."""
    a = ModelService(db, namespace="a")
    found = [
        a.list_models(),
        a.search_models(deleted=True),
        *(list(a.iter_models(text=word)) for word in WORDS),
        a.search_versions(with_total=True, limit=1000),
        a.list_events(limit=1000),
    ]
    return dump_namespace(db, "a"), found


def _whole(value: object) -> object:
    """Return what a value holds: its ``repr`` leaves most of it out."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value


def shown(value: object) -> str:
    """Return what a value tells whoever prints it, cursors decoded."""
    pages = [value] if isinstance(value, Page) else []
    cursors = [cursor for page in pages for cursor in (page.next_cursor, page.previous_cursor) if cursor is not None]
    decoded = [
        base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode(errors="replace") for cursor in cursors
    ]
    told = (
        vars(value) | {"args": value.args, "cause": repr(value.__cause__)}
        if isinstance(value, Exception)
        else _whole(value)
    )
    return f"{told!r} {decoded}".replace("-", "")


def service(db: Session) -> ModelService:
    """Return the service of ``b``, which transfers nothing."""
    hub, downloads = cast("HubService", _Hub()), cast("DownloadService", _Downloads())  # cast: they have what is called
    return ModelService(db, namespace="b", hub=hub, downloads=downloads)


def ask(registry: Registry, names: list[str], data: st.DataObject) -> None:
    """Call methods of ``b``, one after the other, looking at ``a`` before and after each."""
    with Session(registry.engine) as db:
        b, before = service(db), look(db)
        for name in names:
            pick = Pick(data, registry.b, registry.a)
            try:
                told: object = CALLS[name](b, pick)
            except ServiceException as error:
                told = error
            assert getattr(told, "transaction_usable", True), name
            hidden = registry.a.ids() - (pick.given if isinstance(told, Exception) else set())
            text = shown(told)
            assert not [value for value in hidden if value.hex in text], (name, text)
            assert "secret" not in text, (name, text)
            assert look(db) == before, name


def test_every_method_of_the_registry_is_asked() -> None:
    public = {name for name, _ in inspect.getmembers(ModelService, callable) if not name.startswith("_")}
    assert set(CALLS) == public


SETTINGS: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(SETTINGS, max_examples=effort(15, 500))
@given(names=st.lists(st.sampled_from(sorted(CALLS)), min_size=1, max_size=6), data=st.data())
def test_nothing_that_is_done_in_one_namespace_changes_or_shows_another(
    registry: Registry, names: list[str], data: st.DataObject
) -> None:
    ask(registry, names, data)


@settings(SETTINGS, max_examples=effort(2, 20))
@given(data=st.data())
@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_method_neither_changes_nor_shows_another_namespace(
    registry: Registry, name: str, data: st.DataObject
) -> None:
    ask(registry, [name], data)


class _Own(Pick):
    """Chooses at random, from a namespace's own only."""

    def __init__(self, own: World) -> None:
        self._worlds = (own, own)
        self._random = random.Random(7)
        self.given = set()

    def one(self, *options: T) -> T:
        """Choose one of several."""
        return self._random.choice(options)


def test_each_method_can_be_asked_so_that_it_answers(registry: Registry) -> None:
    """What only ever refuses would prove nothing."""
    answered = set()
    with Session(registry.engine) as db:
        b, pick = service(db), _Own(registry.b)
        for name, call in CALLS.items():
            for _ in range(1000):
                with suppress(ServiceException):
                    call(b, pick)
                    answered.add(name)
                    break
            db.rollback()
    assert answered == set(CALLS)
