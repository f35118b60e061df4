"""What schemas of changes share: they hold what was given, and nothing else, in JSON too."""

from typing import Any, TypeVar

from pydantic import SerializerFunctionWrapHandler, model_serializer

from kamiwaza_sdk._validation import InputSchema
from kamiwaza_sdk.exceptions import InvalidInputException

__all__ = ["UpdateSchema", "required"]

_Value = TypeVar("_Value")


class UpdateSchema(InputSchema):
    """Base of changes: a field that was not given is not dumped, or reading the dump back would clear it."""

    @model_serializer(mode="wrap")
    def _only_given(
        self, handler: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:  # Any: the values of several fields
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}

    def changes(self) -> dict[str, Any]:  # Any: as above
        """Return only the fields that were given, `None` included."""
        return self.model_dump()


def required(value: _Value) -> _Value:
    """Return a value, or refuse that there is none."""
    if value is None:
        raise InvalidInputException("value", "cannot be cleared; leave it out to keep what it is")
    return value
