"""What versions were made from: noted, walked both ways, never in a circle."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from kamiwaza_sdk import (
    AsyncModelService,
    CreateModel,
    CreateParent,
    CreateVersion,
    DatabaseBusyException,
    InvalidInputException,
    LineageCycleException,
    ModelService,
    ModelVersionSchema,
    UpdateModel,
    VersionNotFoundException,
)
from kamiwaza_sdk.types import Relation
from tests.backends import Backend


def parent(version_id: UUID, relation: Relation = "merged") -> CreateParent:
    """What a version was made from."""
    return CreateParent(version_id=version_id, relation=relation)


async def family(models: AsyncModelService, **parents: str) -> dict[str, ModelVersionSchema]:
    """Models of one letter with a version each, made from those that are named by their letters."""
    versions: dict[str, ModelVersionSchema] = {}
    for name, above in parents.items():
        model = await models.create_model(CreateModel(name=name))
        derived = tuple(parent(versions[letter].id) for letter in above)
        versions[name] = await models.create_version(model.id, CreateVersion(status="draft", derived_from=derived))
    return versions


async def test_what_a_version_was_made_from_is_noted_when_it_is_created(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="")
        model_id = made["a"].model_id
        parents = (parent(made["a"].id, "fine-tuned"), parent(made["b"].id, "quantized"), parent(made["a"].id))
        child = await models.create_version(model_id, CreateVersion(status="draft", derived_from=parents))
        expected = {(made["a"].id, "merged"), (made["b"].id, "quantized")}  # the last that is said of one counts
        for version in (child, await models.get_version(child.id), (await models.list_versions(model_id))[-1]):
            assert {(each.version_id, each.relation) for each in version.derived_from} == expected


async def test_parents_are_told_in_one_order_however_the_database_finds_them(backend: Backend) -> None:
    async with backend.session() as db:
        models = backend.service(db)
        made = await family(models, a="", b="", c="", d="cba")
        await db.execute(text("ANALYZE"))  # after which PostgreSQL reads such a small table as it lies
        found = await models.get_version(made["d"].id)
        assert found == made["d"]
        assert [each.version_id for each in found.derived_from] == [made[letter].id for letter in "abc"]
        await db.rollback()


async def test_a_parent_is_set_said_anew_and_taken_back(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="")
        for relation in ("converted", "fine-tuned", "fine-tuned"):
            await models.set_parent(made["b"].id, CreateParent(version_id=made["a"].id, relation=relation))
            (noted,) = (await models.get_version(made["b"].id)).derived_from
            assert (noted.version_id, noted.relation) == (made["a"].id, relation)
        await models.delete_parent(made["b"].id, made["a"].id)
        assert (await models.get_version(made["b"].id)).derived_from == ()
        with pytest.raises(VersionNotFoundException, match="nothing says that .* derives from it") as missing:
            await models.delete_parent(made["b"].id, made["a"].id)
        assert missing.value.version == made["a"].id


async def test_relations_to_the_same_relative_are_listed_in_their_order(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="", c="", d="", e="", f="bcde")
        relations: tuple[Relation, ...] = ("quantized", "converted", "merged", "copied")
        for letter, relation in zip("bcde", relations, strict=True):
            await models.set_parent(made[letter].id, parent(made["a"].id, relation))
        found = await models.list_ancestors(made["f"].id)
        assert [each.relation for each in found if each.distance == 2] == sorted(relations)


async def test_relatives_are_listed_both_ways_nearest_first(backend: Backend) -> None:
    """A diamond with a long way round: `d` comes from `a` over `b`, over `c`, and over `x` and `y`."""
    async with backend.begin() as models:
        made = await family(models, a="", b="a", c="a", x="a", y="x", d="bcy", e="d", z="")
        up = await models.list_ancestors(made["e"].id)
        assert [(found.model_name, found.distance) for found in up] == [
            ("d", 1),
            ("b", 2),
            ("c", 2),
            ("y", 2),
            ("a", 3),
            ("x", 3),
        ]
        down = await models.list_descendants(made["a"].id)
        assert [(found.model_name, found.distance) for found in down] == [
            ("b", 1),
            ("c", 1),
            ("x", 1),
            ("y", 2),
            ("d", 2),
            ("e", 3),
        ]
        assert [found.model_name for found in await models.list_ancestors(made["e"].id, limit=2)] == ["d", "b"]
        assert await models.list_ancestors(made["a"].id) == await models.list_descendants(made["z"].id) == []
        first = up[0]
        assert (first.version_id, first.model_id, first.number) == (made["d"].id, made["d"].model_id, 1)


async def test_a_relative_that_is_met_in_two_ways_is_listed_with_each(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="a", c="", d="bc")
        await models.set_parent(made["c"].id, parent(made["a"].id, "quantized"))
        up = [(found.model_name, found.relation, found.distance) for found in await models.list_ancestors(made["d"].id)]
        assert sorted(up) == [("a", "merged", 2), ("a", "quantized", 2), ("b", "merged", 1), ("c", "merged", 1)]


async def test_no_version_is_made_from_itself(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="a", c="b", d="c", e="bd")
        for version, above in (("a", "a"), ("a", "b"), ("a", "e"), ("b", "d"), ("c", "e")):
            with pytest.raises(LineageCycleException, match="which derives from it; list_ancestors") as circle:
                await models.set_parent(made[version].id, parent(made[above].id))
            assert (circle.value.version, circle.value.parent) == (made[version].id, made[above].id)
        assert await models.list_ancestors(made["a"].id) == []
        await models.set_parent(made["d"].id, parent(made["a"].id))
        await models.delete_parent(made["b"].id, made["a"].id)
        await models.delete_parent(made["d"].id, made["a"].id)
        await models.set_parent(made["a"].id, parent(made["e"].id))
        assert [found.model_name for found in await models.list_ancestors(made["a"].id)] == ["e", "b", "d", "c"]


async def test_a_circle_is_seen_however_long_it_would_be(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="m"))
        first = last = await models.create_version(model.id, CreateVersion(status="draft"))
        for _ in range(102):
            create = CreateVersion(status="draft", derived_from=(parent(last.id),))
            last = await models.create_version(model.id, create)
        with pytest.raises(LineageCycleException):
            await models.set_parent(first.id, parent(last.id))
        found = await models.list_ancestors(last.id)
        assert [each.distance for each in found] == list(range(1, 101))
        assert found[-1].number == last.number - 100


async def test_what_is_missing_deleted_or_in_another_namespace_is_no_parent(backend: Backend) -> None:
    unknown = uuid4()
    async with backend.begin("elsewhere") as models:
        theirs = (await family(models, t=""))["t"]
    async with backend.begin() as models:
        made = await family(models, a="", b="a", c="b", d="")
        await models.delete_model(made["d"].model_id)
        for above, deleted in ((unknown, None), (theirs.id, None), (made["d"].id, made["d"].model_id)):
            with pytest.raises(VersionNotFoundException) as missing:
                await models.set_parent(made["a"].id, parent(above))
            assert (missing.value.version, missing.value.deleted) == (above, deleted)
            create = CreateVersion(status="draft", derived_from=(parent(above),))
            with pytest.raises(VersionNotFoundException):
                await models.create_version(made["a"].model_id, create)
        for attempt in (
            models.set_parent(unknown, parent(made["a"].id)),
            models.set_parent(theirs.id, parent(made["a"].id)),
            models.delete_parent(unknown, made["a"].id),
            models.list_ancestors(theirs.id),
            models.list_descendants(unknown),
            models.list_ancestors(made["d"].id),
        ):
            with pytest.raises(VersionNotFoundException):
                await attempt
        assert [version.number for version in await models.list_versions(made["a"].model_id)] == [1]


async def test_versions_of_deleted_models_are_left_out_but_not_what_lies_beyond(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await family(models, a="", b="a", c="b")
        await models.delete_model(made["b"].model_id)
        up = await models.list_ancestors(made["c"].id)
        down = await models.list_descendants(made["a"].id)
        assert [(found.model_name, found.distance) for found in up] == [("a", 2)]
        assert [(found.model_name, found.distance) for found in down] == [("c", 2)]
        with pytest.raises(LineageCycleException):
            await models.set_parent(made["a"].id, parent(made["c"].id))


@pytest.mark.parametrize("limit", [0, 1001, True])
async def test_a_list_of_relatives_has_a_limit(backend: Backend, limit: int) -> None:
    async with backend.begin() as models:
        made = await family(models, a="")
        for listing in (models.list_ancestors, models.list_descendants):
            with pytest.raises(InvalidInputException, match="^limit must be a whole number from 1 to 1000"):
                await listing(made["a"].id, limit=limit)


@pytest.fixture
def snapshots(postgresql_tables: str) -> Iterator[Engine]:
    """An engine whose transactions see the database as it was when they began."""
    engine = create_engine(postgresql_tables, isolation_level="REPEATABLE READ")
    yield engine
    engine.dispose()


def committed(engine: Engine, namespace: str, names: str, edges: str) -> dict[str, UUID]:
    """Models of one letter with a version each, and edges between these: ``ab`` says that `a` was made from `b`."""
    with Session(engine) as db, db.begin():
        models = ModelService(db, namespace=namespace)
        ids = {
            name: models.create_version(
                models.create_model(CreateModel(name=name)).id, CreateVersion(status="draft")
            ).id
            for name in names
        }
        for edge in edges.split():
            models.set_parent(ids[edge[0]], parent(ids[edge[1]]))
    return ids


@pytest.mark.parametrize(
    ("before", "at_once"),
    [("", "ab ba"), ("", "ab bc ca"), ("ab cd", "bc da"), ("ab bc de", "ef cd fa"), ("ab", "cd bc da")],
)
def test_of_those_that_close_a_circle_at_once_one_is_to_try_again(snapshots: Engine, before: str, at_once: str) -> None:
    namespace = f"circle-{uuid4().hex}"
    ids = committed(snapshots, namespace, "abcdef", before)
    refused: list[DatabaseBusyException] = []
    with ExitStack() as stack:
        services = [ModelService(stack.enter_context(Session(snapshots)), namespace=namespace) for _ in at_once.split()]
        for models in services:
            models.list_models()  # from here on, all see this
        for models, edge in zip(services, at_once.split(), strict=True):
            try:
                models.set_parent(ids[edge[0]], parent(ids[edge[1]]))
                models.db.commit()
            except DatabaseBusyException as error:
                refused.append(error)
                models.db.rollback()
        ancestors = {name: services[0].list_ancestors(ids[name]) for name in ids}
    assert {(error.code, error.transaction_usable) for error in refused} == {("40001", False)}
    assert not [name for name, above in ancestors.items() if name in {found.model_name for found in above}]


def test_who_looks_for_a_circle_waits_for_no_writer_and_keeps_none_waiting(snapshots: Engine) -> None:
    namespace = f"circle-{uuid4().hex}"
    ids = committed(snapshots, namespace, "abc", "bc")
    with Session(snapshots) as first, Session(snapshots) as second:
        for db in (first, second):
            db.connection().exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        one, other = (ModelService(db, namespace=namespace) for db in (first, second))
        other.update_model(other.get_model_by_name("b").id, UpdateModel(task="chat"))
        one.set_parent(ids["a"], parent(ids["b"]))
        other.update_model(other.get_model_by_name("c").id, UpdateModel(task="chat"))
        first.commit()
        second.commit()
        assert [found.model_name for found in one.list_ancestors(ids["a"])] == ["b", "c"]
