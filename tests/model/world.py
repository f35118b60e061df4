"""A registry with some of everything in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kamiwaza_sdk import (
    AsyncModelService,
    CreateFile,
    CreateModel,
    CreateModelConfig,
    CreateParent,
    CreateVersion,
    Fetched,
    FetchedFile,
    ModelConfigSchema,
    ModelSchema,
    ModelVersionSchema,
)

#: A service of either colour is called, and what it returns is awaited where it has to be.
Call = Callable[[Any, "World"], Any]  # Any: a service of either colour, and whatever its methods return


def digest(letter: str) -> str:
    """The digest of a file that needs no bytes here."""
    return letter.encode().hex() * 32


def files(*letters: str, size: int = 3) -> tuple[CreateFile, ...]:
    """Files of these names."""
    return tuple(CreateFile(path=f"{letter}.bin", size=size, sha256=digest(letter)) for letter in letters)


def fetched(*letters: str, name: str = "m") -> Fetched:
    """What a fetch of the same files would return."""
    found = tuple(FetchedFile(path=file.path, size=file.size, sha256=file.sha256) for file in files(*letters))
    return Fetched(source=f"test://{name}", name=name, files=found, bytes_fetched=0, bytes_reused=0)


@dataclass(frozen=True)
class World:
    """What `populate` has created.

    Attributes:
        model: ``m``, with tags and the configurations below.
        other: A model with nothing.
        gone: A deleted model, with the version `buried`.
        first: Version 1, with a tag and a configuration of its own. `staging` leads to it, and `production` led.
        second: Version 2, made from the first one. `production` leads to it.
        draft: Version 3, without files.
        spare: Version 4, which nothing leads to.
        usual: The default configuration of the model.
        fast: Another one.
        own: The default configuration of the first version.
    """

    model: ModelSchema
    other: ModelSchema
    gone: ModelSchema
    first: ModelVersionSchema
    second: ModelVersionSchema
    draft: ModelVersionSchema
    spare: ModelVersionSchema
    buried: ModelVersionSchema
    usual: ModelConfigSchema
    fast: ModelConfigSchema
    own: ModelConfigSchema


async def populate(models: AsyncModelService) -> World:
    """Fill a registry."""
    model = await models.create_model(CreateModel(name="m", task="old", author="Ada", tags={"lang": "en"}))
    other = await models.create_model(CreateModel(name="other"))
    gone = await models.create_model(CreateModel(name="gone", description="buried words", tags={"gone": "yes"}))
    first = await models.create_version(model.id, CreateVersion(files=files("a"), version="one", tags={"stage": "raw"}))
    parents = (CreateParent(version_id=first.id, relation="fine-tuned"),)
    second = await models.create_version(model.id, CreateVersion(files=files("b"), derived_from=parents))
    draft = await models.create_version(model.id, CreateVersion(status="draft"))
    spare = await models.create_version(model.id, CreateVersion(files=files("s"), details={"format": "onnx"}))
    buried = await models.create_version(gone.id, CreateVersion(files=files("g"), version="label"))
    for version in (first, second):
        await models.set_alias(version.id, "production")
    await models.set_alias(first.id, "staging")
    await models.set_alias(buried.id, "production")
    usual = await models.create_config(
        CreateModelConfig(name="usual", config={"a": 1}, is_default=True), model_id=model.id
    )
    fast = await models.create_config(CreateModelConfig(name="fast"), model_id=model.id)
    own = await models.create_config(CreateModelConfig(name="own", is_default=True), version_id=first.id)
    await models.create_config(CreateModelConfig(name="gone"), model_id=gone.id)
    await models.delete_model(gone.id)
    return World(
        model=await models.get_model(model.id),
        other=other,
        gone=gone,
        first=await models.get_version(first.id),
        second=await models.get_version(second.id),
        draft=draft,
        spare=spare,
        buried=buried,
        usual=usual,
        fast=fast,
        own=own,
    )
