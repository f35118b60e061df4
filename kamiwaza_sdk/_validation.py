"""What names, texts, paths and digests may look like: the rules every service shares, as Pydantic types."""

import os
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import SchemaValidator

from kamiwaza_sdk._addresses import kept_address
from kamiwaza_sdk._display import Displayed
from kamiwaza_sdk.exceptions import InvalidInputException, InvalidPathException, ServiceException

#: The longest address of a source that is kept.
MAX_ADDRESS_LENGTH: Final = 2048
#: How many files one version may have: what one holds in memory.
MAX_FILES: Final = 10_000
MAX_NAME_LENGTH: Final = 255
#: In UTF-8, as the others that an index of PostgreSQL's has to hold.
MAX_PATH_LENGTH: Final = 1024
#: In UTF-8.
MAX_SEGMENT_LENGTH: Final = 255
#: The largest integer that both databases hold.
MAX_SIZE: Final = 2**63 - 1

_FORBIDDEN_IN_NAMES: Final = re.compile(r'[:@\\?#%*<>|"]')
#: Names and paths as most are, which need no closer look: no characters but these, no segment that begins with a dot.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_+=,-][A-Za-z0-9._+=,-]*(?:/[A-Za-z0-9_+=,-][A-Za-z0-9._+=,-]*)*")
_Given = TypeVar("_Given")
#: A longer name is no slip of the fingers, and takes long to compare.
_LONGEST_GUESSED: Final = 64
_FRACTION_OF_A_BYTE: Final = re.compile(r"\s*\d*\.\d*[1-9]\d*\s*[bB]?\s*")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def shown(value: object, *, limit: int = 80) -> str:
    """Return `value` as a short literal that is safe to print, whatever it contains."""
    literal = ascii(value) if isinstance(value, str | bytes | float | None) else type(value).__name__
    return literal if len(literal) <= limit else f"{literal[:limit]}… ({len(literal)} characters)"


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return the question what was meant by a name, or which there are."""
    from difflib import get_close_matches  # of use only where something is wrong

    names = list(known)
    close = get_close_matches(name, names, n=1) if isinstance(name, str) and len(name) <= _LONGEST_GUESSED else []
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"


def check_text(value: str, *, field: str = "text") -> str:
    """Return `value`, or refuse what PostgreSQL cannot hold: NUL and lone surrogates."""
    if not isinstance(value, str):
        raise InvalidInputException(field, f"must be text, not {shown(value)}; decode or convert it first")
    if "\0" in value:
        raise InvalidInputException(field, "contains NUL, which databases cannot hold; remove it")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputException(field, "contains a lone surrogate, which is not text; decode it properly first")
    return value


def _segment_problem(segment: str) -> str | None:
    if segment in {"", ".", ".."}:
        return "has an empty, '.' or '..' segment; write it without a leading, trailing or double slash, or dots"
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in segment):
        return "contains a control character or a lone surrogate; remove it"
    return None


def _name_problem(value: str) -> str | None:
    if len(value) > MAX_NAME_LENGTH:
        return f"has {len(value)} characters, over the limit of {MAX_NAME_LENGTH}; shorten it"
    if value != value.strip():
        return "begins or ends with white space; strip it"
    if match := _FORBIDDEN_IN_NAMES.search(value):
        return f"contains {match[0]!r}; letters, digits, '-', '_', '.', ' ' and the like are allowed"
    return next(filter(None, map(_segment_problem, value.split("/"))), None)


def check_name(value: str, *, field: str = "name") -> str:
    r"""Return a model's name in Unicode normal form C, or raise `InvalidInputException`.

    A name has 1 to 255 characters in segments separated by ``/``, as in ``org/model``. A reference string must be able
    to carry it, and any file system: no ``: @ \ ? # % * < > | "``, no control characters, no ``.`` or ``..`` segment.
    """
    if not isinstance(value, str):
        raise InvalidInputException(field, f"must be text, not {shown(value)}; decode or convert it first")
    if len(value) <= MAX_NAME_LENGTH and _PLAIN.fullmatch(value):
        return value
    normal = unicodedata.normalize("NFC", value)  # first: it can be longer
    if problem := _name_problem(normal):
        raise InvalidInputException(field, f"{shown(value)} {problem}", value=value)
    return normal


def _check_single(value: str, field: str) -> str:
    name = check_name(value, field=field)
    if "/" in name:
        raise InvalidInputException(field, f"{shown(value)} contains '/'; use one segment", value=value)
    return name


def check_namespace(value: str) -> str:
    """Return a namespace, or raise `InvalidInputException`: the rules of a name, in one segment."""
    return _check_single(value, "namespace")


def check_label(value: str) -> str:
    """Return a version's label, or raise `InvalidInputException`: the rules of a name, in one segment."""
    return _check_single(value, "version")


