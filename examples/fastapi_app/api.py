"""The routes: each calls the service and returns what that returns."""

from uuid import UUID

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict

from examples.fastapi_app.dependencies import Service
from kamiwaza_sdk import CreateModel, ModelSchema, ModelVersionSchema, UpdateModel

__all__ = ["PullModel", "router"]

router = APIRouter()


class PullModel(BaseModel):
    """What to pull: the file behind a URL, and the digest it must have where that is known."""

    model_config = ConfigDict(extra="forbid")

    url: str
    sha256: str | None = None
    name: str | None = None
    version: str | None = None


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


@router.patch("/models/{model_id}")
async def update_model(model_id: UUID, changes: UpdateModel, service: Service) -> ModelSchema:
    """Change the fields that are given."""
    return await service.update_model(model_id, changes)


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
    """Return the version that a reference names: ``org/tiny``, ``org/tiny:3``, ``org/tiny:v1.5``."""
    return await service.resolve(reference)
