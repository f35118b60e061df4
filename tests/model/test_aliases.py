"""Aliases: set, moved, deleted, rolled back, listed, and what they led to once."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest

from kamiwaza_sdk import (
    AliasAlreadyExistsException,
    AliasNotFoundException,
    AsyncModelService,
    CreateModel,
    CreateVersion,
    Field,
    InUseException,
    InvalidInputException,
    ModelNotFoundException,
    ModelVersionSchema,
    UpdateModel,
    UpdateVersion,
    VersionNotFoundException,
    VersionStatusException,
)
from tests.backends import Backend, Order, add
from tests.model.world import files

#: A change of an alias of three versions.
Change = Callable[[AsyncModelService, list[ModelVersionSchema]], Awaitable[object]]


async def three_versions(models: AsyncModelService, name: str = "m") -> list[ModelVersionSchema]:
    """A model with versions 1, 2 and 3."""
    model = await models.create_model(CreateModel(name=name))
    return [await models.create_version(model.id, CreateVersion(files=files(letter))) for letter in "abc"]


async def led_to(models: AsyncModelService, reference: str, at: datetime | None = None) -> int | None:
    """The number of the version that a reference leads to, or led to; `None` where there was none."""
    try:
        return (await models.resolve(reference, at=at)).number
    except AliasNotFoundException:
        return None


async def moment_of_last(models: AsyncModelService, version: ModelVersionSchema) -> datetime:
    """When the last change of a version's model was made."""
    return (await models.list_events(version.model_id, descending=True, limit=1)).items[0].at