def check_path(value: str, *, field: str = "path") -> str:
    """Return a file's POSIX path relative to its model's root, or raise `InvalidPathException`."""
    if len(value) <= MAX_SEGMENT_LENGTH and _PLAIN.fullmatch(value):
        return value
    problem = (
        f"has more than the limit of {MAX_PATH_LENGTH} bytes in UTF-8; shorten it"
        if len(value.encode(errors="surrogatepass")) > MAX_PATH_LENGTH
        else "contains a backslash; separate segments with '/'"
        if "\\" in value
        else f"has a segment over the {MAX_SEGMENT_LENGTH} bytes that file systems allow; shorten it"
        if any(len(segment.encode(errors="surrogatepass")) > MAX_SEGMENT_LENGTH for segment in value.split("/"))
        else next(filter(None, map(_segment_problem, value.split("/"))), None)
    )
    if problem:
        raise InvalidPathException(field, f"{shown(value)} {problem}", value=value)
    return value


def folded(path: str) -> str:
    """Return what is equal for paths that some file systems, APFS and NTFS, hold to be equal (Unicode 3.13, D145)."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def check_layout(paths: Iterable[str], *, field: str = "files") -> None:
    """Raise `InvalidPathException` unless files of these paths can stand beside each other in any directory."""
    files = dict[str, str]()
    for path in paths:
        key = folded(path)
        if (other := files.get(key)) is not None:
            reason = f"name {shown(other)} and {shown(path)}, which can be one file; give each a path of its own"
            raise InvalidPathException(field, reason, value=path)
        files[key] = path
    folders = {""}  # of files, not those above them: these can be hundreds for each file
    for key, path in files.items():
        folder = key.rpartition("/")[0]
        if folder in folders:
            continue
        folders.add(folder)
        while folder:
            if folder in files:
                reason = f"name {shown(files[folder])} as a file and as a directory; rename one"
                raise InvalidPathException(field, reason, value=path)
            folder = folder.rpartition("/")[0]


def check_count(value: int, *, field: str, least: int = 0) -> int:
    """Return `value`, or refuse what is no number of bytes."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        # Python refuses to write out what has thousands of digits.
        given = str(value) if type(value) is int and value >= -MAX_SIZE else shown(value)
        raise InvalidInputException(field, f"is {given}; give a whole number of bytes, {least} or more")
    return value


