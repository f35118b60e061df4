"""Exports: what a registry knows of models, as lines of JSON. How they are written, and how they are read again.

The first line names the format and its version. The models follow by name. What belongs to a model stands below it:
versions by number, each with its files by path below it, then aliases, configurations and history. The last line has
the number of the lines above it and their SHA-256, so that a file that was cut or damaged is noticed. A line is one row
of the database, so that neither end holds more than a few of them.
"""

import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Protocol

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from sqlalchemy import CTE, ColumnElement, Integer, Select, String, Table, cast, literal_column, select, union_all

from kamiwaza_sdk._validation import shown, translated
from kamiwaza_sdk.exceptions import InvalidInputException
from kamiwaza_sdk.services.model.exceptions import ExportFileException, ExportTooNewException
from kamiwaza_sdk.services.model.models.model import JSONObject
from kamiwaza_sdk.services.model.registry.changes import TAGS_OF_MODEL
from kamiwaza_sdk.services.model.registry.files import AGGREGATED
from kamiwaza_sdk.services.model.registry.tables import (
    ALIAS,
    CONFIG,
    EVENT,
    FILE,
    MODEL,
    VERSION,
    bound,
    json_of,
    json_text,
)
from kamiwaza_sdk.services.model.schemas.exchange import (
    AliasRecord,
    ConfigRecord,
    EndRecord,
    EventRecord,
    ExportSchema,
    FileRecord,
    HeaderRecord,
    ModelRecord,
    Record,
    VersionRecord,
)
from kamiwaza_sdk.services.model.schemas.filters import Filter
from kamiwaza_sdk.services.model.search.filters import model_condition
from kamiwaza_sdk.services.model.session import Scope
from kamiwaza_sdk.services.model.store.registration import in_thread
from kamiwaza_sdk.services.storage.files import translated as translated_os_errors

#: The version of the format that is written, and the newest that is read.
FORMAT_VERSION: Final = 1
#: How many bytes a line may have: what is longer is none of ours.
MAX_LINE: Final = 2**26
_PIECE: Final = 2**20
_ROWS: Final = 100

_KINDS: Final[dict[str, type[BaseModel]]] = {
    "model": ModelRecord,
    "version": VersionRecord,
    "file": FileRecord,
    "alias": AliasRecord,
    "config": ConfigRecord,
    "event": EventRecord,
}


@cache
def _any_record() -> TypeAdapter[Record | EndRecord]:
    return TypeAdapter(Annotated[Record | EndRecord, Field(discriminator="kind")])


class Reader(Protocol):
    """A file that is open for reading bytes."""

    def readline(self, limit: int, /) -> bytes: ...  # noqa: D102 - as of every file


class Writer(Protocol):
    """A file that is open for writing bytes."""

    def write(self, data: bytes, /) -> object: ...  # noqa: D102 - as of every file


def export_models(
    scope: Scope, where: Filter | None, *, to: "str | os.PathLike[str] | Writer", with_deleted: bool
) -> ExportSchema:
    """Write what the registry knows of models to a file."""
    where = _checked(where)
    condition = None if where is None else model_condition(where, scope.dialect)
    rows = scope.stream(_statement(condition, with_deleted=with_deleted), batch=_ROWS)
    try:
        with _written(to) as file:
            output = _Output(file)
            output.write(HeaderRecord(version=FORMAT_VERSION, namespace=scope.namespace))
            for row in rows:
                output.write(_read(row.kind, row.line))
            return output.finish()
    finally:
        rows.close()


def _checked(where: Filter | None) -> Filter | None:
    if where is not None and not isinstance(where, Filter):
        raise InvalidInputException("where", f"must be a Filter, not {shown(where)}; Field.task == 'chat' is one")
    return where if where is None else Filter.parse(where)


def _read(kind: str, text: str) -> BaseModel:
    try:
        return _KINDS[kind].model_validate(from_json(text))
    except ValidationError as error:
        raise translated(error) from None


