"""What conditions begin with: fields, each with the comparisons that fit its type."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, Generic, NoReturn, TypeVar

from kamiwaza_sdk._validation import suggestion
from kamiwaza_sdk.services.model.exceptions import InvalidFilterException
from kamiwaza_sdk.services.model.schemas.filters.checks import (
    FIELDS,
    MISSING,
    checked_alias,
    checked_attribute,
    checked_condition,
    checked_tag,
)
from kamiwaza_sdk.services.model.schemas.filters.expression import Filter

_T = TypeVar("_T")


class _Comparable(Generic[_T]):  # noqa: PLW1641 - it has no hash, as what == makes is no answer
    """What can be compared at all."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _is(self, op: str, value: object = MISSING) -> Filter:
        return Filter(checked_condition(self._name, op, value))

    def __eq__(self, value: _T) -> Filter:  # type: ignore[override]  # a condition, where object's is an answer
        return self._is("eq", value)

    def __ne__(self, value: _T) -> Filter:  # type: ignore[override]  # as above
        return self._is("ne", value)

    def __repr__(self) -> str:
        return f"Field.{self._name}"

    def __bool__(self) -> NoReturn:
        """Refuse to be true or false, as `Filter` does."""
        raise InvalidFilterException("", f"has {self!r} where a condition goes; compare it: {self!r} == …")

    if not TYPE_CHECKING:  # type checkers say as much before it runs

        def _refuse(self, other: object = None) -> NoReturn:
            """Explain what ``Field.task == "a" & Field.hub == "b"`` comes to, as & and | bind before ==."""
            reason = f"joins {self!r} itself; compare it first, in parentheses: ({self!r} == …) & …"
            raise InvalidFilterException("", reason)

        __and__ = __rand__ = __or__ = __ror__ = __invert__ = _refuse


class BooleanField(_Comparable[bool]):
    """True or false: ``==`` and ``!=``."""


class _Listed(_Comparable[_T]):
    """What can be one of several."""

    def in_(self, values: Iterable[_T]) -> Filter:
        """Return the condition of being one of 1 to 1,000 values."""
        return self._is("in", values)


class _Ordered(_Listed[_T]):
    """What comes before or after."""

    def __lt__(self, value: _T) -> Filter:
        return self._is("lt", value)

    def __le__(self, value: _T) -> Filter:
        return self._is("le", value)

    def __gt__(self, value: _T) -> Filter:
        return self._is("gt", value)

    def __ge__(self, value: _T) -> Filter:
        return self._is("ge", value)


class _Text(_Comparable[str]):
    """What has a beginning and a middle."""

    def startswith(self, prefix: str) -> Filter:
        """Return the condition of beginning with a text, upper and lower case told apart."""
        return self._is("startswith", prefix)

    def contains(self, text: str) -> Filter:
        """Return the condition of holding a text anywhere, upper and lower case told apart."""
        return self._is("contains", text)


class _Optional(_Comparable[_T]):
    """What there may be none of."""

    def is_none(self) -> Filter:
        """Return the condition of there being none."""
        return self._is("is_none")


class TextField(_Ordered[str], _Text):
    """A text: ``==  !=  <  <=  >  >=``, ``in_(texts)``, ``startswith(text)`` and ``contains(text)``."""


class OptionalTextField(TextField, _Optional[str]):
    """A text that there may be none of: as `TextField`, and ``is_none()``."""


class NumberField(_Ordered[int]):
    """An integer: ``==  !=  <  <=  >  >=`` and ``in_(integers)``."""


class OptionalNumberField(NumberField, _Optional[int]):
    """An integer that there may be none of: as `NumberField`, and ``is_none()``."""


class MomentField(_Ordered[datetime]):
    """A moment, which has a time zone: ``==  !=  <  <=  >  >=`` and ``in_(moments)``."""


class OptionalMomentField(MomentField, _Optional[datetime]):
    """A moment that there may be none of: as `MomentField`, and ``is_none()``."""


class TagField(_Listed[str], _Text):
    """The value of a tag: ``==  !=``, ``in_(texts)``, ``startswith(text)``, ``contains(text)`` and ``exists()``."""

    def __init__(self, key: str) -> None:
        super().__init__(checked_tag(key, "exists").tag)

    def _is(self, op: str, value: object = MISSING) -> Filter:
        return Filter(checked_tag(self._name, op, value))

    def exists(self) -> Filter:
        """Return the condition of there being such a tag, whatever its value."""
        return self._is("exists")

    def __repr__(self) -> str:
        return f"Field.tag({self._name!r})"


class AttributeField(_Ordered[str | int | float]):
    """An attribute: ``==  !=  <  <=  >  >=``, ``in_(values)``, ``startswith(text)``, ``contains(text)``, ``exists()``.

    It is compared with a text, a number, true or false. Values of different kinds are unequal, and none comes before
    the other. An object, a list and null equal nothing.
    """

    def __init__(self, path: str | tuple[str, ...]) -> None:
        checked_attribute(path, "exists")  # or the error would come only once it is compared
        super().__init__(f"attributes[{path!r}]")
        self._path = path

    def startswith(self, prefix: str) -> Filter:
        """Return the condition of being a text that begins with another."""
        return self._is("startswith", prefix)

    def contains(self, text: str) -> Filter:
        """Return the condition of being a text that holds another anywhere."""
        return self._is("contains", text)

    def _is(self, op: str, value: object = MISSING) -> Filter:
        return Filter(checked_attribute(self._path, op, value))

    def exists(self) -> Filter:
        """Return the condition that it is there, null too."""
        return self._is("exists")


