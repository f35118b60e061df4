"""The filter itself."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, NoReturn, Self

from pydantic import ConfigDict, GetJsonSchemaHandler, PlainSerializer, PlainValidator, RootModel, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema, from_json

from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.filters.forms import form, schema_of_form
from kamiwaza_sdk.services.model.schemas.filters.nodes import MAX_FILTER_DEPTH, Group, Negation, Node, Word
from kamiwaza_sdk.services.model.schemas.filters.reading import read

__all__ = ["Filter"]


def _validated(given: object) -> Node:
    """Read a filter for Pydantic, whose errors say where by a `loc` of their own."""
    try:
        return read(given)
    except InvalidFilterException as error:
        loc = tuple(int(part) if part.isdigit() else part for part in error.place.split(".") if part)
        kind = PydanticCustomError("invalid_filter", "{reason}", {"reason": error.reason, "error": error})
        # Without the input: it may nest too deep for whoever prints the error.
        details = InitErrorDetails(type=kind, loc=loc, input=None)
        raise ValidationError.from_exception_data("Filter", [details]) from error


#: Its JSON Schema is said below. That it holds filters is said here, or Pydantic would give it no name to refer to.
_Root = Annotated[Node, PlainValidator(_validated, json_schema_input_type=list["Filter"]), PlainSerializer(form)]


class Filter(RootModel[_Root]):
    """What models or versions are to be like: conditions, joined by ``&`` (and), ``|`` (or) and ``~`` (not).

    A condition comes from `Field`. What is not there is unequal to everything, so that ``~f`` chooses exactly what
    ``f`` does not. A filter is immutable, hashable, and may have 100 conditions, 16 levels and 10,000 values.

    As a Pydantic model it has a small JSON form, which ``model_dump_json()`` writes and a request body may hold::

        {"and": [{"field": "task", "op": "eq", "value": "embedding"}, {"tag": "lang", "op": "in", "value": ["en"]}]}
        {"or": [{"alias": "production"}, {"not": {"field": "license", "op": "is_none"}}]}

    Constructed or parsed it is refused with `InvalidFilterException`; by ``model_validate()`` and in other models with
    Pydantic's ``ValidationError``, whose ``loc`` says the same place.

    Raises:
        InvalidFilterException: It is no filter, or has more than it may.

    Example:
        >>> chosen = (Field.task == "embedding") & Field.tag("lang").in_(["en", "ja"]) | ~Field.alias("production")
        >>> Filter.model_validate_json(chosen.model_dump_json()) == chosen
        True
        >>> Field.size <= 2**30
        Filter({'field': 'size', 'op': 'le', 'value': 1073741824})
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, hide_input_in_errors=True)

    def __init__(self, root: object) -> None:
        try:
            super().__init__(root)  # type: ignore[arg-type]  # what it is given is what validation is for
        except ValidationError as error:
            raise _translated(error) from None

    # As RootModel's own: or Pydantic would call it for a filter in another model, and lose where in it the fault is.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # a function may have any attribute

    @classmethod
    def parse(cls, given: "str | bytes | Mapping[str, Any] | Filter") -> Self:  # Any: JSON's values
        """Return the filter that JSON text, or an object as JSON has it, stands for. A filter is checked once more.

        Args:
            given: The text, or the object.

        Raises:
            InvalidFilterException: It is no filter; ``place`` says where.

        Example:
            >>> Filter.parse('{"field": "task", "op": "eq", "value": "embedding"}') == (Field.task == "embedding")
            True
        """
        return cls(_from_text(given) if isinstance(given, str | bytes) else given)

    def __and__(self, other: "Filter") -> "Filter":
        """Return the filter that chooses what both choose."""
        return self._joined("and", other)

    def __or__(self, other: "Filter") -> "Filter":
        """Return the filter that chooses what either chooses."""
        return self._joined("or", other)

    def __invert__(self) -> "Filter":
        """Return the filter that chooses all the others."""
        return Filter(self.root.part if isinstance(self.root, Negation) else Negation(self.root))

    def __bool__(self) -> NoReturn:
        """Refuse to be true or false: ``and``, ``or`` and ``not`` would drop a part without a word."""
        reason = "is neither true nor false; join filters with & | ~ instead of and, or, not, and ask for None by 'is'"
        raise InvalidFilterException("", reason)

    def _joined(self, word: Word, other: object) -> "Filter":
        if not isinstance(other, Filter):
            return NotImplemented  # type: ignore[no-any-return]  # what Python takes for "ask the other", then raises
        parts = [
            part
            for node in (self.root, other.root)
            for part in (node.parts if isinstance(node, Group) and node.word == word else (node,))
        ]
        return Filter(Group(word, tuple(parts)))

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        yield None, form(self.root)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say what the JSON form is like, which refers to itself."""
        return schema_of_form(handler(core_schema.definition_reference_schema(schema["ref"])))


def _from_text(text: str | bytes) -> object:
    try:
        return from_json(text)
    except ValueError as error:
        too_deep = f"nests deeper than the limit of {MAX_FILTER_DEPTH}; flatten it"
        reason = too_deep if "recursion limit" in str(error) else f"is no JSON: {error}"
        raise InvalidFilterException("", reason) from error


def _translated(error: ValidationError) -> InvalidFilterException:
    """Return our own error, which Pydantic's was made of."""
    original = error.errors(include_url=False)[0]["ctx"]["error"]
    assert isinstance(original, InvalidFilterException)
    return original
