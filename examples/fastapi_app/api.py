"""The routes: each calls the service and returns what that returns."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, status
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from examples.fastapi_app.dependencies import Database, Service
from examples.fastapi_app.models import DBDeployment
from kamiwaza_sdk import (
    BulkResult,
    CreateModel,
    Filter,
    ModelEventSchema,
    ModelSchema,
    ModelVersionSchema,
    Page,
    UpdateModel,
    UpdateVersion,
)
from kamiwaza_sdk.types import ModelSort, OnConflict, VersionSummarySchema

__all__ = ["CreateDeployment", "DeploymentSchema", "PullModel", "SearchModels", "router"]

router = APIRouter()


class SearchModels(BaseModel):
    """What to find: models that fit a filter and have the words of a text; a page of them, from a cursor on."""

    model_config = ConfigDict(extra="forbid")

    where: Filter | None = None
    text: str | None = None
    sort: ModelSort = "name"
    descending: bool = False
    cursor: str | None = None
    limit: int = 100
    with_total: bool = False


class PullModel(BaseModel):
    """What to pull: the file behind a URL, and the digest it must have where that is known."""

    model_config = ConfigDict(extra="forbid")

    url: str
    sha256: str | None = None
    name: str | None = None
    version: str | None = None


class CreateDeployment(BaseModel):
    """What a host is to serve."""

    model_config = ConfigDict(extra="forbid")

    reference: str


class DeploymentSchema(BaseModel):
    """What a host serves: the version that the reference led to when it was deployed."""

    model_config = ConfigDict(from_attributes=True)

    host: str
    reference: str
    version_id: UUID


@router.get("/models")
async def list_models(service: Service, after: str = "", limit: int = 100) -> list[ModelSchema]:
    """Return a page of models by name, from the one after `after` on."""
    return await service.list_models(after=after, limit=limit)


@router.get("/models/{model_id}")
async def get_model(model_id: UUID, service: Service) -> ModelSchema:
    """Return a model."""
    return await service.get_model(model_id)


@router.post("/models", status_code=status.HTTP_201_CREATED)
async def create_model(model: CreateModel, service: Service) -> ModelSchema:
    """Create a model."""
    return await service.create_model(model)


@router.post("/models/search")
async def search_models(search: SearchModels, service: Service) -> Page[ModelSchema]:
    """Return a page of the models that are found."""
    return await service.search_models(**dict(search))


@router.post("/models/bulk", status_code=status.HTTP_201_CREATED)
async def create_models(models: list[CreateModel], service: Service, on_conflict: OnConflict = "raise") -> BulkResult:
    """Create many models, or none: what is refused ends the request, and its transaction."""
    return await service.create_models(models, on_conflict=on_conflict)


@router.patch("/models/{model_id}")
async def update_model(
    model_id: UUID, changes: UpdateModel, service: Service, expected_revision: int | None = None
) -> ModelSchema:
    """Change the fields that are given, unless somebody else has changed the model since."""
    return await service.update_model(model_id, changes, expected_revision=expected_revision)


@router.delete("/models/{model_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_model(model_id: UUID, service: Service) -> None:
    """Delete a model, so that it can be restored."""
    await service.delete_model(model_id)


@router.post("/models/pull", status_code=status.HTTP_201_CREATED)
async def pull_model(pull: PullModel, service: Service) -> ModelVersionSchema:
    """Fetch a file and register it. The session opens its transaction when the last byte is verified, not before."""
    # As a list, because a lone string may also be a path, and the files of this machine are not the client's to read.
    return await service.pull_model(
        [pull.url],
        sha256=pull.sha256,
        name=pull.name,
        version=pull.version,
    )


@router.get("/models/{model_id}/versions")
async def list_versions(model_id: UUID, service: Service, after: int = 0, limit: int = 100) -> list[ModelVersionSchema]:
    """Return a page of a model's versions by number, from the one after `after` on."""
    return await service.list_versions(model_id, after=after, limit=limit)


@router.get("/versions/{reference:path}")
async def resolve(reference: str, service: Service) -> ModelVersionSchema:
    """Return the version that a reference names: ``org/tiny``, ``org/tiny:3``, ``org/tiny:v1.5``, ``tiny@stable``."""
    return await service.resolve(reference)


@router.patch("/versions/{version_id}")
async def update_version(
    version_id: UUID, changes: UpdateVersion, service: Service, expected_revision: int | None = None
) -> ModelVersionSchema:
    """Change the fields that are given, where the version's status allows."""
    return await service.update_version(version_id, changes, expected_revision=expected_revision)


@router.put("/versions/{version_id}/aliases/{alias}")
async def set_alias(version_id: UUID, alias: str, service: Service) -> VersionSummarySchema:
    """Let an alias lead to a version, wherever it led before."""
    return await service.set_alias(version_id, alias)


@router.post("/models/{model_id}/aliases/{alias}/rollback")
async def rollback_alias(model_id: UUID, alias: str, service: Service) -> VersionSummarySchema:
    """Let an alias lead to where it led before."""
    return await service.rollback_alias(model_id, alias)


@router.delete("/models/{model_id}/aliases/{alias}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_alias(model_id: UUID, alias: str, service: Service) -> None:
    """Delete an alias."""
    await service.delete_alias(model_id, alias)


@router.put("/models/{model_id}/tags/{key:path}", status_code=status.HTTP_204_NO_CONTENT)
async def set_tag(model_id: UUID, key: str, value: Annotated[str, Body(embed=True)], service: Service) -> None:
    """Give a model a tag, or a tag it has another value."""
    await service.set_model_tag(model_id, key, value)


@router.delete("/models/{model_id}/tags/{key:path}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_tag(model_id: UUID, key: str, service: Service) -> None:
    """Delete a tag of a model."""
    await service.delete_model_tag(model_id, key)


@router.get("/events")
async def list_events(
    service: Service,
    model_id: UUID | None = None,
    descending: bool = False,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[ModelEventSchema]:
    """Return a page of what happened to a model, deleted or not, or to all of them."""
    return await service.list_events(model_id, descending=descending, cursor=cursor, limit=limit)


@router.put("/deployments/{host}")
async def deploy(host: str, deployment: CreateDeployment, service: Service, db: Database) -> DeploymentSchema:
    """Let a host serve what a reference leads to. The registry and the application's row are in one transaction."""
    version = await service.resolve(deployment.reference)
    row = await db.merge(DBDeployment(host=host, reference=deployment.reference, version_id=version.id))
    return DeploymentSchema.model_validate(row)


@router.get("/deployments")
async def list_deployments(db: Database) -> list[DeploymentSchema]:
    """Return what each host serves, by host."""
    rows = await db.scalars(select(DBDeployment).order_by(DBDeployment.host))
    return [DeploymentSchema.model_validate(row) for row in rows]
