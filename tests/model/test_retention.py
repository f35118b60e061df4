"""Which versions are kept: pins commit and vanish with the transaction, and rules choose what goes."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from kamiwaza_sdk import (
    AsyncModelService,
    CreateFile,
    CreateModel,
    CreateParent,
    CreateVersion,
    InUseException,
    InvalidInputException,
    ModelVersionSchema,
    UpdateVersion,
    VersionNotFoundException,
)
from kamiwaza_sdk.types import RetentionPlanSchema
from tests.backends import Backend

NOW = timedelta(0)


async def create(models: AsyncModelService, model_id: UUID, number: int, **how: object) -> ModelVersionSchema:
    file = CreateFile(path="model.bin", size=number, sha256=f"{number:064x}")
    return await models.create_version(model_id, CreateVersion.model_validate({"files": (file,), **how}))


async def of_all_kinds(models: AsyncModelService) -> list[ModelVersionSchema]:
    """Create a model of eight versions: numbers 6 to 8 are the last ready ones but for a draft and a failed one."""
    model = await models.create_model(CreateModel(name="model"))
    made = [await create(models, model.id, number) for number in range(1, 6)]
    made.append(await create(models, model.id, 6, status="draft"))
    made.append(await create(models, model.id, 7, status="draft"))
    made[6] = await models.update_version(made[6].id, UpdateVersion(status="failed"))
    child = CreateParent(version_id=made[2].id, relation="fine-tuned")
    made.append(await create(models, model.id, 8, derived_from=(child,)))
    await models.create_alias(made[0].id, "production")
    await models.pin_version(made[1].id, "paper", reason="figure 3")
    return made


async def test_what_is_aliased_pinned_derived_from_or_among_the_last_stays(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await of_all_kinds(models)
        plan = await models.plan_retention(keep_last=1, younger_than=NOW, unfinished_younger_than=NOW)
        assert [one.number for one in plan.versions] == [7, 6, 5, 4]
        assert plan.kept == {"aliased": 1, "pinned": 1, "derived from": 1, "among the last": 1}
        assert RetentionPlanSchema.model_validate_json(plan.model_dump_json()) == plan
        assert str(plan).startswith("4 versions may go.\nmodel:7  failed")
        one = plan.model_copy(update={"versions": plan.versions[:1]})
        assert str(one).startswith("1 version may go.\n")
        result = await models.apply_retention(plan)
        assert (len(result.deleted), result.left) == (4, ())
        left = [version.number for version in await models.list_versions(made[0].model_id)]
        assert left == [1, 2, 3, 8]


async def test_what_is_young_stays_and_what_is_unfinished_goes_sooner(backend: Backend) -> None:
    async with backend.begin() as models:
        await of_all_kinds(models)
        assert (await models.plan_retention(keep_last=0)).versions == ()
        sooner = await models.plan_retention(keep_last=0, unfinished_younger_than=NOW)
        assert [one.status for one in sooner.versions] == ["failed", "draft"]


async def test_the_host_decides_whether_a_plan_is_applied(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await of_all_kinds(models)
    async with backend.session() as db:
        models = backend.service(db)
        plan = await models.plan_retention(keep_last=0, younger_than=NOW, unfinished_younger_than=NOW)
        assert (await models.apply_retention(plan)).deleted
        await db.rollback()
        assert len(await models.list_versions(made[0].model_id)) == 8


async def test_what_is_needed_by_now_is_left(backend: Backend) -> None:
    async with backend.begin() as models:
        made = await of_all_kinds(models)
        plan = await models.plan_retention(keep_last=0, younger_than=NOW, unfinished_younger_than=NOW)
        numbers = {one.number: one.version_id for one in plan.versions}
        assert sorted(numbers) == [4, 5, 6, 7, 8]
        await models.create_alias(numbers[4], "candidate")
        await models.pin_version(numbers[5])
        await models.update_version(numbers[6], UpdateVersion(description="changed"))
        await models.delete_version(numbers[7])
        result = await models.apply_retention(plan)
        assert result.deleted == (made[7].id,)
        assert set(result.left) == {numbers[number] for number in (4, 5, 6, 7)}


async def test_a_pinned_version_is_not_deleted_and_its_model_not_purged(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="model"))
        version = await create(models, model.id, 1)
        pin = await models.pin_version(version.id, "paper", reason="figure 3")
        assert (pin.name, pin.reason, pin.version_id) == ("paper", "figure 3", version.id)
        again = await models.pin_version(version.id, "paper", reason="figure 4")
        assert (again.reason, again.created_at) == ("figure 4", pin.created_at)
        await models.pin_version(version.id)
        assert [one.name for one in await models.list_pins(version.id)] == ["default", "paper"]
        with pytest.raises(InUseException, match="pinned as default, paper"):
            await models.delete_version(version.id)
        await models.delete_model(model.id)
        with pytest.raises(InUseException, match="pinned"):
            await models.purge_model(model.id)
        await models.restore_model(model.id)
        assert await models.unpin_version(version.id, "paper")
        assert await models.unpin_version(version.id)
        assert not await models.unpin_version(version.id)
        await models.delete_version(version.id)


async def test_a_pin_vanishes_with_the_transaction(backend: Backend) -> None:
    async with backend.begin() as models:
        model = await models.create_model(CreateModel(name="model"))
        version = await create(models, model.id, 1)
    async with backend.session() as db:
        models = backend.service(db)
        await models.pin_version(version.id)
        await db.rollback()
        assert await models.list_pins(version.id) == []
        assert (await db.execute(text("SELECT count(*) FROM kamiwaza_model_pin"))).scalar_one() == 0


async def test_other_namespaces_are_neither_seen_nor_touched(backend: Backend) -> None:
    async with backend.session() as db:
        ours, theirs = backend.service(db), backend.service(db, namespace="theirs")
        made = await of_all_kinds(ours)
        for call in (theirs.pin_version, theirs.unpin_version, theirs.list_pins):
            with pytest.raises(VersionNotFoundException):
                await call(made[0].id)
        rules = {"keep_last": 0, "younger_than": NOW, "unfinished_younger_than": NOW}
        assert (await theirs.plan_retention(**rules)).versions == ()  # type: ignore[arg-type]  # as many kinds as there are
        with pytest.raises(InvalidInputException, match="namespace"):
            await theirs.apply_retention(await ours.plan_retention())


@pytest.mark.parametrize(
    "rules", [{"keep_last": -1}, {"younger_than": timedelta(-1)}, {"unfinished_younger_than": "x"}]
)
async def test_rules_that_cannot_be_are_refused(backend: Backend, rules: dict[str, object]) -> None:
    async with backend.session() as db:
        with pytest.raises(InvalidInputException, match=next(iter(rules))):
            await backend.service(db).plan_retention(**rules)  # type: ignore[arg-type]  # the mistake under test
