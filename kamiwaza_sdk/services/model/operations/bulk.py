"""Many models at once: read lazily, written a batch at a time, each batch whole or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Final, Literal
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import CursorResult, RowMapping, Table

from kamiwaza_sdk._ids import uuid7_numbers
from kamiwaza_sdk._validation import revalidated_quickly, shown
from kamiwaza_sdk.exceptions import InvalidInputException, ServiceException
from kamiwaza_sdk.services.model.exceptions import BulkException
from kamiwaza_sdk.services.model.models.tag import VALUE_START
from kamiwaza_sdk.services.model.operations import models
from kamiwaza_sdk.services.model.operations.changes import ModelChange
from kamiwaza_sdk.services.model.operations.tags import merge_tags
from kamiwaza_sdk.services.model.schemas.bulk import BulkResult
from kamiwaza_sdk.services.model.schemas.model import CreateModel, ModelSchema
from kamiwaza_sdk.services.model.scope import Scope
from kamiwaza_sdk.services.model.session import execute_driver_sql
from kamiwaza_sdk.services.model.statements import bulk as statements
from kamiwaza_sdk.services.model.statements.constructs import DOCUMENT, EVENT, MODEL, TAG
from kamiwaza_sdk.services.model.words import document_words

__all__ = ["BATCH_SIZE", "BulkCreation", "OnConflict"]

#: How many models are written at once.
BATCH_SIZE: Final = 1000

#: What becomes of a model whose name is taken.
OnConflict = Literal["raise", "skip", "update"]


class BulkCreation:
    """One call's progress: what is counted, and what is returned. It holds one batch at a time.

    Args:
        on_conflict: What becomes of a model whose name is taken.
        returning: Whether the models are asked for.
    """

    def __init__(self, *, on_conflict: OnConflict, returning: bool) -> None:
        if not isinstance(on_conflict, str) or on_conflict not in {"raise", "skip", "update"}:
            raise InvalidInputException("on_conflict", f"cannot be {shown(on_conflict)}; it can be raise, skip, update")
        self._on_conflict = on_conflict
        self._returning = returning
        self._counts = {"created": 0, "updated": 0, "skipped": 0}
        self._models: list[ModelSchema] = []

    def result(self) -> BulkResult:
        """Return what became of the batches that are written."""
        return BulkResult(**self._counts, models=tuple(self._models))

    def batches(self, given: Iterable[CreateModel]) -> Iterator[list[CreateModel]]:
        """Yield the models in batches in which no name occurs twice."""
        if not isinstance(given, Iterable):
            raise InvalidInputException("models", f"must be an iterable of CreateModel, not {shown(given)}")
        batch: dict[str, CreateModel] = {}
        for model in given:
            try:
                checked = revalidated_quickly(model, CreateModel, "models")
            except InvalidInputException as error:
                raise self._failed(error, len(batch)) from error
            if len(batch) == BATCH_SIZE or checked.name in batch:
                yield list(batch.values())
                batch = {}
            batch[checked.name] = checked
        if batch:
            yield list(batch.values())

    def _failed(self, cause: Exception, place: int | None) -> BulkException:
        index = None if place is None else sum(self._counts.values()) + place
        return BulkException(index=index, result=self.result(), cause=cause)

    def write(self, scope: Scope, batch: list[CreateModel]) -> None:
        """Write a batch.

        Raises:
            BulkException: One of it was refused, or the database could not do it. Nothing of it is written.
        """
        place: int | None = None
        counts = {"created": 0, "updated": 0, "skipped": 0}
        try:
            with scope.writing() as writing:
                rows = _rows(writing, batch)
                created = _insert(writing, batch, rows)
                counts["created"] = len(created)
                left = [number for number, row in enumerate(rows) if row["id"] not in created]
                if left and self._on_conflict == "raise":
                    place = left[0]
                    raise models.taken(writing, batch[place].name)
                if left and self._on_conflict == "update":
                    held = _hold(writing, [batch[number] for number in left])
                    for place in left:
                        counts["updated"] += _update(writing, held, batch[place])
                    place = None
                counts["skipped"] = len(left) - counts["updated"]
                returned = _returned(writing, batch) if self._returning else []
        except ServiceException as error:
            raise self._failed(error, place) from error
        self._models += returned
        for key, count in counts.items():
            self._counts[key] += count


def _rows(scope: Scope, batch: Sequence[CreateModel]) -> list[dict[str, Any]]:  # Any: values of several columns
    """Return rows as both databases take them from JSON."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    state = {"revision": 1, "last_number": 0, "last_event": 1}
    moments = {"created_at": now, "updated_at": now, "deleted_at": None, "last_event_at": now}
    own = {"namespace": scope.namespace, **state, **moments}
    ids = uuid7_numbers(len(batch))
    rows = [{**model.__dict__, **own, "id": f"{id_:032x}"} for model, id_ in zip(batch, ids, strict=True)]
    for row in rows:
        del row["tags"]  # they have a table of their own
        row["attributes"] = to_json(row["attributes"]).decode() if row["attributes"] else "{}"
    return rows