async def test_an_alias_leads_to_a_version_is_moved_and_deleted(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, three = await three_versions(models)
        assert (await models.create_alias(one.id, "production")).aliases == ("production",)
        assert (await models.set_alias(one.id, "canary")).aliases == ("canary", "production")
        assert (await models.set_alias(three.id, "production")).aliases == ("production",)
    async with backend.begin() as models:
        assert (await models.get_version(one.id)).aliases == ("canary",)
        assert await led_to(models, "m@production") == 3
        await models.delete_alias(one.model_id, "production")
        assert await led_to(models, "m@production") is None
        assert (await models.get_version(three.id)).aliases == ()
        assert (await models.create_alias(two.id, "production")).number == 2


async def test_every_listing_tells_of_the_aliases(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        (other, *_) = await three_versions(models, "other")
        for version, alias in ((one, "z"), (two, "production"), (one, "a"), (other, "production")):
            await models.set_alias(version.id, alias)
    async with backend.begin() as models:
        expected = [{"a": 1, "production": 2, "z": 1}, {"production": 1}]
        assert [model.aliases for model in await models.list_models()] == expected
        assert [model.aliases for model in (await models.search_models()).items] == expected
        assert [model.aliases for model in (await models.search_models(text="oth")).items] == expected[1:]
        assert (await models.get_model(one.model_id)).aliases == expected[0]
        assert (await models.get_model_by_name("other")).aliases == expected[1]
        of_model = [("a", "z"), ("production",), ()]
        assert [version.aliases for version in await models.list_versions(one.model_id)] == of_model
        found = (await models.search_versions(sort="created_at")).items
        assert [version.aliases for version in found] == [*of_model, ("production",), (), ()]
        assert (await models.resolve("m:1")).aliases == (await models.get_version(one.id)).aliases == ("a", "z")
        led = (await models.search_versions(Field.alias("production"))).items
        assert {version.id for version in led} == {two.id, other.id}


async def test_what_an_alias_led_to_is_known_for_every_moment(backend: Backend) -> None:
    changes: list[tuple[int | None, Change]] = [
        (1, lambda models, versions: models.create_alias(versions[0].id, "live")),
        (2, lambda models, versions: models.set_alias(versions[1].id, "live")),
        (3, lambda models, versions: models.set_alias(versions[2].id, "live")),
        (2, lambda models, versions: models.rollback_alias(versions[0].model_id, "live")),
        (None, lambda models, versions: models.delete_alias(versions[0].model_id, "live")),
        (3, lambda models, versions: models.set_alias(versions[2].id, "live")),
    ]
    known: list[tuple[datetime, int | None]] = []
    async with backend.begin() as models:
        versions = await three_versions(models)
        known.append((datetime.now(UTC), None))
        for number, change in changes:
            await change(models, versions)
            known.append((await moment_of_last(models, versions[0]), number))
        await models.set_alias(versions[0].id, "another")
    async with backend.begin() as models:
        await models.update_model(versions[0].model_id, UpdateModel(name="renamed"))
        for (_, before), (at, number) in pairwise(known):
            assert await led_to(models, "renamed@live", at - timedelta(microseconds=1)) == before
            assert await led_to(models, "renamed@live", at.astimezone(timezone(timedelta(hours=9)))) == number
        assert await led_to(models, "renamed@live", known[0][0] - timedelta(days=1)) is None
        assert await led_to(models, "renamed@live", datetime.now(UTC) + timedelta(days=1)) == 3
        with pytest.raises(AliasNotFoundException, match="there was none at .*list_events"):
            await models.resolve("renamed@never", at=datetime.now(UTC))


async def test_a_version_that_an_alias_led_to_and_that_was_deleted_since_is_said_to_be(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        await models.set_alias(one.id, "live")
        at = await moment_of_last(models, one)
        await models.set_alias(two.id, "live")
        await models.delete_version(one.id)
        with pytest.raises(
            VersionNotFoundException, match="the alias led to it, and it has been deleted since"
        ) as gone:
            await models.resolve("m@live", at=at)
        assert gone.value.version == one.id
        with pytest.raises(VersionNotFoundException):
            await models.rollback_alias(one.model_id, "live")
        assert await led_to(models, "m@live") == 2


async def test_a_moment_is_aware_and_asked_of_an_alias_only(backend: Backend) -> None:
    async with backend.begin() as models:
        one, *_ = await three_versions(models)
        await models.set_alias(one.id, "live")
        naive = datetime.now()  # noqa: DTZ005 - the mistake under test
        with pytest.raises(InvalidInputException, match="^at must be an aware datetime"):
            await models.resolve("m@live", at=naive)
        with pytest.raises(InvalidInputException, match="^at must be an aware datetime"):
            await models.resolve("m@live", at="2026-01-01")  # type: ignore[arg-type]  # the mistake under test
        for reference in ("m:1", "m", "m:label", "m@latest"):
            with pytest.raises(InvalidInputException, match="only those are known at a moment"):
                await models.resolve(reference, at=datetime.now(UTC))
        with pytest.raises(ModelNotFoundException):
            await models.resolve("none@live", at=datetime.now(UTC))


async def test_an_alias_is_rolled_back_step_by_step(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, three = await three_versions(models)
        for version in (one, two, three):
            await models.set_alias(version.id, "live")
        rolled = [(await models.rollback_alias(one.model_id, "live")).number for _ in range(2)]
        assert rolled == [2, 1]
        with pytest.raises(AliasNotFoundException, match="has led nowhere else before; set_alias.. moves it"):
            await models.rollback_alias(one.model_id, "live")
        assert await led_to(models, "m@live") == 1
        await models.set_alias(three.id, "live")
        assert (await models.rollback_alias(one.model_id, "live")).aliases == ("live",)
        assert await led_to(models, "m@live") == 1


async def test_what_was_rolled_back_counts_as_never_set(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, three = await three_versions(models)
        for version in (one, two):
            await models.set_alias(version.id, "live")
        await models.rollback_alias(one.model_id, "live")
        await models.set_alias(three.id, "live")
        assert (await models.rollback_alias(one.model_id, "live")).number == 1
        with pytest.raises(AliasNotFoundException):
            await models.rollback_alias(one.model_id, "live")


async def test_a_deletion_in_between_does_not_end_what_can_be_rolled_back(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        await models.set_alias(one.id, "live")
        await models.delete_alias(one.model_id, "live")
        with pytest.raises(AliasNotFoundException):
            await models.rollback_alias(one.model_id, "live")
        await models.set_alias(two.id, "live")
        assert (await models.rollback_alias(one.model_id, "live")).number == 1


async def test_an_alias_that_was_deleted_and_set_as_it_was_has_led_nowhere_else(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        for _ in range(2):
            await models.set_alias(one.id, "live")
            await models.delete_alias(one.model_id, "live")
        await models.set_alias(one.id, "live")
        with pytest.raises(AliasNotFoundException, match="has led nowhere else before"):
            await models.rollback_alias(one.model_id, "live")
        await models.set_alias(two.id, "live")
        assert (await models.rollback_alias(one.model_id, "live")).number == 1
        with pytest.raises(AliasNotFoundException, match="has led nowhere else before"):
            await models.rollback_alias(one.model_id, "live")


async def test_an_alias_is_not_rolled_back_to_what_is_not_ready_any_more(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        for version in (one, two):
            await models.set_alias(version.id, "live")
        await models.update_version(one.id, UpdateVersion(status="archived"))
        with pytest.raises(VersionStatusException, match="is archived: an alias leads to a ready version only"):
            await models.rollback_alias(one.model_id, "live")
        assert await led_to(models, "m@live") == 2


async def test_an_alias_leads_to_a_ready_version_only(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        draft = await models.create_version(one.model_id, CreateVersion(status="draft"))
        await models.update_version(one.id, UpdateVersion(status="failed"))
        await models.update_version(two.id, UpdateVersion(status="archived"))
        for version, status in ((one, "failed"), (two, "archived"), (draft, "draft")):
            for lead in (models.create_alias, models.set_alias):
                with pytest.raises(VersionStatusException, match=f"is {status}: ") as refused:
                    await lead(version.id, "live")
                assert (refused.value.version, refused.value.status) == (version.id, status)
        assert (await models.get_model(one.model_id)).aliases == {}


async def test_a_version_of_a_deleted_model_or_another_namespace_is_not_found(backend: Backend) -> None:
    async with backend.begin() as models:
        one, two, _ = await three_versions(models)
        await models.set_alias(one.id, "live")
    async with backend.begin("elsewhere") as models:
        for lead in (models.create_alias, models.set_alias):
            with pytest.raises(VersionNotFoundException) as refused:
                await lead(one.id, "theirs")
            assert (refused.value.namespace, refused.value.deleted) == ("elsewhere", None)
        for end in (models.delete_alias, models.rollback_alias):
            with pytest.raises(ModelNotFoundException):
                await end(one.model_id, "live")
    async with backend.begin() as models:
        await models.delete_model(one.model_id)
        with pytest.raises(VersionNotFoundException, match="its model is deleted") as gone:
            await models.set_alias(two.id, "live")
        assert gone.value.deleted == one.model_id
        for reference in ("m@live", "m:1"):
            with pytest.raises(ModelNotFoundException):
                await models.resolve(reference)
        await models.restore_model(one.model_id)
        assert await led_to(models, "m@live") == 1


@pytest.mark.parametrize("backend", ["sync-sqlite", "async-postgresql"], indirect=True)
async def test_a_name_that_no_alias_can_have_is_refused(backend: Backend) -> None:
    bad: list[Any] = ["7", "\u0663", "latest", "a/b", "a\0", "x" * 256, "", " a", "a:b", "..", 7, None]
    async with backend.begin() as models:
        one, *_ = await three_versions(models)
        for alias in bad:
            for attempt in (
                models.create_alias(one.id, alias),
                models.set_alias(one.id, alias),
                models.delete_alias(one.model_id, alias),
                models.rollback_alias(one.model_id, alias),
            ):
                with pytest.raises(InvalidInputException, match="^alias") as refused:
                    await attempt
                assert (refused.value.value is not None) == isinstance(alias, str)
        assert (await models.get_model(one.model_id)).aliases == {}
        assert (await models.set_alias(one.id, "x" * 255)).aliases == ("x" * 255,)


async def test_an_alias_that_exists_says_where_it_leads_and_the_host_commits(backend: Backend) -> None:
    async with backend.begin("team-a") as models:
        one, two, _ = await three_versions(models)
        await models.create_alias(two.id, "live")
    async with backend.session() as db:
        models = backend.service(db, namespace="team-a")
        add(db, Order(text="the host's"))
        for version in (one, two):
            with pytest.raises(AliasAlreadyExistsException, match="leads to version 2; set_alias.. moves it") as taken:
                await models.create_alias(version.id, "live")
            error = taken.value
            assert (error.model, error.alias, error.number, error.namespace) == ("m", "live", 2, "team-a")
        await db.commit()
    async with backend.session() as db:
        assert [row.text for row in (await db.execute(Order.__table__.select())).all()] == ["the host's"]
        assert await led_to(backend.service(db, namespace="team-a"), "m@live") == 2


async def test_a_version_that_an_alias_leads_to_is_neither_archived_nor_deleted(backend: Backend) -> None:
    async with backend.begin() as models:
        one, *_ = await three_versions(models)
        for alias in ("live", "canary"):
            await models.set_alias(one.id, alias)
        for attempt in (
            models.update_version(one.id, UpdateVersion(status="archived")),
            models.update_version(one.id, UpdateVersion(status="failed")),
            models.delete_version(one.id),
        ):
            with pytest.raises(InUseException, match="canary, live of 'm' leads to it; move or delete") as used:
                await attempt
            assert used.value.version == one.id
        for alias in ("live", "canary"):
            await models.delete_alias(one.model_id, alias)
        assert (await models.update_version(one.id, UpdateVersion(status="archived"))).status == "archived"
        await models.delete_version(one.id)