class Attributes:
    """The attributes of what is chosen, a model or a version, by the keys that lead to each. No index serves them.

    Example:
        >>> Field.attributes["eval.score"] >= 0.8
        Filter({'attribute': 'eval.score', 'op': 'ge', 'value': 0.8})
        >>> Field.attributes["paper", "arxiv.org"] == "2407.21783"  # where a key has a dot
        Filter({'attribute': ['paper', 'arxiv.org'], 'op': 'eq', 'value': '2407.21783'})
    """

    def __getitem__(self, path: str | tuple[str, ...]) -> AttributeField:
        """Return the attribute that some keys lead to, which are at most 16.

        Raises:
            InvalidFilterException: They are no keys.
        """
        return AttributeField(path)

    def __repr__(self) -> str:
        return "Field.attributes"


class _Suggesting(type):
    """Lets a class say what a name that it does not have may have been meant to be."""

    if not TYPE_CHECKING:  # or every name would do

        def __getattr__(cls, name: str) -> NoReturn:
            known = "" if name.startswith("_") else f"; {suggestion(name, (*FIELDS, 'attributes', 'tag', 'alias'))}"
            raise AttributeError(f"{cls.__name__} has no attribute {name!r}{known}", name=name, obj=cls)


class Field(metaclass=_Suggesting):
    """What a condition of a `Filter` begins with: a field of models or of versions, a tag, or an alias.

    Where models are chosen, the fields of versions are those of a model's latest version: the one with the highest
    number of those that are ready. A model that has none has none of these values. Tags, attributes and aliases are
    the model's. Where versions are chosen, the fields of models are those of the version's model. Tags, attributes and
    aliases are its own.

    Texts are told apart by upper and lower case, and ordered by code points.

    Attributes:
        name: Of models, as all down to `updated_at`.
        family: May be none, as all that follow down to `license`.
        task: Such as "text-generation".
        author: Who made it.
        hub: Such as "huggingface".
        source_repository: Its repository or address there.
        description: What it is.
        license: Such as "apache-2.0".
        private: True or false.
        revision: How often it was changed.
        created_at: When the model was created.
        updated_at: When the model was last changed.
        number: Of versions, as all that follow. There may be none where models are chosen.
        version: The label.
        source_revision: Such as a commit.
        digest: That of the version's manifest.
        size: In bytes.
        status: Such as "ready".
        format: Such as "safetensors".
        parameters: How many.
        architecture: Such as "LlamaForCausalLM".
        quantization: Such as "Q4_K".
        context_length: In tokens.
        source: Where the version came from.
        version_hub: Where the version was published; `hub` is the model's.
        version_source_repository: The version's repository there.
        version_description: What is particular about the version.
        version_revision: How often the version was changed.
        version_created_at: When the version was created.
        version_updated_at: When the version was last changed.
        attributes: What users note: ``Field.attributes["eval.score"] > 0.8``, or by several keys
            where one has a dot, ``Field.attributes["paper", "arxiv.org"]``.

    Raises:
        InvalidFilterException: A value does not fit, or is `None`, which ``is_none()`` asks for.
        AttributeError: There is no such field; the message names the closest.

    Example:
        >>> small = (Field.task == "embedding") & (Field.parameters < 1_000_000_000)
        >>> small.model_dump_json()
        '{"and":[{"field":"task","op":"eq","value":"embedding"},{"field":"parameters","op":"lt","value":1000000000}]}'
    """

    name: Final = TextField("name")
    family: Final = OptionalTextField("family")
    task: Final = OptionalTextField("task")
    author: Final = OptionalTextField("author")
    hub: Final = OptionalTextField("hub")
    source_repository: Final = OptionalTextField("source_repository")
    description: Final = OptionalTextField("description")
    license: Final = OptionalTextField("license")
    private: Final = BooleanField("private")
    revision: Final = NumberField("revision")
    created_at: Final = MomentField("created_at")
    updated_at: Final = MomentField("updated_at")

    number: Final = OptionalNumberField("number")
    version: Final = OptionalTextField("version")
    source_revision: Final = OptionalTextField("source_revision")
    digest: Final = OptionalTextField("digest")
    size: Final = OptionalNumberField("size")
    status: Final = OptionalTextField("status")
    format: Final = OptionalTextField("format")
    parameters: Final = OptionalNumberField("parameters")
    architecture: Final = OptionalTextField("architecture")
    quantization: Final = OptionalTextField("quantization")
    context_length: Final = OptionalNumberField("context_length")
    source: Final = OptionalTextField("source")
    version_hub: Final = OptionalTextField("version_hub")
    version_source_repository: Final = OptionalTextField("version_source_repository")
    version_description: Final = OptionalTextField("version_description")
    version_revision: Final = OptionalNumberField("version_revision")
    version_created_at: Final = OptionalMomentField("version_created_at")
    version_updated_at: Final = OptionalMomentField("version_updated_at")

    attributes: Final = Attributes()

    @staticmethod
    def tag(key: str) -> TagField:
        """Return the tag of a key.

        Raises:
            InvalidFilterException: No tag can have that key.

        Example:
            >>> Field.tag("lang") == "en"
            Filter({'tag': 'lang', 'op': 'eq', 'value': 'en'})
        """
        return TagField(key)

    @staticmethod
    def alias(name: str) -> Filter:
        """Return the condition of having an alias, or where versions are chosen, of being what it leads to.

        Raises:
            InvalidFilterException: No alias can have that name.

        Example:
            >>> Field.alias("production")
            Filter({'alias': 'production'})
        """
        return Filter(checked_alias(name))
