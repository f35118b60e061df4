"""What models and versions are chosen by: conditions, and what joins them."""

from kamiwaza_sdk.services.model.schemas.filters.checks import (
    MAX_FILTER_CONDITIONS,
    MAX_FILTER_DEPTH,
    MAX_FILTER_VALUES,
    MAX_IN_VALUES,
)
from kamiwaza_sdk.services.model.schemas.filters.expression import Filter
from kamiwaza_sdk.services.model.schemas.filters.fields import Field

__all__ = [
    "MAX_FILTER_CONDITIONS",
    "MAX_FILTER_DEPTH",
    "MAX_FILTER_VALUES",
    "MAX_IN_VALUES",
    "Field",
    "Filter",
]