def _insert(scope: Scope, batch: Sequence[CreateModel], rows: list[dict[str, Any]]) -> set[str]:  # Any: as above
    """Insert what has no name that is taken, with all that belongs to it, and return the ids."""
    last = scope.execute(statements.LAST_DOCUMENT).scalar_one() if scope.dialect == "sqlite" else 0
    # By name: two that want the same ones wait for each other then, and do not deadlock.
    result = _insert_many(scope, MODEL, sorted(rows, key=itemgetter("name")))
    if scope.dialect == "sqlite":
        created = {row["id"] for row in rows} if result.rowcount == len(rows) else _present(scope, rows)
    else:
        created = {value.hex for value in result.scalars()}
    new = [(model, row) for model, row in zip(batch, rows, strict=True) if row["id"] in created]
    if new:
        _insert_rest(scope, new, last)
    return created


def _present(scope: Scope, rows: list[dict[str, Any]]) -> set[str]:  # Any: as above
    found = scope.execute(statements.IDS_AMONG, _ids=[UUID(row["id"]) for row in rows])
    return {value.hex for value in found.scalars()}


def _insert_rest(
    scope: Scope,
    new: list[tuple[CreateModel, dict[str, Any]]],  # Any: as above
    last: int,
) -> None:
    own = {"namespace": scope.namespace}
    tags = [
        {"model_id": row["id"], **own, "key": key, "value": value, "value_start": value[:VALUE_START]}
        for model, row in new
        for key, value in model.tags.items()
    ]
    if tags:
        _insert_many(scope, TAG, tags)
    _insert_many(scope, DOCUMENT, [{"model_id": row["id"], **own, "words": _words(scope, model)} for model, row in new])
    if scope.dialect == "sqlite":
        scope.execute(statements.SEARCH_INSERT_AFTER, _last=last)
    event = {**own, "sequence": 1, "kind": "model.created", "actor": scope.actor, "before": "{}"}
    _insert_many(scope, EVENT, [{**event, **_created(model, row)} for model, row in new])


def _words(scope: Scope, model: CreateModel) -> str:
    return document_words(
        scope.namespace,
        name=model.name,
        author=model.author,
        description=model.description,
        tags=model.tags,
        model_card=model.model_card,
    )


def _created(model: CreateModel, row: dict[str, Any]) -> dict[str, str]:  # Any: as above
    return {
        "model_id": row["id"],
        "at": row["created_at"],
        "after": model.model_dump_json(exclude_defaults=True),
    }


def _insert_many(
    scope: Scope,
    table: Table,
    rows: list[dict[str, Any]],  # Any: as above
) -> CursorResult[Any]:  # Any: as above
    if scope.dialect == "sqlite" and scope.connection is not None:
        statement, keys = statements.insert_rows(table, scope.connection)
        return execute_driver_sql(scope.connection, statement, list(map(itemgetter(*keys), rows)))
    return scope.execute(statements.insert_batch(table), _batch=to_json(rows).decode())


def _hold(scope: Scope, left: Sequence[CreateModel]) -> dict[str, RowMapping]:
    """Hold the rows of those that are there, and return them by name."""
    held = scope.execute(statements.HOLD_BY_NAMES, _names=[model.name for model in left]).mappings()
    return {row["name"]: row for row in held}


def _update(scope: Scope, held: Mapping[str, RowMapping], model: CreateModel) -> bool:
    """Change what is there to what is given, and tell whether that made it different."""
    row = held.get(model.name)
    if row is None or row["deleted_at"] is not None:
        raise models.taken(scope, model.name)
    change = ModelChange(scope, row)
    given = model.model_dump(include=model.model_fields_set - {"name", "tags"})
    changed = models.change_fields(change, given)
    return merge_tags(change, model.tags) or changed


def _returned(scope: Scope, batch: Sequence[CreateModel]) -> list[ModelSchema]:
    rows = scope.execute(statements.MODELS_BY_NAMES, _names=[model.name for model in batch]).all()
    by_name = {model.name: model for model in models.schemas(rows)}
    return [by_name[model.name] for model in batch if model.name in by_name]  # another may have purged one meanwhile