class _Output:
    """Lines on their way into a file, a piece at a time."""

    def __init__(self, file: Writer) -> None:
        self._file = file
        self._counts = Counter[str]()
        self._digest = hashlib.sha256()
        self._size = 0
        self._waiting = list[bytes]()
        self._length = 0

    def write(self, record: BaseModel) -> None:
        # By key: PostgreSQL does not keep the order in which an object was given.
        text = json.dumps(record.model_dump(mode="json"), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        line = text.encode() + b"\n"
        if len(line) > MAX_LINE:
            raise InvalidInputException("to", f"would have a line of over {MAX_LINE} bytes; shorten what is so long")
        self._counts[getattr(record, "kind", "")] += 1
        self._waiting.append(line)
        self._length += len(line)
        if self._length >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        piece = b"".join(self._waiting)
        self._waiting, self._length = [], 0
        self._digest.update(piece)
        self._size += len(piece)
        in_thread(lambda: self._file.write(piece))

    def finish(self) -> ExportSchema:
        self._flush()
        self.write(EndRecord(lines=self._counts.total(), sha256=self._digest.hexdigest()))
        self._flush()
        counts = self._counts
        return ExportSchema(models=counts["model"], versions=counts["version"], files=counts["file"], size=self._size)


@contextmanager
def _written(to: "str | os.PathLike[str] | Writer") -> Iterator[Writer]:
    """Lend a file to write to. A path is that of a whole export, or has what it had before."""
    if not isinstance(to, str | os.PathLike):
        if not callable(getattr(to, "write", None)) or hasattr(to, "encoding"):
            raise InvalidInputException("to", f"must be a path or a file open for bytes, not {shown(to)}")
        yield to
        return
    path = Path(to)
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(8)}.tmp")
    with _of_user(path, "to"):
        file: BinaryIO = in_thread(lambda: temporary.open("xb"))
    try:
        with _of_user(path, "to"), file:
            yield file
            in_thread(lambda: _make_durable(file))
        with _of_user(path, "to"):
            in_thread(lambda: temporary.replace(path))
    finally:
        with suppress(OSError):
            in_thread(lambda: temporary.unlink(missing_ok=True))


