"""Filter expressions: combined, read from JSON, and written to it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, Self, TypeAlias

from pydantic import ConfigDict, GetJsonSchemaHandler, PlainSerializer, PlainValidator, RootModel, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema, from_json

from kamiwaza_sdk._validation import MAX_NAME_LENGTH, shown, suggestion
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.filters.checks import (
    ATTRIBUTE,
    BOOLEAN,
    FIELDS,
    INTEGER,
    MAX_FILTER_CONDITIONS,
    MAX_FILTER_DEPTH,
    MAX_FILTER_VALUES,
    MAX_IN_VALUES,
    MISSING,
    MOMENT,
    TAG,
    TEXT,
    WITHOUT_VALUE,
    AliasCondition,
    AttributeCondition,
    Condition,
    Group,
    Kind,
    Leaf,
    Negation,
    Node,
    Scalar,
    TagCondition,
    Value,
    Word,
    checked_alias,
    checked_attribute,
    checked_condition,
    checked_tag,
    inner,
)

_JSON: TypeAlias = dict[str, Any]  # Any: a JSON object, of which each key has its own type

_PATH: Final[_JSON] = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_NAME: Final[_JSON] = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_LENGTH}


def form(node: Node) -> _JSON:
    """Return a node as what JSON has, but for moments, which whoever writes JSON writes in ISO 8601."""
    match node:
        case Group(word, parts):
            return {word: [form(part) for part in parts]}
        case Negation(part):
            return {"not": form(part)}
        case AliasCondition(alias):
            return {"alias": alias}
        case AttributeCondition(path, op, value):
            return {"attribute": _path(path), "op": op} | _value(value)
        case TagCondition(tag, op, value):
            return {"tag": tag, "op": op} | _value(value)
        case Condition(field, op, value):
            return {"field": field, "op": op} | _value(value)


def _path(keys: tuple[str, ...]) -> str | list[str]:
    return list(keys) if any("." in key for key in keys) else ".".join(keys)


def _value(value: Value) -> dict[str, Scalar | list[Scalar]]:
    if value is None:
        return {}
    return {"value": list(value) if isinstance(value, tuple) else value}


def schema_of_form(this: _JSON) -> _JSON:
    """Return the JSON Schema of a filter. How deep one may nest is more than it can say.

    Args:
        this: What refers to the schema itself: ``{"$ref": …}``.
    """
    parts = {"type": "array", "items": this, "minItems": 1, "maxItems": MAX_FILTER_CONDITIONS}
    groups = [_object(**{"and": parts}), _object(**{"or": parts}), _object(**{"not": this})]
    fields = [schema for kind in (TEXT, INTEGER, MOMENT, BOOLEAN) for schema in _fields_of(kind)]
    tags = _conditions({"tag": _NAME}, TAG)
    attributes = _conditions({"attribute": _PATH}, ATTRIBUTE)
    return {"title": "Filter", "oneOf": [*groups, *fields, *tags, *attributes, _object(alias=_NAME)]}


def _fields_of(kind: Kind) -> list[_JSON]:
    names = [name for name, info in FIELDS.items() if info.kind is kind]
    optional = [name for name in names if FIELDS[name].optional]
    conditions = _conditions({"field": {"enum": names}}, kind)
    return [*conditions, *([_object(field={"enum": optional}, op={"const": "is_none"})] if optional else [])]


def _conditions(subject: _JSON, kind: Kind) -> list[_JSON]:
    """Return one schema for the comparisons that take a value, one for ``in``, and one for those that take none."""
    value = dict(kind.schema)
    values = {"type": "array", "items": value, "minItems": 1, "maxItems": MAX_IN_VALUES}
    single = [op for op in kind.operators if op not in WITHOUT_VALUE and op != "in"]
    schemas = [_object(**subject, op={"enum": single}, value=value)]
    if "in" in kind.operators:
        schemas.append(_object(**subject, op={"const": "in"}, value=values))
    return schemas + [_object(**subject, op={"const": op}) for op in kind.operators if op in WITHOUT_VALUE]


def _object(**properties: _JSON) -> _JSON:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_Object: TypeAlias = Mapping[object, object]
_Form: TypeAlias = Literal[Word, "not", "field", "tag", "attribute", "alias"]

#: Which keys go together: the first of each says what it is.
_FORMS: Final[Mapping[_Form, tuple[str, ...]]] = {
    "and": ("and",),
    "or": ("or",),
    "not": ("not",),
    "field": ("field", "op", "value"),
    "tag": ("tag", "op", "value"),
    "attribute": ("attribute", "op", "value"),
    "alias": ("alias",),
}
_EVERY_KEY: Final = ("and", "or", "not", "field", "tag", "attribute", "alias", "op", "value")


def read(given: object) -> Node:
    """Return the filter that an object of the JSON form, a filter or a node is, or raise `InvalidFilterException`.

    It never looks deeper, nor at more conditions, than a filter may have, whatever is given, one that holds itself too.
    """
    return _Reader().read(given, "", 1)


class _Reader:
    """Reads one filter, and counts what it has."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0

    def read(self, given: object, place: str, depth: int) -> Node:
        if depth > MAX_FILTER_DEPTH:
            raise InvalidFilterException(place, f"nests deeper than the limit of {MAX_FILTER_DEPTH}; flatten it")
        node = given.root if isinstance(given, RootModel) else given
        match node:
            case Condition() | TagCondition() | AttributeCondition() | AliasCondition():
                return self._counted(node, place)
            case Negation(part):
                return self._negation(part, place, depth)
            case Group(word, parts):
                return self._group(word, parts, place, depth)
            case Mapping():
                return self._object(node, place, depth)
        raise InvalidFilterException(place, f"must be an object such as {{'field': …}}, not {shown(node)}")

    def _object(self, given: _Object, place: str, depth: int) -> Node:
        match _form_of(given, place):
            case "and" | "or" as word:
                return self._group(word, given[word], place, depth)
            case "not":
                return self._negation(given["not"], place, depth)
            case form:
                return self._counted(_leaf(form, given, place), place)

    def _negation(self, part: object, place: str, depth: int) -> Negation:
        return Negation(self.read(part, inner(place, "not"), depth + 1))

    def _group(self, word: Word, parts: object, place: str, depth: int) -> Group:
        place = inner(place, word)
        if not isinstance(parts, Sequence) or isinstance(parts, str | bytes):
            raise InvalidFilterException(place, f"must be a list of filters, not {shown(parts)}")
        if not parts:
            raise InvalidFilterException(place, "is empty, which could mean everything or nothing; give one at least")
        return Group(word, tuple(self.read(part, inner(place, index), depth + 1) for index, part in enumerate(parts)))

    def _counted(self, leaf: Leaf, place: str) -> Leaf:
        self._conditions += 1
        if self._conditions > MAX_FILTER_CONDITIONS:
            reason = f"is one condition over the limit of {MAX_FILTER_CONDITIONS}; 'in' takes many values in one"
            raise InvalidFilterException(place, reason)
        self._values += _number_of_values(leaf)
        if self._values > MAX_FILTER_VALUES:
            reason = f"takes the filter's values over the limit of {MAX_FILTER_VALUES} in all; ask in several filters"
            raise InvalidFilterException(place, reason)
        return leaf