def check_place(value: str | os.PathLike[str], *, field: str) -> Path:
    """Return where something is, or is to be, on this machine; refuse what no file system could be asked for."""
    try:
        path = value if isinstance(value, Path) else Path(value)
        if b"\0" not in os.fsencode(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass  # refused below, as what has NUL in it
    raise InvalidInputException(field, f"must be a path on this machine, not {shown(value)}; give text or a Path")


def check_given(value: _Given, kind: type, *, field: str, way_out: str) -> _Given:
    """Return what a service is made with: `None`, or an instance of `kind`; refuse all else before it is used."""
    if value is not None and not isinstance(value, kind):
        raise InvalidInputException(field, f"must be a {kind.__name__}, not {shown(value)}; {way_out}")
    return value


def check_sha256(value: str, *, field: str = "sha256") -> str:
    """Return a SHA-256 digest as 64 lower-case hexadecimal digits, or raise `InvalidInputException`."""
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return value
    digest = value.lower().removeprefix("sha256:") if isinstance(value, str) else ""
    if not _SHA256.fullmatch(digest):
        raise InvalidInputException(field, f"{shown(value)} is no SHA-256 digest; give 64 hexadecimal digits")
    return digest


ModelName = Annotated[str, AfterValidator(check_name)]
FilePath = Annotated[str, AfterValidator(check_path)]
Sha256 = Annotated[str, AfterValidator(check_sha256)]
#: An address without its secrets.
KeptAddress = Annotated[
    str, AfterValidator(kept_address), StringConstraints(max_length=MAX_ADDRESS_LENGTH), AfterValidator(check_text)
]
Text = Annotated[str, StringConstraints(max_length=100_000), AfterValidator(check_text)]


class InputSchema(Displayed, BaseModel):
    """Base of what callers give: immutable, no unknown fields, refused with our own errors when constructed.

    Nested in another model (a request body, say), it takes part in that model's `pydantic.ValidationError` as usual.
    """

    # Built at once, unlike what is returned: FastAPI must see how a request body is made before the first request.
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    def __init__(self, **data: Any) -> None:  # Any: what callers give is what validation is for
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise (_unknown_field(type(self), error) or translated(error)) from None


def _unknown_field(kind: type[BaseModel], error: ValidationError) -> InvalidInputException | None:
    """Return what is wrong where a field is none of `kind`: that goes before the one it was perhaps meant to be."""
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
            name = str(problem["loc"][0])
            reason = f"is no field of {kind.__name__}; {suggestion(name, kind.model_fields)}"
            return InvalidInputException(name, reason)
    return None


_Input = TypeVar("_Input", bound=InputSchema)
_set: Final = object.__setattr__


def revalidated(value: _Input, kind: type[_Input], field: str, *, only_given: bool = False) -> _Input:
    """Return what was given to a service, validated once more: ``model_copy`` and ``model_construct`` skip that.

    Raises:
        InvalidInputException: It is no `kind`, or does not hold what that promises.
    """
    if not isinstance(value, kind):
        raise InvalidInputException(field, f"must be a {kind.__name__}, not {shown(value)}; construct one")
    return kind(**value.model_dump(exclude_unset=only_given, warnings=False))


def revalidated_quickly(value: _Input, kind: type[_Input], field: str) -> _Input:
    """Do what `revalidated` does where there are many: what is as it should be is returned itself.

    Raises:
        InvalidInputException: It is no `kind`, or does not hold what that promises.
    """
    if not isinstance(value, kind):
        raise InvalidInputException(field, f"must be a {kind.__name__}, not {shown(value)}; construct one")
    try:
        checked = _checker(kind).validate_python(value.__dict__)
    except ValidationError as error:
        raise translated(error) from None
    if checked.__dict__ == value.__dict__ and _types(checked) == _types(value):  # 1 is equal to True
        return value
    # Frozen, but ours: it is to say what was given, not what was validated.
    object.__setattr__(checked, "__pydantic_fields_set__", value.model_fields_set)
    return cast("_Input", checked)  # cast: the validator is one of `kind`


def constructed(kind: type[_Input], fields: dict[str, object], given: set[str]) -> _Input:
    """Do what ``model_construct`` does, in a fifth of its time, where there are many.

    Args:
        kind: A schema without private attributes.
        fields: All of its fields, in their order, each of them acceptable; nobody else holds this dictionary.
        given: The names of those that were not left to their defaults.
    """
    made = kind.__new__(kind)
    _set(made, "__dict__", fields)
    _set(made, "__pydantic_fields_set__", given)
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


def _types(value: InputSchema) -> list[type]:
    return [*map(type, value.__dict__.values())]


@cache
def _checker(kind: type[InputSchema]) -> SchemaValidator:
    """Return what validates the fields of a schema, without making one by its constructor."""
    return SchemaValidator({**cast("Any", kind.__pydantic_core_schema__), "custom_init": False})  # Any: Pydantic's own


def translated(error: ValidationError) -> ServiceException:
    """Return the first problem as one of ours: the original where our own check raised it.

    To be raised ``from None``: Pydantic's error holds ours, which must not hold it in turn, or neither can be pickled.
    """
    problem = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in problem["loc"]]
    original = problem.get("ctx", {}).get("error")
    if type(original) is InvalidInputException and place:
        # The check could not know where the value stands.
        inner = [] if original.field in {place[-1], "text", "value"} else [original.field]
        return InvalidInputException(".".join(place + inner), original.reason, value=original.value)
    if isinstance(original, ServiceException):
        return original
    return InvalidInputException(".".join(place) or error.title, f"is not acceptable: {problem['msg']}")


@cache
def _byte_size() -> TypeAdapter[ByteSize]:
    return TypeAdapter(ByteSize)


def _size(value: object) -> int:
    try:
        size = _byte_size().validate_python(value)
    except ValidationError:
        raise ValueError("is no size; write a number of bytes, or one with a unit, such as 10 GiB") from None
    if _FRACTION_OF_A_BYTE.fullmatch(str(value)):
        raise ValueError("is no size: bytes have no fractions; write a whole number, or a unit, such as 1.5 GiB")
    return size


#: A number of bytes; "10 GiB" is accepted too. Not Pydantic's `ByteSize`, to which no plain integer can be assigned.
Size = Annotated[int, BeforeValidator(_size)]