def _make_durable(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _of_user(path: Path, field: str) -> Iterator[None]:
    """Raise what the file system says of a path as ours."""
    try:
        with translated_os_errors(path):
            yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidInputException(field, f"{path} cannot be used: {error.strerror}; choose another path") from error


def _statement(condition: ColumnElement[bool] | None, *, with_deleted: bool) -> Select[Any]:  # Any: kind and text
    """Return the one query that finds all: of one moment, whatever the isolation of the transaction is."""
    chosen = select(MODEL.c.id, MODEL.c.name).where(MODEL.c.namespace == bound(MODEL, "namespace"))
    chosen = chosen if with_deleted else chosen.where(MODEL.c.deleted_at.is_(None))
    found = (chosen if condition is None else chosen.where(condition)).cte("chosen")
    lines = union_all(
        _lines(found, MODEL, "model", 0, tags=json_of(TAGS_OF_MODEL)),
        _lines(
            found,
            VERSION,
            "version",
            1,
            number=VERSION.c.number,
            tags=json_of(AGGREGATED["tags"]),
            derived_from=json_of(AGGREGATED["derived_from"]),
        ),
        _lines(found, FILE, "file", 1, number=VERSION.c.number, inner=1, place=FILE.c.path),
        _lines(found, ALIAS, "alias", 2, place=ALIAS.c.alias),
        _lines(found, CONFIG, "config", 3, place=cast(CONFIG.c.id, String)),
        _lines(found, EVENT, "event", 4, number=EVENT.c.sequence),
    ).subquery("lines")
    order = (lines.c[key] for key in ("name", "part", "number", "inner_part", "place"))
    return select(lines.c.kind, lines.c.line).order_by(*order)


#: What is not said in a line, as the lines above say it, or as it follows from the rest.
_IMPLIED: Final = {"namespace", "model_id"}


def _lines(
    found: CTE,
    table: Table,
    kind: str,
    part: int,
    *,
    number: ColumnElement[int] | None = None,
    inner: int = 0,
    place: ColumnElement[str] | None = None,
    **more: ColumnElement[Any],  # Any: JSON
) -> Select[Any]:  # Any: what order the lines are in, and the text of each
    """Return the query of the lines of one kind."""
    columns = {
        ("event" if kind == "event" and column.key == "kind" else column.key): _kept(column)
        for column in table.c
        if column.key not in (_IMPLIED if table is not FILE else {*_IMPLIED, "version_id"})
    }
    return (
        select(
            found.c.name.label("name"),
            literal_column(str(part), Integer).label("part"),
            (literal_column("0", Integer) if number is None else number).label("number"),
            literal_column(str(inner), Integer).label("inner_part"),
            (literal_column("''", String) if place is None else place).label("place"),
            literal_column(f"'{kind}'", String).label("kind"),
            json_text(**columns, **more).label("line"),
        )
        .select_from(_joined(found, table))
        .where(table.c.namespace == bound(MODEL, "namespace"))
    )


def _joined(found: CTE, table: Table) -> Any:  # Any: a join of several kinds
    if table is not FILE:
        key = table.c.id if table is MODEL else table.c.model_id
        return found.join(table, key == found.c.id)
    version = (VERSION.c.namespace == FILE.c.namespace) & (VERSION.c.id == FILE.c.version_id)
    return found.join(VERSION, VERSION.c.model_id == found.c.id).join(FILE, version)


def _kept(column: ColumnElement[Any]) -> ColumnElement[Any]:  # Any: columns of several types
    return json_of(column) if isinstance(column.type, JSONObject) else column


@contextmanager
def opened(source: "str | os.PathLike[str] | Reader") -> Iterator[Reader]:
    """Lend a file to read from."""
    if not isinstance(source, str | os.PathLike):
        if not callable(getattr(source, "readline", None)) or hasattr(source, "encoding"):
            raise InvalidInputException("source", f"must be a path or a file open for bytes, not {shown(source)}")
        yield source
        return
    path = Path(source)
    with _of_user(path, "source"):
        file: BinaryIO = in_thread(lambda: path.open("rb"))
    with file:
        yield file


def records(file: Reader) -> Iterator[tuple[int, Record]]:
    """Yield the records of an export with the numbers of their lines, its last one excepted.

    Raises:
        ExportFileException: It is none, or is not what was written.
        ExportTooNewException: A newer version of the library has written it.
    """
    digest, number = hashlib.sha256(), 0
    for number, line in enumerate(_numbered(file), start=1):
        if number == 1:
            _check_header(line)
        elif isinstance(record := _parse(number, line), EndRecord):
            if record.lines != number - 1 or record.sha256 != digest.hexdigest():
                raise ExportFileException(number, "says that the lines above it are not what was written")
            if in_thread(lambda: file.readline(1)):
                raise ExportFileException(number + 1, "comes after the last one")
            return
        else:
            yield number, record
        digest.update(line)
    raise ExportFileException(number + 1, "is missing: the file was cut")


def _numbered(file: Reader) -> Iterator[bytes]:
    """Yield the lines of a file; some are read at once, as another thread may have to."""
    while lines := in_thread(lambda: _some(file)):
        yield from lines


def _some(file: Reader) -> list[bytes]:
    lines, length = list[bytes](), 0
    while length < _PIECE and (line := file.readline(MAX_LINE + 1)):
        lines.append(line)
        length += len(line)
        if line.startswith(b'{"kind":"end"'):  # what may follow is looked for with care
            break
    return lines


def _check_header(line: bytes) -> None:
    try:
        header = from_json(line) if len(line) <= MAX_LINE else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("kind") != "kamiwaza-models":
        raise ExportFileException(1, "does not say that it is one")
    version = header.get("version")
    if type(version) is int and version > FORMAT_VERSION:
        raise ExportTooNewException(version=version, known=FORMAT_VERSION)
    try:
        HeaderRecord.model_validate(header)
    except ValidationError as error:
        raise ExportFileException(1, f"cannot be read: {translated(error)}") from None


def _parse(number: int, line: bytes) -> Record | EndRecord:
    if len(line) > MAX_LINE:
        raise ExportFileException(number, f"has over {MAX_LINE} bytes")
    if not line.endswith(b"\n"):
        raise ExportFileException(number, "has no end: the file was cut")
    try:
        return _any_record().validate_json(line)
    except ValidationError as error:
        raise ExportFileException(number, f"cannot be read: {translated(error)}") from None