def _number_of_values(leaf: Leaf) -> int:
    if isinstance(leaf, AliasCondition):
        return 1
    return len(leaf.value) if isinstance(leaf.value, tuple) else int(leaf.value is not None)


def _leaf(form: Literal["field", "tag", "attribute", "alias"], given: _Object, place: str) -> Leaf:
    if form == "alias":
        return checked_alias(given["alias"], place=place)
    op, value = given.get("op", MISSING), given.get("value", MISSING)
    if form == "tag":
        return checked_tag(given["tag"], op, value, place=place)
    if form == "attribute":
        return checked_attribute(given["attribute"], op, value, place=place)
    return checked_condition(given["field"], op, value, place=place)


def _form_of(given: _Object, place: str) -> _Form:
    """Return the one key that says what an object is, or refuse one that has none, several, or others beside it."""
    forms = [form for form in _FORMS if form in given]
    if len(forms) == 1 and all(key in _FORMS[forms[0]] for key in given):
        return forms[0]
    for key in given:
        if key not in _EVERY_KEY:
            reason = f"has {shown(key)}, which is no key of a filter; {suggestion(key, _EVERY_KEY)}"
            raise InvalidFilterException(place, reason)
    found = ", ".join(map(str, given)) or "no keys"
    known = ", ".join("/".join(keys) for keys in _FORMS.values())
    raise InvalidFilterException(place, f"has {found}; it takes the keys of one of these: {known}")


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
