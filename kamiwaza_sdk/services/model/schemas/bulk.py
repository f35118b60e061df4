"""What a bulk creation comes to."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from kamiwaza_sdk.services.model.schemas.model import ModelSchema

__all__ = ["BulkResult"]


class BulkResult(BaseModel):
    """What became of the models that were given to `ModelService.create_models`.

    Attributes:
        created: How many are new.
        updated: How many existed, and were changed.
        skipped: How many existed, and are as they were.
        models: All of these in the order given, where they were asked for.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, defer_build=True)

    created: int = 0
    updated: int = 0
    skipped: int = 0
    models: tuple[ModelSchema, ...] = ()
